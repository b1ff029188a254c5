"""A CNN over time with LSTM layers on top."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ser_edge_train.networks.blocks import classify, convolve_and_pool, sequence_input
from ser_edge_train.networks.parameters import CnnLstm


def build(input_shape: tuple[int, ...], classes: int, parameters: CnnLstm) -> Any:
    """Builds it. Its LSTM layers are Keras' plain ones: the export fuses them."""
    features = sequence_input("cnn_lstm", input_shape)
    x = features
    for index, filters in enumerate(parameters.filters, start=1):
        x = convolve_and_pool(x, index, filters, parameters.kernel, parameters.pool, "cnn_lstm")
    for index, units in enumerate(parameters.units, start=1):
        # Between layers, not inside the LSTM: its own dropout has no counterpart in TFLite's op.
        if parameters.dropout:
            x = layers.Dropout(parameters.dropout, name=f"dropout{index}")(x)
        last = index == len(parameters.units)
        x = layers.LSTM(units, return_sequences=not last, name=f"lstm{index}")(x)
    logits = classify(x, classes, parameters.hidden, parameters.dropout)
    return keras.Model(features, logits, name="cnn_lstm")
