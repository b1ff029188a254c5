"""What studies are tried on: two corpora of tones, a recipe that fits in a second, listeners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.recipes import Recipe
from ser_edge_train.studies.folder import Result
from ser_edge_train.studies.planning import Job
from ser_edge_train.studies.study import Study, Variant

from .recordings import RATE, write_wav
from .toys import toy_recipe

PITCH = {"angry": 2500, "happy": 1200, "sad": 300}
CORPORA = {"one": ("angry", "happy", "sad"), "two": ("angry", "happy")}
SPEAKERS = 5


def tones(root: Path, corpora: dict[str, tuple[str, ...]] | None = None) -> Manifest:
    """Clips whose pitch tells the emotion, but each speaker's second angry one sounds happy."""
    clips = [
        _tone(root, f"folder{place}", corpus, f"speaker{number}", emotion, take)
        for place, (corpus, emotions) in enumerate((corpora or CORPORA).items())
        for number in range(SPEAKERS)
        for emotion in emotions
        for take in range(2)
    ]
    return Manifest(root, tuple(clips))


def _tone(root: Path, folder: str, corpus: str, speaker: str, emotion: str, take: int) -> Clip:
    stem = f"{speaker}-{emotion}-{take}"
    rng = np.random.default_rng([ord(speaker[-1]), PITCH[emotion], take, ord(corpus[0])])
    time = np.arange(int((0.25 + 0.05 * take) * RATE)) / RATE
    pitch = PITCH["happy" if (emotion, take) == ("angry", 1) else emotion]
    tone = 0.2 * np.sin(2 * np.pi * pitch * time) + 0.02 * rng.normal(size=len(time))
    path = write_wav(root / folder / f"{stem}.wav", (tone * 32767).astype(np.int16))
    samples, rate = load_audio(path)
    return Clip(
        corpus, stem, f"{folder}/{stem}.wav", speaker, "female", emotion, "", "", str(take),
        round(len(samples) / rate, 6), audio_digest(samples, rate), "",
    )  # fmt: skip


def study_recipe(**changes: Any) -> Recipe:
    """Three epochs on the toy's front end."""
    return toy_recipe(
        **{
            "fit__epochs": 3,
            "fit__early_stopping": None,
            "fit__reduce_learning_rate": None,
            **changes,
        }
    )


class Stop(Exception):
    """What a listener ends a study with."""


class Heard:
    """Notes what it is told; ends the study before a given run, or in its midst."""

    def __init__(self, *, at_run: int | None = None, at_stage: str | None = None,
                 fault: type[BaseException] = Stop) -> None:  # fmt: skip
        self.at_run = at_run
        self.at_stage = at_stage
        self.fault = fault
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.left: list[float | None] = []
        self.guesses: list[float] = []
        self.notes: list[str] = []
        self.stages: list[str] = []

    def step(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        self.stages.append(stage)
        if len(self.begun) == self.at_run and self.at_stage and self.at_stage in stage:
            raise self.fault

    def begin(self, job: Job, number: int, total: int, seconds_left: float | None) -> None:
        self.begun.append(f"{number}/{total} {job.name}")
        self.left.append(seconds_left)
        if len(self.begun) == self.at_run and self.at_stage is None:
            raise self.fault

    def guess(self, seconds_left: float) -> None:
        self.guesses.append(seconds_left)

    def end(self, result: Result, seconds_left: float | None) -> None:
        self.ended.append(result.job.name)

    def note(self, line: str) -> None:
        self.notes.append(line)


PAIR = Study(
    "pair",
    "Does it matter?",
    "Two of them.",
    lambda recipe, corpora: (
        Variant("plain", "as it is"),
        Variant("small", "a smaller network", {"network.filters": [2]}),
        Variant("extra", "only when named", {"fit.batch_size": 4}, usual=False),
    ),
    baseline="plain",
)
