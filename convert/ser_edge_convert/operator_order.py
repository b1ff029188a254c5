"""An order of a graph's operators in which none writes over what a later one reads.

TensorFlow Lite's own kernels let an operator such as ADD or MUL write its result over its input if
no other operator reads that tensor. A RESHAPE copies nothing: its result is its input's memory.
Both together go wrong, without a word (tflite-runtime 2.14.0, ai-edge-litert 2.3.0, tensorflow
2.21.0): where y = a + b goes through a RESHAPE into a MUL, and past it into a MAX_POOL_2D, the ADD
has written y over b; the RESHAPE's result has the MUL as its only reader, as b had the ADD, so the
MUL writes over y; and the maximum is taken over products. XNNPACK's kernels do none of this, but
they are not on every device (32-bit ARM has none) and do not take every operator. So whoever reads
a reshaped tensor comes after all other readers of its memory. No order helps where two read it
reshaped and write over it; :func:`ser_edge_convert.comparison.check_plain_kernels` sees that.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_SAME_MEMORY = frozenset(
    {
        schema.BuiltinOperator.RESHAPE,
        schema.BuiltinOperator.SQUEEZE,
        schema.BuiltinOperator.EXPAND_DIMS,
        schema.BuiltinOperator.BITCAST,
    }
)


def with_safe_order(flatbuffer: bytes) -> bytes:
    """A graph in which whoever reads a reshaped tensor comes after all other readers of its memory.

    Args:
        flatbuffer: A TFLite model.

    Returns:
        The model with its operators in another order where that is needed, otherwise the bytes
        given; the same input gives the same bytes. What it computes is the same.
    """
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    if not order_safely(model):
        return flatbuffer
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def order_safely(model: Any) -> bool:
    """Orders the operators of a ``schema.ModelT`` so; returns whether one was moved."""
    moved = False
    for graph in model.subgraphs:
        operators = graph.operators or []
        order = _order(operators, [_code(model, operator) for operator in operators])
        moved |= order != sorted(order)
        graph.operators = [operators[place] for place in order]
    return moved


def _code(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files have the code in the old field alone.
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _order(operators: Sequence[Any], codes: Sequence[int]) -> list[int]:
    """The places of the operators, as near to the order given as the readers allow."""
    memory: dict[int, int] = {}
    reshaped: set[int] = set()
    behind: list[set[int]] = [set() for _ in operators]
    maker: dict[int, int] = {}
    readers: dict[int, list[int]] = defaultdict(list)
    of_reshaped: dict[int, list[int]] = defaultdict(list)
    for place, (operator, code) in enumerate(zip(operators, codes, strict=True)):
        read = [int(tensor) for tensor in operator.inputs if tensor >= 0]
        behind[place] = {maker[tensor] for tensor in read if tensor in maker}
        if code in _SAME_MEMORY:
            memory[int(operator.outputs[0])] = memory.get(read[0], read[0])
            reshaped.add(int(operator.outputs[0]))
        else:
            for tensor in read:
                (of_reshaped if tensor in reshaped else readers)[memory.get(tensor, tensor)].append(
                    place
                )
        maker.update((int(tensor), place) for tensor in operator.outputs)
    before = _all_before(behind)
    for root, late in of_reshaped.items():
        for last in late:
            for other in readers[root]:
                # One that needs the other's result cannot come before it.
                if last not in before[other] and other != last:
                    behind[last].add(other)
    return _sorted(behind)


def _all_before(behind: Sequence[set[int]]) -> list[set[int]]:
    """All places that stand before each, over any number of steps."""
    found: list[set[int]] = []
    for nearest in behind:
        found.append(nearest.union(*(found[place] for place in nearest)))
    return found


def _sorted(behind: Sequence[set[int]]) -> list[int]:
    """The first order, of those that the requirements allow, in which low places come early."""
    waiting = [len(nearest) for nearest in behind]
    following: dict[int, list[int]] = defaultdict(list)
    for place, nearest in enumerate(behind):
        for needed in nearest:
            following[needed].append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    order = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for other in following[place]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, other)
    # Requirements that contradict each other leave some out: then the order stays as it was.
    return order if len(order) == len(behind) else list(range(len(behind)))
