"""Fits a network as a recipe says, epoch by epoch, so that a kill costs one epoch at most."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.checkpoint import Checkpoint, CheckpointError, assign, values_of
from ser_edge_train.dataset import (
    Part,
    PlainBatches,
    TrainingBatches,
    class_weights,
    utterance_weights,
)
from ser_edge_train.networks import build
from ser_edge_train.networks.files import load_network, save_network
from ser_edge_train.networks.speaker_branch import SpeakerBranch, branch_of
from ser_edge_train.objective import (
    MaskedCrossentropy,
    UnweightedAverageRecall,
    make_optimizer,
)
from ser_edge_train.progress import EpochReport, Progress, Silence
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.rows import format_rows
from ser_edge_train.run_directory import RunDirectory

# What each of Keras' callbacks remembers from epoch to epoch; it forgets it when a fit begins.
_REMEMBERED = {
    "early_stopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "reduce_learning_rate": ("wait", "best", "cooldown_counter"),
    "best_weights": ("value", "epoch"),
}
HISTORY_COLUMNS = ("epoch", "loss", "uar", "val_loss", "val_uar", "learning_rate")


class FitError(SerEdgeError):
    """A fit that cannot begin or go on."""


@dataclass(frozen=True)
class Fitted:
    """How a fit ended.

    Attributes:
        parameters: Values in the network's weights, moving averages included.
        epochs: Epochs that were run, before a resumption too.
        best_epoch: The one whose weights are kept, from 1.
    """

    parameters: int
    epochs: int
    best_epoch: int


def fit(
    recipe: Recipe,
    train: Part,
    validation: Part,
    normaliser: Normaliser,
    run: RunDirectory,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Fitted:
    """Fits the recipe's network; writes ``checkpoints/``, ``history.csv`` and ``model.keras``.

    After each epoch a checkpoint holds everything, so that a fit that was killed
    at any instant and resumed ends with the weights of an unbroken one, bit for
    bit on one machine's CPU. The weights kept are those of the epoch with the
    best monitored score; without validation utterances those of the last epoch,
    and nothing stops early.

    It sets the global seeds of Python, numpy and TensorFlow and, without a GPU,
    makes TensorFlow's operators deterministic for the whole process. Not to be
    called from two threads at once.

    Args:
        recipe: The recipe.
        train: Training utterances.
        validation: Validation utterances, perhaps none.
        normaliser: Fitted on ``train``.
        run: Where to write; locked by the caller.
        resume: Goes on from the checkpoint, if one is there.
        progress: Told of steps and epochs.

    Returns:
        How it ended.

    Raises:
        FitError: No training utterance, or the loss is no longer a number.
        CheckpointError: The checkpoint is damaged or of another recipe.
    """
    if not len(train):
        raise FitError(f"{recipe.name}: no training utterance; see labels, corpora and protocol")
    keras.utils.set_random_seed(recipe.seed)
    _make_deterministic()
    branch = branch_of(recipe, normaliser)
    model = _build(recipe, branch)
    state = _State(recipe, model, run, len(validation) > 0)
    if resume and run.checkpoint.is_file():
        state.restore()
    if not state.finished:
        _run_epochs(recipe, train, validation, normaliser, state, progress or Silence())
    _write_history(run, state.history)
    # Seeded anew: the dropout layers' seeds are in the file too.
    keras.utils.set_random_seed(recipe.seed)
    best = _build(recipe, branch)
    best.set_weights(state.best.weights)
    save_network(best, run.model)
    return Fitted(best.count_params(), len(state.history), state.best.epoch)


def predict(
    model_path: str | PathLike[str],
    features: npt.NDArray[Any],
    normaliser: Normaliser,
    batch: int = 256,
) -> npt.NDArray[np.float32]:
    """Logits of a saved network.

    Args:
        model_path: A run's ``model.keras``.
        features: (utterances, *shape) before the normaliser; may be a memory map.
        normaliser: The run's.
        batch: Utterances at a time.

    Returns:
        float32 (utterances, classes).

    Raises:
        NetworkFileError: The file is missing or no Keras model.
    """
    model = load_network(model_path)
    logits = [
        model.predict_on_batch(normaliser(np.asarray(features[start : start + batch])))
        for start in range(0, len(features), batch)
    ]
    empty = np.zeros((0, model.output_shape[-1]), np.float32)
    return np.concatenate([empty, *logits]).astype(np.float32)


def _build(recipe: Recipe, branch: SpeakerBranch | None) -> Any:
    return build(
        recipe.network.name,
        recipe.spec.output_shape,
        len(recipe.labels),
        speaker_branch=branch,
        **recipe.network_parameters,
    )


def _make_deterministic() -> None:
    import tensorflow as tf

    # On a GPU some gradients (depthwise convolutions') have no deterministic kernel and would fail.
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def _run_epochs(
    recipe: Recipe,
    train: Part,
    validation: Part,
    normaliser: Normaliser,
    state: _State,
    progress: Progress,
) -> None:
    how = recipe.fit
    shape, classes = recipe.spec.output_shape, len(recipe.labels)
    by_class = class_weights(train.labels, classes, how.class_weights)
    batches = TrainingBatches(
        train,
        utterance_weights(train, by_class),
        normaliser,
        recipe.augmentation,
        how.batch_size,
        recipe.seed,
        recipe.spec,
    )
    model = state.model
    optimizer = make_optimizer(how, len(batches), model)
    state.attach(optimizer)
    model.compile(
        optimizer,
        MaskedCrossentropy(how.label_smoothing),
        metrics=[UnweightedAverageRecall(classes)],
        jit_compile=False,
    )
    series = _series(
        len(batches), lambda place: batches.batch(state.running_epoch, place), shape, classes
    )
    checked = None
    if len(validation):
        plain = PlainBatches(
            validation,
            utterance_weights(validation, by_class),
            normaliser,
            max(how.batch_size, 256),
        )
        checked = _series(len(plain), plain.batch, shape, classes)
    model.fit(
        series,
        validation_data=checked,
        epochs=how.epochs,
        initial_epoch=len(state.history),
        shuffle=False,  # the order is the batches' own
        callbacks=[*state.callbacks.values(), _Epochs(state, progress, len(batches))],
        verbose=0,
    )


def _series(length: int, get: Callable[[int], Any], shape: tuple[int, ...], classes: int) -> Any:
    """Batches as Keras asks for them: anew in each epoch, in order, one ahead of the fit."""
    import tensorflow as tf

    # Not a keras.utils.PyDataset: it ends in Dataset.from_generator, whose operator (TensorFlow
    # 2.21) makes malloc return memory at once for the whole process. The page faults then took
    # three quarters of an epoch.
    shapes = ((None, *shape), (None, 2 * classes), (None,))

    def load(place: Any) -> Any:
        batch = tf.numpy_function(lambda index: get(int(index)), [place], [tf.float32] * 3)
        for values, expected in zip(batch, shapes, strict=True):
            values.set_shape(expected)
        return tuple(batch)

    return tf.data.Dataset.range(length).map(load).prefetch(1)


class _BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best monitored score; without one, the last's."""

    def __init__(self, monitor: str | None, sign: int) -> None:
        super().__init__()
        self.monitor = monitor
        self.sign = sign
        self.value: float | None = None
        self.epoch = 0
        self.weights: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        score = None if self.monitor is None else self.sign * float((logs or {})[self.monitor])
        if score is None or self.value is None or score > self.value:
            self.value, self.epoch = score, epoch + 1
            self.weights = [np.array(values) for values in self.model.get_weights()]


