"""Constant matrices of the front end: windows, filter banks, cosines.

All are built once a process and shared; none may be written to.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.kinds import Chroma, ContrastBands, MelScale

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


def _frozen(values: npt.NDArray[T]) -> npt.NDArray[T]:
    values.flags.writeable = False
    return values


@lru_cache(maxsize=16)
def window(name: str, length: int, fft_length: int) -> Double:
    """A periodic window of ``length`` samples in the middle of ``fft_length``, float64.

    Periodic windows (denominator ``length``, not ``length - 1``) are those of
    spectral analysis: Harris, Proc. IEEE 66 (1978).
    """
    phase = 2 * np.pi * np.arange(length) / length
    if name == "hann":
        values = 0.5 - 0.5 * np.cos(phase)
    elif name == "hamming":
        values = 0.54 - 0.46 * np.cos(phase)
    else:
        values = np.ones(length)
    padded = np.zeros(fft_length)
    start = (fft_length - length) // 2
    padded[start : start + length] = values
    return _frozen(padded)


def hz_to_mel(hertz: Double, htk: bool) -> Double:
    """Mel of a frequency in Hz.

    HTK: 2595 log10(1 + f / 700) (O'Shaughnessy 1987). Otherwise Slaney's Auditory
    Toolbox (1998): linear, 200/3 Hz a mel, up to 1000 Hz, then 27 mels a factor of 6.4.
    """
    if htk:
        return np.asarray(2595 * np.log10(1 + hertz / 700))
    above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
    return np.where(hertz < 1000, hertz * 3 / 200, above)


def mel_to_hz(mel: Double, htk: bool) -> Double:
    """Frequency in Hz of a mel; the inverse of :func:`hz_to_mel`."""
    if htk:
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    above = 1000 * np.exp(np.log(6.4) * (np.maximum(mel, 15) - 15) / 27)
    return np.where(mel < 15, mel * 200 / 3, above)


@lru_cache(maxsize=16)
def mel_filters(scale: MelScale, sample_rate: int, fft_length: int) -> Array:
    """Triangular filters over the power spectrum, float32 (fft_length // 2 + 1, bands).

    Corners are equally spaced in mel. With norm "slaney" each triangle has unit
    area over Hz, so white noise gives equal power in every band.
    """
    fmax = sample_rate / 2 if scale.fmax is None else scale.fmax
    low, high = hz_to_mel(np.array([scale.fmin, fmax]), scale.htk)
    corners = mel_to_hz(np.linspace(low, high, scale.bands + 2), scale.htk)
    hertz = np.arange(fft_length // 2 + 1) * (sample_rate / fft_length)
    filters = np.zeros((len(hertz), scale.bands), np.float32)
    firsts = np.searchsorted(hertz, corners[:-2], side="right")
    ends = np.searchsorted(hertz, corners[2:], side="left")
    # Only the bins under each triangle: over all of them it would be most of a cold start.
    for band, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        low, peak, high = corners[band : band + 3]
        inside = hertz[first:end]
        triangle = np.minimum((inside - low) / (peak - low), (high - inside) / (high - peak))
        height = 2 / (high - low) if scale.norm == "slaney" else 1
        filters[first:end, band] = triangle * height
    return _frozen(filters)


@lru_cache(maxsize=16)
def chroma_filters(chroma: Chroma, sample_rate: int, fft_length: int) -> Array:
    """Weights of the power spectrum's bins for each pitch class, float32 (bins, pitch classes).

    Each bin falls on the classes near its pitch with a Gaussian as wide as the
    bin (at least one class), scaled to unit length, and weighed by a Gaussian of
    two octaves about the fifth octave: Ellis, "Chroma feature analysis and
    synthesis" (2007). Class 0 is C.
    """
    classes = chroma.bins
    reference = 440 * 2 ** (chroma.tuning / classes) / 16
    hertz = np.arange(1, fft_length) * (sample_rate / fft_length)
    pitch = classes * np.log2(hertz / reference)
    # The bin at 0 Hz has no pitch; an octave and a half below the next keeps it harmless.
    pitch = np.concatenate([[pitch[0] - 1.5 * classes], pitch])
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])
    half = np.round(classes / 2)
    distance = pitch[:, None] - np.arange(classes)
    distance = np.remainder(distance + half + 10 * classes, classes) - half
    weights = np.exp(-0.5 * (2 * distance / width[:, None]) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((pitch / classes - 5) / 2) ** 2)[:, None]
    weights = np.roll(weights, -3 * (classes // 12), axis=1)
    kept = np.ascontiguousarray(weights[: fft_length // 2 + 1], dtype=np.float32)
    return _frozen(kept)


@lru_cache(maxsize=16)
def contrast_bins(
    bands: ContrastBands, sample_rate: int, fft_length: int
) -> tuple[tuple[int, int, int], ...]:
    """Bins of each octave band: (first, end, bins averaged for a peak or a valley).

    Bands as in Jiang et al., "Music type classification by spectral contrast
    feature" (2002), with the borders librosa 0.11 draws: a band above the first
    begins one bin early, all but the last end one bin early, the last reaches to
    half the sample rate.
    """
    hertz = np.arange(fft_length // 2 + 1) * (sample_rate / fft_length)
    edges = [0.0, *(bands.fmin * 2.0**octave for octave in range(bands.bands + 1))]
    ranges = []
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        first = int(np.searchsorted(hertz, low, side="left"))
        end = int(np.searchsorted(hertz, high, side="right"))
        first -= band > 0
        last_band = band == bands.bands
        end = len(hertz) if last_band else end
        count = max(1, int(np.rint(bands.quantile * (end - first))))
        ranges.append((first, end if last_band else end - 1, count))
    return tuple(ranges)


@lru_cache(maxsize=16)
def cosines(bands: int, count: int) -> Array:
    """Orthonormal DCT-II as a matrix, float32 (bands, count): log-mel @ it gives cepstra."""
    angle = np.pi / bands * (np.arange(bands)[:, None] + 0.5) * np.arange(count)
    matrix = np.cos(angle) * np.sqrt(2 / bands)
    matrix[:, 0] = np.sqrt(1 / bands)
    return _frozen(matrix.astype(np.float32))
