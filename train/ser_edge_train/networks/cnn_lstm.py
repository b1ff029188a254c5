"""A CNN over time with LSTM layers on top."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks.blocks import check_sequence, classify, convolve_and_pool, recur
from ser_edge_train.networks.parameters import CnnLstm


def connect(features: Any, classes: int, parameters: CnnLstm, joined: Any = None) -> Any:
    """Connects it. Its LSTM layers are Keras' plain ones: the export fuses them."""
    check_sequence("cnn_lstm", features)
    x = features
    for index, filters in enumerate(parameters.filters, start=1):
        x = convolve_and_pool(x, index, filters, parameters.kernel, parameters.pool, "cnn_lstm")
    x = recur(x, layers.LSTM, "lstm", parameters.units, parameters.dropout)
    return classify(x, classes, parameters.hidden, parameters.dropout, joined)
