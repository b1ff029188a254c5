"""Float graphs that round as an int8 graph does, its weights alone or its activations alone.

The rounding is TensorFlow Lite's (its 8-bit quantisation specification): weights
symmetric in 255 steps, for each output channel where the kernel knows that, else for
the whole tensor; activations in 256 steps of the scale that the int8 graph has for
the same tensor. What goes on inside an operator stays in floats: of a fused LSTM the
input and the output are rounded, its gates and its cell are not.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.graph import Graph, read_graph, text_of

_STEPS = 127
# Axis of the output channels of an operator's weights; None: one scale for each tensor.
_CHANNELS: dict[int, int | None] = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
    schema.BuiltinOperator.TRANSPOSE_CONV: 0,
    schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM: None,
    schema.BuiltinOperator.BATCH_MATMUL: None,
}


def round_weights(values: npt.NDArray[np.float32], axis: int | None) -> npt.NDArray[np.float32]:
    """Weights as int8 holds them: 255 steps around 0 for each slice along ``axis``.

    Args:
        values: The weights, of any shape.
        axis: The output channels; None takes one scale for all.
    """
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    widest = np.abs(values).max(axis=others, keepdims=True)
    scale = np.where(widest > 0, widest / _STEPS, 1).astype(np.float32)
    return np.asarray(np.clip(np.rint(values / scale), -_STEPS, _STEPS) * scale, np.float32)


def with_rounded_weights(flatbuffer: bytes) -> bytes:
    """The float graph with the weights of all its operators rounded to int8."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = _code(model, operator)
        if code not in _CHANNELS:
            continue
        # The first input is the activation; biases and peepholes have one axis.
        for index in [int(i) for i in operator.inputs[1:] if i >= 0]:
            tensor = graph.tensors[index]
            data = model.buffers[tensor.buffer].data
            if data is None or len(data) == 0 or len(tensor.shape) < 2:
                continue
            values = np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)
            rounded = round_weights(values, _CHANNELS[code])
            # A buffer of its own: another tensor may share the old one.
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(rounded.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
    return _packed(model)


def with_rounded_activations(flatbuffer: bytes, quantised: bytes) -> bytes:
    """The float graph with a rounding to int8 behind its input and each of its operators.

    Args:
        flatbuffer: The float graph.
        quantised: The same in int8, which has the scales.
    """
    scales = scales_by_name(read_graph(quantised))
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    graph = model.subgraphs[0]
    places = [_place(model, "QUANTIZE", 1), _place(model, "DEQUANTIZE", 2)]
    rounded: dict[int, int] = {}
    operators = []

    def follow(index: int) -> None:
        tensor = graph.tensors[index]
        name = text_of(tensor.name)
        if name not in scales or tensor.type != schema.TensorType.FLOAT32:
            return
        scale, zero_point = scales[name]
        held = _like(tensor, f"{name}/int8", schema.TensorType.INT8)
        held.quantization = schema.QuantizationParametersT()
        held.quantization.scale = np.array([scale], np.float32)
        held.quantization.zeroPoint = np.array([zero_point], np.int64)
        back = _like(tensor, f"{name}/rounded", schema.TensorType.FLOAT32)
        graph.tensors += [held, back]
        first = len(graph.tensors) - 2
        operators.append(_operator(places[0], index, first))
        operators.append(_operator(places[1], first, first + 1))
        rounded[index] = first + 1

    for index in graph.inputs:
        follow(int(index))
    for operator in graph.operators:
        operator.inputs = np.array([rounded.get(int(i), int(i)) for i in operator.inputs], np.int32)
        operators.append(operator)
        for index in operator.outputs:
            follow(int(index))
    graph.operators = operators
    graph.outputs = np.array([rounded.get(int(i), int(i)) for i in graph.outputs], np.int32)
    return _packed(model)


def scales_by_name(graph: Graph) -> dict[str, tuple[float, int]]:
    """Scale and zero point of every activation of an int8 graph, by its name in the float graph.

    At the ends the int8 tensor has a new name: it is next to the QUANTIZE or DEQUANTIZE.
    """
    found = {
        tensor.name: (tensor.scales[0], tensor.zero_points[0])
        for tensor in graph.tensors
        if tensor.dtype == "int8" and len(tensor.scales) == 1 and not tensor.constant
    }
    for operator in graph.operators:
        source, sink = operator.inputs[:1], operator.outputs[:1]
        if operator.name == "QUANTIZE" and source[0] in graph.inputs:
            found[graph.tensors[source[0]].name] = found[graph.tensors[sink[0]].name]
        if operator.name == "DEQUANTIZE" and sink[0] in graph.outputs:
            found[graph.tensors[sink[0]].name] = found[graph.tensors[source[0]].name]
    return found


def _code(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _place(model: Any, name: str, version: int) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _like(tensor: Any, name: str, kind: int) -> Any:
    new = schema.TensorT()
    new.shape, new.shapeSignature = tensor.shape, tensor.shapeSignature
    new.name, new.type, new.buffer = name, kind, 0
    return new


def _operator(place: int, source: int, sink: int) -> Any:
    new = schema.OperatorT()
    new.opcodeIndex = place
    new.inputs, new.outputs = np.array([source], np.int32), np.array([sink], np.int32)
    return new


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
