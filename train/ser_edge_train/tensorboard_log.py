"""What TensorBoard shows of a training: losses, UAR and learning rate of each epoch."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

from ser_edge_runtime.errors import FileError
from ser_edge_train.checkpoint import Checkpoint
from ser_edge_train.event_file import EventFile, Scalars
from ser_edge_train.progress import EpochReport
from ser_edge_train.run_directory import RunDirectory

FILE_NAME: Final = "events.out.tfevents.ser-edge"
PARTS: Final = {
    "train": {"loss": "loss", "uar": "uar", "learning_rate": "learning_rate"},
    "validation": {"val_loss": "loss", "val_uar": "uar"},
}
"""For each folder of a log the columns of the history, and the tags they become."""


class LogError(FileError):
    """A folder of logs that belongs to another training, or cannot be written."""


class TensorBoardLog:
    """Listens to a training and logs its epochs; not for use by several threads.

    The folder gets ``train`` and ``validation`` with the same tags, so that
    TensorBoard draws both in one picture. Each epoch stands there once, however
    often the training was stopped and resumed: what a kill left out is filled in
    from the checkpoint when the log is opened.

    Args:
        folder: Where the logs are; made with the first epoch.
        clock: Seconds since 1970: an epoch's wall time.
    """

    def __init__(
        self, folder: str | PathLike[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = Path(folder)
        self._clock = clock
        self._files = {part: EventFile(self.folder / part / FILE_NAME) for part in PARTS}

    @classmethod
    def open(
        cls, folder: str | PathLike[str], run: RunDirectory, *, resume: bool = False
    ) -> TensorBoardLog:
        """The log of a run's training, with the epochs that the run has already.

        Args:
            folder: Where the logs are.
            run: The training's run directory.
            resume: Whether the training goes on; otherwise the folder must hold no log.

        Raises:
            LogError: The folder holds the log of another training, or cannot be used.
            CheckpointError: The run's checkpoint is damaged.
        """
        log = cls(folder)
        there = resume and run.checkpoint.is_file()
        log.catch_up(Checkpoint.read(run.checkpoint).history if there else ())
        return log

    def catch_up(self, history: Sequence[Mapping[str, float]]) -> None:
        """Writes the epochs of a history that the log lacks.

        Args:
            history: A row an epoch, from the first on: ``epoch``, then measures.

        Raises:
            LogError: The log holds other epochs than the history's, or cannot be used.
        """
        try:
            for part, file in self._files.items():
                file.mend()
                written = file.read()
                due = [row for row in (_scalars(part, row) for row in history) if row.values]
                if written != [_rounded(row) for row in due[: len(written)]]:
                    raise LogError(
                        self.folder, "holds the log of another training", "name another folder"
                    )
                for row in due[len(written) :]:
                    file.append(row, self._clock())
        except OSError as fault:
            raise self._unusable(fault) from None

    def epoch(self, report: EpochReport) -> None:
        """Writes an epoch that has ended.

        Raises:
            LogError: It cannot be written.
        """
        row = {"epoch": report.epoch, **report.metrics}
        try:
            for part, file in self._files.items():
                scalars = _scalars(part, row)
                if scalars.values:
                    file.append(scalars, self._clock())
        except OSError as fault:
            raise self._unusable(fault) from None

    def step(self, stage: str, done: int, total: int) -> None:
        """Nothing: TensorBoard is told of epochs."""

    def note(self, line: str) -> None:
        """Nothing."""

    def _unusable(self, fault: OSError) -> LogError:
        return LogError(
            self.folder, f"cannot be used ({fault.strerror or fault})", "name another folder"
        )


def _scalars(part: str, row: Mapping[str, float]) -> Scalars:
    values = {tag: float(row[column]) for column, tag in PARTS[part].items() if column in row}
    return Scalars(int(row["epoch"]), {k: v for k, v in values.items() if math.isfinite(v)})


def _rounded(scalars: Scalars) -> Scalars:
    """As it reads once it was written: float32."""
    values = {
        tag: float(struct.unpack("<f", struct.pack("<f", value))[0])
        for tag, value in scalars.values.items()
    }
    return Scalars(scalars.step, values)
