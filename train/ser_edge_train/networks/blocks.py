"""Pieces that several networks share."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks import NetworkError


def check_sequence(name: str, features: Any) -> None:
    """Makes sure of a network's input (batch, frames, features).

    Raises:
        NetworkError: The features have no time axis.
    """
    if len(features.shape) != 3:
        raise NetworkError(
            f"network {name}: it needs features over time; set layout = 'sequence' in [front_end]"
        )


def as_series(features: Any) -> Any:
    """Features without a time axis (flat, mean) as a series of scalars; others as they are."""
    if len(features.shape) == 3:
        return features
    return layers.Reshape((features.shape[1], 1), name="as_series")(features)


def convolve_and_pool(x: Any, index: int, filters: int, kernel: int, pool: int, name: str) -> Any:
    """Conv1D, BatchNorm, ReLU, MaxPool over ``x`` (batch, frames, features).

    Raises:
        NetworkError: Fewer frames are left than one pooling takes.
    """
    if x.shape[1] < pool:
        raise NetworkError(
            f"network {name}: block {index} pools {pool} frames but has {x.shape[1]}; "
            "use fewer blocks, a smaller pool or a longer clip_seconds"
        )
    # No bias: the normalisation that follows has one.
    x = layers.Conv1D(filters, kernel, padding="same", use_bias=False, name=f"conv{index}")(x)
    x = normalise(x, f"norm{index}")
    x = layers.ReLU(name=f"relu{index}")(x)
    return layers.MaxPooling1D(pool, name=f"pool{index}")(x)


def normalise(x: Any, name: str, *, trainable: bool = True) -> Any:
    """Batch normalisation whose moving averages follow within tens of steps.

    Keras' own momentum of 0.99 needs hundreds: a small corpus has sixteen an
    epoch, and for its first epochs validation would see another network.
    """
    return layers.BatchNormalization(momentum=0.9, trainable=trainable, name=name)(x)


def recur(
    x: Any,
    layer: Any,
    name: str,
    units: tuple[int, ...],
    dropout: float,
    *,
    first: bool = True,
    sequence: bool = False,
) -> Any:
    """Recurrent layers over (batch, frames, features), to the last one's final state.

    Args:
        x: What they see.
        layer: Keras' class.
        name: Of the layers; a number follows.
        units: Width of each.
        dropout: Share dropped before each; 0 leaves that out.
        first: Whether before the first one too.
        sequence: Gives the last layer's state at every frame, not the final one alone.
    """
    for index, width in enumerate(units, start=1):
        # Between layers, not inside them: their own dropout has no counterpart in TFLite's op.
        if dropout and (first or index > 1):
            x = layers.Dropout(dropout, name=f"dropout{index}")(x)
        last = index == len(units)
        x = layer(width, return_sequences=sequence or not last, name=f"{name}{index}")(x)
    return x


def pool_time(x: Any, pooling: str) -> Any:
    """What ``pooling`` names of (batch, frames, features): see its Literal in parameters."""
    pooled = []
    if "mean" in pooling:
        pooled.append(layers.GlobalAveragePooling1D(name="mean")(x))
    if "attention" in pooling:
        pooled.append(_attend(x))
    if "max" in pooling:
        # A pooling window over all frames rather than GlobalMaxPooling1D: MAX_POOL_2D runs on
        # every delegate, REDUCE_MAX does not.
        x = layers.MaxPooling1D(x.shape[1], name="max")(x)
        pooled.append(layers.Flatten(name="max_flat")(x))
    return pooled[0] if len(pooled) == 1 else layers.Concatenate(name="pooled")(pooled)


GAIN = 5.0
"""A mean over frames is about a fifth of their maximum. Beside it in one tensor it shares its scale
in int8, and would be left with a fifth of the steps: of a trained network it kept 10 dB."""


def _attend(x: Any) -> Any:
    """:data:`GAIN` times the mean over frames, weighted by a softmax over time of a linear score.

    Self-attentive pooling (Lin et al. 2017, arXiv:1703.03130) with one head and one layer.
    """
    frames = x.shape[1]
    # From zeros: the first steps see the plain mean.
    score = layers.Conv1D(1, 1, use_bias=False, kernel_initializer="zeros", name="attention_score")
    row = layers.Reshape((frames,), name="attention_row")(score(x))
    weights = layers.Softmax(name="attention_weights")(row)
    # Weights whose mean is a number, then a mean: AVERAGE_POOL_2D and MEAN run on every
    # delegate, a sum or a product of matrices does not.
    weights = layers.Rescaling(GAIN * frames, name="attention_scale")(weights)
    weights = layers.Reshape((frames, 1), name="attention_column")(weights)
    weighted = layers.Multiply(name="attention_weighted")([x, weights])
    return layers.GlobalAveragePooling1D(name="attention")(weighted)


def named(tensor: Any, name: str) -> Any:
    """The result of an operation that is no layer, under a name of its own.

    Keras numbers such operations through the whole process: equal networks would be saved
    as different files.
    """
    tensor._keras_history.operation.name = name
    return tensor


def join(x: Any, joined: Any) -> Any:
    """``x`` with further values beside its own, both (batch, values); ``joined`` may be None."""
    return x if joined is None else layers.Concatenate(name="joined")([x, joined])


def classify(x: Any, classes: int, hidden: int, dropout: float, joined: Any = None) -> Any:
    """From pooled values to logits: dropout, a dense layer where wanted, and the last one."""
    x = join(x, joined)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    if hidden:
        x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    return layers.Dense(classes, name="logits")(x)
