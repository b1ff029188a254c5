"""Noise from a folder: what is found, how it is named, and that its SNR is met."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge_train.augmentation.recorded_noise import NoiseRecordings
from ser_edge_train.errors import NoNoise
from ser_edge_train.recipes.augmentation import RecordedNoise

from .recordings import write_wav

RATE = 16_000


def table(low: float = 5, high: float = 5) -> RecordedNoise:
    return RecordedNoise(folder="unused", snr_db=(low, high))


def clip(count: int = 4000) -> np.ndarray:
    return (0.2 * np.sin(np.arange(count) / 9)).astype(np.float32)


def snr(noisy: np.ndarray, clean: np.ndarray) -> float:
    noise = noisy.astype(np.float64) - clean
    return float(10 * np.log10(np.mean(clean.astype(np.float64) ** 2) / np.mean(noise**2)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings: long, short, and stereo at another rate in a folder below."""
    root = tmp_path / "noise"
    write_wav(root / "long.wav", np.random.default_rng(1).integers(-9000, 9000, 40_000))
    write_wav(root / "short.wav", np.random.default_rng(2).integers(-9000, 9000, 300))
    (root / "street").mkdir()
    stereo = np.random.default_rng(3).uniform(-0.3, 0.3, (30_000, 2))
    soundfile.write(root / "street" / "stereo.flac", stereo, 44_100)
    return root


@pytest.mark.parametrize("count", [1, 160, 4000, 60_000])
def test_the_snr_is_met_however_long_clip_and_noise_are(folder, count):
    noise, clean = NoiseRecordings.of(folder), clip(count) + np.float32(0.01)
    for seed in range(12):
        noisy = noise.add(clean, RATE, table(), np.random.default_rng(seed))
        assert noisy.dtype == np.float32
        assert len(noisy) == count
        assert snr(noisy, clean) == pytest.approx(5, abs=0.1)


def test_every_recording_and_every_part_of_it_is_used(folder):
    noise, clean = NoiseRecordings.of(folder), clip()
    found = {
        noise.add(clean, RATE, table(), np.random.default_rng(seed)).tobytes() for seed in range(40)
    }
    assert len(found) > 20
    shutil.rmtree(folder / "street")
    (folder / "short.wav").unlink()
    alone = NoiseRecordings.of(folder)
    stretch = alone.add(clean, RATE, table(0, 0), np.random.default_rng(0)).astype(float) - clean
    recorded, _ = soundfile.read(folder / "long.wav")
    found_at = np.correlate(recorded, stretch / np.linalg.norm(stretch), "valid").argmax()
    piece = recorded[found_at : found_at + len(clean)]
    assert np.corrcoef(piece, stretch)[0, 1] > 0.9999


def test_a_short_recording_is_repeated(tmp_path):
    write_wav(tmp_path / "noise" / "short.wav", np.arange(-150, 150) * 100)
    noise, clean = NoiseRecordings.of(tmp_path / "noise"), clip(1000)
    added = noise.add(clean, RATE, table(), np.random.default_rng(0)).astype(float) - clean
    np.testing.assert_allclose(added[300:600], added[:300], atol=1e-6)
    assert np.abs(added[900:]).max() > 0


def test_noise_at_another_rate_is_resampled(tmp_path):
    time = np.arange(48_000) / 48_000
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "hum.wav", 0.3 * np.sin(2 * np.pi * 1000 * time), 48_000)
    clean = clip(8000)
    noise = NoiseRecordings.of(tmp_path / "noise")
    hum = noise.add(clean, RATE, table(), np.random.default_rng(0)) - clean
    assert np.abs(np.fft.rfft(hum)).argmax() * RATE / 8000 == pytest.approx(1000, abs=2)


