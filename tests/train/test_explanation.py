"""An explanation finds the stretch that matters, where by construction only one does."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime import Classifier, load_audio
from ser_edge_runtime.errors import SerEdgeError, WindowError
from ser_edge_train.explanation import LabelUnknown, explain
from tests.conftest import ROOT
from tests.train.planted_model import (
    FRAMES,
    HOP,
    RATE,
    classifier_of,
    mean_graph,
    noise,
    planted,
    planted_graph,
)

FRAME = HOP / RATE


@given(st.integers(0, FRAMES - 20), st.integers(12, 40), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_one_stretch_that_matters_is_found(start, width, flat):
    end = min(start + width, FRAMES)
    found = explain(planted(start, end, flat=flat), noise(1.0), RATE, stretch=0.1, step=0.02)
    assert found.label == "planted"
    assert found.deciding is not None
    true_start, true_end = (start - 0.5) * FRAME, (end - 0.5) * FRAME
    # Stretches of 0.1 s cannot see finer than that.
    assert abs(found.deciding.start - max(true_start, 0)) <= 0.1
    assert abs(found.deciding.end - min(true_end, 1)) <= 0.1
    both = min(found.deciding.end, true_end) - max(found.deciding.start, true_start)
    assert both >= 0.5 * (true_end - true_start)
    for stretch in found.stretches:
        if stretch.end <= true_start + 1e-9 or stretch.start >= true_end - 1e-9:
            assert stretch.drop == 0.0
        else:
            assert stretch.drop > 0.0


def test_without_the_whole_of_what_mattered_nothing_is_left():
    found = explain(planted(40, 50), noise(1.0), RATE, stretch=0.3, step=0.05)
    assert found.score > 0.6
    covered = [one for one in found.stretches if one.start <= 0.395 and one.end >= 0.495]
    assert covered
    for stretch in covered:
        # All logits are zero then: three equal classes.
        assert found.score - stretch.drop == pytest.approx(1 / 3, abs=1e-6)


def test_the_deciding_stretch_is_measured_as_one():
    found = explain(planted(30, 60), noise(1.0), RATE, stretch=0.1, step=0.02)
    assert found.deciding is not None
    assert found.without is not None
    assert found.deciding.drop == pytest.approx(found.score - found.without["planted"])
    assert found.deciding.drop > max(stretch.drop for stretch in found.stretches)


def test_the_answer_is_the_classifiers_own():
    classifier = Classifier.load()
    rng = np.random.default_rng(4)
    for seconds in (0.7, 3.1, 9.0):
        samples = (0.1 * rng.standard_normal(round(seconds * 16000))).astype(np.float32)
        found = explain(classifier, samples, 16000, step=0.5)
        result = classifier.classify(samples, 16000)
        assert (found.label, found.score, found.scores) == (
            result.label, result.score, result.scores,
        )  # fmt: skip
        assert found.seconds == result.seconds


def test_another_class_can_be_explained():
    classifier = planted(30, 60)
    found = explain(classifier, noise(1.0), RATE, label="other", stretch=0.1, step=0.02)
    assert found.label == "other"
    assert found.score == found.scores["other"] < found.scores["planted"]
    # It gains where the planted class loses, and loses nowhere.
    assert min(stretch.drop for stretch in found.stretches) < 0
    assert found.deciding is None
    assert found.without is None


def test_a_short_recording_is_heard_where_it_lies_between_the_silence():
    # Half a second stands in the middle of the clip: frames 25 to 75 show it.
    classifier = planted(45, 55)
    found = explain(classifier, noise(0.5), RATE, stretch=0.1, step=0.02)
    assert found.heard == (0.0, 0.5)
    assert found.deciding is not None
    assert 0.1 <= found.deciding.start < 0.25 < found.deciding.end <= 0.4


def test_of_a_longer_recording_only_the_middle_was_heard():
    classifier = planted(0, 20)
    found = explain(classifier, noise(1.6), RATE, stretch=0.1, step=0.02)
    assert found.heard == pytest.approx((0.295, 1.305), abs=FRAME)
    assert found.stretches[0].start == found.heard[0]
    assert found.stretches[-1].end == found.heard[1]
    assert found.deciding is not None
    assert found.deciding.start == pytest.approx(0.3, abs=0.1)
    assert found.deciding.end == pytest.approx(0.5, abs=0.1)


def test_quiet_ends_that_are_trimmed_are_not_heard():
    samples = np.concatenate([1e-4 * noise(0.4), noise(0.5), 1e-4 * noise(0.4)])
    found = explain(planted(45, 55, trim_db=40.0), samples, RATE, stretch=0.1, step=0.02)
    assert found.heard == pytest.approx((0.4, 0.9), abs=0.03)
    assert found.deciding is not None
    assert 0.5 < found.deciding.start < 0.65 < found.deciding.end < 0.8


def test_an_offset_is_not_heard():
    found = explain(planted(0, 10, offset_seconds=0.5, cut="start"), noise(1.2), RATE,
                    stretch=0.1, step=0.02)  # fmt: skip
    assert found.heard == pytest.approx((0.495, 1.2), abs=FRAME)
    assert found.deciding is not None
    assert found.deciding.start == pytest.approx(0.495, abs=0.05)


def test_in_a_long_recording_the_one_burst_decides():
    samples = 1e-3 * noise(5.0, seed=1)
    samples[round(3.2 * RATE) : round(3.5 * RATE)] = noise(0.3, seed=2, level=1.0)
    everywhere = classifier_of(planted_graph(np.full(FRAMES, 8 / FRAMES, np.float32)))
    found = explain(everywhere, samples, RATE, label="planted", stretch=0.2, step=0.05)
    assert found.heard == (0.0, 5.0)
    assert found.deciding is not None
    assert found.deciding.start == pytest.approx(3.2, abs=0.12)
    assert found.deciding.end == pytest.approx(3.5, abs=0.12)


def test_a_layout_without_time_is_explained_all_the_same():
    samples = 1e-3 * noise(1.0, seed=1)
    samples[round(0.6 * RATE) : round(0.8 * RATE)] = noise(0.2, seed=2, level=1.0)
    found = explain(classifier_of(mean_graph(), layout="mean"), samples, RATE, label="planted",
                    stretch=0.1, step=0.02)  # fmt: skip
    assert found.deciding is not None
    assert found.deciding.start == pytest.approx(0.6, abs=0.08)
    assert found.deciding.end == pytest.approx(0.8, abs=0.08)


def test_stretches_cover_what_was_heard_from_end_to_end():
    found = explain(planted(0, FRAMES), noise(1.0), RATE, stretch=0.25, step=0.1)
    assert found.stretches[0].start == found.heard[0] == 0.0
    assert found.stretches[-1].end == found.heard[1] == 1.0
    starts = [stretch.start for stretch in found.stretches]
    assert starts == sorted(set(starts))
    assert all(one.end > other.start for one, other in pairwise(found.stretches))
    assert len(found.times) == len(found.drops) == FRAMES
    assert (np.diff(found.times) > 0).all()


@pytest.mark.parametrize("seconds", [5.0, 3600.0, 1e300, 1e307])
def test_a_stretch_longer_than_the_recording_is_all_of_it(seconds):
    found = explain(planted(0, FRAMES), noise(0.2), RATE, stretch=seconds)
    (stretch,) = found.stretches
    assert (stretch.start, stretch.end) == found.heard == (0.0, 0.2)


def test_steps_longer_than_stretches_leave_gaps_that_tell_nothing():
    found = explain(planted(0, FRAMES), noise(1.0), RATE, stretch=0.05, step=0.3)
    assert (found.drops == 0).any()
    assert (found.drops > 0).any()


def test_the_numbers_are_plain_json():
    found = explain(planted(30, 60), noise(1.0), RATE)
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["label"] == "planted"
    assert values["deciding"] == {
        "start": found.deciding.start, "end": found.deciding.end, "drop": found.deciding.drop,
    }  # fmt: skip
    assert [set(one) for one in values["stretches"]] == [{"start", "end", "drop"}] * len(
        found.stretches
    )


def test_progress_counts_the_stretches():
    told = []
    found = explain(planted(30, 60), noise(1.0), RATE,
                    progress=lambda done, total: told.append((done, total)))  # fmt: skip
    count = len(found.stretches)
    assert told == [(done, count) for done in range(1, count + 1)]


@pytest.mark.parametrize("name", ["stretch", "step"])
@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "too short"), (-1.0, "too short"), (0.001, "too short"), (-1e307, "too short"),
     (float("inf"), "no length"), (float("nan"), "no length")],
)  # fmt: skip
def test_lengths_that_cannot_be_are_one_line(name, value, words):
    with pytest.raises(WindowError) as caught:
        explain(planted(0, 20), noise(1.0), RATE, **{name: value})
    assert str(caught.value) == f"a {name} of {value} s is {words}; give at least 0.01 s"


def test_a_class_that_the_model_does_not_have_is_one_line():
    with pytest.raises(LabelUnknown, match="only planted, other, third") as caught:
        explain(planted(0, 20), noise(1.0), RATE, label="bored")
    assert isinstance(caught.value, SerEdgeError)
    assert caught.value.exit_code == 2


def test_the_default_model_is_explained_on_a_real_clip():
    samples, rate = load_audio(ROOT / "examples" / "clips" / "1001_DFA_ANG_XX.wav")
    found = explain(Classifier.load(), samples, rate)
    assert found.deciding is not None
    assert 0 <= found.heard[0] <= found.deciding.start < found.deciding.end <= found.heard[1]
    assert found.deciding.drop > 0.1
