"""A recipe, parts and listeners small enough to fit in a second."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.dataset import Part
from ser_edge_train.progress import EpochReport
from ser_edge_train.recipes import Recipe, recipe_from_dict

TOY: dict[str, Any] = {
    "name": "toy",
    "labels": ["angry", "happy", "sad"],
    "seed": 3,
    "protocol": {"name": "speaker-folds"},
    "front_end": {"clip_seconds": 0.2, "features": [{"kind": "log_mel", "bands": 8}]},
    "network": {"name": "cnn1d", "filters": [4], "dropout": 0.3},
    "augmentation": {
        "time_shift": 2,
        "spec_augment": {
            "time_masks": 1,
            "time_width": 4,
            "frequency_masks": 1,
            "frequency_width": 2,
        },
        "mixup": {"alpha": 0.3},
    },
    "fit": {
        "epochs": 5,
        "batch_size": 8,
        "label_smoothing": 0.1,
        "optimizer": {
            "name": "adamw",
            "learning_rate": 0.03,
            "weight_decay": 0.01,
            "clip_norm": 1.0,
        },
        "early_stopping": {"patience": 4},
        "reduce_learning_rate": {"patience": 1},
    },
}


def toy_values(**changes: Any) -> dict[str, Any]:
    """The toy's tables; ``fit__epochs`` reaches into one, None takes a key out."""
    values = copy.deepcopy(TOY)
    for name, value in changes.items():
        *tables, key = name.split("__")
        table = values
        for each in tables:
            table = table.setdefault(each, {})
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return values


def toy_recipe(**changes: Any) -> Recipe:
    """The toy as a recipe; ``fit__epochs=2`` sets the field epochs of [fit]."""
    return recipe_from_dict(toy_values(**changes), "toy.toml")


def toy_part(recipe: Recipe, count: int, seed: int = 0) -> Part:
    """Noise whose level tells its class; every other clip comes from a corpus without the last."""
    rng = np.random.default_rng(seed)
    classes = len(recipe.labels)
    labels = rng.integers(0, classes, count)
    shape = (count, *recipe.spec.output_shape)
    level = labels.reshape(-1, *[1] * (len(shape) - 1))
    features = (rng.normal(size=shape) + 0.3 * level).astype(np.float32)
    allowed = np.ones((count, classes), bool)
    allowed[(labels < classes - 1) & (np.arange(count) % 2 == 0), -1] = False
    return Part(features, labels, allowed)


def toy_data(recipe: Recipe) -> tuple[Part, Part, Normaliser]:
    """Training part (not a multiple of the batch), validation part, and the normaliser."""
    train, validation = toy_part(recipe, 36, seed=1), toy_part(recipe, 20, seed=2)
    return train, validation, Normaliser.fit([train.features])


def hinted(part: Part, components: int, seed: int | None) -> Part:
    """A part whose hint tells the class, blurred by noise; without a seed nothing is known."""
    hints = np.full((len(part), components), np.nan, np.float32)
    if seed is not None:
        noise = np.random.default_rng(seed).normal(size=hints.shape)
        hints[:] = part.labels[:, None] - 1 + 0.1 * noise
    return replace(part, hints=hints)


class Stopped(Exception):
    """What a listener ends a fit with."""


class Listener:
    """Notes what it is told, and ends the fit at a given step or epoch."""

    def __init__(self, *, at_step: tuple[int, int] | None = None, at_epoch: int | None = None):
        self.at_step = at_step
        self.at_epoch = at_epoch
        self.steps: list[tuple[str, int, int]] = []
        self.reports: list[EpochReport] = []
        self.notes: list[str] = []

    def step(self, stage: str, done: int, total: int) -> None:
        self.steps.append((stage, done, total))
        if self.at_step is not None:
            epoch, step = self.at_step
            if stage.startswith(f"epoch {epoch}/") and done == step:
                self.end()

    def epoch(self, report: EpochReport) -> None:
        self.reports.append(report)
        if report.epoch == self.at_epoch:
            self.end()

    def note(self, line: str) -> None:
        self.notes.append(line)

    def end(self) -> None:
        raise Stopped
