"""Which operators of a converted graph came from which layer of the network.

The converter keeps the layers' names in those of its tensors, joined where it
made one operator of several layers. A fused LSTM loses its name; it is known by
its place among the fused ones.

TensorFlow's tracing puts numbers behind names: "dense_1" may be the layer "dense"
or the layer "dense_1". So a network is converted under names that end in none
(:func:`traced_name`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ser_edge_convert.graph import Graph, Operator

FUSED = "FusedLSTM"
LSTM_OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"

# What the converter makes a part of the layer before or after it.
_FOLDED = frozenset(
    {
        "InputLayer", "BatchNormalization", "ReLU", "Activation", "LeakyReLU", "Dropout",
        "SpatialDropout1D", "SpatialDropout2D", "Flatten", "Reshape", "RepeatVector",
    }
)  # fmt: skip
# They hand values on as they are, in the scale in which they come.
MOVES = frozenset(
    {
        "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE", "SLICE", "SPLIT", "SPLIT_V", "PACK",
        "UNPACK", "TRANSPOSE", "MAX_POOL_2D", "PAD", "REVERSE_V2", "GATHER", "TILE", "BROADCAST_TO",
        "SHAPE", "QUANTIZE", "DEQUANTIZE",
    }
)  # fmt: skip

_NUMBER = re.compile(r"_\d+$")
_PROTECTED = re.compile(r"(_\d+)_$")


@dataclass(frozen=True)
class Layer:
    """A layer of the network and what became of it.

    Attributes:
        name: As Keras has it.
        kind: Its class.
        operators: Positions of its operators in the graph, in order.
        output: Position of the tensor that leaves it.
    """

    name: str
    kind: str
    operators: tuple[int, ...]
    output: int


def traced_name(name: str) -> str:
    """The name under which a layer is converted: itself, unless it ends in a number."""
    return f"{name}_" if _NUMBER.search(name) else name


def layers_of(graph: Graph, kinds: Mapping[str, str]) -> tuple[Layer, ...]:
    """The layers that compute something, in the order of the graph.

    Args:
        graph: As the converter made it, before it was quantised.
        kinds: Class of each layer of the network that was converted, by its traced name,
            in the network's order.

    Returns:
        Layers whose operators do no more than hand values on are left out.
    """
    fused = iter([name for name, kind in kinds.items() if kind == FUSED])
    owner: dict[int, str] = {}
    members: dict[str, list[int]] = defaultdict(list)
    for position, operator in enumerate(graph.operators):
        named = [name for name in _mentioned(graph, operator) if name in kinds]
        moved = [owner[i] for i in operator.inputs if i in owner]
        if operator.name in MOVES and moved:
            # With its source: between two layers in floats nothing may round.
            name = moved[0]
        elif operator.name == LSTM_OPERATOR:
            name = next(fused, f"lstm-{position}")
        elif named:
            name = next((name for name in named if kinds[name] not in _FOLDED), named[0])
        elif kinds and moved:
            name = moved[0]
        else:  # a SavedModel has no layers to name: there, each operator is one
            name = f"{operator.name.lower()}-{position}"
        members[name].append(position)
        owner |= dict.fromkeys(operator.outputs, name)
    return tuple(
        Layer(
            _PROTECTED.sub(r"\1", name),
            kinds.get(name, ""),
            tuple(positions),
            graph.operators[_last_computing(graph, positions)].outputs[0],
        )
        for name, positions in sorted(members.items(), key=lambda item: item[1][0])
        if any(graph.operators[position].name not in MOVES for position in positions)
    )


def constant_bytes(graph: Graph, layer: Layer) -> int:
    """Bytes of all constants that a layer's operators read, each once: its weights above all."""
    read = {i for position in layer.operators for i in graph.operators[position].inputs}
    return sum(graph.tensors[i].bytes for i in read if i >= 0)


def nodes_of(graph: Graph, layers: Collection[Layer], names: Collection[str]) -> list[str]:
    """Names of the tensors that the operators of the named layers make.

    By these the quantiser knows what is to stay in floating point.

    Raises:
        KeyError: A name is of no layer.
    """
    by_name = {layer.name: layer for layer in layers}
    return [
        graph.tensors[output].name
        for name in sorted(names)
        for position in by_name[name].operators
        for output in graph.operators[position].outputs
    ]


def _last_computing(graph: Graph, positions: list[int]) -> int:
    return [place for place in positions if graph.operators[place].name not in MOVES][-1]


def _mentioned(graph: Graph, operator: Operator) -> list[str]:
    """Layers in the names of an operator's output, then of its constants."""
    constants = [i for i in operator.inputs if i >= 0 and graph.tensors[i].constant]
    found = []
    for index in (*operator.outputs, *constants):
        for path in graph.tensors[index].name.split(";"):
            found += [_NUMBER.sub("", part) for part in reversed(path.split("/"))]
    return found
