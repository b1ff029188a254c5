"""Agreement, near ties, scores and the drop, on numbers small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_convert.comparison import (
    Agreement,
    agreement,
    answers,
    check_same_function,
    drop,
    probabilities,
    scores,
)
from ser_edge_convert.errors import ConversionMismatch
from ser_edge_convert.variants import VARIANTS


def logits(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


class Remembering:
    """An interpreter whose answer is all that it was fed since its last reset."""

    def __init__(self) -> None:
        self.state = 7.0

    def reset(self) -> None:
        self.state = 0.0

    def invoke(self, features: np.ndarray) -> np.ndarray:
        self.state += float(features.sum())
        return np.array([self.state, -1.0], np.float32)


def test_every_clip_is_answered_from_a_state_of_zeros():
    told = []
    features = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    found = answers(Remembering(), features, lambda *step: told.append(step))
    np.testing.assert_array_equal(found, logits((6, -1), (22, -1), (38, -1)))
    assert found.dtype == np.float32
    assert told == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(answers(Remembering(), features), found)


def test_equal_answers_agree():
    found = agreement(logits((1, 0), (0, 3)), logits((1, 0), (0, 3)), 0.0)
    assert found == Agreement(2, 2, 0, 0.0, 0.0)
    assert found.share == 1.0


def test_a_flip_within_two_quanta_is_a_near_tie():
    before, after = logits((1.0, 0.9), (4.0, 0.0)), logits((0.9, 1.0), (4.0, 0.0))
    assert agreement(before, after, 0.06).near_ties == 1
    assert agreement(before, after, 0.06).share == 1.0
    assert agreement(before, after, 0.04).near_ties == 0
    assert agreement(before, after, 0.04).share == 0.5


def test_a_near_tie_in_either_counts_but_only_between_the_two_classes():
    # After: classes 0 and 1 are tied; before they were not.
    assert agreement(logits((5, 0, 0)), logits((1.0, 1.05, 0)), 0.05).near_ties == 1
    # The runner-up is near, but the other file answers a third class far off.
    assert agreement(logits((5, 4.99, 0)), logits((0, 0, 9)), 0.05).near_ties == 0


def test_floats_have_no_quanta():
    assert agreement(logits((1.0, 0.99)), logits((0.99, 1.0)), 0.0).near_ties == 0


def test_the_widest_gap_is_of_those_that_differ_and_are_no_near_ties():
    sure = np.log(0.9 / 0.1)
    before = logits((0.0, 0.1), (sure, 0.0), (0.0, sure), (5.0, 0.0))
    after = logits((0.1, 0.0), (0.0, 0.5), (0.0, sure), (4.0, 0.0))
    found = agreement(before, after, 0.05)
    assert (found.same, found.near_ties) == (2, 1)
    # 0.9 and 0.1 in the one; in the other, which holds them closer:
    nearer = 1 / (1 + np.exp(-0.5))
    assert found.widest_gap == pytest.approx(2 * nearer - 1)
    assert found.to_dict()["widest_gap"] == round(2 * nearer - 1, 6)
    assert agreement(before, before, 0.0).widest_gap == 0.0


def test_differences_are_of_probabilities():
    before, after = logits((0, 0), (0, 0)), logits((0, 0), (np.log(3), 0))
    found = agreement(before, after, 0.0)
    assert found.max_difference == pytest.approx(0.25)
    assert found.mean_difference == pytest.approx(0.125)
    assert found.to_dict()["max_difference"] == 0.25


def test_probabilities_survive_large_logits():
    values = probabilities(logits((1000.0, 0.0), (-1000.0, -1000.0)))
    np.testing.assert_allclose(values, [[1, 0], [0.5, 0.5]])


def test_no_clips_prove_nothing_and_break_nothing():
    nothing = np.zeros((0, 3), np.float32)
    assert agreement(nothing, nothing, 0.1).share == 1.0


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_file_that_lost_its_weights_is_refused(variant):
    # The known case: it runs, and agrees on 6 % of the clips.
    with pytest.raises(ConversionMismatch) as caught:
        check_same_function("run/model.keras", variant, Agreement(100, 6, 0, 0.9, 0.3))
    text = str(caught.value)
    assert "only 6 % of 100 clips" in text
    assert "was not kept" in text
    assert "\n" not in text


def test_near_ties_are_no_mismatch():
    check_same_function("m", VARIANTS["int8"], Agreement(100, 55, 10, 0.5, 0.1))


@pytest.mark.parametrize(("name", "limit"), [("float32", 1e-3), ("float16", 0.1)])
def test_rounding_cannot_explain_everything(name, limit):
    check_same_function("m", VARIANTS[name], Agreement(9, 9, 0, limit * 0.9, 0.0))
    with pytest.raises(ConversionMismatch, match="a probability differs"):
        check_same_function("m", VARIANTS[name], Agreement(9, 9, 0, limit * 1.1, 0.0))


def test_scores_are_among_the_classes_a_corpus_has():
    rows = logits((0, 1, 9), (5, 0, 9), (0, 1, 9))
    labels = np.array([1, 0, 2])
    allowed = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1]], dtype=bool)
    found = scores(rows, labels, allowed, ["two", "two", "three"])
    assert found["accuracy"] == 1.0
    assert found["corpora"]["two"] == {"clips": 2, "accuracy": 1.0, "uar": 1.0}
    everything = np.ones((3, 3), dtype=bool)
    assert scores(rows, labels, everything, ["a"] * 3)["accuracy"] == pytest.approx(1 / 3, abs=1e-6)


def test_uar_weighs_classes_alike():
    rows = logits((1, 0), (1, 0), (1, 0), (1, 0))
    found = scores(rows, np.array([0, 0, 0, 1]), np.ones((4, 2), bool), ["c"] * 4)
    assert (found["accuracy"], found["uar"]) == (0.75, 0.5)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ((0.8, 0.7), (0.79, 0.65), 0.05),
        ((0.8, 0.7), (0.7, 0.7), 0.1),
        ((0.8, 0.7), (0.9, 0.75), -0.05),
        ((0.5, 0.5), (0.5, 0.5), 0.0),
    ],
)
def test_the_drop_is_the_larger_loss(before, after, lost):
    named = [dict(zip(("accuracy", "uar"), pair, strict=True)) for pair in (before, after)]
    assert drop(*named) == pytest.approx(lost)
