"""Graphs of a single operator, made of nothing but what a condition looks at."""

from __future__ import annotations

from typing import Any

from ser_edge_convert.graph import Graph, Operator, Tensor


def tensor(
    shape: tuple[int, ...] = (1, 8),
    dtype: str = "int8",
    *,
    constant: bool = False,
    variable: bool = False,
    scales: tuple[float, ...] = (0.1,),
    zero_points: tuple[int, ...] = (0,),
    values: tuple[int, ...] | None = None,
) -> Tensor:
    return Tensor(
        "t", shape, dtype, constant or values is not None, variable, scales, zero_points, 0, values
    )


def weights(shape: tuple[int, ...] = (8, 8), dtype: str = "int8", **rest: Any) -> Tensor:
    return tensor(shape, dtype, constant=True, **rest)


def numbers(*values: int, shape: tuple[int, ...] | None = None) -> Tensor:
    return tensor(shape or (len(values),), "int32", scales=(), zero_points=(), values=values)


def one(
    name: str,
    *inputs: Tensor | None,
    output: Tensor | None = None,
    version: int = 1,
    custom: str = "",
    subgraphs: int = 1,
    **options: Any,
) -> Graph:
    """A graph of one operator; an input of None is left out."""
    tensors = [t for t in inputs if t is not None] + [output or tensor()]
    positions = iter(range(len(tensors)))
    places = tuple(-1 if t is None else next(positions) for t in inputs)
    last = len(tensors) - 1
    operator = Operator(name, version, places, (last,), options, custom)
    fed = tuple(i for i in places if i >= 0 and not tensors[i].constant)
    return Graph(tuple(tensors), (operator,), fed[:1], (last,), subgraphs)
