"""A residual CNN over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ser_edge_train.networks.blocks import check_sequence, join, normalise, pool_time
from ser_edge_train.networks.parameters import ResCnn1d, Stage


def connect(features: Any, classes: int, parameters: ResCnn1d, joined: Any = None) -> Any:
    """Connects it. ReLU after each normalisation, so that the export folds both into the kernel."""
    check_sequence("res_cnn1d", features)
    x = features
    for index, stage in enumerate(parameters.stages, start=1):
        x = _stage(x, f"stage{index}", stage, parameters.spatial_dropout)
    x = join(pool_time(x, parameters.pooling), joined)
    if parameters.dropout:
        x = layers.Dropout(parameters.dropout, name="dropout")(x)
    # Small weights: with Keras' own the first steps run from logits far apart.
    last = layers.Dense(
        classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="logits"
    )
    return last(x)


def _stage(x: Any, name: str, stage: Stage, spatial_dropout: float) -> Any:
    x = _convolve(x, name, stage, stage.stride)
    for index in range(1, stage.blocks + 1):
        block = f"{name}_block{index}"
        added = _drop(_convolve(x, block, stage, 1), block, spatial_dropout)
        x = layers.Add(name=f"{block}_add")([x, added])
    return _drop(x, name, spatial_dropout)


def _convolve(x: Any, name: str, stage: Stage, stride: int) -> Any:
    x = layers.Conv1D(
        stage.channels,
        stage.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
    )(x)
    x = normalise(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)


def _drop(x: Any, name: str, rate: float) -> Any:
    return layers.SpatialDropout1D(rate, name=f"{name}_drop")(x) if rate else x
