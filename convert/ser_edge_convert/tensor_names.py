"""Names of a graph's tensors, short enough for a small file."""

from __future__ import annotations

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.graph import text_of


def with_short_names(flatbuffer: bytes) -> bytes:
    """A graph whose tensors are named after one operation each.

    Where TensorFlow made one operator of many, it joins all their names with ";", and a tensor of a
    convolution with its normalisation is called so in 150 to 400 characters. What is kept is the
    first, the operation whose result the tensor holds; a number makes it unlike the names before.

    Args:
        flatbuffer: A TFLite model.

    Returns:
        The model with other names and nothing else changed; the same input gives the same bytes.
    """
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for graph in model.subgraphs:
        names = [text_of(tensor.name) for tensor in graph.tensors]
        # Names that stay are taken from the start: none of them may be given to another tensor.
        taken = {name for name in names if _first(name) == name}
        for tensor, name in zip(graph.tensors, names, strict=True):
            if _first(name) != name:
                tensor.name = _unlike(taken, _first(name))
                taken.add(tensor.name)
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _first(name: str) -> str:
    return name.split(";", 1)[0] or name


def _unlike(taken: set[str], name: str) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
