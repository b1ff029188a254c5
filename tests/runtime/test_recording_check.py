"""Each fault of a recording is found by its own check, and none where there is none."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge_runtime import Classifier, load_audio
from ser_edge_runtime.errors import MissingFile
from ser_edge_runtime.recording_check import (
    FAILED,
    NOTE,
    OK,
    channel_levels,
    check_channels,
    check_distance,
    check_noise,
    check_recording,
    distance,
)
from ser_edge_runtime.recording_measures import LONGEST, RATE, measure
from tests.runtime.audio_files import pcm16
from tests.signals import noise, voice

ROOT = Path(__file__).resolve().parents[2]
CLIPS = sorted((ROOT / "examples" / "clips").glob("*.wav"))


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load()


def failed(checks):
    return [check.name for check in checks if check.status == FAILED]


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_recordings_as_they_are_have_no_fault(classifier, clip):
    checks = check_recording(clip, classifier)
    assert failed(checks) == []
    assert [check.name for check in checks] == [
        "length", "channels", "level", "clipping", "bandwidth", "hum", "music", "noise",
        "sample rate", "distance",
    ]  # fmt: skip
    assert all("\n" not in check.detail for check in checks)


def test_a_long_recording_has_its_whole_length(classifier, tmp_path):
    samples, rate = load_audio(CLIPS[0])
    times = int(LONGEST * rate / len(samples)) + 2
    path = tmp_path / "long.wav"
    path.write_bytes(pcm16(np.tile(samples, times), rate=rate))
    length = check_recording(path, classifier)[0]
    assert length.value == times * len(samples) / rate > LONGEST


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_named_pipe_is_read_once(classifier, tmp_path, monkeypatch):
    """Whoever opens it a second time waits for a writer that never comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CLIPS[0].read_bytes(),))
    writer.start()
    # It would be opened in C, where nothing ends the wait.
    monkeypatch.setattr(soundfile, "SoundFile", None)
    checks = check_recording(path, classifier)
    writer.join()
    monkeypatch.undo()
    assert checks == check_recording(CLIPS[0], classifier)


def test_each_channel_of_a_file_has_its_level(tmp_path):
    path = tmp_path / "two.wav"
    left = sine(440)
    path.write_bytes(pcm16(np.stack([left, left / 10], axis=1).ravel(), rate=RATE, channels=2))
    assert channel_levels(str(path)) == pytest.approx([-9.03, -29.03], abs=0.01)
    for other in (CLIPS[0], tmp_path, tmp_path / "none", Path(__file__)):
        assert channel_levels(str(other)) == []


def test_a_missing_recording(classifier):
    with pytest.raises(MissingFile):
        check_recording("none.wav", classifier)


# measures: known signals have known values


def sine(frequency, seconds=2.0, rate=RATE, level=0.5):
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_length_peak_and_level_of_a_sine(rate):
    found = measure(sine(440, rate=rate), rate)
    assert (found.seconds, found.sample_rate) == (2.0, rate)
    assert found.peak == pytest.approx(0.5, abs=1e-3)
    assert found.level == pytest.approx(20 * np.log10(0.5) - 3.01, abs=0.1)


@pytest.mark.parametrize("frequency", [90, 150, 310, 440])
def test_the_pitch_of_a_harmonic_tone(frequency):
    tone = sum(sine(k * frequency, level=0.3 / k) for k in range(1, 6))
    assert measure(tone, RATE).pitch == pytest.approx(frequency, rel=0.03)
    # A header of twice the rate doubles it.
    assert measure(tone, 2 * RATE).pitch == pytest.approx(2 * frequency, rel=0.03)


@pytest.mark.parametrize("snr", [0, 10, 20])
def test_signal_above_noise(snr):
    found = measure(voice(3.0) + noise(3 * RATE, level=1e-3), RATE)
    clean = found.snr
    level = np.sqrt(np.square(voice(3.0)).mean()) * 10 ** (-snr / 20)
    noisy = measure(voice(3.0) + noise(3 * RATE, level=float(level)), RATE).snr
    assert noisy == pytest.approx(snr, abs=3)
    assert noisy < clean


