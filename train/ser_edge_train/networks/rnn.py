"""Recurrent layers straight over the frames."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks.blocks import check_sequence, classify, pool_time, recur
from ser_edge_train.networks.parameters import Rnn


def connect(features: Any, classes: int, parameters: Rnn, joined: Any = None) -> Any:
    """Connects it. The export fuses "lstm" cells and unrolls "simple" ones.

    TensorFlow Lite's own operator for the simple cell has no int8 kernel, and the
    converter never makes one of a Keras layer.
    """
    check_sequence("rnn", features)
    layer, name = {
        "simple": (layers.SimpleRNN, "rnn"),
        "lstm": (layers.LSTM, "lstm"),
    }[parameters.cell]
    pooled = parameters.pooling != "last"
    x = recur(
        features, layer, name, parameters.units, parameters.dropout, first=False, sequence=pooled
    )
    if pooled:
        x = pool_time(x, parameters.pooling)
    return classify(x, classes, parameters.hidden, parameters.dropout, joined)
