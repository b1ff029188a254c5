"""Audio files made for tests, byte by byte where a library would refuse to."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt

GUID = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    declared = len(body) if length is None else length
    return name + struct.pack("<I", declared) + body + b"\0" * (len(body) % 2)


def wav(
    data: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16000,
    bits: int = 16,
    frame_bytes: int | None = None,
    extensible: bool = False,
    length: int | None = None,
    riff: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A WAV whose header says what the arguments say, true or not."""
    frame = channels * bits // 8 if frame_bytes is None else frame_bytes
    body = struct.pack(
        "<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * frame % 2**32, frame, bits
    )
    if extensible:
        body += struct.pack("<HHIH", 22, bits, 0, tag) + GUID
    content = b"WAVE" + chunk(b"fmt ", body) + before + chunk(b"data", data, length) + after
    size = len(content) if riff is None else riff
    return b"RIFF" + struct.pack("<I", size) + content


def pcm16(samples: npt.ArrayLike, **fields: int | bytes | bool | None) -> bytes:
    integers = np.clip(np.round(np.asarray(samples) * 32768), -32768, 32767)
    return wav(integers.astype("<i2").tobytes(), **fields)  # type: ignore[arg-type]


def encoded(samples: npt.ArrayLike, rate: int, kind: str, subtype: str) -> bytes:
    """The samples as soundfile writes them."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples), rate, format=kind, subtype=subtype)
    return stream.getvalue()
