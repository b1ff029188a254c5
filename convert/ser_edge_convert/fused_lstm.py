"""Rebuilds a Keras network so that TensorFlow Lite sees its recurrent layers whole.

Keras 3 writes an LSTM as a loop over tensor lists. The converter either turns
that into a WHILE loop, on which its int8 calibration ends in a segmentation
fault, or fails. Two forms do convert: *fused*, one UNIDIRECTIONAL_SEQUENCE_LSTM
a layer, and *unrolled*, a copy of the cell for each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ser_edge_convert.layers import traced_name
from ser_edge_train.frameworks import keras, tf

UNROLLABLE = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def _reference_body(go_backwards: bool) -> Callable[..., tuple[Any, ...]]:
    """The LSTM as the converter expects it: five results, the second all outputs.

    The converter replaces this body by the fused operator and never looks into
    it; TensorFlow itself runs it, so it computes the same as the layer does.
    """

    def lstm(
        inputs: Any, state: Any, cell: Any, kernel: Any, recurrent_kernel: Any, bias: Any
    ) -> tuple[Any, ...]:
        def step(carry: tuple[Any, Any], frame: Any) -> tuple[Any, Any]:
            hidden, memory = carry
            gates = tf.matmul(frame, kernel) + tf.matmul(hidden, recurrent_kernel) + bias
            enter, forget, candidate, leave = tf.split(gates, 4, axis=1)  # Keras' order
            memory = tf.sigmoid(forget) * memory + tf.sigmoid(enter) * tf.tanh(candidate)
            return tf.sigmoid(leave) * tf.tanh(memory), memory

        frames = tf.transpose(inputs, [1, 0, 2])
        if go_backwards:
            frames = tf.reverse(frames, axis=[0])
        hiddens, memories = tf.scan(step, frames, initializer=(state, cell))
        outputs = tf.transpose(hiddens, [1, 0, 2])
        return hiddens[-1], outputs, hiddens[-1], memories[-1], tf.constant(1.0)

    return lstm


class FusedLSTM(keras.layers.LSTM):
    """An LSTM that converts to one builtin operator. Batch size must be fixed.

    Attributes:
        function_name: By its beginning, "lstm_", the converter knows the layer's
            function. It is numbered, not random, so that conversions repeat;
            functions of one name may be exchanged for each other, hence one a layer.
    """

    function_name = "lstm_0"

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Runs the layer from a zero state: (1, time, features) to its outputs."""
        zeros = tf.zeros([sequences.shape[0], self.units])
        function = tf.function(
            _reference_body(bool(self.go_backwards)),
            autograph=False,
            experimental_attributes={
                "api_implements": self.function_name,
                "api_preferred_device": "CPU",
                "time_major": False,
                "go_backwards": bool(self.go_backwards),
            },
        )
        weights = (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        last, outputs, *_ = function(
            sequences, zeros, zeros, *(tf.convert_to_tensor(weight) for weight in weights)
        )
        return outputs if self.return_sequences else last


def can_fuse(layer: Any) -> bool:
    """Whether the builtin operator computes what ``layer`` does.

    It knows one cell only: tanh, sigmoid gates and a bias, no state handed in or out.
    """
    if type(layer) is not keras.layers.LSTM:
        return False
    config = layer.get_config()
    return (
        config["activation"] == "tanh"
        and config["recurrent_activation"] == "sigmoid"
        and bool(config["use_bias"])
        and not config["return_state"]
        and not config["stateful"]
    )


def prepare(model: Any, lstm: str) -> tuple[Any, dict[str, str]]:
    """Copies ``model`` with batch size 1 and recurrent layers in a form that converts.

    Args:
        model: A Keras model with one input.
        lstm: "fused" (what cannot be fused is unrolled) or "unrolled".

    Returns:
        The copy, with equal weights and traced names, and the form taken by each recurrent
        layer, by its own name.
    """
    forms: dict[str, str] = {}

    def clone(layer: Any) -> Any:
        config = layer.get_config() | {"name": traced_name(layer.name)}
        if lstm == "fused" and can_fuse(layer):
            fused = FusedLSTM.from_config(config)
            fused.function_name = f"lstm_{len(forms)}"
            forms[layer.name] = "fused"
            return fused
        if isinstance(layer, UNROLLABLE):
            config["unroll"] = True
            forms[layer.name] = "unrolled"
        elif isinstance(layer, keras.layers.Bidirectional):
            # Two fused layers side by side lose 15 times more in int8 than one
            # (tensorflow 2.21.0), so both directions are unrolled.
            for side in ("layer", "backward_layer"):
                if config.get(side):
                    config[side]["config"]["unroll"] = True
            forms[layer.name] = "unrolled"
        return type(layer).from_config(config)

    shape = (1, *model.inputs[0].shape[1:])
    features = keras.Input(batch_shape=shape, dtype="float32", name="features")
    copy = keras.models.clone_model(
        model, input_tensors=features, clone_function=clone, recursive=True
    )
    copy.set_weights(model.get_weights())
    return copy, forms
