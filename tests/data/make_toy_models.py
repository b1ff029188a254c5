"""Makes the toy graphs beside this file: ``python tests/data/make_toy_models.py``.

They are written table by table through the TFLite schema, without TensorFlow,
so that the same script gives the same bytes with every version of it. All take
20 frames of 4 features and give 3 logits, unless their name says otherwise.

- ``toy_float.tflite``: mean over time, then one dense layer, in float32.
- ``toy_int8.tflite``: the same dense layer on the mean, int8 in and int8 out.
- ``toy_stateful.tflite``: a recurrent layer that keeps its state between invokes.
- ``toy_two_inputs.tflite``, ``toy_two_outputs.tflite``, ``toy_strings.tflite``,
  ``toy_unknown_op.tflite``, ``toy_bad_shapes.tflite``: graphs that the runtime must refuse.
"""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FRAMES, FEATURES, CLASSES, UNITS = 20, 4, 3, 5
FLOAT, INT8, INT32, STRING = (
    schema.TensorType.FLOAT32,
    schema.TensorType.INT8,
    schema.TensorType.INT32,
    schema.TensorType.STRING,
)
DTYPES = {FLOAT: np.float32, INT8: np.int8, INT32: np.int32}


class Graph:
    """A subgraph under construction; tensors are named by their index."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]
        self.tensors: list[schema.TensorT] = []
        self.codes: list[schema.OperatorCodeT] = []
        self.operators: list[schema.OperatorT] = []

    def tensor(self, name, shape, kind=FLOAT, values=None, quantum=None, variable=False):
        tensor = schema.TensorT()
        tensor.name, tensor.type = name, kind
        tensor.shape = np.array(shape, np.int32)
        tensor.isVariable = variable
        if values is not None:
            buffer = schema.BufferT()
            data = np.asarray(values, DTYPES[kind])
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if quantum is not None:
            quantisation = schema.QuantizationParametersT()
            quantisation.scale = np.array([quantum[0]], np.float32)
            quantisation.zeroPoint = np.array([quantum[1]], np.int64)
            tensor.quantization = quantisation
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code, inputs, outputs, options=None, version=1):
        kind = schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode = code, min(code, 127)
        kind.version = version
        self.codes.append(kind)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self.operators.append(operator)

    def bytes(self, inputs, outputs) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs = np.array(inputs, np.int32)
        subgraph.outputs = np.array(outputs, np.int32)
        subgraph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes, model.subgraphs = self.codes, [subgraph]
        model.buffers, model.description = self.buffers, "toy"
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def weights(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def mean_over_time(graph: Graph, source: int, name: str, quantum=None) -> int:
    axis = graph.tensor(f"{name}_axis", [1], INT32, [1])
    kind = graph.tensors[source].type
    mean = graph.tensor(name, [1, graph.tensors[source].shape[2]], kind, quantum=quantum)
    graph.operator(schema.BuiltinOperator.MEAN, [source, axis], [mean], schema.ReducerOptionsT(),
                   version=2 if kind == INT8 else 1)  # fmt: skip
    return mean


def dense(graph: Graph, source: int, kernel: int, bias: int, name: str, quantum=None) -> int:
    kind = graph.tensors[source].type
    logits = graph.tensor(name, [1, CLASSES], kind, quantum=quantum)
    options = schema.FullyConnectedOptionsT()
    graph.operator(schema.BuiltinOperator.FULLY_CONNECTED, [source, kernel, bias], [logits],
                   options, version=4 if kind == INT8 else 1)  # fmt: skip
    return logits


def float_dense(graph: Graph, source: int, name: str, seed: int = 1) -> int:
    width = int(graph.tensors[source].shape[-1])
    kernel = graph.tensor(f"{name}_kernel", [CLASSES, width], FLOAT, weights(seed, CLASSES, width))
    bias = graph.tensor(f"{name}_bias", [CLASSES], FLOAT, weights(seed + 1, CLASSES))
    return dense(graph, source, kernel, bias, name)


def toy_float() -> bytes:
    graph = Graph()
    features = graph.tensor("features", [1, FRAMES, FEATURES])
    logits = float_dense(graph, mean_over_time(graph, features, "mean"), "logits")
    return graph.bytes([features], [logits])


def toy_int8() -> bytes:
    """Input quantum 1/32 at zero 3, kernel 1/64, output 1/8 at zero -5."""
    graph = Graph()
    features = graph.tensor("features", [1, FRAMES, FEATURES], INT8, quantum=(1 / 32, 3))
    mean = mean_over_time(graph, features, "mean", quantum=(1 / 32, 3))
    kernel = graph.tensor("kernel", [CLASSES, FEATURES], INT8,
                          np.rint(weights(1, CLASSES, FEATURES) * 64).clip(-127, 127),
                          quantum=(1 / 64, 0))  # fmt: skip
    bias = graph.tensor("bias", [CLASSES], INT32, np.rint(weights(2, CLASSES) * 32 * 64),
                        quantum=(1 / 2048, 0))  # fmt: skip
    logits = dense(graph, mean, kernel, bias, "logits", quantum=(1 / 8, -5))
    return graph.bytes([features], [logits])


def toy_stateful() -> bytes:
    graph = Graph()
    features = graph.tensor("features", [1, FRAMES, FEATURES])
    kernel = graph.tensor("rnn_kernel", [UNITS, FEATURES], FLOAT, weights(3, UNITS, FEATURES))
    recurrent = graph.tensor("rnn_recurrent", [UNITS, UNITS], FLOAT, weights(4, UNITS, UNITS) / 3)
    bias = graph.tensor("rnn_bias", [UNITS], FLOAT, np.zeros(UNITS))
    state = graph.tensor("rnn_state", [1, UNITS], FLOAT, variable=True)
    states = graph.tensor("rnn", [1, FRAMES, UNITS])
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    graph.operator(schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_RNN,
                   [features, kernel, recurrent, bias, state], [states], options)  # fmt: skip
    logits = float_dense(graph, mean_over_time(graph, states, "mean"), "logits", seed=5)
    return graph.bytes([features], [logits])


def toy_two_inputs() -> bytes:
    graph = Graph()
    left = graph.tensor("left", [1, CLASSES])
    right = graph.tensor("right", [1, CLASSES])
    both = graph.tensor("sum", [1, CLASSES])
    graph.operator(schema.BuiltinOperator.ADD, [left, right], [both], schema.AddOptionsT())
    return graph.bytes([left, right], [both])


def toy_two_outputs() -> bytes:
    graph = Graph()
    features = graph.tensor("features", [1, FRAMES, FEATURES])
    mean = mean_over_time(graph, features, "mean")
    return graph.bytes([features], [float_dense(graph, mean, "logits"), mean])


def toy_strings() -> bytes:
    graph = Graph()
    text = graph.tensor("text", [1, CLASSES], STRING)
    shape = graph.tensor("shape", [2], INT32, [1, CLASSES])
    same = graph.tensor("same", [1, CLASSES], STRING)
    graph.operator(schema.BuiltinOperator.RESHAPE, [text, shape], [same])
    return graph.bytes([text], [same])


def toy_unknown_op() -> bytes:
    graph = Graph()
    features = graph.tensor("features", [1, FRAMES, FEATURES])
    logits = graph.tensor("logits", [1, CLASSES])
    graph.operator(schema.BuiltinOperator.CUSTOM, [features], [logits])
    graph.codes[0].customCode = "FromNowhere"
    return graph.bytes([features], [logits])


def toy_bad_shapes() -> bytes:
    """A dense kernel that is one column too wide: only allocation notices."""
    graph = Graph()
    features = graph.tensor("features", [1, FEATURES])
    kernel = graph.tensor("kernel", [CLASSES, FEATURES + 1], FLOAT, weights(1, CLASSES, 5))
    bias = graph.tensor("bias", [CLASSES], FLOAT, weights(2, CLASSES))
    return graph.bytes([features], [dense(graph, features, kernel, bias, "logits")])


TOYS = (
    toy_float, toy_int8, toy_stateful, toy_two_inputs, toy_two_outputs, toy_strings,
    toy_unknown_op, toy_bad_shapes,
)  # fmt: skip


def main() -> None:
    folder = Path(__file__).parent
    for toy in TOYS:
        (folder / f"{toy.__name__}.tflite").write_bytes(toy())


if __name__ == "__main__":
    main()
