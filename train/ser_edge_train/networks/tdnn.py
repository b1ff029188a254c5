"""A time-delay network: dilated convolutions, statistics over time, an embedding, classes."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers, ops
from ser_edge_train.networks import NetworkError
from ser_edge_train.networks.blocks import check_sequence, join, named, normalise
from ser_edge_train.networks.parameters import Tdnn

EMBEDDING = "embedding"
FIRST = "tdnn1_conv"
# Of the variance, in units of normalised values. It bounds 1 / deviation at 10: int8 has to
# write that number in 255 steps.
SMALLEST_VARIANCE = 0.01


def connect(features: Any, classes: int, parameters: Tdnn, joined: Any = None) -> Any:
    """Connects it."""
    x = embed(features, parameters)
    x = layers.ReLU(name="embedding_relu")(x)
    x = join(normalise(x, "embedding_norm"), joined)
    x = layers.Dense(parameters.hidden, activation="relu", name="hidden")(x)
    if parameters.dropout:
        x = layers.Dropout(parameters.dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def embed(features: Any, parameters: Tdnn, prefix: str = "", *, trainable: bool = True) -> Any:
    """The embedding alone: from features (batch, frames, values) to (batch, embedding).

    Args:
        features: A Keras tensor.
        parameters: The network's.
        prefix: Of the layers' names.
        trainable: False freezes the layers, the moving averages of their normalisations too.

    Raises:
        NetworkError: The features have no time axis, or fewer frames than the layers see.
    """
    check_sequence("tdnn", features)
    if features.shape[1] < parameters.context:
        raise NetworkError(
            f"network tdnn: its layers see {parameters.context} frames but an input has "
            f"{features.shape[1]}; use a longer clip_seconds or smaller dilations"
        )
    x = features
    for index, layer in enumerate(parameters.layers, start=1):
        # Without padding: the first kernel can then take up another normaliser, whose zeros are
        # not this one's. For that it has a bias, which the others' normalisations make useless.
        x = layers.Conv1D(
            layer.channels,
            layer.kernel,
            dilation_rate=layer.dilation,
            padding="valid",
            use_bias=index == 1,
            trainable=trainable,
            name=f"{prefix}tdnn{index}_conv",
        )(x)
        x = normalise(x, f"{prefix}tdnn{index}_norm", trainable=trainable)
        x = layers.ReLU(name=f"{prefix}tdnn{index}_relu")(x)
    x = _statistics(x, prefix)
    return layers.Dense(parameters.embedding, trainable=trainable, name=f"{prefix}{EMBEDDING}")(x)


def _statistics(x: Any, prefix: str) -> Any:
    """Mean and standard deviation over time, (batch, 2 * channels)."""
    mean = layers.GlobalAveragePooling1D(keepdims=True, name=f"{prefix}mean")(x)
    centred = layers.Subtract(name=f"{prefix}centred")([x, mean])
    square = layers.Multiply(name=f"{prefix}square")([centred, centred])
    variance = layers.GlobalAveragePooling1D(name=f"{prefix}variance")(square)
    # v / sqrt(v + e), not sqrt(v): of SQRT only new interpreters have an int8 kernel, of RSQRT
    # tflite-runtime 2.14 too; and the slope of a root has no bound at 0.
    above = named(variance + SMALLEST_VARIANCE, f"{prefix}variance_above_zero")
    inverse = named(ops.rsqrt(above), f"{prefix}inverse_deviation")
    deviation = layers.Multiply(name=f"{prefix}deviation")([variance, inverse])
    flat = layers.Flatten(name=f"{prefix}mean_flat")(mean)
    return layers.Concatenate(name=f"{prefix}statistics")([flat, deviation])
