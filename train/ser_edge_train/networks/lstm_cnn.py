"""An LSTM over the frames with a CNN on top."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks.blocks import check_sequence, classify, convolve_and_pool, pool_time
from ser_edge_train.networks.parameters import LstmCnn


def connect(features: Any, classes: int, parameters: LstmCnn, joined: Any = None) -> Any:
    """Connects it. Its LSTM is Keras' plain one: the export fuses it."""
    check_sequence("lstm_cnn", features)
    x = layers.LSTM(parameters.units, return_sequences=True, name="lstm")(features)
    if parameters.dropout:
        x = layers.Dropout(parameters.dropout, name="lstm_dropout")(x)
    for index, filters in enumerate(parameters.filters, start=1):
        x = convolve_and_pool(x, index, filters, parameters.kernel, parameters.pool, "lstm_cnn")
    x = pool_time(x, parameters.pooling)
    return classify(x, classes, parameters.hidden, parameters.dropout, joined)
