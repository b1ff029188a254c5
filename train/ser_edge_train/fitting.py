"""Fits a network as a recipe says, epoch by epoch, so that a kill costs one epoch at most."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.checkpoint import Checkpoint, CheckpointError
from ser_edge_train.dataset import (
    Part,
    PlainBatches,
    TrainingBatches,
    class_weights,
    utterance_weights,
)
from ser_edge_train.fit_state import Epochs, FitError, FitState, write_history
from ser_edge_train.frameworks import keras
from ser_edge_train.networks import build
from ser_edge_train.networks.files import NetworkFileError, load_network, save_network
from ser_edge_train.networks.hint import with_hint
from ser_edge_train.networks.speaker_branch import SpeakerBranch, branch_of
from ser_edge_train.objective import (
    HintedCrossentropy,
    MaskedCrossentropy,
    UnweightedAverageRecall,
    make_optimizer,
)
from ser_edge_train.progress import Progress, Silence
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.replicas import Replicas
from ser_edge_train.replicated_fit import ReplicatedFit, begin_together
from ser_edge_train.run_directory import RunDirectory


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
    replicas: Replicas | None = None,
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
        replicas: Spreads the fit; of several workers the chief alone writes.

    Returns:
        How it ended.

    Raises:
        DistributionError: The workers train different things; ``WorkerLost`` if one is gone.
        FitError: No training utterance, the loss is no longer a number, or replicas are to
            average weights.
        CheckpointError: The checkpoint is damaged or of another recipe.
    """
    _begin(recipe, train)
    if replicas is not None and recipe.fit.average is not None:
        raise FitError(
            f"{recipe.name}: fit.average is for one process alone; leave it or --strategy out"
        )
    parts = (train, validation)
    chief = replicas is None or replicas.chief
    if replicas is not None:
        normaliser, resume = begin_together(replicas, recipe, parts, normaliser, run, resume)
    branch = branch_of(recipe, normaliser)
    with _scope(replicas):
        model = with_hint(_build(recipe, branch), train.components)
    state = FitState(recipe, model, run, len(validation) > 0, writes=chief)
    _go_through(state, parts, normaliser, resume, progress, replicas)
    if not chief:
        return Fitted(model.count_params(), len(state.history), state.best.epoch)
    write_history(run, state.history)
    # Seeded anew: the dropout layers' seeds are in the file too.
    keras.utils.set_random_seed(recipe.seed)
    best = _build(recipe, branch)
    with_hint(best, train.components).set_weights(state.best.weights)
    save_network(best, run.model)
    return Fitted(best.count_params(), len(state.history), state.best.epoch)


