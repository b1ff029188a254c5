"""Lengths are looked at before samples are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.audio import decode_wav
from ser_edge_runtime.errors import (
    EmptyAudio,
    NotAudio,
    RecordingTooLong,
    SerEdgeError,
    TruncatedAudio,
)
from ser_edge_runtime.service import recordings
from ser_edge_runtime.service.recordings import decode
from tests.runtime.service.running import wav
from tests.signals import voice


def encoded(kind: str, subtype: str | None = None, seconds: float = 1.0, rate: int = 16000):
    buffer = io.BytesIO()
    soundfile.write(buffer, voice(seconds, rate), rate, format=kind, subtype=subtype)
    return buffer.getvalue()


KINDS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", None), ("OGG", None)]


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_every_format_is_decoded_as_it_is_elsewhere(kind, subtype):
    data = encoded(kind, subtype)
    samples, rate = decode(data, 1.2)
    expected, expected_rate = decode_wav(data, "-")
    assert rate == expected_rate == 16000
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_what_lasts_too_long_is_never_decoded(monkeypatch, kind, subtype):
    def fail(*_):
        raise AssertionError("decoded")

    data = encoded(kind, subtype)
    monkeypatch.setattr(recordings, "decode_wav", fail)
    words = r"the recording: lasts 1\.\d s; at most 0\.9 s are taken; .*raise --max-seconds$"
    with pytest.raises(RecordingTooLong, match=words):
        decode(data, 0.9)


def test_a_length_that_is_declared_too_short_gives_no_more_than_declared():
    data = bytearray(encoded("FLAC", seconds=2.0))
    # STREAMINFO: 36 bits of the number of samples, the last of which end at byte 26.
    assert int.from_bytes(data[22:26], "big") == 32000
    data[22:26] = (8000).to_bytes(4, "big")
    try:
        samples, rate = decode(bytes(data), 1.0)
    except SerEdgeError:
        return
    assert len(samples) <= rate


def test_a_flac_that_does_not_say_its_length_is_asked_to():
    data = bytearray(encoded("FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    with pytest.raises(RecordingTooLong, match=r"does not say how long it is.*as WAV"):
        decode(bytes(data), 60.0)


def test_a_wav_from_a_pipe_has_the_length_of_what_came():
    data = bytearray(wav(1.0))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert len(decode(bytes(data), 1.0)[0]) == 8000
    with pytest.raises(RecordingTooLong):
        decode(bytes(data), 0.9)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyAudio),
        (b"RIFF\4\0\0\0WAVE", NotAudio),
        (b"fLaC", NotAudio),
        (wav()[:100], TruncatedAudio),
        (bytes(range(256)), NotAudio),
    ],
)
def test_faults_are_named_as_they_are_elsewhere(data, error):
    with pytest.raises(error, match=r"^the recording: "):
        decode(data, 60.0)


@given(st.integers(0, 60), st.binary(min_size=1, max_size=12))
def test_damage_ends_in_samples_or_in_an_error_of_ours(place, damage):
    data = bytearray(wav(0.1))
    data[place : place + len(damage)] = damage
    try:
        samples, rate = decode(bytes(data), 5.0)
    except SerEdgeError:
        return
    assert len(samples) <= 5.0 * rate
