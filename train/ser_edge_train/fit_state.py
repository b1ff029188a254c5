"""What a fit carries from epoch to epoch, in memory and in the checkpoint."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.checkpoint import Checkpoint, CheckpointError, assign, values_of
from ser_edge_train.frameworks import keras
from ser_edge_train.progress import EpochReport, Progress
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.rows import format_rows
from ser_edge_train.run_directory import RunDirectory

# What each of Keras' callbacks remembers from epoch to epoch; it forgets it when a fit begins.
_REMEMBERED = {
    "early_stopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "reduce_learning_rate": ("wait", "best", "cooldown_counter"),
    "best_weights": ("value", "epoch"),
    "averages": (),
}
HISTORY_COLUMNS = ("epoch", "loss", "uar", "val_loss", "val_uar", "learning_rate")


class FitError(SerEdgeError):
    """A fit that cannot begin or go on."""


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best monitored score; without one, the last's.

    Where their moving averages are validated, these are what is kept.
    """

    def __init__(self, monitor: str | None, sign: int, averages: Any = None) -> None:
        super().__init__()
        self.averages = averages
        self.monitor = monitor
        self.sign = sign
        self.value: float | None = None
        self.epoch = 0
        self.weights: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps a copy if the epoch is the best so far."""
        score = None if self.monitor is None else self.sign * float((logs or {})[self.monitor])
        if score is None or self.value is None or score > self.value:
            self.value, self.epoch = score, epoch + 1
            # As Keras' callback has them in the model's place while it is validated.
            if self.averages is not None:
                self.averages.on_test_begin()
            self.weights = [np.array(values) for values in self.model.get_weights()]
            if self.averages is not None:
                self.averages.on_test_end()


class FitState:
    """What a fit carries from epoch to epoch, in memory and in the checkpoint.

    Args:
        recipe: What is fitted.
        model: The network, not compiled yet.
        run: Where the checkpoint is.
        validated: Whether there are validation utterances.
        writes: Whether this process writes the checkpoint, or another one does.
    """

    def __init__(
        self, recipe: Recipe, model: Any, run: RunDirectory, validated: bool, writes: bool = True
    ) -> None:
        how = recipe.fit
        self.recipe = recipe
        self.model = model
        self.run = run
        self._writes = writes
        # Before the model is compiled: a metric's counts are no part of it.
        self.variables = list(model.variables)
        self.optimizer: Any = None
        self.history: list[dict[str, float]] = []
        self.running_epoch = 0
        self.finished = False
        self._restored: Checkpoint | None = None
        rising = how.monitor == "val_uar"
        mode = "max" if rising else "min"
        averages = None if how.average is None else keras.callbacks.SwapEMAWeights()
        monitor, sign = how.monitor if validated else None, 1 if rising else -1
        self.best = BestWeights(monitor, sign, averages)
        self.callbacks: dict[str, Any] = {"best_weights": self.best}
        if averages is not None:
            self.callbacks["averages"] = averages
        if validated and how.early_stopping is not None:
            self.callbacks["early_stopping"] = keras.callbacks.EarlyStopping(
                how.monitor,
                min_delta=how.early_stopping.min_delta,
                patience=how.early_stopping.patience,
                mode=mode,
            )
        if validated and how.reduce_learning_rate is not None:
            self.callbacks["reduce_learning_rate"] = keras.callbacks.ReduceLROnPlateau(
                how.monitor,
                factor=how.reduce_learning_rate.factor,
                patience=how.reduce_learning_rate.patience,
                mode=mode,
                min_delta=0.0,
                cooldown=how.reduce_learning_rate.cooldown,
                min_lr=how.reduce_learning_rate.minimum,
            )

    def restore(self) -> None:
        """Takes the network, the history and the best weights from the checkpoint."""
        path = self.run.checkpoint
        checkpoint = Checkpoint.read(path)
        if checkpoint.recipe_digest != self.recipe.digest:
            raise CheckpointError(path, "of another recipe", "start anew in another folder")
        assign(self.variables, checkpoint.model, path)
        self.best.weights = list(checkpoint.best)
        self.best.epoch = checkpoint.best_epoch
        self.history = [dict(row) for row in checkpoint.history]
        self.finished = checkpoint.finished
        self._restored = checkpoint

    def attach(self, optimizer: Any) -> None:
        """Takes over the optimizer, with its state where a checkpoint was read."""
        self.optimizer = optimizer
        if self._restored is not None:
            assign(optimizer.variables, self._restored.optimizer, self.run.checkpoint)

    def remind(self) -> None:
        """Gives the callbacks back what they knew; they forgot it when the fit began."""
        if self._restored is None:
            return
        for name, callback in self.callbacks.items():
            for attribute, value in self._restored.callbacks[name].items():
                setattr(callback, attribute, value)

    def save(self) -> None:
        """Writes checkpoint and history, if it is this process that does."""
        if not self._writes:
            return
        memories = {
            name: {
                attribute: _plain(getattr(callback, attribute)) for attribute in _REMEMBERED[name]
            }
            for name, callback in self.callbacks.items()
        }
        Checkpoint(
            epoch=len(self.history),
            finished=self.finished,
            recipe_digest=self.recipe.digest,
            best_epoch=self.best.epoch,
            history=tuple(self.history),
            callbacks=memories,
            model=values_of(self.variables),
            optimizer=values_of(self.optimizer.variables),
            best=tuple(self.best.weights),
        ).write(self.run.checkpoint)
        write_history(self.run, self.history)


class Epochs(keras.callbacks.Callback):
    """The last callback of all: ends each epoch with a checkpoint and a report."""

    def __init__(self, state: FitState, progress: Progress, steps: int) -> None:
        super().__init__()
        self._state = state
        self._progress = progress
        self._steps = steps
        self._rate = 0.0
        self._begun = 0.0
        self._taken: list[float] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the other callbacks back what they knew."""
        self._state.remind()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch, its learning rate and the time."""
        # Before the first batch is asked for: Keras makes an iterator an epoch, after this call.
        self._state.running_epoch = epoch
        self._rate = float(self._state.optimizer.learning_rate.numpy())
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Tells the step."""
        stage = f"epoch {self._state.running_epoch + 1}/{self._state.recipe.fit.epochs}"
        self._progress.step(stage, batch + 1, self._steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes checkpoint and history, then tells the epoch.

        Raises:
            FitError: The loss is no longer a number.
        """
        state, epochs = self._state, self._state.recipe.fit.epochs
        logs = logs or {}
        row = {name: float(logs[name]) for name in HISTORY_COLUMNS if name in logs}
        row["learning_rate"] = self._rate  # the plateau's own entry is there only with it
        if not all(math.isfinite(value) for value in row.values()):
            raise FitError(
                f"{state.recipe.name}: the loss is not a number in epoch {epoch + 1}; "
                "lower fit.optimizer.learning_rate or set fit.optimizer.clip_norm"
            )
        state.history.append({"epoch": epoch + 1, **row})
        state.finished = epoch + 1 == epochs or bool(self.model.stop_training)
        state.save()
        self._taken.append(time.perf_counter() - self._begun)
        left = 0 if state.finished else epochs - epoch - 1
        mean = sum(self._taken) / len(self._taken)
        self._progress.epoch(
            EpochReport(epoch + 1, epochs, row, state.best.epoch, self._taken[-1], left * mean)
        )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)


def write_history(run: RunDirectory, history: list[dict[str, float]]) -> None:
    """Writes ``history.csv``, a row an epoch."""
    columns = [name for name in HISTORY_COLUMNS if any(name in row for row in history)]
    rows = ([str(row[name]) for name in columns] for row in history)
    write_text_atomically(run.history, format_rows(columns, rows))
