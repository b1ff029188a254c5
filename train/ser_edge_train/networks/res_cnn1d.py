"""A residual CNN over time."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import keras, layers
from ser_edge_train.networks.blocks import check_sequence, join, pool_time
from ser_edge_train.networks.parameters import ResCnn1d
from ser_edge_train.networks.residual import residual_stage


def connect(features: Any, classes: int, parameters: ResCnn1d, joined: Any = None) -> Any:
    """Connects it. ReLU after each normalisation, so that the export folds both into the kernel."""
    check_sequence("res_cnn1d", features)
    x = features
    for index, stage in enumerate(parameters.stages, start=1):
        x = residual_stage(x, f"stage{index}", stage, parameters.spatial_dropout)
    x = join(pool_time(x, parameters.pooling), joined)
    if parameters.dropout:
        x = layers.Dropout(parameters.dropout, name="dropout")(x)
    # Small weights: with Keras' own the first steps run from logits far apart.
    last = layers.Dense(
        classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="logits"
    )
    return last(x)
