"""A depthwise-separable CNN over time and frequency."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import layers
from ser_edge_train.networks import NetworkError
from ser_edge_train.networks.blocks import check_sequence, classify, normalise
from ser_edge_train.networks.parameters import DsCnn


def connect(features: Any, classes: int, parameters: DsCnn, joined: Any = None) -> Any:
    """Connects it. ReLU after each normalisation, so that the export folds both into the kernel."""
    check_sequence("ds_cnn", features)
    x = layers.Reshape((*features.shape[1:], 1), name="as_image")(features)
    x = _convolve(x, "stem", parameters.stem, 3, parameters.stem_stride)
    blocks = zip(parameters.channels, parameters.strides, strict=True)
    for index, (channels, stride) in enumerate(blocks, start=1):
        x = _block(x, index, channels, stride, parameters.residual)
    x = _pool(x, parameters.pooling)
    return classify(x, classes, 0, parameters.dropout, joined)


def _block(x: Any, index: int, channels: int, stride: tuple[int, int], residual: bool) -> Any:
    name = f"block{index}"
    before = x
    x = _depthwise(x, f"{name}_depth", stride)
    x = _convolve(x, f"{name}_point", channels, 1, (1, 1))
    if residual and x.shape == before.shape:
        x = layers.Add(name=f"{name}_add")([x, before])
    return x


def _depthwise(x: Any, name: str, stride: tuple[int, int]) -> Any:
    if stride[0] != stride[1]:
        # TensorFlow's depthwise op steps equally along both axes or not at all.
        x = layers.MaxPooling2D(stride, padding="same", name=f"{name}_pool")(x)
        stride = (1, 1)
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _norm_relu(x, name)


def _convolve(x: Any, name: str, channels: int, kernel: int, stride: tuple[int, int]) -> Any:
    x = layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _norm_relu(x, name)


def _norm_relu(x: Any, name: str) -> Any:
    x = normalise(x, f"{name}_norm")
    return layers.ReLU(name=f"{name}_relu")(x)


def _pool(x: Any, pooling: str) -> Any:
    pooled = []
    if "mean" in pooling:
        pooled.append(layers.GlobalAveragePooling2D(name="mean")(x))
    if "max" in pooling:
        # A pooling window over the whole map rather than GlobalMaxPooling2D: MAX_POOL_2D runs on
        # every delegate, REDUCE_MAX does not.
        if x.shape[1] * x.shape[2] > 65536:
            raise NetworkError("network ds_cnn: the last map is too large to pool; add strides")
        x = layers.MaxPooling2D(tuple(x.shape[1:3]), name="max")(x)
        pooled.append(layers.Flatten(name="max_flat")(x))
    return pooled[0] if len(pooled) == 1 else layers.Concatenate(name="pooled")(pooled)
