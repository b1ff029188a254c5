from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import Classifier, SpeechGate, load_audio
from ser_edge_runtime.errors import WindowError
from tests.signals import noise

ROOT = Path(__file__).resolve().parents[2]
V1 = ROOT / "tests" / "data" / "format_v1.tflite"
CLIPS = sorted((ROOT / "examples" / "clips").glob("*.wav"))
FRAMES = 100.0


def levels(*decibels):
    """Mean squares of frames at these levels."""
    return (10.0 ** (np.array(decibels) / 10)).astype(np.float32)


def steady(kind, seconds, rate, level):
    count = round(seconds * rate)
    white = noise(count, seed=1, level=1.0).astype(np.float64)
    if kind == "pink":
        hertz = np.fft.rfftfreq(count, 1 / rate)
        white = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.maximum(hertz, 20)), count)
    if kind == "hum":
        time = np.arange(count) / rate
        white = sum(np.sin(2 * np.pi * 50 * h * time) / h for h in (1, 2, 3, 5))
    scaled = white / np.sqrt(np.mean(white**2)) * 10 ** (level / 20)
    return scaled.astype(np.float32)


def test_digital_silence_is_no_speech():
    assert not SpeechGate().opens(np.zeros(300, np.float32), 300, FRAMES)
    assert not SpeechGate(margin_db=0, level_db=-120).opens(np.zeros(9, np.float32), 9, FRAMES)
    assert not SpeechGate().opens(np.empty(0, np.float32), 0, FRAMES)


def test_a_share_of_the_windows_frames_must_be_loud():
    gate = SpeechGate(share=0.3)
    quiet = [-80.0] * 200
    for loud, opens in ((29, False), (30, True), (100, True)):
        window = [-80.0] * (100 - loud) + [-30.0] * loud
        assert gate.opens(levels(*quiet, *window), 100, FRAMES) == opens


def test_only_the_windows_own_frames_count():
    gate = SpeechGate()
    assert not gate.opens(levels(*[-20.0] * 300, *[-80.0] * 100), 100, FRAMES)
    assert gate.opens(levels(*[-80.0] * 300, *[-20.0] * 100), 100, FRAMES)


def test_what_is_quieter_than_the_level_is_never_speech():
    sound = [-100.0] * 300 + [-61.0] * 100
    assert not SpeechGate().opens(levels(*sound), 100, FRAMES)
    assert SpeechGate(level_db=-62).opens(levels(*sound), 100, FRAMES)


@pytest.mark.parametrize(("above", "opens"), [(7.0, False), (9.0, True)])
def test_speech_stands_a_margin_above_the_quietest_stretch(above, opens):
    sound = [-40.0] * 300 + [-40.0 + above] * 100
    assert SpeechGate().opens(levels(*sound), 100, FRAMES) == opens


def test_one_quiet_frame_is_no_floor_but_a_quiet_stretch_is():
    noisy = [-30.0] * 400
    one = noisy.copy()
    one[50] = -90.0
    assert not SpeechGate().opens(levels(*one), 100, FRAMES)
    stretch = noisy.copy()
    stretch[50:70] = [-90.0] * 20
    assert SpeechGate().opens(levels(*stretch), 100, FRAMES)


def test_before_it_has_settled_loudness_alone_decides():
    sound = levels(*[-30.0] * 199)
    assert SpeechGate().opens(sound, 100, FRAMES)
    assert not SpeechGate().opens(levels(*[-30.0] * 200), 100, FRAMES)
    assert not SpeechGate(settle_seconds=1.0).opens(sound, 100, FRAMES)
    assert not SpeechGate(memory_seconds=1.0).opens(sound, 100, FRAMES)


@pytest.mark.parametrize("kind", ["white", "pink", "hum"])
@pytest.mark.parametrize("level", [-55, -35, -15])
def test_steady_noise_at_any_level_is_no_speech(kind, level):
    classifier = Classifier.load(V1)
    sound = steady(kind, 8.0, 8000, level)
    assert classifier.windows(sound, 8000, 2.5, 0.5) == []
    assert len(classifier.windows(sound, 8000, 2.5, 0.5, None)) == 12


@pytest.mark.parametrize("snr", [30, 10])
def test_speech_in_noise_is_speech(snr):
    classifier = Classifier.load(V1)
    for path in CLIPS:
        samples, rate = load_audio(path)
        level = 10 * np.log10(np.mean(samples**2)) - snr
        lead = steady("pink", 3.0 + len(samples) / rate, rate, level)
        lead[-len(samples) :] += samples
        results = classifier.windows(lead, rate, 1.0, 0.5)
        settled = [result.start for result in results if result.end > 2.5]
        assert settled, path.name
        assert min(settled) > 1.9, path.name


def test_every_example_clip_is_heard_as_speech():
    classifier = Classifier.load(V1)
    for path in CLIPS:
        samples, rate = load_audio(path)
        every = classifier.windows(samples, rate, 3.0, 1.0, None)
        assert classifier.windows(samples, rate, 3.0, 1.0) == every, path.name


@given(
    st.lists(st.floats(-110, 0, allow_subnormal=False), min_size=1, max_size=400),
    st.integers(1, 400),
    st.floats(-20, 20, allow_subnormal=False),
)
def test_more_of_everything_changes_nothing_above_the_level(decibels, window, gain):
    """The floor moves with the speech: only ``level_db`` knows how loud a recording is."""
    gate, window = SpeechGate(level_db=-120, settle_seconds=0), min(window, len(decibels))
    sound = levels(*decibels).astype(np.float64)
    louder = sound * 10 ** (gain / 10)
    # Frames that lie on the threshold itself may fall on either side of it.
    for factor in (0.999, 1.001):
        moved = SpeechGate(level_db=-120, settle_seconds=0, margin_db=8.0 + 10 * np.log10(factor))
        if moved.opens(sound, window, FRAMES) != gate.opens(sound, window, FRAMES):
            return
    if sound.min() * min(1.0, 10 ** (gain / 10)) > 1e-11:
        assert gate.opens(louder, window, FRAMES) == gate.opens(sound, window, FRAMES)


@pytest.mark.parametrize(
    "values",
    [
        {"level_db": 1.0},
        {"level_db": float("nan")},
        {"margin_db": -1.0},
        {"share": 0.0},
        {"share": 1.1},
        {"memory_seconds": -1.0},
        {"memory_seconds": float("inf")},
        {"smoothing_seconds": 11.0},
        {"settle_seconds": -0.1},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_by_name(values):
    with pytest.raises(WindowError, match=next(iter(values))):
        SpeechGate(**values)


def test_gates_of_the_same_values_are_the_same():
    assert SpeechGate() == SpeechGate(level_db=-60.0)
    assert hash(SpeechGate()) == hash(SpeechGate())
    assert SpeechGate() != SpeechGate(margin_db=9.0)
    assert SpeechGate(memory_seconds=2.0).memory(62.5) == 125
