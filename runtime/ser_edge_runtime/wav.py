"""The header of a RIFF WAVE file: what it declares against what is there.

Python's own ``wave`` module is not used: it hands out a short read without a
word, and before Python 3.12 it refuses WAVE_FORMAT_EXTENSIBLE, which is how
most tools write 24 bits. The layout is that of Microsoft's "Multiple Channel
Audio Data and WAVE Files" (2001).
"""

from __future__ import annotations

from struct import unpack, unpack_from
from typing import BinaryIO, NamedTuple

PCM = 0x0001
FLOAT = 0x0003
_EXTENSIBLE = 0xFFFE
# The last 14 bytes of a sub-format that is a plain format tag in disguise.
_TAG_GUID = bytes.fromhex("000000001000800000aa00389b71")
_ALL_ONES = 0xFFFFFFFF
# sox and arecord write lengths just under 2 GiB into a pipe.
_PIPE_LENGTH = 0x7FFF0000
_MOST_CHANNELS = 1024
_LONGEST_FORMAT = 4096
_MOST_CHUNKS = 100_000


class WavError(Exception):
    """A fault of the header, in words that go into the user's message."""


class WavHeader(NamedTuple):
    """Where the samples of a WAV file lie and what they are.

    Attributes:
        tag: PCM, FLOAT or another format tag of the RIFF registry.
        channels: From 1 to 1024.
        sample_rate: In Hz, as declared.
        frame_bytes: Bytes of one sample of every channel.
        bits: Bits of a sample, as declared.
        offset: The first byte of the samples.
        declared: Their bytes as declared; None if the writer could not know.
        present: Their bytes that are there.
    """

    tag: int
    channels: int
    sample_rate: int
    frame_bytes: int
    bits: int
    offset: int
    declared: int | None
    present: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample, or 0 where frames are not made of whole samples."""
        whole, rest = divmod(self.frame_bytes, self.channels)
        return 0 if rest else whole


def is_wav(head: bytes) -> bool:
    """Whether a file that begins with these 12 bytes is RIFF WAVE, little-endian."""
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def read_header(stream: BinaryIO, size: int, *, pipe: bool) -> WavHeader:
    """Walks the chunks of a WAV up to its samples.

    Args:
        stream: Positioned anywhere, seekable; known to be a WAV (:func:`is_wav`).
        size: Its length in bytes.
        pipe: The bytes came through a pipe, whose writers put a length near
            2 GiB where they cannot know it.

    Returns:
        The header; ``present`` never exceeds what ``size`` leaves.

    Raises:
        WavError: Chunks are missing or contradict themselves.
    """
    stream.seek(0)
    riff_end = 8 + int.from_bytes(stream.read(12)[4:8], "little")
    found: tuple[int, int, int, int, int] | None = None
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 8 > size:
            break
        stream.seek(position)
        name, length = unpack("<4sI", stream.read(8))
        position += 8
        if name == b"fmt ":
            found = _read_format(stream.read(min(length, _LONGEST_FORMAT)))
        elif name == b"data":
            if found is None:
                raise WavError("is a WAV whose samples come before their format")
            declared = _declared_length(length, position, size, riff_end, pipe=pipe)
            rest = size - position
            present = rest if declared is None else min(rest, declared)
            return WavHeader(*found, position, declared, present)
        # Chunks are padded to an even length.
        position += length + (length & 1)
    else:
        raise WavError(f"is a WAV of over {_MOST_CHUNKS} chunks")
    if found is None:
        raise WavError("is a WAV without a format chunk")
    raise WavError("is a WAV without a data chunk")


def _declared_length(
    length: int, position: int, size: int, riff_end: int, *, pipe: bool
) -> int | None:
    rest = size - position
    if length == _ALL_ONES or (pipe and length >= _PIPE_LENGTH and length > rest):
        return None
    # A writer that never came back to fill in its lengths leaves 0 here, and a
    # whole that does not cover what follows. In a finished file 0 means none.
    if length == 0 and rest and (riff_end < size or riff_end >= 8 + _PIPE_LENGTH):
        return None
    return length


def _read_format(chunk: bytes) -> tuple[int, int, int, int, int]:
    if len(chunk) < 16:
        raise WavError("is a WAV whose format chunk is cut short")
    tag, channels, rate, _, frame_bytes, bits = unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == _TAG_GUID:
        (tag,) = unpack_from("<H", chunk, 24)
    if not 1 <= channels <= _MOST_CHANNELS:
        raise WavError(f"is a WAV that claims {channels} channels")
    if not frame_bytes:
        raise WavError("is a WAV that claims frames of 0 bytes")
    return tag, channels, rate, frame_bytes, bits
