"""A CNN over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ser_edge_train.networks.blocks import classify, convolve_and_pool
from ser_edge_train.networks.parameters import Cnn1d


def build(input_shape: tuple[int, ...], classes: int, parameters: Cnn1d) -> Any:
    """Builds it; features without a time axis (flat, mean) are read as a series of scalars."""
    features = keras.Input(shape=input_shape, name="features")
    x = features
    if len(input_shape) == 1:
        x = layers.Reshape((*input_shape, 1), name="as_series")(x)
    for index, filters in enumerate(parameters.filters, start=1):
        x = convolve_and_pool(x, index, filters, parameters.kernel, parameters.pool, "cnn1d")
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    logits = classify(x, classes, parameters.hidden, parameters.dropout)
    return keras.Model(features, logits, name="cnn1d")
