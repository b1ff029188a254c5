"""Every network so small that it is built in no time, and what tests ask of one."""

from __future__ import annotations

from typing import Any

from ser_edge_train.networks import build

SMALL: dict[str, dict[str, Any]] = {
    "cnn1d": {"filters": (4, 6)},
    "cnn2d": {"channels": (4, 6), "strides": ((2, 2), (1, 2))},
    "cnn_lstm": {"filters": (4,), "units": (5, 3)},
    "ds_cnn": {"stem": 4, "channels": (6, 6), "strides": ((1, 2), (1, 1))},
    "conv_stack": {
        "blocks": (
            {"filters": 4, "kernel": 3, "batch_norm": True, "pooling": "max"},
            {"filters": 6, "kernel": 2, "pooling": "average", "pool": 4, "pool_stride": 2},
        ),
        "hidden": 7,
        "hidden_norm": True,
    },
    "lstm_cnn": {"units": 5, "filters": (4,), "hidden": 6},
    "rnn": {"units": (6, 5), "hidden": 4},
    "tdnn": {
        "layers": (
            {"channels": 4, "kernel": 3},
            {"channels": 6, "kernel": 3, "dilation": 2},
        ),
        "embedding": 5,
        "hidden": 4,
    },
    "res_cnn1d": {"stages": ({"channels": 4, "kernel": 3}, {"channels": 6, "kernel": 3})},
}
SHAPE = (21, 8)


def small(name: str, shape: tuple[int, ...] = SHAPE, **parameters: Any) -> Any:
    """A network of three classes."""
    return build(name, shape, 3, **{**SMALL[name], **parameters})


def kinds(model: Any) -> list[str]:
    """The classes of its layers."""
    return [type(layer).__name__ for layer in model.layers]
