"""Pairs of answers: what fell, what flipped, what was nearly tied."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_convert.audit.differences import Pair, differences
from ser_edge_train import metrics
from ser_edge_train.evaluation import score_together
from ser_edge_train.predictions import ClipRow, Predictions

LABELS = ("calm", "happy", "sad")
ALL = {"toy": LABELS}


def row(number, label, *, corpus="toy", speaker="s1"):
    return ClipRow(corpus, f"c{number}", speaker, "", "test", label)


def table(rows, answers, sure=0.8):
    """Answers by label, each with the same confidence."""
    rest = (1 - sure) / (len(LABELS) - 1)
    probabilities = np.full((len(rows), len(LABELS)), rest)
    for place, answer in enumerate(answers):
        probabilities[place, LABELS.index(answer)] = sure
    return Predictions(LABELS, tuple(rows), probabilities)


TRUTH = ["calm", "calm", "happy", "happy", "sad", "sad"]
SPEAKERS = ["s1", "s2", "s1", "s2", "s1", "s2"]
ROWS = [row(i, one, speaker=who) for i, (one, who) in enumerate(zip(TRUTH, SPEAKERS, strict=True))]
AFTER = ["calm", "sad", "happy", "happy", "calm", "sad"]


@pytest.fixture(scope="module")
def found():
    pair = Pair("run", table(ROWS, TRUTH), table(ROWS, AFTER, sure=0.6), 0.0)
    return differences([pair], ALL)


def test_falls_are_before_minus_after(found):
    drops = found["drops"]
    assert drops["uar"]["value"] == pytest.approx(1 - (0.5 + 1 + 0.5) / 3)
    assert drops["accuracy"]["value"] == pytest.approx(1 - 4 / 6)
    # F1: calm and sad 1/2 each (one hit, one missed, one wrongly named), happy 1.
    assert drops["macro_f1"]["value"] == pytest.approx(1 - (0.5 + 1 + 0.5) / 3)


def test_classes_have_their_own_fall(found):
    assert found["classes"]["calm"]["clips"] == 2
    assert found["classes"]["calm"]["before"] == 1.0
    assert found["classes"]["calm"]["drop"] == pytest.approx(0.5)
    assert found["classes"]["happy"]["drop"] == 0.0


def test_intervals_are_paired_by_speaker(found):
    def matrices(answers):
        index = LABELS.index
        return np.stack(
            [
                metrics.confusion(
                    [index(one) for one, who in zip(TRUTH, SPEAKERS, strict=True) if who == name],
                    [index(one) for one, who in zip(answers, SPEAKERS, strict=True) if who == name],
                    3,
                )
                for name in ("s1", "s2")
            ]
        )

    expected = metrics.paired_bootstrap_interval(matrices(TRUTH), matrices(AFTER))
    assert expected is not None
    assert found["drops"]["uar"]["interval"] == list(expected)
    # Each speaker lost another class: a draw of one alone loses 1 of its 3.
    assert found["drops"]["uar"]["interval"] == pytest.approx([1 / 3, 1 / 3])
    assert found["classes"]["calm"]["interval"] == pytest.approx([0.0, 1.0])


def test_a_wider_confidence_gives_a_wider_interval():
    generator = np.random.default_rng(1)
    rows = [row(i, TRUTH[i % 6], speaker=f"s{i % 9}") for i in range(270)]
    answers = [one.label if generator.uniform() < 0.9 else "sad" for one in rows]
    pair = Pair("run", table(rows, [one.label for one in rows]), table(rows, answers), 0.0)
    wide, narrow = (
        differences([pair], ALL, confidence=level)["drops"]["uar"]["interval"]
        for level in (0.95, 0.5)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_one_speaker_has_no_interval():
    rows = [row(i, one) for i, one in enumerate(TRUTH)]
    found = differences([Pair("run", table(rows, TRUTH), table(rows, AFTER), 0.0)], ALL)
    assert found["drops"]["uar"]["interval"] is None
    assert found["classes"]["calm"]["interval"] is None
    assert found["corpora"]["toy"]["interval"] is None


def test_flips_say_what_changed_and_by_how_much(found):
    flips = {flip["stem"]: flip for flip in found["flips"]}
    assert set(flips) == {"c1", "c4"}
    flip = flips["c1"]
    assert (flip["before"], flip["after"], flip["label"]) == ("calm", "sad", "calm")
    assert flip["change"] == "lost"
    assert flip["margin_before"] == pytest.approx(0.8 - 0.1)
    assert flip["margin_after"] == pytest.approx(0.6 - 0.2)
    assert not flip["near_tie"]
    assert (flip["run"], flip["speaker"]) == ("run", "s2")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("calm", "sad", "lost"),
        ("sad", "calm", "won"),
        ("sad", "happy", "wrong both times"),
    ],
)
def test_a_flip_is_lost_won_or_neither(before, after, change):
    rows = [row(1, "calm")]
    pair = Pair("run", table(rows, [before]), table(rows, [after]), 0.0)
    (flip,) = differences([pair], ALL)["flips"]
    assert flip["change"] == change


def test_the_surest_flip_comes_first():
    rows = [row(1, "calm"), row(2, "calm"), row(3, "calm")]
    before = table(rows, ["calm"] * 3)
    after = np.array([[0.4, 0.5, 0.1], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1]])
    pair = Pair("run", before, Predictions(LABELS, tuple(rows), after), 0.0)
    flips = differences([pair], ALL)["flips"]
    assert [flip["stem"] for flip in flips] == ["c2", "c3", "c1"]


def test_agreement_and_probabilities(found):
    assert found["agreement"]["clips"] == 6
    assert found["agreement"]["same"] == 4
    assert found["agreement"]["share"] == pytest.approx(4 / 6)
    assert found["agreement"]["near_ties"] == 0
    assert found["probabilities"]["max_difference"] == pytest.approx(0.6)
    # Same answers differ by 0.2 once and 0.1 twice, flipped ones by 0.6, 0.5 and 0.1.
    mean = (4 * (0.2 + 2 * 0.1) + 2 * (0.6 + 0.5 + 0.1)) / 18
    assert found["probabilities"]["mean_difference"] == pytest.approx(mean)


@pytest.mark.parametrize(("gap", "near"), [(0.19, True), (0.21, False)])
def test_a_tie_is_near_within_two_quanta(gap, near):
    rows = [row(1, "calm")]
    logits = np.array([[gap, 0.0, -3.0]])
    powers = np.exp(logits)
    before = Predictions(LABELS, tuple(rows), powers / powers.sum())
    pair = Pair("run", before, table(rows, ["happy"]), 0.1)
    found = differences([pair], ALL)
    assert found["agreement"]["near_ties"] == int(near)
    assert found["flips"][0]["near_tie"] is near


def test_floats_are_nearly_tied_only_by_rounding():
    rows = [row(1, "calm")]
    values = np.array([[0.45, 0.45 + 1e-7, 0.1 - 1e-7]])
    before = Predictions(LABELS, tuple(rows), values)
    after = Predictions(LABELS, tuple(rows), values[:, [1, 0, 2]])
    found = differences([Pair("run", before, after, 0.0)], ALL)
    assert found["agreement"]["same"] == 0
    assert found["agreement"]["near_ties"] == 1


def test_answers_are_among_the_classes_of_the_corpus():
    rows = [row(1, "calm", corpus="two"), row(2, "sad", corpus="two", speaker="s2")]
    before = Predictions(LABELS, tuple(rows), np.array([[0.4, 0.5, 0.1], [0.1, 0.5, 0.4]]))
    after = Predictions(LABELS, tuple(rows), np.array([[0.5, 0.4, 0.1], [0.1, 0.5, 0.4]]))
    pair = Pair("run", before, after, 0.0)
    found = differences([pair], {"two": ("calm", "sad")})
    assert found["agreement"]["share"] == 1.0
    assert found["agreement"]["share_all_classes"] == 0.5
    assert found["drops"]["uar"]["value"] == 0.0
    assert set(found["classes"]) == {"calm", "sad"}


def test_it_scores_as_the_reports_do():
    generator = np.random.default_rng(5)
    rows = [
        row(i, LABELS[generator.integers(3)], corpus="toy" if i % 2 else "b", speaker=f"s{i % 7}")
        for i in range(120)
    ]
    rows = [one if one.corpus == "toy" or one.label != "calm" else row(
        one.stem, "sad", corpus="b", speaker=one.speaker) for one in rows]  # fmt: skip
    allowed = {"toy": LABELS, "b": ("happy", "sad")}
    before, after = (
        Predictions(LABELS, tuple(rows), generator.dirichlet(np.ones(3), len(rows)))
        for _ in range(2)
    )
    found = differences([Pair("run", before, after, 0.0)], allowed)
    scored = [score_together([one], allowed)["overall"] for one in (before, after)]
    for name in ("uar", "accuracy", "macro_f1"):
        expected = scored[0][name] - scored[1][name]
        assert found["drops"][name]["value"] == pytest.approx(expected, abs=1e-12)
    for label in LABELS:
        assert found["classes"][label]["after"] == pytest.approx(scored[1]["recalls"][label])
    of_b = score_together([before.where([one.corpus == "b" for one in rows])], allowed)
    assert found["corpora"]["b"]["before"] == pytest.approx(of_b["overall"]["uar"])
    assert found["corpora"]["b"]["clips"] == 60


def test_several_pairs_are_one_test_and_their_speakers_are_drawn_whole():
    first = Pair("one", table(ROWS, TRUTH), table(ROWS, AFTER), 0.0)
    found = differences([first, first], ALL)
    assert found["agreement"]["clips"] == 12
    assert found["drops"]["uar"]["value"] == pytest.approx(1 / 3)
    # Twice the same clips of the same two speakers say nothing new.
    assert found["drops"]["uar"]["interval"] == pytest.approx([1 / 3, 1 / 3])


def test_a_pair_must_answer_the_same_clips():
    with pytest.raises(ValueError, match="same clips"):
        Pair("run", table(ROWS, TRUTH), table(ROWS[::-1], TRUTH), 0.0)


def test_all_pairs_must_have_the_same_classes():
    other = Predictions(("calm", "happy"), (row(1, "calm"),), np.array([[0.5, 0.5]]))
    pairs = [Pair("a", table(ROWS, TRUTH), table(ROWS, TRUTH), 0.0), Pair("b", other, other, 0.0)]
    with pytest.raises(ValueError, match="classes differ"):
        differences(pairs, ALL)
