"""Conditions that a target puts on a file as a whole: its ends, its state, its shapes."""

from __future__ import annotations

from collections.abc import Callable

from ser_edge_convert.graph import Graph

FileCondition = Callable[..., str | None]


def ends(graph: Graph, *allowed: str) -> str | None:
    """Inputs and outputs have one of these types."""
    for position in sorted(graph.ends):
        tensor = graph.tensors[position]
        if tensor.dtype not in allowed:
            return (
                f"{tensor.dtype} at its ends ({tensor.name}), only {', '.join(allowed)} is taken: "
                "convert with --variant int8"
            )
    return None


def stateless(graph: Graph) -> str | None:
    """Nothing is kept between invokes."""
    state = next((tensor for tensor in graph.tensors if tensor.variable), None)
    if state is None:
        return None
    return f"keeps a state ({state.name}), as a fused LSTM does: convert with --target web"


def static(graph: Graph) -> str | None:
    """All shapes are known."""
    for tensor in graph.tensors:
        if -1 in tensor.shape:
            return f"a dynamic shape ({tensor.name}): convert with a batch of one"
    return None


def some_of(graph: Graph, *allowed: str) -> str | None:
    """Some tensor that is computed has one of these types."""
    found = {tensor.dtype for tensor in graph.tensors if not (tensor.constant or tensor.variable)}
    if found & set(allowed):
        return None
    return (
        f"not quantised: all activations are {' or '.join(sorted(found))}, "
        f"{' or '.join(allowed)} is needed: convert with --variant int8-io"
    )


FILE_CONDITIONS: dict[str, FileCondition] = {
    "ends": ends,
    "stateless": stateless,
    "static": static,
    "some-of": some_of,
}


def failed(line: str, graph: Graph) -> str | None:
    """Why the condition of that line does not hold for a file's main graph; None if it does.

    Raises:
        KeyError: No condition has that name: the table is wrong.
    """
    name, *arguments = line.split()
    return FILE_CONDITIONS[name](graph, *arguments)
