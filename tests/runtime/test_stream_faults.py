"""What a stream is told that it cannot follow: the option or the value, and what it may be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import Classifier, Smoothing, SpeechGate, StreamingClassifier, microphone
from ser_edge_runtime.errors import NoMicrophone, WindowError
from ser_edge_runtime.front_end import FrontEndSpec
from ser_edge_runtime.microphone import Microphone
from ser_edge_runtime.resampling import Resampler, resample
from ser_edge_runtime.windows import frame_lengths
from tests.runtime.faults import said
from tests.runtime.test_microphone import InputStream
from tests.runtime.test_microphone import sounddevice as stand_in  # noqa: F401 - a fixture
from tests.runtime.test_smoothing import result
from tests.signals import noise

V2 = Path(__file__).resolve().parent.parent / "data" / "format_v2.tflite"
RATE = 8000


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(V2)


# windows


def of_windows(classifier, segment, step):
    """What is said of windows, the same of a recording's and of a stream's, and at once."""
    options = {"segment": segment, "step": step}
    words = said(WindowError, StreamingClassifier, classifier, **options)
    assert said(WindowError, classifier.windows, noise(RATE), RATE, **options) == words
    with pytest.raises(WindowError) as caught:
        StreamingClassifier(classifier, **options)
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, ValueError)
    return words


NEVER = [0, 0.0, -0.0, -1, -1e-9, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", NEVER)
def test_windows_are_longer_and_further_apart_than_nothing(classifier, bad):
    words = "segment and step must be above 0 s, not"
    assert of_windows(classifier, bad, 1.0) == f"{words} {bad} and 1.0"
    assert of_windows(classifier, 1.0, bad) == f"{words} 1.0 and {bad}"


# Frames are a hundredth of a second apart: half of that is rounded to none.
@pytest.mark.parametrize("step", [1e-300, 0.001, 0.0049])
def test_windows_less_than_a_frame_apart_are_refused(classifier, step):
    words = of_windows(classifier, 1.0, step)
    assert words == f"step {step} s is too short; frames are 0.01 s apart"


@pytest.mark.parametrize("segment", [1e-300, 0.00006])
def test_windows_without_a_sample_are_refused(classifier, segment):
    words = of_windows(classifier, segment, 1.0)
    assert words == f"segment {segment} s is too short for a frame; give at least 0.000125 s"


def test_windows_shorter_than_a_frame_that_is_not_centred_are_refused():
    spec = FrontEndSpec(
        sample_rate=8000, fft_length=256, window_length=256, centred=False, clip_seconds=None
    )
    words = "segment 0.0315 s is too short for a frame; give at least 0.032 s"
    assert said(WindowError, frame_lengths, spec, 0.0315, 1.0) == words
    assert frame_lengths(spec, 0.032, 1.0) == (1, 50)


@pytest.mark.parametrize(("segment", "step"), [(1.0, 0.0051), (0.00007, 1.0), (0.01, 0.01)])
def test_windows_of_a_sample_and_steps_of_a_frame_are_cut(classifier, segment, step):
    stream = StreamingClassifier(classifier, segment=segment, step=step, gate=None)
    assert stream.push(noise(RATE // 4), RATE) + stream.flush()
    assert (stream.segment, stream.step) == (segment, step)


# smoothing


@pytest.mark.parametrize("end", [2.999, 0.0, -1.0, -math.inf])
def test_a_result_older_than_the_one_before_is_refused_and_forgotten(end):
    smoothing, untouched = Smoothing(), Smoothing()
    for one in (smoothing, untouched):
        one.push(result(3.0, 0.9))
    words = f"a result of {end} s after one of 3.0 s"
    assert said(ValueError, smoothing.push, result(end, 0.1)) == words
    for at, calm in enumerate([0.4, 0.2, 0.1]):
        following = result(3.5 + at, calm)
        assert smoothing.push(following) == untouched.push(following)


def test_a_result_as_old_as_the_one_before_is_taken():
    smoothing = Smoothing()
    smoothing.push(result(3.0, 0.9))
    assert smoothing.push(result(3.0, 0.1)).end == 3.0


# the speech gate


RANGES = {
    "level_db": (-120.0, 0.0),
    "margin_db": (0.0, 60.0),
    "share": (1e-6, 1.0),
    "memory_seconds": (0.0, 600.0),
    "smoothing_seconds": (0.0, 10.0),
    "settle_seconds": (0.0, 600.0),
}
GATE = {
    "level_db": "speech gate: level_db must be -120 to 0, not",
    "margin_db": "speech gate: margin_db must be 0 to 60, not",
    "share": "speech gate: share must be 1e-06 to 1, not",
    "memory_seconds": "speech gate: memory_seconds must be 0 to 600, not",
    "smoothing_seconds": "speech gate: smoothing_seconds must be 0 to 10, not",
    "settle_seconds": "speech gate: settle_seconds must be 0 to 600, not",
}


@pytest.mark.parametrize("name", GATE)
def test_a_gate_takes_its_least_and_its_most_and_nothing_beyond(name):
    low, high = RANGES[name]
    for value in (low, high):
        assert getattr(SpeechGate(**{name: value}), name) == value
    least = min(low - 1e-9, math.nextafter(low, -math.inf) if low else -1e-9)
    most = math.nextafter(high, math.inf) if high else 1e-9
    for value in (least, most, math.nan, math.inf, -math.inf):
        assert said(WindowError, SpeechGate, **{name: value}) == f"{GATE[name]} {value}"


# resampling


SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@given(SHAPES.filter(lambda shape: len(shape) != 1), st.sampled_from([RATE, 16000]))
def test_samples_of_other_than_one_dimension_are_refused(shape, target):
    words = f"samples must have one dimension, not the shape {shape}"
    samples = np.zeros(shape, np.float32)
    assert said(ValueError, resample, samples, RATE, target) == words
    assert said(ValueError, Resampler(RATE, target).push, samples) == words


@pytest.mark.parametrize("target", [RATE, 11025, 44100])
def test_a_push_that_was_refused_leaves_no_trace_in_the_stream(target):
    sound = noise(3000)
    stream = Resampler(RATE, target)
    pieces = [stream.push(sound[:1000])]
    said(ValueError, stream.push, np.ones((2, 500), np.float32))
    pieces += [stream.push(sound[1000:]), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(pieces), resample(sound, RATE, target))


# the microphone


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(microphone, "_LOOK_EVERY", 0.001)


@pytest.mark.parametrize(("device", "name"), [(None, "inner mic"), (2, "usb mic")])
def test_a_microphone_that_was_pulled_out_is_to_be_plugged_in_again(impatient, device, name):
    heard = []
    with Microphone(device) as recording:
        stream = InputStream.last
        for value in (0.25, 0.5):
            stream.record([value])
        stream.active = False

        def listen():
            heard.extend(float(portion[0]) for portion in recording)

        words = f"{name} has stopped recording; plug it in again"
        assert said(NoMicrophone, listen) == words
        assert not stream.closed
    assert heard == [0.25, 0.5]
    assert stream.closed
