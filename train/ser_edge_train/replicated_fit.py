"""Fits over replicas, with the result of a fit without them.

``keras.Model.fit`` of Keras 3 does not work with ``MultiWorkerMirroredStrategy``
(keras-team/keras issue 20585), and under ``MirroredStrategy`` it takes the mean of the
replicas' means, which is another number than the mean over a batch when the replicas'
shares differ in length. Here a batch is the same as without replicas and is cut into
shares; each replica sums its share's weighted losses over the batch's length; gradients
and counts are sums of the replicas'.

Two things stay a replica's own within an epoch: the moving averages of batch
normalisation, whose mean over the replicas is taken when the epoch ends, and the seeds
of dropout, which begin each epoch apart so that no two replicas drop the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.dataset import Part
from ser_edge_train.frameworks import keras
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.replicas import Replicas
from ser_edge_train.run_directory import RunDirectory

Array = npt.NDArray[np.float32]
Share = tuple[Array, Array, Array, np.float32]

# Any odd number: it tells the replicas' dropout streams apart.
_STRIDE = 1_000_003
_SEED = "seed_generator_state"


def share_of(batch: tuple[Any, Any, Any], number: int, count: int) -> Share:
    """What replica ``number`` of ``count`` gets of a batch.

    Args:
        batch: Features, targets and weights.
        number: From 0.
        count: How many replicas there are.

    Returns:
        Its rows, contiguous and at most one more than another's, and 1. With fewer rows
        than replicas the last ones get a copy of the first row with weight 0, and 0.
    """
    features, targets, weights = batch
    ends = np.linspace(0, len(features), count + 1).astype(int)
    own = slice(ends[number], ends[number + 1])
    if ends[number] < ends[number + 1]:
        return features[own], targets[own], weights[own], np.float32(1)
    return features[:1], targets[:1], np.zeros(1, np.float32), np.float32(0)


def begin_together(
    replicas: Replicas,
    recipe: Recipe,
    parts: Iterable[Part],
    normaliser: Normaliser,
    run: RunDirectory,
    resume: bool,
) -> tuple[Normaliser, bool]:
    """Lets every worker begin where the chief does.

    Args:
        replicas: Of the fit.
        recipe: What is fitted.
        parts: On what; their features are each worker's own.
        normaliser: This worker's.
        run: This worker's; the chief's checkpoint is written into it.
        resume: Whether to go on from a checkpoint; the chief decides.

    Returns:
        The chief's normaliser, and whether ``run`` has a checkpoint to go on from.

    Raises:
        DistributionError: The workers have different recipes, utterances or weights.
        WorkerLost: A worker is gone.
    """
    known = [recipe.digest.encode()]
    for part in parts:
        weights = b"" if part.weights is None else part.weights.tobytes()
        known += [part.labels.tobytes(), part.allowed.tobytes(), weights, bytes([part.copies])]
    replicas.agree("recipe or recordings", b"|".join(known))
    text = replicas.broadcast(normaliser.to_json().encode())
    if text is not None and not replicas.chief:
        normaliser = Normaliser.from_json(text.decode())
    return normaliser, replicas.share(run.checkpoint, resume)


class ReplicatedFit:
    """One network, fitted by several replicas.

    Args:
        replicas: Them.
        model: The network, compiled with an optimizer, both made in the strategy's scope.
        loss: Its ``call`` gives the loss of each utterance.
        metric: Counts without weights; sums over batches, as a recall's.
    """

    def __init__(self, replicas: Replicas, model: Any, loss: Any, metric: Any) -> None:
        self._replicas = replicas
        self._model = model
        self._loss = loss
        self._metric = metric
        self._counts = [tuple(variable.shape) for variable in metric.variables]
        self._train: Any = None
        self._check: Any = None
        self._spread: Any = None
        self._settle: Any = None
        self._functions()

    def run(
        self,
        series: Iterable[Any],
        checked: Iterable[Any] | None,
        epochs: int,
        initial_epoch: int,
        callbacks: list[Any],
    ) -> None:
        """Does what ``keras.Model.fit`` does with these arguments.

        Raises:
            WorkerLost: A worker is gone.
        """
        model = self._model
        told = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs)
        model.stop_training = False
        told.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            told.on_epoch_begin(epoch)
            with self._replicas.watched():
                self._spread()
                sums = self._pass(series, self._train, told)
                self._settle()
                logs = self._logs(sums)
                if checked is not None:
                    found = self._logs(self._pass(checked, self._check))
                    logs |= {f"val_{name}": value for name, value in found.items()}
            told.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        told.on_train_end()

    def _pass(self, series: Iterable[Any], step: Any, told: Any = None) -> npt.NDArray[np.float64]:
        """Rows, loss and counts, summed over this worker's shares of a series of batches."""
        replicas = self._replicas
        sums = np.zeros(2 + sum(int(np.prod(shape)) for shape in self._counts))
        numbers = range(replicas.first, replicas.first + replicas.local)
        for place, tensors in enumerate(series):
            batch = tuple(values.numpy() for values in tensors)
            rows = len(batch[0])
            shares = [share_of(batch, number, replicas.count) for number in numbers]
            for found in step(shares, np.float32(rows)):
                sums[1:] += found.numpy()
            # Every worker knows the length; one of them counts it.
            sums[0] += rows if replicas.chief else 0
            if told is not None:
                told.on_train_batch_end(place)
        return sums

    def _logs(self, sums: npt.NDArray[np.float64]) -> dict[str, float]:
        rows, loss, *counts = self._replicas.total(sums)
        parts, start = [], 0
        for shape in self._counts:
            size = int(np.prod(shape))
            parts.append(np.reshape(counts[start : start + size], shape).astype(np.float32))
            start += size
        metric = self._metric.stateless_result(parts)
        return {"loss": float(loss / rows), self._metric.name: float(metric)}

    def _functions(self) -> None:
        """Builds the graphs.

        Each is traced once, whatever the length of a batch: collective operations are
        numbered as they are traced, and workers that traced unequally often would wait
        for each other for ever.
        """
        from ser_edge_train.frameworks import tf

        model, replicas, strategy = self._model, self._replicas, self._replicas.strategy
        weights = model.trainable_variables
        shapes = [tuple(variable.shape) for variable in weights]
        sizes = [int(np.prod(shape)) for shape in shapes]
        changed = model.non_trainable_variables
        seeds = [each for each in changed if each.path.endswith(_SEED)]
        averages = [each for each in changed if not each.path.endswith(_SEED)]
        share = (
            tf.TensorSpec([None, *model.input_shape[1:]]),
            tf.TensorSpec([None, None]),
            tf.TensorSpec([None]),
            tf.TensorSpec([]),
        )
        signature = [[share] * replicas.local, tf.TensorSpec([])]

        def losses(share: Any, rows: Any, training: bool) -> tuple[Any, Any]:
            """This share's part of the batch's loss, and the sums for the logs."""
            features, targets, factors, real = share
            logits = model(features, training=training)
            loss = tf.reduce_sum(self._loss.call(targets, logits) * factors) / rows
            if model.losses:
                loss += tf.add_n(model.losses) / replicas.count
            zeros = [tf.zeros(shape) for shape in self._counts]
            counts = self._metric.stateless_update_state(zeros, targets, logits)
            flat = [tf.reshape(count, [-1]) * real for count in counts]
            return loss, tf.concat([[loss * rows], *flat], axis=0)

        def train(shares: Any, rows: Any) -> Any:
            def step() -> Any:
                with tf.GradientTape() as tape:
                    loss, sums = losses(shares[replicas.number() - replicas.first], rows, True)
                gradients = tape.gradient(
                    loss,
                    [variable.value for variable in weights],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                flat = tf.concat([tf.reshape(each, [-1]) for each in gradients], axis=0)
                context = tf.distribute.get_replica_context()
                summed = context.all_reduce(
                    tf.distribute.ReduceOp.SUM, flat, options=replicas.options()
                )
                return summed, sums

            summed, sums = strategy.run(step)
            # Outside the replicas: there the optimizer would clip each one's gradients and
            # add them up itself.
            flat = strategy.experimental_local_results(summed)[0]
            pieces = zip(tf.split(flat, sizes), shapes, strict=True)
            model.optimizer.apply([tf.reshape(piece, shape) for piece, shape in pieces], weights)
            return strategy.experimental_local_results(sums)

        def check(shares: Any, rows: Any) -> Any:
            def step() -> Any:
                return losses(shares[replicas.number() - replicas.first], rows, False)[1]

            return strategy.experimental_local_results(strategy.run(step))

        self._train = tf.function(train, signature, autograph=False)
        self._check = tf.function(check, signature, autograph=False)

        def mine() -> Any:
            return np.array([_STRIDE * replicas.number(), 0], np.int64)

        def spread() -> None:
            def step() -> None:
                for seed in seeds:
                    seed.assign(seed.value + mine())

            strategy.run(step)

        def settle() -> None:
            def step() -> None:
                for seed in seeds:
                    seed.assign(seed.value - mine())
                if averages:
                    flat = tf.concat([tf.reshape(each.value, [-1]) for each in averages], axis=0)
                    # In float64 the mean of equal values is that value: frozen layers stay.
                    summed = tf.distribute.get_replica_context().all_reduce(
                        tf.distribute.ReduceOp.SUM,
                        tf.cast(flat, tf.float64),
                        options=replicas.options(),
                    )
                    means = tf.cast(summed / replicas.count, tf.float32)
                    lengths = [int(np.prod(each.shape)) for each in averages]
                    for each, mean in zip(averages, tf.split(means, lengths), strict=True):
                        each.assign(tf.reshape(mean, each.shape))

            strategy.run(step)

        self._spread = tf.function(spread, [], autograph=False)
        self._settle = tf.function(settle, [], autograph=False)
