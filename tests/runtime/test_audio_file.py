"""Recordings a portion at a time: the samples of the whole, in flat memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ser_edge_runtime import Classifier, audio, load_audio
from ser_edge_runtime.audio import AudioFile
from ser_edge_runtime.errors import EmptyAudio, MissingFile, TruncatedAudio, UnreadableFile
from tests.runtime.audio_files import encoded, pcm16, wav
from tests.runtime.test_classifier import V1
from tests.signals import voice

KINDS = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


@pytest.fixture(params=KINDS, ids=lambda kind: kind[0])
def recording(request, tmp_path):
    path = tmp_path / "clip"
    path.write_bytes(encoded(voice(2.0), 16000, *request.param))
    return path


@pytest.fixture(autouse=True)
def small_portions(monkeypatch):
    monkeypatch.setattr(audio, "_BLOCK_SAMPLES", 3000)


def test_the_portions_are_the_whole(recording):
    samples, rate = load_audio(recording)
    with AudioFile(recording) as sound:
        portions = list(sound)
    assert sound.sample_rate == rate
    assert len(portions) > 5
    assert max(map(len, portions)) <= 3000
    np.testing.assert_array_equal(np.concatenate(portions), samples)


def test_the_number_of_frames_is_known_where_the_header_is_sure(recording):
    with AudioFile(recording) as sound:
        assert sound.frames in (None, len(voice(2.0)))
        assert (sound.frames is None) == (recording.read_bytes()[:4] != b"RIFF")


def test_channels_become_their_mean_in_each_portion(tmp_path):
    left = np.linspace(-0.5, 0.5, 8000)
    path = tmp_path / "two.wav"
    path.write_bytes(pcm16(np.stack([left, -left], axis=1), channels=2))
    with AudioFile(path) as sound:
        assert max(np.abs(portion).max() for portion in sound) <= 2**-15


def test_a_file_may_be_left_before_its_end(recording):
    with AudioFile(recording) as sound:
        next(iter(sound))
    with pytest.raises(StopIteration):
        next(iter(sound))
    recording.unlink()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", EmptyAudio),
        (wav(bytes(100), length=200), TruncatedAudio),
        (encoded(voice(2.0), 16000, "OGG", "OPUS")[:-4000], TruncatedAudio),
    ],
    ids=["empty", "short wav", "short ogg"],
)
def test_what_the_header_shows_is_said_at_once(tmp_path, data, fault):
    path = tmp_path / "clip"
    path.write_bytes(data)
    with pytest.raises(fault, match="clip"):
        AudioFile(path)


def test_what_only_reading_shows_comes_after_what_was_read(tmp_path):
    path = tmp_path / "cut.flac"
    path.write_bytes(encoded(voice(2.0), 16000, "FLAC", "PCM_16")[:-9000])
    portions = []
    with AudioFile(path) as sound, pytest.raises(TruncatedAudio, match="cut"):
        portions.extend(sound)
    assert 1 <= len(portions) <= 10
    with pytest.raises(TruncatedAudio):
        load_audio(path)


def test_names_without_a_recording_are_named(tmp_path):
    for name, fault in (("none.wav", MissingFile), (".", UnreadableFile)):
        with pytest.raises(fault):
            AudioFile(tmp_path / name)
    with pytest.raises(UnreadableFile, match="device"):
        AudioFile("/dev/null")


def test_a_fault_of_whoever_reads_is_not_blamed_on_the_file(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(pcm16(voice(1.0)))

    def fail(portion):
        raise OSError("disk full")

    with AudioFile(path) as sound, pytest.raises(OSError, match="disk full"):
        list(map(fail, sound))


@pytest.mark.parametrize("seconds", [0.2, 0.38, 0.3801, 1.7])
def test_a_file_is_classified_like_its_samples(tmp_path, seconds):
    classifier = Classifier.load(V1)
    path = tmp_path / "clip.wav"
    path.write_bytes(pcm16(voice(seconds)))
    samples, rate = load_audio(path)
    whole = classifier.classify(samples, rate)
    assert classifier.classify_file(path) == whole
    with AudioFile(path) as sound:
        windows = list(classifier.windows_of(sound, rate, 0.2, 0.1))
    assert windows == classifier.windows(samples, rate, 0.2, 0.1)
    assert whole.seconds == len(samples) / rate


def test_long_files_take_no_more_memory_than_short_ones(tmp_path, monkeypatch):
    monkeypatch.undo()
    classifier = Classifier.load(V1)
    classifier.probabilities = lambda features: np.full(3, 1 / 3, np.float32)
    minute = (voice(10.0, 8000) * 32767).astype("<i2").tobytes() * 6
    path = tmp_path / "long.wav"
    peaks = []
    for minutes in (1, 5):
        path.write_bytes(wav(minute * minutes, rate=8000))
        tracemalloc.start()
        with AudioFile(path) as sound:
            results = sum(1 for _ in classifier.windows_of(sound, 8000, 3.0, 3.0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert results == 20 * minutes
    assert peaks[1] < peaks[0] + 200_000
    assert peaks[1] < 5 * 60 * 8000 * 4 / 2
