"""Residual convolutions over time."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks.blocks import normalise
from ser_edge_train.networks.parameters import Stage


def residual_stage(x: Any, name: str, stage: Stage, spatial_dropout: float) -> Any:
    """A convolution, then residual ones, over (batch, frames, features).

    Args:
        x: What they see.
        name: Of the stage; its layers' names begin with it.
        stage: Widths and steps.
        spatial_dropout: Share of whole channels dropped in training, of what each residual
            convolution adds and of the stage's output; 0 leaves that out.
    """
    x = convolve(x, name, stage.channels, stage.kernel, stage.stride)
    for index in range(1, stage.blocks + 1):
        block = f"{name}_block{index}"
        added = convolve(x, block, stage.channels, stage.kernel, 1)
        if stage.squeeze:
            added = _weigh(added, block, max(1, stage.channels // stage.squeeze))
        added = _drop(added, block, spatial_dropout)
        x = layers.Add(name=f"{block}_add")([x, added])
    return _drop(x, name, spatial_dropout)


def convolve(x: Any, name: str, channels: int, kernel: int, stride: int) -> Any:
    """Conv1D, BatchNorm, ReLU over (batch, frames, features)."""
    x = layers.Conv1D(
        channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = normalise(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)


def _weigh(x: Any, name: str, width: int) -> Any:
    """Squeeze-and-excitation: each channel times a share that the means of all of them say."""
    channels = x.shape[-1]
    means = layers.GlobalAveragePooling1D(name=f"{name}_squeeze")(x)
    hidden = layers.Dense(width, activation="relu", name=f"{name}_squeezed")(means)
    shares = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(hidden)
    shares = layers.Reshape((1, channels), name=f"{name}_shares")(shares)
    return layers.Multiply(name=f"{name}_weighed")([x, shares])


def _drop(x: Any, name: str, rate: float) -> Any:
    return layers.SpatialDropout1D(rate, name=f"{name}_drop")(x) if rate else x
