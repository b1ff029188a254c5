"""A file of the feature store: an ordinary ``.npy`` with a check sum behind it.

float32, frames by raw width; then a CRC-32 of all that stands before, which numpy
passes over.
"""

from __future__ import annotations

import io
import zlib
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.float32]

CHECK_BYTES: Final = 4
LONGEST_HEADER: Final = 256


class Header(NamedTuple):
    """What a file's first bytes say: its shape, and where the numbers start and end."""

    frames: int
    width: int
    start: int
    end: int

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return self.end + CHECK_BYTES


def pack(frames: Frames) -> bytes:
    """The bytes of a file that holds ``frames`` (frames, width)."""
    stream = io.BytesIO()
    values = np.ascontiguousarray(frames, dtype="<f4")
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
    body = stream.getvalue()
    return body + zlib.crc32(body).to_bytes(CHECK_BYTES, "little")


def unpack(data: bytes, width: int) -> Frames | None:
    """The frames in a file's bytes, read-only; None if damaged or not of this width."""
    body, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
    if zlib.crc32(body).to_bytes(CHECK_BYTES, "little") != check:
        return None
    header = read_header(body)
    if header is None or header.width != width or header.end != len(body):
        return None
    values = np.frombuffer(body, dtype="<f4", offset=header.start)
    return values.reshape(header.frames, header.width)


def read_header(data: bytes) -> Header | None:
    """Reads a header from the first :data:`LONGEST_HEADER` bytes; None if it is none."""
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    except Exception:
        # Whatever the parsers within numpy come upon: ValueError, SyntaxError, TokenError, ...
        return None
    if fortran or kind != np.dtype("<f4") or len(shape) != 2 or min(shape) < 0:
        return None
    start = stream.tell()
    return Header(shape[0], shape[1], start, start + 4 * shape[0] * shape[1])
