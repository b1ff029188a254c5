"""Layers of a converted graph, and int8 files that keep some of them in floating point."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert import export  # noqa: E402
from ser_edge_convert.fused_lstm import prepare  # noqa: E402
from ser_edge_convert.graph import Graph, Operator, Tensor, read_graph  # noqa: E402
from ser_edge_convert.layers import constant_bytes, layers_of, nodes_of, traced_name  # noqa: E402
from ser_edge_convert.quantisation import calibrate, quantise  # noqa: E402
from tests.convert import networks  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:Statistics for quantized inputs were expected:UserWarning"
)


def residual():
    """Convolutions around an addition, two poolings joined, two dense layers of like names."""
    inputs = keras.Input((networks.STEPS, networks.COLUMNS))
    x = keras.layers.Conv1D(8, 3, padding="same", use_bias=False, name="enter")(inputs)
    x = keras.layers.BatchNormalization(name="enter_norm")(x)
    x = keras.layers.ReLU(name="enter_relu")(x)
    added = keras.layers.Conv1D(8, 3, padding="same", activation="relu", name="inside")(x)
    x = keras.layers.Add(name="sum")([x, added])
    mean = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    x = keras.layers.MaxPooling1D(networks.STEPS, name="peak")(x)
    x = keras.layers.Flatten(name="row")(x)
    x = keras.layers.Concatenate(name="both")([mean, x])
    x = keras.layers.Dense(6, activation="relu", name="dense")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="dense_1")(x))


class Made:
    def __init__(self, model, lstm: str = "fused") -> None:
        keras.utils.set_random_seed(1)
        self.copy, self.forms = prepare(model, lstm)
        self.clips = networks.features(12, seed=7)
        converter = export.make_converter(self.copy, "int8", self.clips)
        self.calibrated = calibrate(converter)
        self.graph = read_graph(self.calibrated)
        self.layers = layers_of(self.graph, export.layer_kinds(self.copy))

    def quantised(self, *names: str) -> Graph:
        return read_graph(quantise(self.calibrated, nodes_of(self.graph, self.layers, names)))


@pytest.fixture(scope="module")
def branching() -> Made:
    return Made(residual())


@pytest.fixture(scope="module")
def recurrent() -> Made:
    return Made(networks.cnn_lstm())


def float_operators(graph: Graph) -> list[str]:
    return [
        operator.name
        for operator in graph.operators
        if operator.name not in ("QUANTIZE", "DEQUANTIZE")
        and any(graph.tensors[i].dtype == "float32" for i in operator.outputs)
    ]


def test_each_layer_that_computes_has_its_operators(branching):
    kinds = {layer.name: layer.kind for layer in branching.layers}
    # Reshaping and picking a maximum change no value's scale: nothing to blame.
    assert kinds == {
        "enter": "Conv1D", "inside": "Conv1D", "sum": "Add", "mean": "GlobalAveragePooling1D",
        "both": "Concatenate", "dense": "Dense", "dense_1": "Dense",
    }  # fmt: skip
    graph = branching.graph
    names = {
        layer.name: {graph.operators[i].name for i in layer.operators} for layer in branching.layers
    }
    assert "CONV_2D" in names["enter"]
    assert "CONV_2D" in names["inside"]
    assert names["dense"] == {"FULLY_CONNECTED"} == names["dense_1"]
    # A maximum over time, its reshapings: with the layer whose values they hand on.
    assert {"ADD", "MAX_POOL_2D", "RESHAPE"} <= names["sum"]
    taken = sorted(i for layer in branching.layers for i in layer.operators)
    assert len(taken) == len(set(taken))


def test_the_output_of_a_layer_is_what_leaves_it(branching):
    graph = branching.graph
    by_name = {layer.name: layer for layer in branching.layers}
    assert by_name["dense_1"].output == graph.outputs[0]
    assert graph.tensors[by_name["enter"].output].shape[-1] == 8
    assert graph.tensors[by_name["dense"].output].shape == (1, 6)


def test_a_layer_weighs_what_its_weights_take(branching):
    weighs = {layer.name: constant_bytes(branching.graph, layer) for layer in branching.layers}
    model = branching.copy
    for name in ("inside", "dense"):
        kernel = model.get_layer(name).kernel
        # Beside it a bias, unless it is zero throughout, and a shape.
        assert 4 * np.size(kernel) <= weighs[name] <= 4 * np.size(kernel) + 96
    assert weighs["mean"] <= 64
    assert weighs["both"] == 0


def test_fused_layers_are_told_apart_by_their_order(recurrent):
    names = [layer.name for layer in recurrent.layers]
    assert names[1:3] == ["first", "second"]
    lstm = {
        layer.name: [recurrent.graph.operators[i].name for i in layer.operators]
        for layer in recurrent.layers
    }
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in lstm["first"]
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in lstm["second"]
    assert recurrent.graph.counts["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 2


def test_an_unrolled_layer_is_one_layer():
    inputs = keras.Input((networks.STEPS, networks.COLUMNS))
    x = keras.layers.Conv1D(4, 3, strides=6, name="enter")(inputs)
    x = keras.layers.SimpleRNN(5, name="memory")(x)
    made = Made(keras.Model(inputs, keras.layers.Dense(4, name="leave")(x)), "unrolled")
    assert [layer.name for layer in made.layers] == ["enter", "memory", "leave"]
    assert len(made.layers[1].operators) > 10
    found = float_operators(made.quantised("memory"))
    assert found.count("TANH") == 4
    assert "CONV_2D" not in found


def test_without_float_layers_all_is_quantised(branching, recurrent):
    assert float_operators(branching.quantised()) == []
    assert float_operators(recurrent.quantised()) == []


def test_a_layer_left_in_floats_is_the_only_one(branching):
    found = float_operators(branching.quantised("inside"))
    assert found.count("CONV_2D") == 1
    assert set(found) <= {"CONV_2D", "RESHAPE"}
    assert float_operators(branching.quantised("dense", "dense_1")) == ["FULLY_CONNECTED"] * 2
    everything = branching.quantised(*(layer.name for layer in branching.layers))
    weights = [t for t in everything.tensors if t.constant and t.dtype == "int8"]
    assert weights == []
    types = {everything.tensors[i].dtype for op in everything.operators for i in op.outputs}
    assert types == {"float32"}, "nothing rounds between layers in floats"


def test_a_fused_lstm_can_stay_in_floats(recurrent):
    graph = recurrent.quantised("second")
    types = [
        graph.tensors[operator.outputs[0]].dtype
        for operator in graph.operators
        if operator.name == "UNIDIRECTIONAL_SEQUENCE_LSTM"
    ]
    assert types == ["int8", "float32"]


def test_a_name_of_no_layer_is_an_error(branching):
    with pytest.raises(KeyError, match="nobody"):
        branching.quantised("nobody")


def test_the_exported_file_keeps_the_same_layers_in_floats(branching):
    flatbuffer = export.to_flatbuffer(branching.copy, "int8-io", branching.clips, ("inside",))
    graph, searched = read_graph(flatbuffer), branching.quantised("inside")
    assert float_operators(graph).count("CONV_2D") == 1
    assert [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] == ["int8", "int8"]
    ends = {"QUANTIZE": searched.counts["QUANTIZE"] - 1}
    ends["DEQUANTIZE"] = searched.counts["DEQUANTIZE"] - 1
    assert graph.counts == searched.counts | ends, "the same but for floats at the ends"


@pytest.mark.parametrize(
    ("variant", "message"), [("dynamic", "no layers to leave"), ("int16x8", "all layers or none")]
)
def test_other_variants_have_no_float_layers(branching, variant, message):
    with pytest.raises(ValueError, match=message):
        export.to_flatbuffer(branching.copy, variant, branching.clips, ("inside",))


def test_a_layer_that_was_quantised_all_the_same_is_an_error(branching, monkeypatch):
    real = export.convert_calibrated.__globals__["steps"].mlir_quantize
    monkeypatch.setattr(
        export.convert_calibrated.__globals__["steps"],
        "mlir_quantize",
        lambda calibrated, denylisted_nodes: real(calibrated),
    )
    with pytest.raises(RuntimeError, match="was to stay float"):
        branching.quantised("inside")


def graph_of(*names: str) -> Graph:
    tensors = tuple(Tensor(name, (1,), "float32", False, False, (), (), 0) for name in names)
    operators = tuple(Operator("ADD", 1, (i,), (i + 1,)) for i in range(len(names) - 1))
    return Graph(tensors, operators, (0,), (len(names) - 1,), 1)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        # A layer "dense_1" is converted as "dense_1_"; other numbers are the tracing's.
        (("in", "net_1/dense_1/Add", "net_1/dense_1__1/Add"), ["dense", "dense_1"]),
        (("in", "net/dense/Add", "net/dense_1_/Add"), ["dense", "dense_1"]),
        (
            ("in", "net_2/norm_2/Mul;net_2/dense_2/Add", "net_2/dense_1__2/Add"),
            ["dense", "dense_1"],
        ),
        (("in", "net/norm/mul", "net/dense_1_/Add"), ["norm", "dense_1"]),
        # What has no name of its own belongs to where its values come from.
        (("in", "net/dense/Add", "tfl.add"), ["dense"]),
    ],
)
def test_numbers_behind_names(names, found):
    classes = {"dense": "Dense", "norm": "BatchNormalization", "dense_1": "Dense"}
    kinds = {traced_name(name): kind for name, kind in classes.items()}
    layers = layers_of(graph_of(*names), kinds)
    assert [layer.name for layer in layers] == found


def test_without_names_each_operator_is_a_layer():
    layers = layers_of(graph_of("in", "a", "b"), {})
    assert [layer.name for layer in layers] == ["add-0", "add-1"]
