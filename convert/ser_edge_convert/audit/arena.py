"""How much memory a graph's passing values need at once, estimated from its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ser_edge_convert.graph import Graph

ALIGNMENT = 16
SIZES = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
    "complex64": 8,
}


@dataclass(frozen=True)
class Buffer:
    """A tensor's values while they are needed.

    Attributes:
        size: Bytes, aligned.
        first: The operator that writes it, counted from 0; -1 for what is there before.
        last: The last operator that reads it; the number of operators for what stays.
    """

    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are needed at one time."""
        return self.first <= other.last and other.first <= self.last


def arena_bytes(graph: Graph) -> int | None:
    """Bytes of the smallest arena that a greedy planner finds, an estimate.

    The largest buffer first, each at the lowest place where it meets no other
    that lives at the same time: the planner of TensorFlow Lite Micro
    (``GreedyMemoryPlanner``), after Pisarchyk and Lee, "Efficient Memory
    Management for Deep Neural Net Inference" (2020), greedy by size. What
    kernels take for themselves is not in the file, and not counted.

    Args:
        graph: Of static shapes; an axis of unknown size counts as 1.

    Returns:
        None where it cannot be told: loops and branches have graphs of their own,
        and some types have no fixed size.
    """
    if graph.subgraphs > 1:
        return None
    buffers = lifetimes(graph)
    if buffers is None:
        return None
    return max((start + buffer.size for start, buffer in placements(buffers)), default=0)


def lifetimes(graph: Graph) -> list[Buffer] | None:
    """The buffers of all tensors that are computed; None if one has no fixed size."""
    first = dict.fromkeys(graph.inputs, -1)
    last = dict.fromkeys(graph.inputs, -1)
    for number, operator in enumerate(graph.operators):
        for position in (*operator.inputs, *operator.outputs):
            if position >= 0 and not graph.tensors[position].constant:
                first.setdefault(position, number)
                last[position] = number
    for position, tensor in enumerate(graph.tensors):
        if tensor.variable:
            first[position] = -1
            last[position] = len(graph.operators)
    for position in graph.outputs:
        last[position] = len(graph.operators)
        first.setdefault(position, -1)
    buffers = []
    for position in sorted(first):
        tensor = graph.tensors[position]
        if tensor.dtype not in SIZES:
            return None
        size = math.prod(max(axis, 1) for axis in tensor.shape) * SIZES[tensor.dtype]
        aligned = -(-size // ALIGNMENT) * ALIGNMENT
        buffers.append(Buffer(aligned, first[position], last[position]))
    return buffers


def placements(buffers: Sequence[Buffer]) -> list[tuple[int, Buffer]]:
    """Where a greedy planner places ``buffers``: (first byte, buffer), the largest first."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda one: (-one.size, one.first)):
        start = 0
        for begin, other in sorted(placed, key=lambda one: one[0]):
            if other.meets(buffer):
                if start + buffer.size <= begin:
                    break
                start = max(start, begin + other.size)
        placed.append((start, buffer))
    return placed
