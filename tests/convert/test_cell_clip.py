"""Finding and setting the cell clip in a graph's bytes; real exports are in test_export."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.cell_clip import cell_clips, set_cell_clip

DATA = Path(__file__).resolve().parent.parent / "data"
LSTM = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM


def graph(*clips: float | None) -> bytes:
    """A graph of LSTM operators with these clips and an ADD; None leaves the options out."""
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes = []
    for code in (schema.BuiltinOperator.ADD, LSTM):
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        model.operatorCodes.append(entry)
    subgraph = schema.SubGraphT()
    subgraph.operators = [schema.OperatorT()]
    for clip in clips:
        operator = schema.OperatorT()
        operator.opcodeIndex = 1
        if clip is not None:
            options = schema.UnidirectionalSequenceLSTMOptionsT()
            options.cellClip, options.projClip = clip, 3.0
            operator.builtinOptions = options
            operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
        subgraph.operators.append(operator)
    model.subgraphs = [subgraph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_every_lstm_is_set_and_nothing_else():
    before = graph(10.0, 5.0, 0.0, None)
    after = set_cell_clip(before, 64.0)
    assert cell_clips(before) == (10.0, 5.0)
    assert cell_clips(after) == (64.0, 64.0), "one that has none keeps none"
    assert len(before) == len(after)
    options = [
        operator.builtinOptions
        for operator in schema.ModelT.InitFromPackedBuf(after, 0).subgraphs[0].operators
        if operator.builtinOptions is not None
    ]
    assert {option.projClip for option in options} == {3.0}
    assert set_cell_clip(set_cell_clip(before, 10.0), 64.0) == after


def test_no_clip_is_no_clip():
    assert cell_clips(set_cell_clip(graph(10.0), 0.0)) == ()


@pytest.mark.parametrize("name", ["toy_float.tflite", "toy_int8.tflite"])
def test_other_graphs_stay_as_they_are(name):
    data = (DATA / name).read_bytes()
    assert set_cell_clip(data, 64.0) == data
    assert cell_clips(data) == ()
