"""Convolutions one after the other, whose last map is flattened."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks import NetworkError
from ser_edge_train.networks.blocks import as_series, join, normalise
from ser_edge_train.networks.parameters import ConvBlock, ConvStack

POOLINGS = {"max": layers.MaxPooling1D, "average": layers.AveragePooling1D}


def connect(features: Any, classes: int, parameters: ConvStack, joined: Any = None) -> Any:
    """Connects it; features without a time axis (flat, mean) are read as a series of scalars."""
    x = as_series(features)
    for index, block in enumerate(parameters.blocks, start=1):
        x = _block(x, index, block)
    x = join(layers.Flatten(name="row")(x), joined)
    if parameters.dropout:
        x = layers.Dropout(parameters.dropout, name="dropout")(x)
    if parameters.hidden:
        x = layers.Dense(parameters.hidden, activation="relu", name="hidden")(x)
    if parameters.hidden_norm:
        x = normalise(x, "hidden_norm")
    return layers.Dense(classes, name="logits")(x)


def _block(x: Any, index: int, block: ConvBlock) -> Any:
    x = layers.Conv1D(
        block.filters, block.kernel, padding="same", activation="relu", name=f"conv{index}"
    )(x)
    if block.batch_norm:
        x = normalise(x, f"norm{index}")
    if block.pooling != "none":
        if x.shape[1] < block.pool:
            raise NetworkError(
                f"network conv_stack: block {index} pools {block.pool} steps but has "
                f"{x.shape[1]}; use fewer blocks, a smaller pool or longer features"
            )
        pool = POOLINGS[block.pooling]
        x = pool(block.pool, strides=block.pool_stride, name=f"pool{index}")(x)
    if block.dropout:
        x = layers.Dropout(block.dropout, name=f"dropout{index}")(x)
    return x
