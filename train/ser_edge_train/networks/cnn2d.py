"""A CNN over time and frequency, perhaps with residual convolutions over time behind it."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers, ops
from ser_edge_train.networks.blocks import check_sequence, classify, named, normalise, pool_time
from ser_edge_train.networks.parameters import Cnn2d
from ser_edge_train.networks.residual import convolve, residual_stage


def connect(features: Any, classes: int, parameters: Cnn2d, joined: Any = None) -> Any:
    """Connects it. ReLU after each normalisation, so that the export folds both into the kernel."""
    check_sequence("cnn2d", features)
    x = layers.Reshape((*features.shape[1:], 1), name="as_image")(features)
    if parameters.centred:
        means = named(ops.mean(x, axis=1, keepdims=True), "means_over_time")
        beside = layers.Subtract(name="less_means")([x, means])
        x = layers.Concatenate(name="beside_centred")([x, beside])
    blocks = zip(parameters.channels, parameters.strides, strict=True)
    for index, (channels, stride) in enumerate(blocks, start=1):
        x = layers.Conv2D(
            channels,
            parameters.kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            name=f"conv{index}",
        )(x)
        x = normalise(x, f"norm{index}")
        x = layers.ReLU(name=f"relu{index}")(x)
        if parameters.spatial_dropout:
            x = layers.SpatialDropout2D(parameters.spatial_dropout, name=f"drop{index}")(x)
    x = _series(x, parameters) if parameters.series else _mean_of_bands(x)
    return classify(pool_time(x, parameters.pooling), classes, 0, parameters.dropout, joined)


def _series(x: Any, parameters: Cnn2d) -> Any:
    """Convolutions over time of (batch, frames, bands, channels), the bands side by side."""
    frames, bands, channels = x.shape[1:]
    x = layers.Reshape((frames, bands * channels), name="bands_beside")(x)
    x = convolve(x, "merge", parameters.merge, 1, 1)
    for index, stage in enumerate(parameters.series, start=1):
        x = residual_stage(x, f"stage{index}", stage, parameters.spatial_dropout)
    return x


def _mean_of_bands(x: Any) -> Any:
    # MEAN may change its range in int8, AVERAGE_POOL_2D may not: with it the range of the pooled
    # values was forced on the convolution before, which then saturated.
    return named(ops.mean(x, axis=2), "as_series")
