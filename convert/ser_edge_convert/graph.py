"""Facts of a ``.tflite`` graph, read from its bytes without running it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.errors import ConversionFailed


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


OPERATORS = _names(schema.BuiltinOperator)
TYPES = {value: name.lower() for value, name in _names(schema.TensorType).items()}
# Options whose numbers stand for names.
_NAMED_OPTIONS = {
    "fused_activation_function": _names(schema.ActivationFunctionType),
    "padding": _names(schema.Padding),
}
_WHOLE = {"int32": "<i4", "int64": "<i8"}
_MOST_VALUES = 64
_DAMAGED = "the TensorFlow Lite file is damaged or cut short: copy or convert it again"


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
        name: As the converter called it.
        shape: Sizes; -1 where dynamic.
        dtype: As "int8".
        constant: Whether its values are in the file.
        variable: Whether it keeps its values between invokes.
        scales: Of its quantisation; empty for none, more than one for one a channel.
        zero_points: As many as scales.
        bytes: Size of its values in the file, 0 if it is not constant.
        values: Those of a short constant of whole numbers (axes, shapes, paddings), flat;
            None for all other tensors.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    variable: bool
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    bytes: int
    values: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Operator:
    """One operator of a graph; its tensors as positions, -1 for one left out.

    Attributes:
        name: Of the builtin operator; "CUSTOM" for one that is none.
        version: The higher, the newer the interpreter that it needs.
        inputs: Positions of its inputs.
        outputs: Positions of its outputs.
        options: The schema's options as ``stride_w``; activations and paddings by name.
        custom: The name of an operator that is no builtin one; empty otherwise.
    """

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    custom: str = ""


@dataclass(frozen=True)
class Graph:
    """The main graph of a file. Immutable; threads may share it.

    Attributes:
        tensors: All tensors, by position.
        operators: In the order they run.
        inputs: Positions of the graph's inputs.
        outputs: Positions of its outputs.
        subgraphs: Graphs in the file; more than one means loops or branches.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each operator stands in the graph, by name, in alphabetical order."""
        return dict(sorted(Counter(operator.name for operator in self.operators).items()))

    @cached_property
    def ends(self) -> frozenset[int]:
        """Positions of the graph's inputs and outputs."""
        return frozenset(self.inputs) | frozenset(self.outputs)

    @cached_property
    def inner_floats(self) -> tuple[Tensor, ...]:
        """Floating-point tensors that an operator uses, but for the graph's inputs and outputs."""
        used = {i for op in self.operators for i in (*op.inputs, *op.outputs) if i >= 0}
        return tuple(
            self.tensors[index]
            for index in sorted(used - self.ends)
            if self.tensors[index].dtype.startswith(("float", "bfloat"))
        )

    @cached_property
    def unpacked(self) -> frozenset[int]:
        """Positions of stored values that a DEQUANTIZE turns into floats before they are used."""
        return frozenset(
            position
            for operator in self.operators
            if operator.name == "DEQUANTIZE" and self.tensors[operator.inputs[0]].constant
            for position in operator.outputs
        )

    @property
    def output_quantum(self) -> float:
        """Step between two values of the output, in its own unit; 0 for one that is not quantised.

        An output made float by a last DEQUANTIZE has the step of what went into that.
        """
        position = self.outputs[0]
        for operator in reversed(self.operators):
            if position in operator.outputs and operator.name == "DEQUANTIZE":
                position = operator.inputs[0]
        scales = self.tensors[position].scales
        quantised = self.tensors[position].dtype.startswith(("int", "uint"))
        return scales[0] if scales and quantised else 0.0

    @property
    def keeps_state(self) -> bool:
        """Whether anything is carried from one invoke to the next."""
        return any(tensor.variable for tensor in self.tensors)


def read_graph(flatbuffer: bytes) -> Graph:
    """Reads the main graph of a TensorFlow Lite file.

    Raises:
        ConversionFailed: The bytes are no such file.
    """
    return read_graphs(flatbuffer)[0]


def read_graphs(flatbuffer: bytes) -> tuple[Graph, ...]:
    """Reads all graphs of a file: the main one, then the bodies of its loops and branches.

    Raises:
        ConversionFailed: The bytes are no TensorFlow Lite file.
    """
    if len(flatbuffer) < 8 or flatbuffer[4:8] != b"TFL3":
        raise ConversionFailed("not a TensorFlow Lite file: it lacks the mark TFL3; convert again")
    try:
        model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
        graphs = tuple(_graph(subgraph, model) for subgraph in model.subgraphs or ())
    # The generated reader follows whatever offsets stand in damaged bytes, into any error.
    except Exception as fault:
        raise ConversionFailed(_DAMAGED) from fault
    if not graphs:
        raise ConversionFailed(_DAMAGED)
    return graphs


def _graph(subgraph: schema.SubGraphT, model: schema.ModelT) -> Graph:
    graph = Graph(
        tuple(_tensor(tensor, model) for tensor in subgraph.tensors or ()),
        tuple(
            _operator(operator, model.operatorCodes[operator.opcodeIndex])
            for operator in subgraph.operators or ()
        ),
        _positions(subgraph.inputs),
        _positions(subgraph.outputs),
        len(model.subgraphs),
    )
    ends = {*graph.inputs, *graph.outputs}
    inner = {p for operator in graph.operators for p in (*operator.inputs, *operator.outputs)}
    # An operator's missing input, as the bias of a layer without one, is -1.
    places = range(len(graph.tensors))
    if not all(p in places for p in ends | (inner - {-1})):
        raise ValueError("a position beyond the tensors")
    return graph


def _operator(operator: schema.OperatorT, code: schema.OperatorCodeT) -> Operator:
    found = operator.builtinOptions
    options = {
        re.sub("(?<!^)(?=[A-Z])", "_", name).lower(): value
        for name, value in (vars(found) if found is not None else {}).items()
        if isinstance(value, int | float | str)
    }
    for name, words in _NAMED_OPTIONS.items():
        if name in options:
            options[name] = words.get(int(options[name]), str(options[name]))
    return Operator(
        OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)],
        int(code.version),
        _positions(operator.inputs),
        _positions(operator.outputs),
        options,
        text_of(code.customCode),
    )


def _tensor(tensor: schema.TensorT, model: schema.ModelT) -> Tensor:
    data = model.buffers[tensor.buffer].data
    size = 0 if data is None else len(data)
    shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    quantisation = tensor.quantization
    scales = quantisation.scale if quantisation is not None else None
    zero_points = quantisation.zeroPoint if quantisation is not None else None
    return Tensor(
        text_of(tensor.name),
        tuple(int(value) for value in shape) if shape is not None else (),
        TYPES[tensor.type],
        size > 0,
        bool(tensor.isVariable),
        tuple(float(value) for value in scales) if scales is not None else (),
        tuple(int(value) for value in zero_points) if zero_points is not None else (),
        size,
        _values(data, TYPES[tensor.type]) if size else None,
    )


def _values(data: Any, dtype: str) -> tuple[int, ...] | None:
    """The numbers of a short constant of whole numbers."""
    if dtype not in _WHOLE:
        return None
    numbers = np.asarray(data, np.uint8).view(_WHOLE[dtype])
    return tuple(int(value) for value in numbers) if len(numbers) <= _MOST_VALUES else None


def text_of(value: bytes | str | None) -> str:
    """A string of a flatbuffer, which may be bytes, or missing and then empty."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _positions(values: object) -> tuple[int, ...]:
    if values is None:
        return ()
    return tuple(int(value) for value in values)  # type: ignore[attr-defined]  # untyped schema: an iterable