def test_no_noise_at_all_is_no_number():
    found = measure(voice(3.0), RATE)
    words = [check_noise(replace(found, snr=snr)).detail for snr in (22.4, 90.0, 227.0)]
    assert words == [
        "signal 22 dB above steady noise",
        "signal 90 dB above steady noise",
        "signal more than 90 dB above steady noise",
    ]


def test_the_share_of_flat_tops():
    loud = np.clip(4 * voice(2.0), -1, 1)
    share = np.mean(np.abs(loud) == 1)
    assert measure(loud.astype(np.float32), RATE).clipped == pytest.approx(share, rel=0.3)
    # Clipped first and turned down then is clipped all the same.
    assert measure((0.1 * loud).astype(np.float32), RATE).clipped == pytest.approx(share, rel=0.3)
    assert measure(voice(2.0), RATE).clipped == 0
    assert measure(np.zeros(RATE, np.float32), RATE).clipped == 0


@pytest.mark.parametrize("mains", [50, 60])
def test_which_mains_hums(mains):
    hum = sum(sine(k * mains, level=0.01 / k) for k in range(1, 6))
    assert measure(voice(2.0) + hum, RATE).hum == mains
    assert measure(voice(2.0), RATE).hum == 0
    assert measure(voice(0.9) + hum[: round(0.9 * RATE)], RATE).hum == 0  # too short to tell


def test_held_tones():
    chord = sum(sine(frequency, level=0.1) for frequency in (262, 330, 392))
    assert measure(chord, RATE).held > 0.8
    assert measure(voice(2.0), RATE).held < 0.2
    assert measure(noise(2 * RATE), RATE).held < 0.2


@pytest.mark.parametrize("cut", [3000, 4000, 5000])
def test_where_the_spectrum_ends(cut):
    spectrum = np.fft.rfft(noise(2 * RATE))
    spectrum[np.fft.rfftfreq(2 * RATE, 1 / RATE) > cut] *= 1e-4
    limited = np.fft.irfft(spectrum).astype(np.float32)
    assert measure(limited, RATE).bandwidth == pytest.approx(cut, abs=500)
    assert measure(noise(2 * RATE), RATE).bandwidth == 8000
    assert measure(noise(2 * 8000), 8000).bandwidth == pytest.approx(4000, abs=500)


@pytest.mark.parametrize("samples", [np.zeros(1), np.zeros(RATE), np.ones(100)], ids=len)
def test_odd_signals_have_finite_measures(samples):
    found = measure(samples.astype(np.float32), RATE)
    values = [found.level, found.snr, found.held, found.clipped, found.bandwidth, found.speed]
    assert np.isfinite(values).all()


def test_two_minutes_are_looked_at():
    long = np.concatenate([np.zeros(round(LONGEST * 1000), np.float32), np.ones(5000, np.float32)])
    found = measure(long, 1000)
    assert found.seconds == LONGEST + 5
    assert found.peak == 0


# checks


def test_channels():
    assert check_channels([]).status == OK
    assert check_channels([-20.0, -22.0]).status == OK
    dead = check_channels([-20.0, -90.0, -95.0])
    assert dead.status == FAILED
    assert "channel 2 and 3 of 3 is dead" in dead.detail
    assert check_channels([-90.0, -140.0]).status == OK  # silence, which the level tells


def test_distance_is_of_the_models_own_data(classifier):
    samples, rate = load_audio(CLIPS[0])
    near = distance(samples, rate, classifier)
    assert 0 < near < 1.6
    assert check_distance(near).status == OK
    noise = 0.1 * np.random.default_rng(0).normal(size=48_000)
    far = distance(noise.astype(np.float32), 16_000, classifier)
    assert far > 2 * near
    assert check_distance(2.0).status == NOTE
