"""Synthetic signals for tests: the same samples on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def noise(samples: int, seed: int = 0, level: float = 0.1) -> Array:
    """White noise of the given root mean square."""
    return (np.random.default_rng(seed).standard_normal(samples) * level).astype(np.float32)


def voice(seconds: float = 1.0, sample_rate: int = 16000) -> Array:
    """Something voice-like: a gliding harmonic tone, amplitude modulated, over a little hiss.

    Hiss comes from integer arithmetic (a linear congruential generator), so the
    signal does not hang on numpy's generators staying as they are.
    """
    return _voice(seconds, sample_rate).copy()


@lru_cache
def _voice(seconds: float, sample_rate: int) -> Array:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    pitch = 2 * np.pi * (140 * time + 30 * time**2)
    tone = sum(np.sin(harmonic * pitch) / harmonic for harmonic in range(1, 12))
    envelope = 0.25 * (1 + np.sin(2 * np.pi * 3 * time)) / 2
    state, hiss = 12345, np.empty(len(time))
    for index in range(len(time)):
        state = (1103515245 * state + 12345) % 2**31
        hiss[index] = state / 2**30 - 1
    return (envelope * tone + 0.002 * hiss).astype(np.float32)
