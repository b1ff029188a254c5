"""Recordings that cannot be used: the file, the fault and the next step, and its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime import audio, load_audio
from ser_edge_runtime.audio import AudioFile, decode_wav
from ser_edge_runtime.errors import (
    EmptyAudio,
    NonFiniteAudio,
    NotAudio,
    TruncatedAudio,
    UnreadableFile,
)
from ser_edge_runtime.resampling import HIGHEST_RATE, LOWEST_RATE
from tests.runtime.audio_files import chunk, encoded, wav
from tests.runtime.faults import said
from tests.signals import voice

AGAIN = "copy or record it again"
CHECK = "check that it is a recording, or convert it to WAV"
NO_SAMPLE = f"holds no sample (0 frames); {AGAIN}"
NO_SOUND = "holds samples that are NaN, infinite or over 2**31; export it again"
VORBIS = encoded(voice(0.3), 16000, "OGG", "VORBIS")


def portions_of(path):
    with AudioFile(path) as sound:
        return list(sound)


def refused(tmp_path, data, error):
    """What is said of a recording, the same of a file, of its portions and of a pipe."""
    path = tmp_path / "clip"
    path.write_bytes(data)
    of_file = said(error, load_audio, path)
    assert said(error, portions_of, path) == of_file
    name, colon, words = of_file.partition(": ")
    assert (name, colon) == (str(path), ": ")
    assert said(error, decode_wav, data, "-") == f"-: {words}"
    assert path.read_bytes() == data
    return words


def test_a_recording_without_a_byte_is_empty(tmp_path):
    assert refused(tmp_path, b"", EmptyAudio) == f"is empty (0 bytes); {AGAIN}"


@pytest.mark.parametrize(
    "data",
    [
        wav(b""),
        wav(b"\1\2", channels=2),
        wav(b"", after=chunk(b"LIST", b"INFO")),
        encoded(np.zeros(0), 16000, "AIFF", "PCM_16"),
        encoded(np.zeros(0), 16000, "CAF", "FLOAT"),
        encoded(np.zeros(0), 16000, "W64", "PCM_24"),
        encoded(np.zeros(0), 16000, "OGG", "VORBIS"),
    ],
    ids=["wav", "half a frame", "list behind", "aiff", "caf", "w64", "ogg"],
)
def test_a_recording_of_no_sample_is_empty_in_every_format(tmp_path, data):
    assert refused(tmp_path, data, EmptyAudio) == NO_SAMPLE


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "W64"])
def test_one_sample_is_a_recording(kind):
    samples, rate = decode_wav(encoded(np.array([0.5]), 16000, kind, "PCM_16"), "-")
    assert (samples.tolist(), rate) == ([0.5], 16000)


# sample rates


@pytest.mark.parametrize("rate", [LOWEST_RATE - 1, HIGHEST_RATE + 1])
@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
def test_a_header_that_claims_an_impossible_rate_is_refused(tmp_path, kind, rate):
    data = encoded(voice(0.1), rate, kind, "PCM_16")
    assert refused(tmp_path, data, NotAudio) == f"claims a sample rate of {rate} Hz; {CHECK}"


@pytest.mark.parametrize("rate", [LOWEST_RATE, HIGHEST_RATE])
@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
def test_the_lowest_and_the_highest_rate_are_read(kind, rate):
    samples, found = decode_wav(encoded(voice(0.1), rate, kind, "PCM_16"), "-")
    assert (len(samples), found) == (1600, rate)


# cut short or damaged


@given(st.integers(4, len(VORBIS) - 1))
def test_an_ogg_that_is_cut_anywhere_says_so(size):
    message = said(TruncatedAudio, decode_wav, VORBIS[:size], "night.ogg")
    assert message == f"night.ogg: ends before its last Ogg page; {AGAIN}"


@pytest.mark.parametrize("place", [9_000, 20_000, 35_000])
def test_a_flac_that_is_damaged_says_how_far_it_was_read(tmp_path, monkeypatch, place):
    monkeypatch.setattr(audio, "_BLOCK_SAMPLES", 3000)
    sound = voice(2.0)
    data = bytearray(encoded(sound, 16000, "FLAC", "PCM_16"))
    data[place : place + 40] = bytes(40)
    path = tmp_path / "night.flac"
    path.write_bytes(data)
    portions = []

    def listen():
        with AudioFile(path) as opened:
            portions.extend(opened)

    message = said(TruncatedAudio, listen)
    heard = sum(map(len, portions))
    assert message == f"{path}: cannot be decoded beyond frame {heard} of 32000; {AGAIN}"
    assert 0 < heard < len(sound)
    np.testing.assert_allclose(np.concatenate(portions), sound[:heard], atol=2**-15)
    assert refused(tmp_path, bytes(data), TruncatedAudio) == message.removeprefix(f"{path}: ")


@settings(max_examples=40)
@given(st.data())
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("CAF", "PCM_16"), ("MP3", "MPEG_LAYER_III")],
)
def test_a_recording_cut_at_any_byte_is_whole_or_named(kind, subtype, data):
    """Never another error, never half a clip: an MP3 may lack what its decoder drops."""
    whole = encoded(voice(1.0), 16000, kind, subtype)
    size = data.draw(st.integers(1, len(whole) - 1))
    try:
        samples, _ = decode_wav(whole[:size], "night")
    except (TruncatedAudio, NotAudio, EmptyAudio) as fault:
        words, hint = str(fault).rsplit("; ", 1)
        assert words.startswith("night: ")
        assert hint in (AGAIN, CHECK)
        return
    assert len(samples) >= 16000 - 2 * 1152


# what is no recording at all


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
@pytest.mark.parametrize("read", [load_audio, portions_of])
def test_a_device_is_no_recording_and_is_not_read(device, read):
    """Whoever read /dev/zero would never come back."""
    message = said(UnreadableFile, read, device)
    assert message == f"{device}: is a device, not a file; give a recording"


def chunks(count):
    """A WAV of so many chunks; the last one holds its samples."""
    return wav(b"\0\1", before=chunk(b"JUNK", b"") * (count - 2))


def test_a_wav_of_more_chunks_than_anyone_writes_is_refused(tmp_path):
    words = refused(tmp_path, chunks(100_001), NotAudio)
    assert words == f"is a WAV of over 100000 chunks; {CHECK}"


def test_as_many_chunks_as_there_may_be_are_read():
    assert len(decode_wav(chunks(100_000), "-")[0]) == 1


# samples that are none


def floats(values, kind):
    if kind == "AIFF":
        return encoded(np.array(values, np.float32), 16000, "AIFF", "FLOAT")
    bits = int(kind[1:])
    return wav(np.array(values, f"<f{bits // 8}").tobytes(), tag=3, bits=bits)


TOO_LOUD = float(np.nextafter(np.float32(2**31), np.float32(np.inf)))


@pytest.mark.parametrize("kind", ["f32", "f64", "AIFF"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, TOO_LOUD, -TOO_LOUD])
def test_a_sample_that_is_no_sound_is_refused(tmp_path, kind, bad):
    data = floats([0.5, bad, 0.5], kind)
    assert refused(tmp_path, data, NonFiniteAudio) == NO_SOUND


@pytest.mark.parametrize("kind", ["f32", "f64", "AIFF"])
def test_samples_as_large_as_32_bit_integers_are_read(kind):
    samples, _ = decode_wav(floats([2.0**31, -(2.0**31)], kind), "-")
    assert samples.tolist() == [2.0**31, -(2.0**31)]
