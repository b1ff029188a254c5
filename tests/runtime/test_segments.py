from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import Classifier, segments
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, LogMel, Zcr
from ser_edge_runtime.resampling import resample
from ser_edge_runtime.segments import cut, frames_of_recording

SPEC = FrontEndSpec(
    sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
    features=(LogMel(bands=4), Zcr()), clip_seconds=0.19,
)  # fmt: skip


def numbered(count):
    """Frames that are their own number."""
    return np.arange(count, dtype=np.float32)[:, np.newaxis]


def portions(count, sizes):
    frames, start = numbered(count), 0
    while start < count:
        size = sizes[start % len(sizes)]
        yield frames[start : start + size]
        start += size
    yield np.empty((0, 1), np.float32)


def spans(count, length, step, sizes=(7,)):
    found = list(cut(portions(count, sizes), length, step))
    for segment in found:
        expected = numbered(count)[segment.start :][:length]
        np.testing.assert_array_equal(segment.frames, expected)
    assert [segment.last for segment in found] == [False] * (len(found) - 1) + [True]
    return [(segment.start, segment.start + len(segment.frames)) for segment in found]


@pytest.mark.parametrize(
    ("count", "length", "step", "expected"),
    [
        (0, 10, 5, [(0, 0)]),
        (1, 10, 5, [(0, 1)]),
        (9, 10, 5, [(0, 9)]),
        (10, 10, 5, [(0, 10)]),
        (11, 10, 5, [(0, 10), (1, 11)]),
        (15, 10, 5, [(0, 10), (5, 15)]),
        (17, 10, 5, [(0, 10), (5, 15), (7, 17)]),
        (30, 10, 10, [(0, 10), (10, 20), (20, 30)]),
        (31, 10, 20, [(0, 10), (20, 30), (21, 31)]),
        (29, 10, 20, [(0, 10), (19, 29)]),
        (100, 10, 1000, [(0, 10), (90, 100)]),
        (5, 1, 2, [(0, 1), (2, 3), (4, 5)]),
    ],
)
def test_segments_begin_every_step_and_the_last_ends_with_the_recording(
    count, length, step, expected
):
    assert spans(count, length, step) == expected


@given(
    count=st.integers(0, 200),
    length=st.integers(1, 40),
    step=st.integers(1, 60),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_the_portions_change_nothing_and_every_frame_is_in_a_segment(count, length, step, sizes):
    found = spans(count, length, step, sizes)
    assert found == spans(count, length, step, (count + 1,))
    assert found[0][0] == 0
    assert found[-1][1] == count
    assert all(end - start == length for start, end in found) or count < length
    assert len(set(found)) == len(found)
    if step <= length:
        covered = {frame for start, end in found for frame in range(start, end)}
        assert covered == set(range(count))


def test_no_more_is_held_than_a_segment_and_a_portion():
    """Long silences between segments, and an endless recording, must not pile up."""
    width = 8
    base_sizes = []

    def endless():
        for _ in range(300):
            yield np.zeros((50, width), np.float32)

    for segment in cut(endless(), length=20, step=400):
        base = segment.frames if segment.frames.base is None else segment.frames.base
        base_sizes.append(base.nbytes)
    assert max(base_sizes) <= (20 + 2 * 50 + 400) * width * 4


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("chunk", [97, 8000, 1 << 16])
def test_frames_do_not_depend_on_the_chunks(monkeypatch, rate, chunk):
    samples = np.random.default_rng(3).uniform(-0.5, 0.5, 3 * rate // 2).astype(np.float32)
    monkeypatch.setattr(segments, "CHUNK", chunk)
    found = np.concatenate(list(frames_of_recording([samples], rate, SPEC)))
    expected = FrontEnd(SPEC).frames(resample(samples, rate, 8000) if rate != 8000 else samples)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("seconds", "count"), [(0.1, 1), (0.38, 1), (0.4, 4), (1.0, 10)])
def test_a_classifiers_segments_are_those_whose_answers_it_averages(seconds, count):
    model = Path(__file__).resolve().parents[1] / "data" / "format_v1.tflite"
    classifier = Classifier.load(model)
    samples = np.random.default_rng(3).normal(0, 0.1, round(seconds * 8000)).astype(np.float32)
    found = list(classifier.segments(samples, 8000))
    assert len(found) == count
    assert [segment.last for segment in found] == [False] * (count - 1) + [True]
    rows = [classifier.probabilities(classifier.front_end.clip(s.frames)) for s in found]
    answer = list(classifier.classify(samples, 8000).scores.values())
    np.testing.assert_array_equal(answer, np.mean(rows, axis=0).tolist())
    frames = classifier.front_end.frames(samples)
    for segment in found:
        stretch = frames[segment.start : segment.start + len(segment.frames)]
        np.testing.assert_array_equal(segment.frames, stretch)


def test_segments_of_what_are_no_samples_are_refused_at_once():
    classifier = Classifier.load()
    with pytest.raises(ValueError, match="at least one"):
        classifier.segments(np.zeros(0, np.float32), 16000)
