from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.audio import decode_wav
from ser_edge_runtime.errors import NonFiniteAudio, NotAudio, TruncatedAudio
from ser_edge_runtime.pcm import SAMPLE_BYTES, SAMPLE_TYPES
from ser_edge_runtime.pcm_pipe import PcmPipe
from tests.runtime.audio_files import chunk, pcm16, wav

SAMPLES = np.random.default_rng(5).uniform(-0.9, 0.9, 4001)


def read(data, rate=16000, kind="s16le", channels=1):
    pipe = PcmPipe(io.BufferedReader(io.BytesIO(data)), "-", rate, kind, channels)
    portions = list(pipe)
    assert all(len(portion) for portion in portions)
    assert all(len(portion) <= round(0.1 * pipe.sample_rate) + 12 for portion in portions)
    return pipe, np.concatenate([np.empty(0, np.float32), *portions])


def raw(kind, samples=SAMPLES):
    if kind == "u8":
        return np.round(samples * 128 + 128).astype(np.uint8).tobytes(), 1 / 128
    if kind.startswith("f"):
        return samples.astype(f"<f{SAMPLE_BYTES[SAMPLE_TYPES[kind]]}").tobytes(), 1e-7
    bits = int(kind[1:3])
    whole = np.round(samples * 2.0 ** (bits - 1)).astype("<i8")
    octets = whole[:, np.newaxis].view(np.uint8)[:, : bits // 8]
    return octets.tobytes(), 2.0 ** -(bits - 1) if bits < 32 else 1e-7


@pytest.mark.parametrize("kind", SAMPLE_TYPES)
def test_raw_samples_of_every_kind(kind):
    data, step = raw(kind)
    pipe, samples = read(data, kind=kind)
    assert pipe.sample_rate == 16000
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, SAMPLES, atol=step, rtol=0)


def test_channels_become_their_mean():
    data, step = raw("s16le", np.stack([SAMPLES, SAMPLES / 2], axis=1).ravel())
    _, samples = read(data, channels=2)
    np.testing.assert_allclose(samples, 0.75 * SAMPLES, atol=2 * step)


@pytest.mark.parametrize("length", [None, 0, 0xFFFFFFFF, 0x7FFFF024])
@pytest.mark.parametrize("before", [b"", chunk(b"LIST", bytes(301))])
def test_a_wav_says_itself_what_it_is(length, before):
    data = pcm16(SAMPLES, rate=22050, length=length, before=before)
    pipe, samples = read(data, rate=8000, kind="f32le", channels=2)
    assert pipe.sample_rate == 22050
    np.testing.assert_array_equal(samples, decode_wav(pcm16(SAMPLES), "-")[0])


class Drips(io.RawIOBase):
    """A pipe that gives as many bytes at a time as these numbers say, over and over."""

    def __init__(self, data, sizes):
        self.left, self.sizes, self.turn = data, sizes, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(self.sizes[self.turn % len(self.sizes)], len(buffer))
        self.turn += 1
        part, self.left = self.left[:count], self.left[count:]
        buffer[: len(part)] = part
        return len(part)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(sorted(SAMPLE_TYPES)),
    channels=st.integers(1, 5),
    frames=st.integers(1, 700),
    rate=st.sampled_from([1000, 8000, 44100]),
    extensible=st.booleans(),
    before=st.lists(st.binary(max_size=40), max_size=3),
    known=st.booleans(),
    sizes=st.lists(st.integers(1, 999), min_size=1, max_size=6),
)
def test_a_pipe_in_drips_gives_the_samples_of_the_file(
    kind, channels, frames, rate, extensible, before, known, sizes
):
    bits = 8 * SAMPLE_BYTES[SAMPLE_TYPES[kind]]
    payload = raw(kind, SAMPLES[: channels * frames])[0]
    data = wav(
        payload,
        tag=3 if kind.startswith("f") else 1, channels=channels, rate=rate, bits=bits,
        extensible=extensible, length=None if known else 0xFFFFFFFF,
        before=b"".join(chunk(b"LIST", body) for body in before),
        after=chunk(b"LIST", b"\x7f" * 99) if known else b"",
    )  # fmt: skip
    if not known and len(payload) % 2:
        data = data[:-1]  # who does not know the length writes no padding after it
    expected, _ = decode_wav(data, "-")
    pipe = PcmPipe(io.BufferedReader(Drips(data, sizes)), "-", 16000, "u8", 2)
    assert pipe.sample_rate == rate
    np.testing.assert_array_equal(np.concatenate(list(pipe)), expected)
    assert len(expected) == frames


def test_what_follows_the_samples_of_a_wav_is_not_heard():
    data = pcm16(SAMPLES, after=chunk(b"LIST", b"\x7f" * 5000))
    np.testing.assert_array_equal(read(data)[1], decode_wav(pcm16(SAMPLES), "-")[0])


@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 31, 32, 33])
def test_short_pipes_and_broken_last_samples(count):
    data, _ = raw("s16le")
    _, samples = read(data[:count])
    assert len(samples) == count // 2


@pytest.mark.parametrize(
    ("data", "fault", "words"),
    [
        (pcm16(SAMPLES)[:30], TruncatedAudio, "header"),
        (wav(bytes(64), tag=85), NotAudio, "compressed"),
        (wav(bytes(64), rate=10), NotAudio, "10 Hz"),
        (wav(bytes(64), channels=0, frame_bytes=2), NotAudio, "0 channels"),
        (wav(bytes(64), before=chunk(b"JUNK", bytes(8), 2**31)), NotAudio, "first MiB"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(64)), NotAudio, "before their format"),
        (wav(bytes(64), before=chunk(b"JUNK", b"") * 120_000), NotAudio, "over 100000 chunks"),
        (wav(bytes(64), before=chunk(b"JUNK", b"") * 140_000), NotAudio, "first MiB"),
    ],
    ids=["cut", "coded", "rate", "channels", "junk", "no format", "chunks", "more chunks"],
)
def test_wavs_that_hold_no_plain_samples_are_refused(data, fault, words):
    with pytest.raises(fault, match=f"^-: .*{words}"):
        read(data)
    assert f"{fault.__name__}: " in PcmPipe.__doc__


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(value):
    data = np.array([0.1] * 5000 + [value], "<f4").tobytes()
    with pytest.raises(NonFiniteAudio):
        read(data, kind="f32le")


def test_samples_are_given_out_as_they_arrive():
    """A live pipe must not wait until a buffer is full."""
    reading, writing = os.pipe()
    data, _ = raw("s16le")
    turn, heard = threading.Event(), []

    def write():
        for at in range(0, 4000, 400):
            os.write(writing, data[at : at + 400])
            # The next only when this one was given out: a reader that waits for more hangs.
            if not turn.wait(60):
                break
            turn.clear()
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as stream:
        for portion in PcmPipe(stream, "-", 16000, "s16le", 1):
            heard.append(len(portion))
            # The first 12 bytes come by themselves: they might have been a header.
            if sum(heard) % 200 == 0:
                turn.set()
    writer.join()
    assert sum(heard) == 2000
    assert len(heard) >= 10
