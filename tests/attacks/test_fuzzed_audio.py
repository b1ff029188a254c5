"""Recordings with bytes flipped and ends cut: samples, or one line that says why not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.audio import decode_wav
from ser_edge_runtime.errors import SerEdgeError
from tests.runtime.audio_files import chunk, encoded, pcm16

NOISE = (np.random.default_rng(7).standard_normal(600) * 0.2).clip(-1, 0.999)

SEEDS = {
    "wav": pcm16(NOISE),
    "stereo": pcm16(NOISE.reshape(-1, 2), channels=2, after=chunk(b"LIST", bytes(20))),
    "float": encoded(NOISE, 16000, "WAVEX", "FLOAT"),
    "ulaw": encoded(NOISE, 16000, "WAV", "ULAW"),
    "adpcm": encoded(NOISE, 16000, "WAV", "IMA_ADPCM"),
    "flac": encoded(NOISE, 16000, "FLAC", "PCM_16"),
    "aiff": encoded(NOISE, 16000, "AIFF", "PCM_16"),
    "vorbis": encoded(NOISE, 16000, "OGG", "VORBIS"),
    "opus": encoded(NOISE, 16000, "OGG", "OPUS"),
}


def samples_or_one_line(data: bytes) -> None:
    refusal = ""
    try:
        samples, rate = decode_wav(data, "fuzz.wav")
    except SerEdgeError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith("fuzz.wav: ")
        assert "\n" not in refusal
        return
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples)
    assert np.all(np.isfinite(samples))
    assert 1000 <= rate <= 768_000


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_flipped_bytes_and_cuts(data):
    whole = bytearray(SEEDS[data.draw(st.sampled_from(sorted(SEEDS)))])
    # Headers are where a byte means most.
    place = st.one_of(st.integers(0, 99), st.integers(0, len(whole) - 1))
    for where in data.draw(st.lists(place, max_size=8)):
        whole[where % len(whole)] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    end = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
    samples_or_one_line(bytes(whole[:end]))


@pytest.mark.parametrize("name", ["wav", "stereo", "float"])
def test_every_byte_of_a_wav_header_flipped(name):
    for place in range(90):
        for mask in (0x01, 0x80, 0xFF):
            data = bytearray(SEEDS[name])
            data[place] ^= mask
            samples_or_one_line(bytes(data))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS"]))
def test_any_bytes(tail, head):
    samples_or_one_line(head + tail)
