"""Recordings in which speakers and emotions can be told apart: a pitch each, and a tremolo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.recipes import Recipe

from .recordings import RATE, write_wav
from .toys import toy_recipe

SPEAKERS = 10
TAKES = 8
SMALL_TDNN: dict[str, Any] = {
    "name": "tdnn",
    "layers": [{"channels": 12, "kernel": 3}, {"channels": 12, "kernel": 3, "dilation": 2}],
    "embedding": 6,
    "hidden": 8,
    "dropout": 0.0,
}


def voices(root: Path, *, speakers: int = SPEAKERS, takes: int = TAKES) -> Manifest:
    """A manifest of ``speakers`` speakers, ``takes`` clips of each of two emotions."""
    clips = [
        _recording(root, number, emotion, take)
        for number in range(speakers)
        for emotion in ("angry", "sad")
        for take in range(takes)
    ]
    return Manifest(root, tuple(clips))


def speaker_recipe(**changes: Any) -> Recipe:
    """A speaker recipe on the toy's front end."""
    return toy_recipe(
        **{
            "name": "speakers",
            "target": "speaker",
            "labels": None,
            "network": SMALL_TDNN,
            "augmentation": None,
            "fit__epochs": 6,
            "fit__early_stopping": None,
            "fit__reduce_learning_rate": None,
            "fit__label_smoothing": 0.0,
            **changes,
        }
    )


def emotion_recipe(run: Path, join: str = "frames", **changes: Any) -> Recipe:
    """An emotion recipe that takes the speaker embedding of ``run``."""
    return toy_recipe(
        **{
            "labels": ["angry", "sad"],
            "speaker_embedding": {"run": str(run), "join": join},
            "fit__epochs": 2,
            **changes,
        }
    )


def _recording(root: Path, number: int, emotion: str, take: int) -> Clip:
    speaker = f"voice{number}"
    stem = f"{speaker}-{emotion}-{take}"
    rng = np.random.default_rng([number, emotion == "sad", take])
    time = np.arange(int(0.22 * RATE)) / RATE
    # Speakers a third of an octave apart, so that strangers fall between those that were heard.
    pitch = 200 * 2 ** (number / 3 + 0.03 * rng.normal())
    tremolo = 1 + 0.8 * np.sin(2 * np.pi * (25 if emotion == "angry" else 6) * time)
    tone = 0.2 * tremolo * np.sin(2 * np.pi * pitch * time) + 0.01 * rng.normal(size=len(time))
    path = write_wav(root / f"{stem}.wav", (tone * 32767).astype(np.int16))
    samples, rate = load_audio(path)
    return Clip(
        "own", stem, path.name, speaker, ("female", "male")[number % 2], emotion, "", "",
        str(take), round(len(samples) / rate, 6), audio_digest(samples, rate), "",
    )  # fmt: skip