def test_enough_is_read_at_another_rate(tmp_path):
    """Of 48 kHz three times as much, or the clip would hear it thrice."""
    (tmp_path / "noise").mkdir()
    hiss = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000)
    soundfile.write(tmp_path / "noise" / "hiss.wav", hiss, 48_000)
    clean = clip(6000)
    noise = NoiseRecordings.of(tmp_path / "noise")
    added = noise.add(clean, RATE, table(), np.random.default_rng(0)).astype(float) - clean
    again = np.fft.irfft(np.abs(np.fft.rfft(added, 12_000)) ** 2)
    assert np.abs(again[100:6000]).max() < 0.1 * again[0]


def test_silence_and_silent_noise_add_nothing(tmp_path, folder):
    silence = np.zeros(500, np.float32)
    assert (
        not NoiseRecordings.of(folder).add(silence, RATE, table(), np.random.default_rng(0)).any()
    )
    write_wav(tmp_path / "still" / "a.wav", np.zeros(1000))
    still = NoiseRecordings.of(tmp_path / "still")
    assert np.array_equal(still.add(clip(), RATE, table(), np.random.default_rng(0)), clip())


def test_neither_names_nor_places_nor_doubles_matter(folder, tmp_path):
    moved = tmp_path / "elsewhere" / "deep"
    moved.mkdir(parents=True)
    shutil.copy(folder / "long.wav", moved / "z.wav")
    shutil.copy(folder / "long.wav", moved / "again.wav")
    shutil.copy(folder / "short.wav", moved / "a.wav")
    shutil.copy(folder / "street" / "stereo.flac", moved / "stereo.flac")
    one, other = NoiseRecordings.of(folder), NoiseRecordings.of(moved.parent)
    assert one.digest == other.digest
    assert len(other.recordings) == 3
    for seed in range(6):
        results = [
            noise.add(clip(), RATE, table(), np.random.default_rng(seed)) for noise in (one, other)
        ]
        assert np.array_equal(*results)


def test_other_recordings_have_another_digest(folder):
    before = NoiseRecordings.of(folder).digest
    write_wav(folder / "more.wav", 7)
    assert NoiseRecordings.of(folder).digest != before


def test_files_that_are_no_recordings_are_passed_over_by_their_names(folder):
    (folder / "licence.txt").write_text("free")
    (folder / "._long.wav").write_text("what macOS leaves")
    assert len(NoiseRecordings.of(folder).recordings) == 3


def test_they_travel_to_other_processes(folder):
    noise = NoiseRecordings.of(folder)
    assert pickle.loads(pickle.dumps(noise)) == noise


# --- faults ---------------------------------------------------------------------------------


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(NoNoise, match=r"absent: is no folder of recorded noise; name one in aug"):
        NoiseRecordings.of(tmp_path / "absent")


def test_an_empty_folder_is_one_line(tmp_path):
    with pytest.raises(NoNoise, match=r"holds no recording; put recordings of noise into it"):
        NoiseRecordings.of(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not audio", b"RIFF\x00\x00\x00\x00WAVE"])
def test_a_file_that_is_no_audio_is_named(folder, content):
    (folder / "bad.wav").write_bytes(content)
    with pytest.raises(NoNoise, match=r"bad\.wav: (is not audio|has 0 frames)") as fault:
        NoiseRecordings.of(folder)
    assert "\n" not in str(fault.value)


def test_a_recording_that_has_gone_is_named(tmp_path):
    path = write_wav(tmp_path / "noise" / "a.wav", 3)
    noise = NoiseRecordings.of(path.parent)
    path.unlink()
    with pytest.raises(NoNoise, match=r"a\.wav: cannot be read any more"):
        noise.add(clip(), RATE, table(), np.random.default_rng(0))


def test_a_recording_that_holds_no_numbers_is_named(tmp_path):
    (tmp_path / "noise").mkdir()
    samples = np.full(2000, np.nan)
    soundfile.write(tmp_path / "noise" / "nan.wav", samples, RATE, subtype="FLOAT")
    noise = NoiseRecordings.of(tmp_path / "noise")
    with pytest.raises(NoNoise, match=r"nan\.wav: holds less than it says, or no numbers"):
        noise.add(clip(), RATE, table(), np.random.default_rng(0))
