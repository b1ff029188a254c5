"""A recording of silence is answered with a fault, not with an emotion."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.audio import SILENCE, check_sound
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import SilentAudio
from ser_edge_runtime.pcm import loudest
from tests.conftest import ROOT
from tests.runtime.machines import SUBNORMALS

RATE = 8000
MODEL = ROOT / "tests" / "data" / "format_v2.tflite"


def recording(path, samples):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.round(np.asarray(samples) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(MODEL)


@pytest.mark.parametrize("seconds", [0.01, 0.19, 5.0])
def test_digital_silence_is_named_with_the_next_step(classifier, tmp_path, seconds):
    path = recording(tmp_path / "quiet.wav", np.zeros(int(RATE * seconds)))
    with pytest.raises(SilentAudio) as caught:
        classifier.classify_file(path)
    assert str(caught.value) == (
        f"{path}: holds no sound: its loudest sample is more than 60 dB below full scale; "
        "record it again; what is wrong with it says: ser-edge doctor FILE"
    )


def test_the_hiss_of_a_converter_is_silence_too(classifier, tmp_path):
    hiss = np.random.default_rng(0).integers(-3, 4, RATE) / 32767
    with pytest.raises(SilentAudio):
        classifier.classify_file(recording(tmp_path / "hiss.wav", hiss))


@pytest.mark.parametrize("place", [0, RATE // 2, 5 * RATE - 1])
def test_one_loud_sample_anywhere_is_sound(classifier, tmp_path, place):
    samples = np.zeros(5 * RATE)
    samples[place] = -0.01
    assert classifier.classify_file(recording(tmp_path / "click.wav", samples)).seconds == 5


def test_a_faint_voice_is_classified(classifier, tmp_path):
    faint = 2 * SILENCE * np.sin(np.arange(RATE) * 0.3)
    assert classifier.classify_file(recording(tmp_path / "faint.wav", faint)).score > 0


@given(st.floats(0, 1, allow_subnormal=SUBNORMALS), st.integers(1, 50))
def test_the_bound_is_that_of_the_loudest_sample(peak, count):
    samples = np.full(count, -peak, np.float32)
    samples[: count // 2] *= np.float32(0.5)
    if abs(samples).max() < SILENCE:
        with pytest.raises(SilentAudio, match="x: holds no sound"):
            check_sound(loudest(samples), "x")
    else:
        check_sound(loudest(samples), "x")


@given(st.lists(st.floats(-1, 1, width=32, allow_subnormal=SUBNORMALS)))
def test_the_loudest_sample_is_the_largest_on_either_side(values):
    samples = np.array(values, np.float32)
    assert loudest(samples) == max(np.abs(samples).tolist(), default=0)


def test_samples_in_memory_get_an_answer_whatever_they_are(classifier):
    """Who has samples knows where they come from; a stream has its own gate."""
    assert classifier.classify(np.zeros(RATE, np.float32), RATE).label in classifier.labels
