"""Plants a fault in a run's network that floats do not show and int8 does not bear.

    python docs/plant_bad_layer.py RUN PLANTED

Copies the run. In the copy the channels between the first two convolutions of the network
are scaled up by factors from 1 to 30000 in the one's batch normalisation and down again in
the other's kernel. A ReLU and a maximum let positive factors through, so in floats the network
computes what it did. int8 has one scale for all channels of an activation: the widest fills
it, and the others round to nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ser_edge_train.networks.files import load_network, save_network
from ser_edge_train.run_directory import RunDirectory

WIDEST = 3e4


def plant(model: Any, widest: float = WIDEST) -> tuple[str, str]:
    """Plants the fault; returns the names of the two convolutions around it."""

    def of(kind: type) -> list[Any]:
        return [layer for layer in model.layers if isinstance(layer, kind)]

    first, second = of(keras.layers.Conv1D)[:2]
    norm = of(keras.layers.BatchNormalization)[0]
    factors = np.geomspace(1, widest, first.filters).astype(np.float32)
    gamma, beta, *rest = norm.get_weights()
    norm.set_weights([gamma * factors, beta * factors, *rest])
    kernel, *rest = second.get_weights()
    second.set_weights([kernel / factors[:, np.newaxis], *rest])
    return first.name, second.name


def main(source: str, out: str) -> None:
    """Copies the run and plants the fault in the copy."""
    run = RunDirectory.open(source)
    shutil.copytree(run.path, out, ignore=shutil.ignore_patterns("clean", ".lock"))
    planted = RunDirectory(Path(out))
    model = load_network(run.model)
    shape = (32, *model.inputs[0].shape[1:])
    clips = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before = np.asarray(model(clips))
    names = plant(model)
    moved = float(np.abs(np.asarray(model(clips)) - before).max())
    save_network(model, planted.model)
    print(f"planted between {' and '.join(names)}; in floats a logit moves by {moved:.1e} at most")


if __name__ == "__main__":
    main(*sys.argv[1:])
