"""Writes a TensorFlow Lite graph operator by operator, without TensorFlow.

Every operator is builtin and in its oldest version that takes these types, so
that interpreters of years ago load the graph too. Shapes are static.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ser_edge_runtime.metadata import TensorInfo

DTYPES = ("float32", "int32", "bool", "complex64", "int8", "uint8", "int16")


@dataclass(frozen=True)
class Value:
    """A tensor of a graph that is being written.

    Attributes:
        index: Its place among the graph's tensors.
        shape: Its sizes, all known.
        dtype: A name of :data:`DTYPES`.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str


Operand = Value | float


class GraphBuilder:
    """A graph in the making. One thread.

    Attributes:
        model: What was written so far; :meth:`finish` completes it.
    """

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.model.buffers = [schema.BufferT()]  # by convention the first is the empty one
        self._constants: dict[tuple[Any, ...], Value] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """A float32 input of the graph."""
        value = self._tensor(name, shape, "float32", 0)
        self.graph.inputs.append(value.index)
        return value

    def constant(self, values: npt.ArrayLike) -> Value:
        """A tensor whose values stand in the file; equal ones stand there once.

        Args:
            values: Floats become float32, whole numbers int32.
        """
        given = np.asarray(values)
        array = given.astype(np.int32 if given.dtype.kind in "iu" else np.float32)
        content = array.tobytes()
        key = (array.shape, array.dtype.name, content)
        if key not in self._constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(content, np.uint8)
            self.model.buffers.append(buffer)
            name, place = f"constant_{len(self._constants)}", len(self.model.buffers) - 1
            self._constants[key] = self._tensor(name, array.shape, array.dtype.name, place)
        return self._constants[key]

    def apply(
        self,
        operator: str,
        inputs: Sequence[Value | None],
        shape: Sequence[int],
        dtype: str = "float32",
        options: Any = None,
        version: int = 1,
    ) -> Value:
        """Runs a builtin operator.

        Args:
            operator: Its name in the schema, as "ADD".
            inputs: In the operator's order; None for one left out.
            shape: Of its (first) output.
            dtype: Of its (first) output.
            options: A table of the schema, as ``schema.GatherOptionsT()``.
            version: The operator's, the oldest that takes these types.
        """
        return self._apply(operator, inputs, [(tuple(shape), dtype)], options, version)[0]

    def _apply(
        self,
        operator: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[tuple[tuple[int, ...], str]],
        options: Any,
        version: int = 1,
    ) -> list[Value]:
        number = len(self.graph.operators)
        made = [
            self._tensor(f"{operator.lower()}_{number}_{place}", shape, dtype, 0)
            for place, (shape, dtype) in enumerate(outputs)
        ]
        entry = schema.OperatorT()
        entry.opcodeIndex = self.operator_code(getattr(schema.BuiltinOperator, operator), version)
        entry.inputs = [-1 if value is None else value.index for value in inputs]
        entry.outputs = [value.index for value in made]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            entry.builtinOptions = options
        self.graph.operators.append(entry)
        return made

    def operator_code(self, builtin: int, version: int) -> int:
        """Position of an operator in the model's list of them, which it joins if it is new."""
        for position, code in enumerate(self.model.operatorCodes):
            if (code.builtinCode, code.version) == (builtin, version):
                return position
        code = schema.OperatorCodeT()
        # Old readers know the first field only; it ends at 127.
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.builtinCode, code.version = builtin, version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def quantise(self, value: Value, tensor: TensorInfo) -> Value:
        """``value`` as a quantised tensor holds it."""
        made = self.apply("QUANTIZE", [value], value.shape, tensor.dtype)
        quantisation = schema.QuantizationParametersT()
        quantisation.scale, quantisation.zeroPoint = [tensor.scale], [tensor.zero_point]
        self.graph.tensors[made.index].quantization = quantisation
        return made

    def dequantise(self, value: Value) -> Value:
        """The real values of a quantised tensor."""
        return self.apply("DEQUANTIZE", [value], value.shape, version=2)

    def splice(self, network: schema.ModelT, value: Value) -> Value:
        """Appends a whole graph, unchanged, behind ``value``.

        Args:
            network: One subgraph without state, one input of the value's shape
                and type, one output. It is used up: its tables become this graph's.
            value: What goes into it.

        Returns:
            Its output.
        """
        buffers, tensors = len(self.model.buffers), len(self.graph.tensors)
        source = network.subgraphs[0]
        entry = int(source.inputs[0])

        def moved(positions: Any) -> list[int] | None:
            if positions is None:
                return None
            return [
                value.index if place == entry else place + tensors if place >= 0 else -1
                for place in map(int, positions)
            ]

        self.model.buffers.extend(network.buffers)
        for tensor in source.tensors:
            tensor.buffer += buffers
            self.graph.tensors.append(tensor)
        for operator in source.operators:
            code = network.operatorCodes[operator.opcodeIndex]
            builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
            operator.opcodeIndex = self.operator_code(builtin, code.version)
            operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
            operator.intermediates = moved(operator.intermediates)
            self.graph.operators.append(operator)
        output = source.tensors[source.outputs[0]]
        dtype = next(n for n in DTYPES if getattr(schema.TensorType, n.upper()) == output.type)
        return Value(
            int(source.outputs[0]) + tensors, tuple(int(size) for size in output.shape), dtype
        )

    def finish(self, output: Value, name: str, key: str) -> schema.ModelT:
        """Ends the graph.

        Args:
            output: The graph's only output.
            name: What the output is called.
            key: What the only input is called; both also in the signature.
        """
        self.graph.tensors[output.index].name = name
        self.graph.outputs = [output.index]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        ends = ((key, self.graph.inputs[0]), (name, output.index))
        signature.inputs, signature.outputs = ([_tensor_map(*end)] for end in ends)
        self.model.signatureDefs = [signature]
        return self.model

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str, buffer: int) -> Value:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = getattr(schema.TensorType, dtype.upper())
        # Without it a scalar cannot be told from a shape that is not known.
        tensor.hasRank = True
        self.graph.tensors.append(tensor)
        return Value(len(self.graph.tensors) - 1, shape, dtype)

    # Arithmetic, with shapes worked out.

    def add(self, left: Operand, right: Operand) -> Value:
        """The sum."""
        return self._binary("ADD", left, right, schema.AddOptionsT())

    def subtract(self, left: Operand, right: Operand) -> Value:
        """The difference."""
        return self._binary("SUB", left, right, schema.SubOptionsT())

    def multiply(self, left: Operand, right: Operand) -> Value:
        """The product, value by value."""
        return self._binary("MUL", left, right, schema.MulOptionsT())

    def divide(self, left: Operand, right: Operand) -> Value:
        """The quotient."""
        return self._binary("DIV", left, right, schema.DivOptionsT())

    def larger(self, left: Operand, right: Operand) -> Value:
        """The larger of two."""
        return self._binary("MAXIMUM", left, right, schema.MaximumMinimumOptionsT())

    def smaller(self, left: Operand, right: Operand) -> Value:
        """The smaller of two."""
        return self._binary("MINIMUM", left, right, schema.MaximumMinimumOptionsT())

    def clip(self, value: Value, low: Operand, high: Operand) -> Value:
        """``value``, not below ``low`` nor above ``high``."""
        return self.smaller(self.larger(value, low), high)

    def less(self, left: Operand, right: Operand) -> Value:
        """1.0 where ``left`` is below ``right``, else 0.0."""
        return self.cast(self._binary("LESS", left, right, schema.LessOptionsT(), "bool"))

    def differs(self, left: Operand, right: Operand) -> Value:
        """1.0 where two values are not equal, else 0.0."""
        options = schema.NotEqualOptionsT()
        return self.cast(self._binary("NOT_EQUAL", left, right, options, "bool"))

    def unary(self, operator: str, value: Value) -> Value:
        """An operator without options on every value, as "LOG"."""
        return self.apply(operator, [value], value.shape, value.dtype)

    def cast(self, value: Value, dtype: str = "float32") -> Value:
        """Another type; floats become whole numbers by cutting off."""
        options = schema.CastOptionsT()
        options.inDataType = getattr(schema.TensorType, value.dtype.upper())
        options.outDataType = getattr(schema.TensorType, dtype.upper())
        return self.apply("CAST", [value], value.shape, dtype, options)

    def reduce(self, operator: str, value: Value, axis: int | None = None) -> Value:
        """SUM, MEAN or REDUCE_MAX over one axis, which stays as 1, or over all."""
        axes = range(len(value.shape)) if axis is None else [axis]
        options = schema.ReducerOptionsT()
        options.keepDims = axis is not None
        shape = tuple(1 if place in axes else size for place, size in enumerate(value.shape))
        return self.apply(
            operator,
            [value, self.constant(np.array(axes, np.int32))],
            shape if options.keepDims else (),
            options=options,
        )

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same values in another shape."""
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        inputs = [value, self.constant(np.array(shape, np.int32))]
        return self.apply("RESHAPE", inputs, shape, value.dtype, options)

    def pad(self, value: Value, before: int, after: int) -> Value:
        """Zeros at both ends of a row (n,)."""
        amounts = self.constant(np.array([[before, after]], np.int32))
        shape = (value.shape[0] + before + after,)
        return self.apply("PAD", [value, amounts], shape, options=schema.PadOptionsT())

    def cut(self, value: Value, begin: tuple[int, ...], size: tuple[int, ...]) -> Value:
        """The part of ``value`` that begins there and is so large."""
        inputs = [value, *(self.constant(np.array(axis, np.int32)) for axis in (begin, size))]
        return self.apply("SLICE", inputs, size, value.dtype, schema.SliceOptionsT())

    def gather(self, value: Value, rows: Value) -> Value:
        """Rows (first axis) by number; ``rows`` int32 (n,)."""
        options = schema.GatherOptionsT()
        return self.apply(
            "GATHER", [value, rows], (*rows.shape, *value.shape[1:]), value.dtype, options
        )

    def join(self, values: Sequence[Value], axis: int) -> Value:
        """Values beside each other."""
        if len(values) == 1:
            return values[0]
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = list(values[0].shape)
        shape[axis] = sum(value.shape[axis] for value in values)
        return self.apply("CONCATENATION", values, shape, options=options)

    def product(self, rows: Value, matrix: npt.NDArray[Any]) -> Value:
        """Matrix product of ``rows`` (n, k) and a constant (k, m)."""
        weights = self.constant(np.asarray(matrix, np.float32).T)
        shape = (rows.shape[0], matrix.shape[1])
        options = schema.FullyConnectedOptionsT()
        return self.apply("FULLY_CONNECTED", [rows, weights, None], shape, options=options)

    def largest(self, rows: Value, count: int) -> Value:
        """The ``count`` largest of each row (n, k), largest first."""
        shape = (rows.shape[0], count)
        inputs = [rows, self.constant(np.int32(count))]
        outputs = [(shape, "float32"), (shape, "int32")]
        return self._apply("TOPK_V2", inputs, outputs, schema.TopKV2OptionsT())[0]

    def _binary(
        self, operator: str, left: Operand, right: Operand, options: Any, dtype: str = "float32"
    ) -> Value:
        values = [
            v if isinstance(v, Value) else self.constant(np.float32(v)) for v in (left, right)
        ]
        shape = np.broadcast_shapes(values[0].shape, values[1].shape)
        return self.apply(operator, values, shape, dtype, options)


def _tensor_map(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
