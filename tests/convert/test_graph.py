"""Reading facts out of committed toy graphs; those of real exports are in test_export."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_edge_convert.errors import ConversionFailed
from ser_edge_convert.graph import read_graph, read_graphs

DATA = Path(__file__).resolve().parent.parent / "data"


def graph(name: str):
    return read_graph((DATA / name).read_bytes())


def test_a_float_graph_has_no_quanta():
    found = graph("toy_float.tflite")
    assert found.output_quantum == 0.0
    assert found.tensors[found.inputs[0]].dtype == "float32"
    assert not found.keeps_state
    assert sum(found.counts.values()) == len(found.operators)
    assert list(found.counts) == sorted(found.counts)


def test_an_int8_graph_tells_its_step():
    found = graph("toy_int8.tflite")
    output = found.tensors[found.outputs[0]]
    assert output.dtype == "int8"
    assert found.output_quantum == output.scales[0] > 0
    assert found.inner_floats == ()


def test_a_state_is_seen():
    assert graph("toy_stateful.tflite").keeps_state


def test_positions_fit_the_tensors():
    found = graph("toy_int8.tflite")
    for operator in found.operators:
        for position in (*operator.inputs, *operator.outputs):
            assert -1 <= position < len(found.tensors)
    assert found.ends == {*found.inputs, *found.outputs}
    assert any(tensor.constant and tensor.bytes > 0 for tensor in found.tensors)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"PK\3\4" + b"\0" * 60])
def test_other_bytes_are_refused(data):
    with pytest.raises(ConversionFailed, match="not a TensorFlow Lite file"):
        read_graph(data)


def test_short_constants_of_whole_numbers_are_read():
    found = graph("toy_int8.tflite")
    values = {tensor.name: tensor.values for tensor in found.tensors}
    assert values["mean_axis"] == (1,)
    assert len(values["bias"]) == 3
    assert values["kernel"] is None, "int8 weights are no parameters"
    assert values["features"] is None, "not constant"


def test_options_have_names():
    last = graph("toy_int8.tflite").operators[-1]
    assert last.name == "FULLY_CONNECTED"
    assert last.options["fused_activation_function"] == "NONE"
    assert last.options["keep_num_dims"] is False
    assert last.custom == ""


def test_a_foreign_operator_has_its_own_name():
    (operator,) = graph("toy_unknown_op.tflite").operators
    assert (operator.name, operator.custom) == ("CUSTOM", "FromNowhere")
    assert operator.options == {}


def test_the_main_graph_comes_first():
    data = (DATA / "toy_stateful.tflite").read_bytes()
    graphs = read_graphs(data)
    assert len(graphs) == graphs[0].subgraphs == 1
    assert graphs[0] == read_graph(data)
    assert graphs[0].operators[0].options["fused_activation_function"] == "TANH"
