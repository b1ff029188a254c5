"""Time of a training step: the recipes' networks in turn, in one process, against the first.

    python benchmarks/training.py
    python benchmarks/training.py --recipes cnn1d-mean58 cnn1d-2376 --clips 5600

Each step takes a batch of the recipe's own size through the recipe's network, objective and
optimizer; the features are noise of the right shape, since a step's time does not hang on them.
An epoch's time is the steps' alone: reading, augmentation and validation come on top.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ser_edge_train.networks import build
from ser_edge_train.objective import MaskedCrossentropy, UnweightedAverageRecall, make_optimizer
from ser_edge_train.recipes import load_recipe
from ser_edge_train.recipes.schema import Recipe

ROUNDS = 9
STEPS = 20


class Side:
    """One recipe's network with batches to train it on."""

    def __init__(self, recipe: Recipe) -> None:
        keras.utils.set_random_seed(recipe.seed)
        classes = len(recipe.labels)
        shape = recipe.spec.output_shape
        self.recipe = recipe
        self.times: list[float] = []
        self.model: Any = build(recipe.network.name, shape, classes, **recipe.network_parameters)
        self.model.compile(
            make_optimizer(recipe.fit, STEPS, self.model),
            MaskedCrossentropy(recipe.fit.label_smoothing),
            metrics=[UnweightedAverageRecall(classes)],
            jit_compile=False,
        )
        draw = np.random.default_rng(recipe.seed)
        clips = STEPS * recipe.fit.batch_size
        features = draw.standard_normal((clips, *shape), dtype=np.float32)
        one_hot = np.eye(classes, dtype=np.float32)[draw.integers(classes, size=clips)]
        targets = np.concatenate([one_hot, np.ones_like(one_hot)], axis=1)
        weights = np.ones(clips, np.float32)
        whole = tf.data.Dataset.from_tensor_slices((features, targets, weights))
        self.batches = whole.batch(recipe.fit.batch_size).cache()

    def round(self) -> None:
        """Trains over all batches once and notes what a step took."""
        start = time.perf_counter()
        self.model.fit(self.batches, verbose=0, shuffle=False)
        self.times.append((time.perf_counter() - start) / STEPS)

    @property
    def step(self) -> float:
        """Median seconds a step; the first round, in which the graph is made, is left out."""
        return statistics.median(self.times[1:])


def main() -> None:
    """Prints a line a recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=["lstm-4corpora", "cnn-lstm-4corpora"])
    parser.add_argument("--clips", type=int, default=7895, help="clips of an epoch")
    arguments = parser.parse_args()
    tf.config.experimental.enable_op_determinism()
    sides = [Side(load_recipe(name)) for name in arguments.recipes]
    for _ in range(ROUNDS + 1):
        for side in sides:
            side.round()
    for side in sides:
        steps = -(-arguments.clips // side.recipe.fit.batch_size)
        print(
            f"{side.recipe.name}: {side.model.count_params():,} weights, "
            f"{side.step * 1e3:.1f} ms a step, {steps * side.step:.1f} s an epoch of "
            f"{arguments.clips} clips; ratio {side.step / sides[0].step:.2f}"
        )


if __name__ == "__main__":
    main()
