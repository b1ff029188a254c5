"""The networks, a builder each: plain Keras functional models that end in logits.

A builder's module is named like its network and has one function,
``connect(features, classes, parameters, joined=None)``: from a Keras tensor of
features (batch, ...) to the tensor of logits (batch, classes). ``joined`` is
None or a tensor (batch, values) that goes into the last layers beside what the
network itself found.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.networks.parameters import NETWORKS

if TYPE_CHECKING:
    from ser_edge_train.networks.speaker_branch import SpeakerBranch

# Read once, when Keras is imported: TFLite is made from TensorFlow graphs only.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# On for some processors and off for others: one seed would give each its own weights, and
# TensorFlow says that it is on past every log level.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


class NetworkError(SerEdgeError):
    """A network that cannot be built: unknown, or its parameters and its input disagree."""

    exit_code = 2


def build(
    name: str,
    input_shape: Sequence[int],
    classes: int,
    *,
    speaker_branch: SpeakerBranch | None = None,
    **parameters: Any,
) -> Any:
    """Builds a network.

    Args:
        name: One of :data:`~ser_edge_train.networks.parameters.NETWORKS`.
        input_shape: Shape of an utterance's features, without the batch:
            (frames, features), or (features,) of the layouts "flat" and "mean".
        classes: Width of the output.
        speaker_branch: A frozen speaker embedding of the same features, joined to each
            frame or to the pooled values; None: none.
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
    # By name: recipes, which are read without Keras, import this package.
    assembly = import_module("ser_edge_train.networks.assembly")
    return assembly.assemble(tuple(input_shape), classes, checked, speaker_branch)