class _State:
    """What a fit carries from epoch to epoch, in memory and in the checkpoint."""

    def __init__(self, recipe: Recipe, model: Any, run: RunDirectory, validated: bool) -> None:
        how = recipe.fit
        self.recipe = recipe
        self.model = model
        self.run = run
        # Before the model is compiled: a metric's counts are no part of it.
        self.variables = list(model.variables)
        self.optimizer: Any = None
        self.history: list[dict[str, float]] = []
        self.running_epoch = 0
        self.finished = False
        self._restored: Checkpoint | None = None
        rising = how.monitor == "val_uar"
        mode = "max" if rising else "min"
        self.best = _BestWeights(how.monitor if validated else None, 1 if rising else -1)
        self.callbacks: dict[str, Any] = {"best_weights": self.best}
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
        """Writes checkpoint and history."""
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
        _write_history(self.run, self.history)


class _Epochs(keras.callbacks.Callback):
    """The last callback of all: ends each epoch with a checkpoint and a report."""

    def __init__(self, state: _State, progress: Progress, steps: int) -> None:
        super().__init__()
        self._state = state
        self._progress = progress
        self._steps = steps
        self._rate = 0.0
        self._begun = 0.0
        self._taken: list[float] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._state.remind()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Before the first batch is asked for: Keras makes an iterator an epoch, after this call.
        self._state.running_epoch = epoch
        self._rate = float(self._state.optimizer.learning_rate.numpy())
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        stage = f"epoch {self._state.running_epoch + 1}/{self._state.recipe.fit.epochs}"
        self._progress.step(stage, batch + 1, self._steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
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


def _write_history(run: RunDirectory, history: list[dict[str, float]]) -> None:
    columns = [name for name in HISTORY_COLUMNS if any(name in row for row in history)]
    rows = ([str(row[name]) for name in columns] for row in history)
    write_text_atomically(run.history, format_rows(columns, rows))