def fine_tune(
    recipe: Recipe,
    train: Part,
    validation: Part,
    normaliser: Normaliser,
    run: RunDirectory,
    start: str | PathLike[str],
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Fitted:
    """Fits a finished network further, its weights and activations rounded to int8.

    The network that is saved has layers of Keras alone, in floats; that its int8 file
    loses little was the aim of the fit, and the validation scores that chose its epoch
    are those of the rounded network. Otherwise as :func:`fit`.

    Args:
        recipe: The recipe.
        train: Training utterances.
        validation: Validation utterances, perhaps none.
        normaliser: The one that the network was trained with.
        run: Where to write; locked by the caller.
        start: The network's ``model.keras``.
        resume: Goes on from the checkpoint, if one is there.
        progress: Told of steps and epochs.

    Returns:
        How it ended.

    Raises:
        NetworkFileError: ``start`` is missing or no Keras model.
        FitError: No training utterance, or the loss is no longer a number.
        CheckpointError: The checkpoint is damaged or of another recipe.
    """
    from ser_edge_train.networks.fake_quantisation import give_back, quantised_copy

    _begin(recipe, train)
    plain = load_network(start)
    rounded = quantised_copy(plain)
    train, validation = replace(train, hints=None), replace(validation, hints=None)
    state = FitState(recipe, rounded, run, len(validation) > 0)
    _go_through(state, (train, validation), normaliser, resume, progress)
    write_history(run, state.history)
    rounded.set_weights(state.best.weights)
    give_back(rounded, plain)
    save_network(plain, run.model)
    return Fitted(plain.count_params(), len(state.history), state.best.epoch)


def finished(recipe: Recipe, run: RunDirectory) -> Fitted | None:
    """How the fit ended that lies finished in a run; None if anything of it is left to do.

    A checkpoint that is missing, damaged or of another recipe, or a network that cannot be
    read, is left to :func:`fit` and :func:`fine_tune`, which make it anew or say what is wrong.

    Args:
        recipe: The recipe.
        run: The run; locked by the caller.
    """
    try:
        checkpoint = Checkpoint.read(run.checkpoint)
        if checkpoint.recipe_digest != recipe.digest or not checkpoint.finished:
            return None
        parameters = load_network(run.model).count_params()
    except (CheckpointError, NetworkFileError):
        return None
    return Fitted(parameters, checkpoint.epoch, checkpoint.best_epoch)


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


def _begin(recipe: Recipe, train: Part) -> None:
    """Sees that there is something to fit on, and makes all that follows the same each time."""
    if not len(train):
        raise FitError(f"{recipe.name}: no training utterance; see labels, corpora and protocol")
    keras.utils.set_random_seed(recipe.seed)
    _make_deterministic()


def _go_through(
    state: FitState,
    parts: tuple[Part, Part],
    normaliser: Normaliser,
    resume: bool,
    progress: Progress | None,
    replicas: Replicas | None = None,
) -> None:
    """Runs the epochs that are left: all of them, or those that a checkpoint leaves."""
    if resume and state.run.checkpoint.is_file():
        state.restore()
    if not state.finished:
        _run_epochs(state.recipe, *parts, normaliser, state, progress or Silence(), replicas)


def _build(recipe: Recipe, branch: SpeakerBranch | None) -> Any:
    return build(
        recipe.network.name,
        recipe.spec.output_shape,
        len(recipe.labels),
        speaker_branch=branch,
        **recipe.network_parameters,
    )


def _scope(replicas: Replicas | None) -> AbstractContextManager[Any]:
    """Where a replicated network and its optimizer are made."""
    scope: AbstractContextManager[Any] = (
        nullcontext() if replicas is None else replicas.strategy.scope()
    )
    return scope


def _make_deterministic() -> None:
    from ser_edge_train.frameworks import tf

    # On a GPU some gradients (depthwise convolutions') have no deterministic kernel and would fail.
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def _run_epochs(
    recipe: Recipe,
    train: Part,
    validation: Part,
    normaliser: Normaliser,
    state: FitState,
    progress: Progress,
    replicas: Replicas | None,
) -> None:
    how = recipe.fit
    classes = len(recipe.labels)
    shapes = ((None, *recipe.spec.output_shape), (None, train.target_width), (None,))
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
    with _scope(replicas):
        optimizer = make_optimizer(how, len(batches), model)
    state.attach(optimizer)
    loss, recall = _loss(recipe, train.components), UnweightedAverageRecall(classes)
    own = [recall] if replicas is None else None  # with replicas the counts are summed apart
    model.compile(optimizer, loss, metrics=own, jit_compile=False)
    series = _series(len(batches), lambda place: batches.batch(state.running_epoch, place), shapes)
    checked = None
    if len(validation):
        plain = PlainBatches(
            validation,
            utterance_weights(validation, by_class),
            normaliser,
            max(how.batch_size, 256),
        )
        checked = _series(len(plain), plain.batch, shapes)
    callbacks = [*state.callbacks.values(), Epochs(state, progress, len(batches))]
    if replicas is not None:
        replicated = ReplicatedFit(replicas, model, loss, recall)
        replicated.run(series, checked, how.epochs, len(state.history), callbacks)
        return
    model.fit(
        series,
        validation_data=checked,
        epochs=how.epochs,
        initial_epoch=len(state.history),
        shuffle=False,  # the order is the batches' own
        callbacks=callbacks,
        verbose=0,
    )


def _loss(recipe: Recipe, components: int) -> Any:
    crossentropy = MaskedCrossentropy(recipe.fit.label_smoothing)
    if recipe.hint is None or not components:
        return crossentropy
    return HintedCrossentropy(crossentropy, len(recipe.labels), recipe.hint.weight)


def _series(length: int, get: Callable[[int], Any], shapes: Any) -> Any:
    """Batches as Keras asks for them: anew in each epoch, in order, one ahead of the fit."""
    from ser_edge_train.frameworks import tf

    # Not a keras.utils.PyDataset: it ends in Dataset.from_generator, whose operator (TensorFlow
    # 2.21) makes malloc return memory at once for the whole process. The page faults then took
    # three quarters of an epoch.
    def load(place: Any) -> Any:
        batch = tf.numpy_function(lambda index: get(int(index)), [place], [tf.float32] * 3)
        for values, expected in zip(batch, shapes, strict=True):
            values.set_shape(expected)
        return tuple(batch)

    return tf.data.Dataset.range(length).map(load).prefetch(1)
