"""Recordings whose pitch tells the emotion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_train.manifest import Clip

from .recordings import RATE, write_wav

PITCH = {"angry": 2500, "happy": 1200, "sad": 300, "calm": 600, "neutral": 600}


def recording(root: Path, corpus: str, speaker: str, emotion: str, take: int) -> Clip:
    """A clip whose pitch tells its emotion, on the disk and as a row."""
    stem = f"{speaker}-{emotion}-{take}"
    rng = np.random.default_rng([ord(speaker[-1]), PITCH[emotion], take, len(corpus)])
    time = np.arange(int((0.15 + 0.03 * take) * RATE)) / RATE
    # Each speaker's second angry clip sounds happy: nobody can be right about everything.
    pitch = PITCH["happy" if (emotion, take) == ("angry", 1) else emotion]
    tone = 0.2 * np.sin(2 * np.pi * pitch * time) + 0.02 * rng.normal(size=len(time))
    path = write_wav(root / corpus / f"{stem}.wav", (tone * 32767).astype(np.int16))
    samples, rate = load_audio(path)
    return Clip(
        corpus, stem, f"{corpus}/{stem}.wav", speaker, "female", emotion, "", "", str(take),
        round(len(samples) / rate, 6), audio_digest(samples, rate), "",
    )  # fmt: skip
