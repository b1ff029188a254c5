"""Takes the clip off a fused LSTM's cell state.

The converter gives every fused LSTM a clip of its cell state at +-10, which no
layer of Keras has (tensorflow 2.21.0). A state that counts over a hundred
frames passes 10 easily (31 was seen on RAVDESS); probabilities were then off by
up to 0.5 in every variant, float32 included.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

NO_CLIP = 0.0
# The int8 kernel knows states below 2 ** 6: calibrated on a larger one, half the
# answers were wrong (ai-edge-litert 2.3.0). A state that far out has saturated
# its tanh long before, so this bound is all but none.
WIDEST_INT8 = 64.0

_FIELD = 6  # place of cell_clip in the vtable of the operator's options


def set_cell_clip(flatbuffer: bytes, limit: float) -> bytes:
    """The same graph, every fused LSTM's cell state being clipped at ``limit``; 0 for never."""
    data = bytearray(flatbuffer)
    for position in _positions(data):
        struct.pack_into("<f", data, position, limit)
    return bytes(data)


def cell_clips(flatbuffer: bytes) -> tuple[float, ...]:
    """The clip of every fused LSTM that has one, in order."""
    data = bytearray(flatbuffer)
    values = (struct.unpack_from("<f", data, position)[0] for position in _positions(data))
    return tuple(value for value in values if value)


def _positions(data: bytearray) -> Iterator[int]:
    """Where the clips stand; an operator that leaves the field out has none."""
    model = schema.Model.GetRootAs(data, 0)
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
            table = operator.BuiltinOptions()
            if code == schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM and table is not None:
                offset = table.Offset(_FIELD)
                if offset:
                    yield table.Pos + offset
