"""A SavedModel as one frozen function of batch size 1 that ends in logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_train.frameworks import tf

LOOPS = frozenset({"While", "StatelessWhile"})
PASSING_ON = frozenset({"Identity", "NoOp"})


@dataclass(frozen=True)
class SavedNetwork:
    """What :mod:`ser_edge_convert.export` needs of a network, read from a SavedModel.

    Its weights are constants: a function with variables converts as well, and
    loses them without a word (tensorflow 2.21.0).

    Attributes:
        function: From features (1, ...) to logits (1, classes).
        softmax: Whether it ended in a softmax, which was taken off.
        loops: Whether it has recurrent layers: they are loops, and stay loops.
    """

    function: Any
    softmax: bool
    loops: bool

    @classmethod
    def load(cls, path: str) -> SavedNetwork:
        """Loads the signature of a SavedModel that serves one tensor.

        Raises:
            ValueError: It has no such signature; the text says what it has.
            OSError: It cannot be read.
        """
        loaded = tf.saved_model.load(path)
        signatures = dict(loaded.signatures)
        if "serving_default" not in signatures:
            raise ValueError(f"no signature serving_default; it has {sorted(signatures) or 'none'}")
        served = signatures["serving_default"]
        fed = served.structured_input_signature[1]
        if len(fed) != 1 or len(served.structured_outputs) != 1:
            raise ValueError("its signature has more than one input or output")
        name, spec = next(iter(fed.items()))
        given = next(iter(served.structured_outputs))
        if spec.shape.rank is None or None in spec.shape[1:]:
            raise ValueError("its input has no fixed shape")

        def serve(features: Any) -> Any:
            return served(**{name: features})[given]

        # Behind `frameworks`, which decides what is loaded with TensorFlow.
        from tensorflow.python.framework import convert_to_constants

        one = tf.TensorSpec((1, *spec.shape[1:]), tf.float32, name="features")
        whole = tf.function(serve).get_concrete_function(one)
        # Lowered, a loop would be a dozen operations that nothing recognises as one.
        frozen = convert_to_constants.convert_variables_to_constants_v2(
            whole, lower_control_flow=False
        )
        end, softmax = _before_softmax(frozen.outputs[0])
        function = frozen.prune(frozen.inputs[0], end)
        return cls(function, softmax, not LOOPS.isdisjoint(_kinds(frozen.graph.as_graph_def())))

    @property
    def inputs(self) -> list[Any]:
        """The one input."""
        return list(self.function.inputs)

    @property
    def outputs(self) -> list[Any]:
        """The one output."""
        return list(self.function.outputs)

    def predict_on_batch(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits of features (n, ...), float32 (n, classes)."""
        rows = (self.function(tf.constant(row[np.newaxis])) for row in np.asarray(features))
        return np.concatenate([np.asarray(row) for row in rows])

    def count_params(self) -> int:
        """Number of the weights: values of all floating-point constants of more than one value."""
        constants = (
            tf.make_ndarray(operation.get_attr("value"))
            for operation in self.function.graph.get_operations()
            if operation.type == "Const"
        )
        return sum(c.size for c in constants if c.dtype == np.float32 and c.size > 1)


def _kinds(graph: Any) -> set[str]:
    """Kinds of all operations of a graph and of the functions that it calls."""
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    return {node.op for node in nodes}


def _before_softmax(tensor: Any) -> tuple[Any, bool]:
    """The tensor that goes into the softmax at the end, and whether there is one."""
    end = tensor
    while end.op.type in PASSING_ON:
        end = end.op.inputs[0]
    return (end.op.inputs[0], True) if end.op.type == "Softmax" else (tensor, False)
