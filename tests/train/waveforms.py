"""A voice that was never spoken, and every effect on it."""

from __future__ import annotations

import numpy as np

from ser_edge_train.augmentation.effects import APPLY
from ser_edge_train.recipes.augmentation import (
    BandLimit,
    Codec,
    Effect,
    Gain,
    Noise,
    Pitch,
    Reverb,
    Shift,
    Speed,
    Stretch,
)

RATE = 16_000
TABLES: dict[str, Effect] = {
    "speed": Speed(factor=(0.8, 1.25)),
    "pitch": Pitch(semitones=(-4, 4)),
    "stretch": Stretch(rate=(0.7, 1.4)),
    "shift": Shift(share=(-0.5, 0.5)),
    "reverb": Reverb(),
    "noise": Noise(snr_db=(0, 20)),
    "band_limit": BandLimit(),
    "gain": Gain(db=(-12, 12)),
    "codec": Codec(names=("opus", "vorbis", "mp3", "mulaw", "gsm")),
}


def voice(count: int, seed: int = 0, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    """A gliding tone with overtones and a little noise, float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(count) / rate
    phase = 2 * np.pi * (160 * time + 30 * time**2)
    tone = sum(np.sin(order * phase) / order for order in range(1, 6))
    return (level * (0.4 * tone + 0.02 * rng.normal(size=count))).astype(np.float32)


def made(name: str, samples: np.ndarray, seed: int = 1, how: Effect | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return APPLY[name](samples, RATE, how or TABLES[name], rng)
