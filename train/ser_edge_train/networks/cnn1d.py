"""A CNN over time."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks.blocks import as_series, classify, convolve_and_pool
from ser_edge_train.networks.parameters import Cnn1d


def connect(features: Any, classes: int, parameters: Cnn1d, joined: Any = None) -> Any:
    """Connects it; features without a time axis (flat, mean) are read as a series of scalars."""
    x = as_series(features)
    for index, filters in enumerate(parameters.filters, start=1):
        x = convolve_and_pool(x, index, filters, parameters.kernel, parameters.pool, "cnn1d")
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    return classify(x, classes, parameters.hidden, parameters.dropout, joined)
