"""What a training tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class EpochReport:
    """One epoch that has ended and whose checkpoint is on the disk.

    Attributes:
        epoch: Its number, from 1.
        epochs: The most there will be.
        metrics: Its row of the history: "loss", "uar", "val_loss", "val_uar", "learning_rate".
        best_epoch: The epoch whose weights would be kept now.
        seconds: How long it took.
        remaining_seconds: What the epochs to come would take, if none is stopped early.
    """

    epoch: int
    epochs: int
    metrics: dict[str, float]
    best_epoch: int
    seconds: float
    remaining_seconds: float


class Progress(Protocol):
    """Who listens to a training. Called from the thread that trains."""

    def step(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` pieces of a stage: "features", "epoch 3/40", ..."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch has ended."""

    def note(self, line: str) -> None:
        """Something worth a line, as what was left out."""


class Silence:
    """Listens and says nothing."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """Nothing."""


class Several:
    """Passes on to several listeners, in their order.

    Args:
        *listeners: Who listens.
    """

    def __init__(self, *listeners: Progress) -> None:
        self._listeners = listeners

    def step(self, stage: str, done: int, total: int) -> None:
        """Passes it on."""
        for listener in self._listeners:
            listener.step(stage, done, total)

    def epoch(self, report: EpochReport) -> None:
        """Passes it on."""
        for listener in self._listeners:
            listener.epoch(report)

    def note(self, line: str) -> None:
        """Passes it on."""
        for listener in self._listeners:
            listener.note(line)
