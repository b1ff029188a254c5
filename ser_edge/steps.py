"""A listener for work that calls the training stage but trains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_edge.output import Progress

if TYPE_CHECKING:
    from ser_edge_train.progress import EpochReport


class StepsAlone:
    """Shows a training stage's steps, and leaves out what it tells else."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, stage: str, done: int, total: int) -> None:
        """Moves the progress bar."""
        self._progress.stage(stage, done, total)

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """Nothing."""
