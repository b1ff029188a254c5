"""Loads a network into the process that converts, and ends it in logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ser_edge_convert.network_file import foreign_classes, is_saved_model
from ser_edge_convert.saved_model import SavedNetwork
from ser_edge_train.frameworks import keras


class Unfit(Exception):
    """The network is not of a kind that can be converted; the text is for the user."""


def read_network(path: str) -> tuple[Any, bool]:
    """Loads a network without its training objective, and checks that it is one we convert.

    A softmax at its end is taken off: the runtime divides the logits by the
    temperature and applies the softmax itself, in floats.

    Args:
        path: A ``.keras`` file, or the folder of a SavedModel.

    Returns:
        A Keras model or a :class:`~ser_edge_convert.saved_model.SavedNetwork`, and whether
        it ended in a softmax.

    Raises:
        Unfit: It is not: more than one input, no fixed shape, no row of logits.
    """
    if is_saved_model(Path(path)):
        try:
            model = SavedNetwork.load(path)
        except (OSError, ValueError) as fault:
            raise Unfit(
                f"cannot be used as a SavedModel ({first_line(fault)}); save the network as .keras"
            ) from fault
        if model.loops:
            raise Unfit(
                "its recurrent layers are loops, which cannot be quantised; save the network "
                "as .keras"
            )
        softmax = model.softmax
    else:
        try:
            model = keras.saving.load_model(path, compile=False)
        except (TypeError, ValueError) as fault:
            foreign = ", ".join(dict.fromkeys(foreign_classes(Path(path))))
            why = f"{foreign} is not Keras' own" if foreign else first_line(fault)
            raise Unfit(
                f"Keras cannot load it ({why}); only layers that Keras brings itself are converted"
            ) from fault
        _check_ends(model)
        model, softmax = _without_softmax(model)
    _check_ends(model)
    return model, softmax


def first_line(fault: BaseException) -> str:
    """The first line of a fault's text that holds anything, at most 300 characters."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:300]


def _check_ends(model: Any) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Unfit("it has more than one input or output; one of each is needed")
    if any(size is None for size in model.inputs[0].shape[1:]):
        raise Unfit("its input has no fixed shape; set clip_seconds in the front end")
    if len(model.outputs[0].shape) != 2:
        raise Unfit("its output is not one row of logits")


def _without_softmax(model: Any) -> tuple[Any, bool]:
    """The model, ended before its softmax, and whether there was one."""
    end = model.outputs[0]
    last = end._keras_history.operation
    activation = getattr(last, "activation", None)
    softmax = activation is keras.activations.softmax
    # A layer, an Activation or keras.ops.softmax: all it does is the softmax.
    if type(last).__name__ == "Softmax" or (softmax and isinstance(last, keras.layers.Activation)):
        return keras.Model(model.inputs[0], last.input), True
    if softmax:
        last.activation = keras.activations.linear
    if isinstance(model, keras.Sequential) or isinstance(model.input, list):
        # What its copy of batch size 1 is made of is a functional model of one tensor.
        model = keras.Model(model.inputs[0], end)
    return model, softmax
