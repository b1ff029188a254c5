"""The child's work, in this process: what Keras says, the file says too."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra convert")

from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from ser_edge_convert import export, quantisation  # noqa: E402
from ser_edge_convert.cell_clip import cell_clips, set_cell_clip  # noqa: E402
from ser_edge_convert.child import FAILED, Desk, Job  # noqa: E402
from ser_edge_convert.fused_lstm import can_fuse, prepare  # noqa: E402
from ser_edge_convert.graph import read_graph  # noqa: E402
from ser_edge_convert.variants import VARIANTS  # noqa: E402
from tests.convert import networks  # noqa: E402

# tensorflow 2.21.0 warns of every int8 conversion by its own calibrator; nothing is left to give.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Statistics for quantized inputs were expected:UserWarning"
)

FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# Largest difference of a logit, in shares of the logits' range, seen at most half of this.
BOUND = {
    "float32": 1e-5,
    "float16": 1e-3,
    "dynamic": 0.03,
    "int8": 0.1,
    "int8-io": 0.1,
    "int16x8": 0.03,
}


def answers(flatbuffer: bytes, clips: np.ndarray, *, reset: bool = True) -> np.ndarray:
    interpreter = Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for clip in clips:
        if reset:
            interpreter.reset_all_variables()
        values = clip[np.newaxis]
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        row = interpreter.get_tensor(sink["index"])[0].astype(np.float32)
        if sink["dtype"] == np.int8:
            scale, zero = sink["quantization"]
            row = (row - zero) * scale
        rows.append(row)
    return np.array(rows, dtype=np.float32)


def convert(model, variant: str, lstm: str = "fused") -> bytes:
    return export.to_flatbuffer(prepare(model, lstm)[0], variant, networks.features(40, seed=7))


def difference(model, flatbuffer: bytes) -> float:
    clips = networks.features(30, seed=8)
    expected = export.network_logits(model, clips)
    return float(np.abs(answers(flatbuffer, clips) - expected).max() / np.ptp(expected))


@pytest.fixture(scope="module")
def cnn_lstm():
    return networks.cnn_lstm()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_convolution_says_the_same_in_every_variant(variant):
    model = networks.convolution()
    flatbuffer = convert(model, variant)
    assert difference(model, flatbuffer) < BOUND[variant]
    graph = read_graph(flatbuffer)
    assert graph.tensors[graph.inputs[0]].shape == (1, networks.STEPS, networks.COLUMNS)
    assert graph.tensors[graph.inputs[0]].dtype == VARIANTS[variant].tensor_type
    assert graph.tensors[graph.outputs[0]].dtype == VARIANTS[variant].tensor_type
    assert graph.subgraphs == 1


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "int16x8"])
def test_an_lstm_becomes_one_operator_a_layer(cnn_lstm, variant):
    flatbuffer = convert(cnn_lstm, variant)
    graph = read_graph(flatbuffer)
    assert graph.counts[FUSED] == 2
    assert "WHILE" not in graph.counts
    assert graph.subgraphs == 1
    assert graph.keeps_state
    assert difference(cnn_lstm, flatbuffer) < BOUND[variant]


@pytest.mark.parametrize("variant", ["int8", "int8-io"])
@pytest.mark.parametrize("build", [networks.convolution, networks.cnn_lstm])
def test_full_int8_leaves_no_float_inside(build, variant):
    graph = read_graph(convert(build(), variant))
    assert graph.inner_floats == ()
    ends = {"QUANTIZE", "DEQUANTIZE"} & graph.counts.keys()
    assert ends == (set() if variant == "int8-io" else {"QUANTIZE", "DEQUANTIZE"})


def test_dense_layers_of_dynamic_range_load_in_tflite_runtime_2_14():
    inputs = keras.Input((networks.STEPS, networks.COLUMNS))
    wide = keras.layers.Dense(32)(keras.layers.Flatten()(inputs))  # small ones stay float
    graph = read_graph(convert(keras.Model(inputs, keras.layers.Dense(4)(wide)), "dynamic"))
    dense = [operator for operator in graph.operators if operator.name == "FULLY_CONNECTED"]
    assert max(operator.version for operator in dense) <= 9
    assert "int8" in {graph.tensors[operator.inputs[1]].dtype for operator in dense}


def test_dynamic_range_is_not_full_int8(cnn_lstm):
    assert read_graph(convert(cnn_lstm, "dynamic")).inner_floats


@pytest.mark.parametrize("variant", ["float32", "int8", "int16x8"])
def test_an_unrolled_lstm_has_neither_loop_nor_state(cnn_lstm, variant):
    flatbuffer = convert(cnn_lstm, variant, "unrolled")
    graph = read_graph(flatbuffer)
    assert FUSED not in graph.counts
    assert "WHILE" not in graph.counts
    assert not graph.keeps_state
    assert difference(cnn_lstm, flatbuffer) < BOUND[variant]


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_going_backwards_is_kept(variant):
    model = networks.cnn_lstm(go_backwards=True)
    flatbuffer = convert(model, variant)
    assert read_graph(flatbuffer).counts[FUSED] == 2
    assert difference(model, flatbuffer) < BOUND[variant]


@pytest.mark.parametrize(
    ("variant", "steps"),
    [("float32", 60), ("float32", 160), ("float16", 160), ("dynamic", 160), ("int8", 60)],
)
def test_a_cell_state_beyond_ten_is_not_clipped(variant, steps):
    # The converter's own clip is 10; these states reach 40 (of 60 steps) before they fall again.
    model = networks.counting(steps)
    clips = networks.rise_and_fall(30, steps)
    flatbuffer = export.to_flatbuffer(prepare(model, "fused")[0], variant, clips)
    expected = export.network_logits(model, clips)
    error = float(np.abs(answers(flatbuffer, clips) - expected).max() / np.ptp(expected))
    assert error < BOUND[variant]
    assert cell_clips(flatbuffer) == ((64.0,) if variant == "int8" else ())
    clipped = answers(set_cell_clip(flatbuffer, 10.0), clips)
    assert np.abs(clipped - expected).max() > 0.3 * np.ptp(expected), "10 is to matter here"


def test_a_clip_that_comes_back_is_noticed(monkeypatch):
    for module in (export, quantisation):
        monkeypatch.setattr(module, "set_cell_clip", lambda flatbuffer, limit: flatbuffer)
    for variant in ("float32", "int8"):
        with pytest.raises(RuntimeError, match="clipped at"):
            convert(networks.cnn_lstm(), variant)


def test_calibration_starts_every_clip_from_nothing():
    # Cells that hardly forget: carried on, the first clip's sum would stand in the second.
    model = prepare(networks.counting(60), "fused")[0]
    rising, falling = networks.rise_and_fall(2, 60)
    order = [np.stack(pair) for pair in ((rising, falling), (falling, rising))]
    graphs = [read_graph(export.to_flatbuffer(model, "int8", clips)) for clips in order]
    one, other = ([(t.scales, t.zero_points) for t in graph.tensors] for graph in graphs)
    assert one == other


def test_a_release_that_calibrates_in_another_way_is_noticed(monkeypatch):
    @contextmanager
    def not_at_all(module, name, by):
        yield

    monkeypatch.setattr(quantisation, "_replaced", not_at_all)
    with pytest.raises(RuntimeError, match="in a way that is not known here"):
        convert(networks.convolution(), "int8")


@pytest.mark.parametrize("backwards", [False, True])
def test_the_rebuilt_network_computes_the_same_in_tensorflow(backwards):
    model = networks.cnn_lstm(go_backwards=backwards)
    copy, forms = prepare(model, "fused")
    assert forms == {"first": "fused", "second": "fused"}
    clips = networks.features(5)
    one_by_one = np.concatenate([np.asarray(copy(clip[np.newaxis])) for clip in clips])
    np.testing.assert_allclose(one_by_one, export.network_logits(model, clips), atol=2e-6)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(lambda: keras.layers.GRU(8), id="GRU"),
        pytest.param(lambda: keras.layers.SimpleRNN(8), id="SimpleRNN"),
        pytest.param(lambda: keras.layers.LSTM(8, activation="relu"), id="other activation"),
        pytest.param(lambda: keras.layers.LSTM(8, use_bias=False), id="no bias"),
        pytest.param(lambda: keras.layers.Bidirectional(keras.layers.LSTM(8)), id="both ways"),
    ],
)
def test_what_cannot_be_fused_is_unrolled(layer):
    # As loops these end int8 calibration in a segmentation fault.
    built = layer()
    assert not can_fuse(built)
    model = networks.with_layer(built)
    assert prepare(model, "fused")[1] == {built.name: "unrolled"}
    flatbuffer = convert(model, "int8")
    assert {FUSED, "WHILE"}.isdisjoint(read_graph(flatbuffer).counts)
    # 24 steps one after another each round to 8 bits, so this only shows that nothing is amiss.
    assert difference(model, flatbuffer) < 0.3
    assert difference(model, convert(model, "float32")) < BOUND["float32"]


def test_a_state_is_forgotten_between_clips(cnn_lstm):
    flatbuffer = convert(cnn_lstm, "int8")
    first, second = networks.features(2, seed=9)
    clips = np.stack([first, second, first])
    rows = answers(flatbuffer, clips)
    np.testing.assert_array_equal(rows[0], rows[2])
    kept = answers(flatbuffer, clips, reset=False)
    assert not np.array_equal(kept[0], kept[2]), "this graph has no state, the test shows nothing"


def desk_with(folder: Path, model, **job) -> Desk:
    desk = Desk(folder)
    path = networks.save(model, folder / "model.keras")
    np.save(desk.calibration, networks.features(8))
    np.save(desk.probe, networks.features(70, seed=5))
    fields = {"variant": "float32", "lstm": "fused", "calibrated": False} | job
    desk.write_job(Job(str(path), **fields))
    return desk


def test_a_job_leaves_file_logits_and_facts(tmp_path, cnn_lstm):
    desk = desk_with(tmp_path, cnn_lstm, variant="int8", calibrated=True)
    assert export.main([str(tmp_path)]) == 0
    assert not desk.failure.exists()
    logits = np.load(desk.logits)
    # 70 clips are more than one batch.
    np.testing.assert_allclose(logits, np.asarray(cnn_lstm(np.load(desk.probe))), atol=1e-5)
    assert read_graph(desk.flatbuffer.read_bytes()).counts[FUSED] == 2
    facts = export.json.loads(desk.facts.read_text())
    assert facts["recurrent"] == {"first": "fused", "second": "fused"}
    assert facts["parameters"] == cnn_lstm.count_params()
    assert facts["versions"]["keras"] == keras.__version__


def free_length():
    inputs = keras.Input((None, networks.COLUMNS))
    x = keras.layers.GlobalAveragePooling1D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def other_shape():
    inputs = keras.Input((networks.STEPS + 1, networks.COLUMNS))
    x = keras.layers.GlobalAveragePooling1D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def two_inputs():
    one, other = (keras.Input((networks.STEPS, networks.COLUMNS)) for _ in range(2))
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Add()([one, other]))
    return keras.Model([one, other], keras.layers.Dense(4)(x))


def a_sequence_out():
    inputs = keras.Input((networks.STEPS, networks.COLUMNS))
    return keras.Model(inputs, keras.layers.Dense(4)(inputs))


class Own(keras.layers.Layer):
    def call(self, x):
        return x * 2.0


def custom_layer():
    inputs = keras.Input((networks.STEPS, networks.COLUMNS))
    x = keras.layers.GlobalAveragePooling1D()(Own()(inputs))
    return keras.Model(inputs, keras.layers.Dense(4)(x))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (free_length, "no fixed shape"),
        (other_shape, "front end gives"),
        (two_inputs, "more than one input"),
        (a_sequence_out, "not one row of logits"),
        (custom_layer, "Keras cannot load it"),
    ],
)
def test_a_network_of_another_kind_is_named_in_one_line(tmp_path, build, message):
    desk = desk_with(tmp_path, build())
    assert export.main([str(tmp_path)]) == FAILED
    failure = export.json.loads(desk.failure.read_text())
    assert failure["unfit"]
    assert message in failure["line"]
    assert "\n" not in failure["line"]
    assert not desk.facts.exists()
    assert not desk.flatbuffer.exists()


def test_what_the_converter_says_becomes_one_line(tmp_path, monkeypatch, capfd):
    def refuse(*arguments):
        raise RuntimeError("first line\nsecond line")

    desk = desk_with(tmp_path, networks.convolution())
    monkeypatch.setattr(export, "to_flatbuffer", refuse)
    assert export.main([str(tmp_path)]) == FAILED
    failure = export.json.loads(desk.failure.read_text())
    assert failure == {"line": "RuntimeError: first line", "unfit": False}
    assert "second line" in capfd.readouterr().err, "the log keeps it all"
    assert not desk.facts.exists()


def test_a_calibrated_variant_without_clips_is_refused():
    model = prepare(networks.convolution(), "fused")[0]
    with pytest.raises(ValueError, match="needs clips"):
        export.to_flatbuffer(model, "int8", None)
