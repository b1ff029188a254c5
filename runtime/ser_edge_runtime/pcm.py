"""Plain samples of integers and floats, as WAV files and pipes hold them, to float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_edge_runtime.errors import NonFiniteAudio, PathOrName
from ser_edge_runtime.wav import FLOAT, PCM, WavHeader

if TYPE_CHECKING:
    from ser_edge_runtime.resampling import Samples

SAMPLE_TYPES = {
    "u8": "u1",
    "s16le": "<i2",
    "s24le": "3u1",
    "s32le": "<i4",
    "f32le": "<f4",
    "f64le": "<f8",
}
"""What a sample is called on a command line, and the numpy type that :func:`scaled` takes."""

SAMPLE_BYTES = {"u1": 1, "<i2": 2, "3u1": 3, "<i4": 4, "<f4": 4, "<f8": 8}
"""Bytes of a sample of each of those types."""

# The largest scale in use, that of 32-bit integers, unscaled. Beyond it the
# power spectrum would overflow float32.
_LOUDEST = 2.0**31


def sample_type(header: WavHeader) -> str:
    """The numpy type of a sample that is decoded here, else an empty string."""
    size = header.sample_bytes
    if header.tag == PCM and 8 * (size - 1) < header.bits <= 8 * size:
        return {1: "u1", 2: "<i2", 3: "3u1", 4: "<i4"}.get(size, "")
    if header.tag == FLOAT and header.bits == 8 * size:
        return {4: "<f4", 8: "<f8"}.get(size, "")
    return ""


def scaled(data: bytes, kind: str) -> Samples:
    """Samples as float32 with full scale 1, shape (n,); ``kind`` is one of SAMPLE_TYPES' values."""
    if kind == "u1":
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) * np.float32(2.0**-7)
    if kind == "<i2":
        return np.frombuffer(data, "<i2") * np.float32(2.0**-15)
    if kind == "3u1":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)
    if kind == "<i4":
        return np.frombuffer(data, "<i4").astype(np.float32) * np.float32(2.0**-31)
    with np.errstate(all="ignore"):  # too large for float32 becomes infinite: refused later
        return np.frombuffer(data, kind).astype(np.float32)


def mono(block: Samples, name: PathOrName) -> Samples:
    """The mean of the channels, float32, checked to be a possible recording."""
    # A signalling NaN warns at any arithmetic; the check finds it.
    with np.errstate(all="ignore"):
        mean = block.mean(axis=1, dtype=np.float64) if block.shape[1] > 1 else block[:, 0]
        fine = bool(np.all(np.abs(mean) <= _LOUDEST))
    if not fine:
        raise NonFiniteAudio(
            name, "holds samples that are NaN, infinite or over 2**31", "export it again"
        )
    return mean.astype(np.float32, copy=False)


def loudest(samples: Samples) -> float:
    """The largest size of a sample of (n,), full scale = 1; 0 of none."""
    return max(float(samples.max(initial=0)), -float(samples.min(initial=0)))
