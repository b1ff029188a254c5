"""What cannot be scored, explained or drawn, said exactly, beside what just can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ser_edge_runtime.errors import WindowError
from ser_edge_train import metrics
from ser_edge_train.evaluation import score, score_together
from ser_edge_train.explanation import explain
from ser_edge_train.predictions import Predictions
from ser_edge_train.report.explanation_picture import write_picture

from .planted_model import HOP, RATE, noise, planted
from .test_predictions import LABELS, row, table

ALLOWED = {"ravdess": LABELS}
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


# --- counts and temperatures ----------------------------------------------------------------


@given(shapes, shapes)
@example((3,), (3,))
@example((3, 1), (3, 1))
@example((), ())
def test_answers_that_are_no_list_as_long_as_the_labels_are_shown_by_their_shapes(one, other):
    labels, predictions = np.zeros(one, int), np.zeros(other, int)
    if one == other and len(one) == 1:
        assert metrics.confusion(labels, predictions, 2).tolist() == [[one[0], 0], [0, 0]]
        return
    with pytest.raises(ValueError, match=r"must be one list$") as caught:
        metrics.confusion(labels, predictions, 2)
    assert str(caught.value) == f"labels {one} and predictions {other} must be one list"


@pytest.mark.parametrize("allowed", [True, [True] * 4, np.zeros((0, 4), bool)])
def test_a_temperature_needs_a_clip_and_one_is_enough(allowed):
    with pytest.raises(ValueError, match=r"^a temperature cannot be fitted without clips$"):
        metrics.fit_temperature(np.zeros((0, 4)), [], allowed)
    found = metrics.fit_temperature([[1.0, 0, 0, 0]], [0], True)
    assert found == pytest.approx(metrics.TEMPERATURE_RANGE[0])


# --- tables of answers ----------------------------------------------------------------------


def test_a_part_without_clips_has_no_score_and_one_clip_has():
    of_test = table(6)
    for nothing in (of_test.of_part("train"), table(0)):
        with pytest.raises(ValueError, match=r"^there is no clip to score$"):
            score(nothing, ALLOWED)
        with pytest.raises(ValueError, match=r"^there is no clip to score$"):
            score_together([nothing, nothing], ALLOWED)
        # Beside others it is no fault.
        both = score_together([nothing, of_test], ALLOWED)
        assert both["overall"]["clips"] == 6
    with pytest.raises(ValueError, match=r"^there is no clip to score$"):
        score_together([], ALLOWED)
    assert score(table(1), ALLOWED)["overall"]["clips"] == 1


classes = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3, unique=True).map(tuple)


@given(classes, classes)
def test_tables_are_joined_only_if_their_classes_stand_in_one_order(one, other):
    tables = [
        Predictions(labels, (row(place, label=labels[0]),), np.eye(len(labels))[:1])
        for place, labels in enumerate((one, other))
    ]
    before = [found.to_csv() for found in tables]
    if one == other:
        assert [r.stem for r in tables[0].joined(tables[1])] == ["c0", "c1"]
    else:
        with pytest.raises(ValueError, match=r"^labels differ: ") as caught:
            tables[0].joined(tables[1])
        assert str(caught.value) == f"labels differ: {one} and {other}"
    assert [found.to_csv() for found in tables] == before


# --- explanations ---------------------------------------------------------------------------

FRAME = HOP / RATE


@pytest.fixture(scope="module")
def model():
    return planted(0, 20)


@given(st.sampled_from(["stretch", "step"]), st.floats(max_value=0.0049, allow_infinity=False))
@example("step", 0.0)
@example("step", -1.0)
@example("stretch", 5e-324)
def test_a_stretch_of_less_than_half_a_frame_is_shown_with_the_frames_step(model, name, seconds):
    told = []
    with pytest.raises(WindowError) as caught:
        explain(model, noise(1.0), RATE, progress=lambda *_: told.append(_), **{name: seconds})
    assert str(caught.value) == f"a {name} of {seconds} s is too short; give at least {FRAME} s"
    assert told == []


def test_one_frame_is_the_shortest_stretch_and_the_shortest_step(model):
    found = explain(model, noise(0.5), RATE, stretch=FRAME, step=FRAME)
    inner = found.stretches[1:-1]
    assert [one.end - one.start for one in inner] == pytest.approx([FRAME] * len(inner))
    assert inner[1].start - inner[0].start == pytest.approx(FRAME)


@pytest.mark.parametrize("name", ["why.pdf", "why", "why.svg.gz", ".svg", "why.svg ", "why.htm"])
def test_a_picture_of_another_kind_is_refused_with_its_name_and_leaves_no_file(
    model, tmp_path, name
):
    samples = noise(0.3)
    found = explain(model, samples, RATE, stretch=0.1)
    path = tmp_path / name
    with pytest.raises(ValueError, match="not one of") as caught:
        write_picture(path, found, samples, RATE, "clip.wav")
    assert str(caught.value) == f"{path}: not one of .svg, .png, .html"
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"what was there")
    with pytest.raises(ValueError, match="not one of"):
        write_picture(path, found, samples, RATE, "clip.wav")
    assert path.read_bytes() == b"what was there"
