"""The networks, a builder each: plain Keras functional models that end in logits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.networks.parameters import NETWORKS

# Read once, when Keras is imported: TFLite is made from TensorFlow graphs only.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class NetworkError(SerEdgeError):
    """A network that cannot be built: unknown, or its parameters and its input disagree."""

    exit_code = 2


def build(name: str, input_shape: Sequence[int], classes: int, **parameters: Any) -> Any:
    """Builds a network.

    Args:
        name: One of :data:`~ser_edge_train.networks.parameters.NETWORKS`.
        input_shape: Shape of an utterance's features, without the batch:
            (frames, features), or (features,) of the layouts "flat" and "mean".
        classes: Width of the output.
        **parameters: Fields of the network's parameter class; missing ones get defaults.

    Returns:
        An uncompiled ``keras.Model`` (float32 in, logits (batch, classes) out). Its layers
        have fixed names, so that equal arguments give equal models.

    Raises:
        NetworkError: The name or a parameter is wrong, or the input is too small for it.
    """
    if name not in NETWORKS:
        raise NetworkError(f"network {name}: unknown; known are {', '.join(sorted(NETWORKS))}")
    try:
        checked = NETWORKS[name](**parameters)
    except ValidationError as fault:
        first = fault.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise NetworkError(f"network {name}: {field}: {first['msg']}") from None
    module = import_module(f"ser_edge_train.networks.{name}")
    return module.build(tuple(input_shape), classes, checked)
