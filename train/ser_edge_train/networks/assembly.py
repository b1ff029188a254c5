"""Puts a network together: input, perhaps a speaker branch, the network itself."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ser_edge_train.frameworks import keras
from ser_edge_train.networks.parameters import Parameters

if TYPE_CHECKING:
    from ser_edge_train.networks.speaker_branch import SpeakerBranch


def assemble(
    input_shape: tuple[int, ...],
    classes: int,
    parameters: Parameters,
    speaker_branch: SpeakerBranch | None,
) -> Any:
    """Builds what :func:`ser_edge_train.networks.build` describes, from checked parameters."""
    connect = import_module(f"ser_edge_train.networks.{parameters.name}").connect
    features = keras.Input(shape=input_shape, name="features")
    if speaker_branch is None:
        logits = connect(features, classes, parameters)
    else:
        seen, joined = speaker_branch.connect(features)
        logits = connect(seen, classes, parameters, joined)
    model = keras.Model(features, logits, name=parameters.name)
    if speaker_branch is not None:
        speaker_branch.fill(model)
    return model
