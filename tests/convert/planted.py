"""A network that int8 ruins: channels that one layer scales up and the next one down again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.child import Desk, Job
from ser_edge_runtime.front_end import Normaliser
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.run_directory import RunDirectory
from tests.convert import networks, toy_run

CALIBRATION, CLIPS = 24, 40
BAD = ("swollen", "shrunk")


def network(
    widest: float = 3e4, shape: tuple[int, ...] = (networks.STEPS, networks.COLUMNS)
) -> Any:
    """Four layers that compute; the two of ``BAD`` are sound in floats and not in int8.

    Args:
        widest: Largest factor of a channel between these two; 1 leaves them sound.
        shape: Of its input.
    """
    import keras

    keras.utils.set_random_seed(11)
    inputs = keras.Input(shape)
    x = inputs
    for name in ("enter", *BAD):
        x = keras.layers.Conv1D(12, 3, padding="same", activation="relu", name=name)(x)
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    wide = keras.initializers.RandomNormal(stddev=2.0, seed=3)
    model = keras.Model(
        inputs, keras.layers.Dense(networks.CLASSES, kernel_initializer=wide, name="leave")(x)
    )
    if shape == (networks.STEPS, networks.COLUMNS):
        _spread(model)
    # A ReLU lets a positive factor through: what follows divides by it.
    factors = np.geomspace(1, widest, 12).astype(np.float32)
    up, down = (model.get_layer(name) for name in BAD)
    kernel, bias = up.get_weights()
    up.set_weights([kernel * factors, bias * factors])
    kernel, bias = down.get_weights()
    down.set_weights([kernel / factors[:, np.newaxis], bias])
    return model


def _spread(model: Any) -> None:
    """Makes all classes answers: logits of mean 0 and deviation 2 on the clips."""
    last = model.get_layer("leave")
    logits = np.asarray(model(networks.features(CLIPS, seed=2)))
    gain = 2 / logits.std(axis=0)
    last.set_weights([last.get_weights()[0] * gain, -logits.mean(axis=0) * gain])


def desk_of(model: Any, folder: Path) -> tuple[Desk, Job]:
    """A desk with the network's job and its features."""
    folder.mkdir()
    desk = Desk(folder)
    np.save(desk.calibration, networks.features(CALIBRATION, seed=1))
    np.save(desk.probe, networks.features(CLIPS, seed=2))
    path = networks.save(model, folder / "network.keras")
    return desk, Job(str(path), "int8", "fused", True)


def answers(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Truths of which the network knows all but each eighth."""
    labels = logits.argmax(axis=1)
    labels[::8] = (labels[::8] + 1) % logits.shape[1]
    return labels


def make_run(folder: Path) -> RunDirectory:
    """A finished run whose network is ``network``, fitted to the toy's four tones."""
    import keras

    run = toy_run.make_run(folder, trained=False)
    recipe = run.read_recipe().with_changes(protocol="given")
    run.recipe.write_text(recipe.to_toml())
    manifest, partition = Manifest.read(run.manifest), Partition.read(run.partition)
    clips = partition.clips(manifest, "train")
    normaliser = Normaliser.from_json(run.normaliser.read_text())
    features = normaliser(np.stack([toy_run.features_of(manifest, clip) for clip in clips]))
    labels = [recipe.merge.get(clip.emotion, clip.emotion) for clip in clips]
    classes = np.array([recipe.labels.index(label) for label in labels])
    model = network(shape=features.shape[1:])
    last = model.get_layer("leave")
    body = keras.Model(model.input, model.get_layer("mean").output)
    states = np.asarray(body(features), np.float64)
    states = np.concatenate([states, np.ones((len(states), 1))], axis=1)
    ridge = states.T @ states + 1e-4 * np.eye(states.shape[1])
    solved = np.linalg.solve(ridge, states.T @ (8.0 * np.eye(networks.CLASSES)[classes] - 2.0))
    last.set_weights([solved[:-1].astype(np.float32), solved[-1].astype(np.float32)])
    model.save(run.model)
    return run
