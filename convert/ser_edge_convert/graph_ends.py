"""How a finished graph ends, and which way its numbers are written."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.graph import Graph, read_graph


def variant_of(graph: Graph) -> str:
    """The name in :data:`ser_edge_convert.variants.VARIANTS` of what a graph is written in."""
    ends = {graph.tensors[position].dtype for position in graph.ends}
    if "float32" not in ends:
        return "int16x8" if "int16" in ends else "int8-io"
    made = {position for operator in graph.operators for position in operator.outputs}
    inner = [graph.tensors[position] for position in made if graph.tensors[position].scales]
    stored = [tensor for tensor in graph.tensors if tensor.constant]
    if any(tensor.dtype == "int16" for tensor in inner):
        return "int16x8"
    if any(tensor.dtype in ("int8", "uint8") for tensor in inner):
        return "int8"
    if any(tensor.dtype == "int8" and tensor.scales for tensor in stored):
        return "dynamic"
    return "float16" if any(tensor.dtype == "float16" for tensor in stored) else "float32"


def without_softmax(flatbuffer: bytes) -> tuple[bytes, bool]:
    """A graph that ends before its softmax, and whether there was one.

    The runtime divides logits by a temperature and applies the softmax itself. A
    DEQUANTIZE behind the softmax stays, and takes the logits. What is not changed
    is given back as it came.

    Args:
        flatbuffer: A TFLite model with one output.

    Raises:
        ConversionFailed: It is none.
    """
    graph = read_graph(flatbuffer)
    end, after = graph.outputs[0], None
    # One without inputs ends no graph that is whole; who runs it will say so.
    with_inputs = [(number, op) for number, op in enumerate(graph.operators) if op.inputs]
    makers = {out: number for number, op in with_inputs for out in op.outputs}
    last = makers.get(end)
    if last is not None and graph.operators[last].name == "DEQUANTIZE":
        after, last = last, makers.get(graph.operators[last].inputs[0])
    if last is None or graph.operators[last].name != "SOFTMAX":
        return flatbuffer, False
    logits, given = graph.operators[last].inputs[0], graph.operators[last].outputs[0]
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    main = model.subgraphs[0]
    if after is not None:
        main.operators[after].inputs = np.array([logits], np.int32)
    else:
        main.outputs = np.array([logits], np.int32)
        for signature in model.signatureDefs or []:
            for tensor in signature.outputs or []:
                if tensor.tensorIndex == given:
                    tensor.tensorIndex = logits
    del main.operators[last]
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), True
