"""A WAV through a pipe that cannot be heard: the pipe, the fault and the next step."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.errors import NotAudio, TruncatedAudio
from ser_edge_runtime.pcm_pipe import PcmPipe
from tests.runtime.audio_files import chunk, pcm16, wav
from tests.runtime.faults import said
from tests.runtime.test_pcm_pipe import read

HINT = "pipe raw samples, or a PCM WAV"
WHOLE = pcm16(np.linspace(-0.5, 0.5, 100), before=chunk(b"LIST", b"INFOsome"))
HEADER = 60
MIB = 1 << 20


@given(st.integers(12, HEADER - 1))
def test_a_wav_that_is_cut_anywhere_in_its_header_is_refused(size):
    message = said(TruncatedAudio, read, WHOLE[:size])
    assert message == f"-: is a WAV that ends in its header; {HINT}"


def test_a_wav_that_is_cut_behind_its_header_is_heard_as_far_as_it_goes():
    assert WHOLE[HEADER - 8 : HEADER - 4] == b"data"
    assert len(read(WHOLE[:HEADER])[1]) == 0
    assert len(read(WHOLE[: HEADER + 20])[1]) == 10


@pytest.mark.parametrize(
    ("tag", "bits"),
    # ADPCM, A-law, mu-law, IMA ADPCM, MP3; integers of 64 bits, floats of 16.
    [(2, 4), (6, 8), (7, 8), (17, 4), (85, 16), (1, 64), (3, 16)],
    ids=lambda value: f"{value}",
)
def test_a_wav_of_coded_samples_is_refused(tag, bits):
    data = wav(bytes(64), tag=tag, bits=bits, frame_bytes=1)
    assert said(NotAudio, read, data) == (
        f"-: is a WAV of compressed samples or of a kind not read here; {HINT}"
    )


def with_junk(length):
    """A WAV whose samples come behind a chunk of this length."""
    return wav(b"\0\1" * 3, before=chunk(b"JUNK", bytes(length)))


def test_samples_behind_the_first_mib_are_not_waited_for():
    longest = MIB - len(with_junk(0)) + len(chunk(b"data", bytes(6)))
    assert len(read(with_junk(longest))[1]) == 3
    # An odd length is followed by a byte that counts too.
    for length in (longest + 1, longest + 2, 10 * MIB):
        message = said(NotAudio, read, with_junk(length))
        assert message == f"-: is a WAV without samples in its first MiB; {HINT}"


class Endless(io.RawIOBase):
    """A pipe that announces 4 GiB and never ends; it counts what is taken of it."""

    taken = 0
    start = b"RIFF\xff\xff\xff\xffWAVEJUNK\xff\xff\xff\xff"

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self.start[self.taken : self.taken + len(buffer)]
        buffer[:] = part + bytes(len(buffer) - len(part))
        self.taken += len(buffer)
        return len(buffer)


def test_of_an_endless_chunk_nothing_is_read():
    pipe = Endless()
    stream = io.BufferedReader(pipe, 4096)
    message = said(NotAudio, PcmPipe, stream, "doorbell", 16000, "s16le", 1)
    assert message == f"doorbell: is a WAV without samples in its first MiB; {HINT}"
    assert pipe.taken <= 4096
