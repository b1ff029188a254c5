"""Fits toys in a process of its own, spread over replicas.

``python -m tests.train.replicated FOLDER none KIND ...`` and ``... mirrored KIND ...`` fit on
two logical CPU devices; ``... HOST:PORT,HOST:PORT/N KIND ...`` is worker N of several. Each
KIND becomes a run FOLDER/KIND; workers other than 0 write theirs to FOLDER/KIND-N.

``KIND@step:2:3`` ends the process with SIGKILL after the third batch of epoch 2,
``KIND@stop:2:3`` with SIGSTOP. One line of JSON a fit is printed; an error of ours is one, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.distribution import Distribution
from ser_edge_train.fitting import fit
from ser_edge_train.replicas import open_replicas
from ser_edge_train.run_directory import RunDirectory
from tests.train.toys import Listener, hinted, toy_data, toy_recipe

# Neither batch normalisation nor dropout: what replicas compute is what one process computes.
# Batches of 7 of 36 utterances are cut into unequal shares, the last one of 1 cannot be cut.
EXACT: dict[str, Any] = {
    "network": {"name": "rnn", "units": [6], "hidden": 4, "dropout": 0.0},
    "fit__batch_size": 7,
    "fit__class_weights": "balanced",
    "fit__epochs": 4,
}
# The toy as it is: with both.
NORM: dict[str, Any] = {"fit__epochs": 4, "fit__early_stopping": None}
# A second head beside the logits: known of the training utterances, of no other.
HINT: dict[str, Any] = {
    **EXACT,
    "teacher": {"scores": "s.csv", "hint": {"embeddings": "e.npz", "components": 3}},
}
KINDS = {"hint": HINT, "exact": EXACT, "norm": NORM, "other": {**EXACT, "seed": 4}}
SIGNALS = {"step": signal.SIGKILL, "stop": signal.SIGSTOP}


class Ending(Listener):
    """Ends the process at a step."""

    def __init__(self, how: str, epoch: int, step: int) -> None:
        super().__init__(at_step=(epoch, step))
        self.how = how

    def end(self) -> None:
        os.kill(os.getpid(), SIGNALS[self.how])


def distribution_of(strategy: str) -> Distribution:
    if "/" not in strategy:
        return Distribution(strategy)
    workers, worker = strategy.split("/")
    return Distribution("multi-worker", tuple(workers.split(",")), int(worker))


def two_devices() -> None:
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)


def fitted(folder: Path, asked: str, replicas: Any, worker: int) -> dict[str, Any]:
    kind, _, ending = asked.partition("@")
    how, *numbers = ending.split(":")
    listener = Ending(how, *map(int, numbers)) if ending else Listener()
    recipe = toy_recipe(**KINDS[kind])
    run = RunDirectory(folder / (f"{kind}-{worker}" if worker else kind))
    if not run.recipe.exists():
        run.create(recipe)
    train, validation, normaliser = toy_data(recipe)
    if recipe.teacher is not None:
        train, validation = hinted(train, 3, 5), hinted(validation, 3, None)
    done = fit(
        recipe, train, validation, normaliser, run,
        resume=True, progress=listener, replicas=replicas,
    )  # fmt: skip
    first = listener.reports[0].epoch if listener.reports else None
    return {"kind": kind, "epochs": done.epochs, "best": done.best_epoch, "first": first}


def main(folder: str, strategy: str, *kinds: str) -> int:
    distribution = distribution_of(strategy)
    if distribution.strategy != "multi-worker":
        two_devices()
    try:
        replicas = open_replicas(distribution, seconds=240)
        print(json.dumps({"replicas": replicas.count if replicas else 1}), flush=True)
        for kind in kinds:
            answer = fitted(Path(folder), kind, replicas, distribution.worker)
            print(json.dumps(answer), flush=True)
    except SerEdgeError as fault:
        print(json.dumps({"error": type(fault).__name__, "text": str(fault)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
