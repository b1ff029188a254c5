"""Networks of other people: softmaxes at the end, SavedModels, layers of their own."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra convert")

from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from ser_edge_convert import export, quantiser_child  # noqa: E402
from ser_edge_convert.child import FAILED, Desk, Job  # noqa: E402
from ser_edge_convert.graph import read_graph  # noqa: E402
from ser_edge_convert.layers import layers_of  # noqa: E402
from ser_edge_convert.loading import Unfit, first_line, read_network  # noqa: E402
from ser_edge_convert.quantisation import calibrate  # noqa: E402
from ser_edge_convert.saved_model import SavedNetwork  # noqa: E402
from tests.convert import networks  # noqa: E402

# tensorflow 2.21.0 warns of every int8 conversion by its own calibrator; nothing is left to give.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Statistics for quantized inputs were expected:UserWarning"
)
SHAPE = (networks.STEPS, networks.COLUMNS)
CLIPS = networks.features(6)


def body():
    inputs = keras.Input(SHAPE)
    return inputs, keras.layers.Dense(4, kernel_initializer=networks._wide(keras))(
        keras.layers.GlobalAveragePooling1D()(inputs)
    )


def in_the_layer():
    inputs = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling1D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))


def a_layer():
    inputs, logits = body()
    return keras.Model(inputs, keras.layers.Softmax()(logits))


def an_activation():
    inputs, logits = body()
    return keras.Model(inputs, keras.layers.Activation("softmax")(logits))


def an_operation():
    inputs, logits = body()
    return keras.Model(inputs, keras.ops.softmax(logits))


def in_a_sequence():
    return keras.Sequential(
        [keras.Input(SHAPE), keras.layers.LSTM(5), keras.layers.Dense(4, activation="softmax")]
    )


def probabilities(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "build", [in_the_layer, a_layer, an_activation, an_operation, in_a_sequence]
)
def test_a_softmax_at_the_end_is_taken_off(tmp_path, build):
    model = build()
    given = model.predict_on_batch(CLIPS)
    found, softmax = read_network(str(networks.save(model, tmp_path / "m.keras")))
    assert softmax
    logits = found.predict_on_batch(CLIPS)
    np.testing.assert_allclose(probabilities(logits), given, atol=1e-6)
    assert not np.allclose(logits.sum(axis=1), 1, atol=0.01)
    copy, _ = export.prepare(found, "fused")
    np.testing.assert_allclose(copy.predict_on_batch(CLIPS[:1]), logits[:1], atol=1e-5)


def test_a_network_in_logits_stays_as_it_is(tmp_path):
    model = networks.convolution()
    found, softmax = read_network(str(networks.save(model, tmp_path / "m.keras")))
    assert not softmax
    np.testing.assert_array_equal(found.predict_on_batch(CLIPS), model.predict_on_batch(CLIPS))


def served(desk):
    quantiser_child.serve(desk, io.StringIO(), io.StringIO())


def failure(folder, model) -> str:
    """What both children say of it: the one that converts, and the one that quantises."""
    desk = Desk(folder)
    np.save(desk.probe, CLIPS)
    desk.write_job(Job(str(networks.save(model, folder / "m.keras")), "float32", "fused", False))
    said = []
    for work in (export.run, served):
        assert export.guarded(desk, work) == FAILED
        found = json.loads(desk.failure.read_text())
        assert found["unfit"]
        assert "\n" not in found["line"]
        said.append(found["line"])
        desk.failure.unlink()
    assert said[0] == said[1]
    return said[0]


def test_a_softmax_deeper_inside_is_named(tmp_path):
    inputs = keras.Input(SHAPE)
    assert "its outputs are probabilities" in failure(
        tmp_path, keras.Model(inputs, in_the_layer()(inputs))
    )


def test_a_network_of_other_features_is_named(tmp_path):
    inputs = keras.Input((7, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(inputs))
    assert failure(tmp_path, model) == (f"its input is (7, 3), but the front end gives {SHAPE}")


def test_a_fault_that_is_not_the_networks_keeps_its_traceback_in_the_log(tmp_path, capsys):
    def work(desk):
        raise RuntimeError("first\nsecond")

    assert export.guarded(Desk(tmp_path), work) == FAILED
    found = json.loads(Desk(tmp_path).failure.read_text())
    assert found == {"line": "RuntimeError: first", "unfit": False}
    assert "Traceback" in capsys.readouterr().err


class Own(keras.layers.Layer):
    def call(self, x):
        return x * 2.0


def test_a_layer_of_ones_own_is_named(tmp_path):
    inputs, logits = body()
    assert "Own" in failure(tmp_path, keras.Model(inputs, Own()(logits)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel with a softmax, and the same network in logits."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    model = networks.convolution()
    keras.Model(model.inputs, keras.layers.Softmax()(model.outputs[0])).export(
        folder, verbose=False
    )
    return folder, model


@pytest.mark.parametrize("variant", ["float32", "int8-io"])
def test_a_saved_model_converts_with_its_weights(saved, variant):
    folder, model = saved
    found, softmax = read_network(str(folder))
    assert isinstance(found, SavedNetwork)
    assert (softmax, found.loops) == (True, False)
    assert found.count_params() == model.count_params()
    expected = model.predict_on_batch(CLIPS)
    np.testing.assert_allclose(export.network_logits(found, CLIPS), expected, atol=1e-4)
    flatbuffer = export.to_flatbuffer(found, variant, networks.features(40, seed=7))
    assert flatbuffer == export.to_flatbuffer(found, variant, networks.features(40, seed=7))
    graph = read_graph(flatbuffer)
    assert "SOFTMAX" not in graph.counts
    assert graph.tensors[graph.inputs[0]].shape == (1, *SHAPE)
    if variant == "float32":
        interpreter = Interpreter(model_content=flatbuffer)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], CLIPS[:1])
        interpreter.invoke()
        row = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(row, expected[:1], atol=1e-4)


def test_a_saved_models_layers_may_stay_in_floats(saved):
    """It names no layers: they are its graph's own, as repair finds them."""
    found, _ = read_network(str(saved[0]))
    assert export.layer_kinds(found) == {}
    features = networks.features(40, seed=7)
    plain = read_graph(export.to_flatbuffer(found, "int8", features))
    names = [layer.name for layer in layers_of(read_graph(calibrated(found, features)), {})]
    spared = read_graph(export.to_flatbuffer(found, "int8", features, names[:1]))
    assert len(spared.inner_floats) > len(plain.inner_floats)


def calibrated(network, features):
    return calibrate(export.make_converter(network, "int8", features))


def test_a_saved_models_job_is_done_like_any_other(saved, tmp_path):
    desk = Desk(tmp_path)
    np.save(desk.probe, CLIPS)
    desk.write_job(Job(str(saved[0]), "float32", "fused", False))
    assert export.main([str(tmp_path)]) == 0
    facts = export.json.loads(desk.facts.read_text())
    assert (facts["recurrent"], facts["softmax"]) == ({}, "taken off")


def test_a_saved_models_loops_are_refused_with_the_next_step(tmp_path):
    networks.with_layer(keras.layers.GRU(3)).export(tmp_path / "m", verbose=False)
    with pytest.raises(Unfit, match=r"are loops.*save the network as \.keras"):
        read_network(str(tmp_path / "m"))


def test_a_folder_that_is_no_saved_model_is_one_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xffnothing")
    with pytest.raises(Unfit, match="cannot be used as a SavedModel") as caught:
        read_network(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_first_line_is_one_line():
    assert first_line(ValueError("\n  first\nsecond")) == "first"
    assert first_line(ValueError("")) == "no message"
    assert len(first_line(ValueError("x" * 999))) == 300
