"""Graphs without their softmax, and what they are written in."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.errors import ConversionFailed
from ser_edge_convert.graph import read_graph
from ser_edge_convert.graph_ends import variant_of, without_softmax
from ser_edge_runtime.interpreter import Interpreter
from tests.convert import bare_run, toy_run

DATA = Path(__file__).resolve().parent.parent / "data"
KERNEL = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
CLIPS = np.random.default_rng(4).normal(size=(5, *toy_run.SPEC.output_shape)).astype(np.float32)


def answers(flatbuffer: bytes) -> np.ndarray:
    interpreter = Interpreter(flatbuffer)
    return np.array([interpreter.invoke(clip) for clip in CLIPS])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_softmax_goes_and_its_logits_stay():
    with_it = bare_run.graph(KERNEL, softmax=True)
    cut, there = without_softmax(with_it)
    assert there
    assert "SOFTMAX" not in read_graph(cut).counts
    np.testing.assert_allclose(softmax(answers(cut)), answers(with_it), atol=1e-6)
    np.testing.assert_allclose(answers(cut), CLIPS.mean(axis=1) @ KERNEL, atol=1e-5)


def test_cutting_twice_changes_nothing_more():
    once, _ = without_softmax(bare_run.graph(KERNEL, softmax=True))
    assert without_softmax(once) == (once, False)


def test_a_graph_in_logits_comes_back_as_it_was():
    plain = bare_run.graph(KERNEL)
    assert without_softmax(plain) == (plain, False)


def edited(flatbuffer: bytes, edit) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    edit(model)
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def quantised_end(model) -> None:
    """As a converter ends an int8 graph with floats at its ends: softmax, then DEQUANTIZE."""
    main = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in main.tensors]
    for name in ("logits", "probabilities"):
        tensor = main.tensors[names.index(name)]
        tensor.type = schema.TensorType.INT8
        quantum = schema.QuantizationParametersT()
        quantum.scale = np.array([0.1 if name == "logits" else 1 / 256], np.float32)
        quantum.zeroPoint = np.array([0 if name == "logits" else -128], np.int64)
        tensor.quantization = quantum
    out = schema.TensorT()
    out.name, out.shape, out.type = "out", np.array([1, 4], np.int32), schema.TensorType.FLOAT32
    main.tensors.append(out)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2
    model.operatorCodes.append(code)
    last = schema.OperatorT()
    last.opcodeIndex = len(model.operatorCodes) - 1
    last.inputs = np.array(main.outputs, np.int32)
    last.outputs = np.array([len(main.tensors) - 1], np.int32)
    main.operators.append(last)
    main.outputs = last.outputs.copy()


def test_behind_a_softmax_in_int8_the_floats_are_of_the_logits():
    whole = edited(bare_run.graph(KERNEL, softmax=True), quantised_end)
    cut, there = without_softmax(whole)
    assert there
    graph = read_graph(cut)
    assert [operator.name for operator in graph.operators][-2:] == ["FULLY_CONNECTED", "DEQUANTIZE"]
    fed = graph.tensors[graph.operators[-1].inputs[0]]
    assert (fed.name, fed.scales) == ("logits", pytest.approx((0.1,)))
    assert graph.outputs == read_graph(whole).outputs


def test_signatures_follow(tmp_path):
    def sign(model) -> None:
        main = model.subgraphs[0]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        maps = []
        for position in (main.inputs[0], main.outputs[0]):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"t{position}", int(position)
            maps.append([entry])
        signature.inputs, signature.outputs = maps
        model.signatureDefs = [signature]

    whole = edited(bare_run.graph(KERNEL, softmax=True), sign)
    cut, _ = without_softmax(whole)
    signature = schema.ModelT.InitFromPackedBuf(cut, 0).signatureDefs[0]
    graph = read_graph(cut)
    assert signature.outputs[0].tensorIndex == graph.outputs[0]
    assert signature.inputs[0].tensorIndex == graph.inputs[0]


@pytest.mark.parametrize(
    ("name", "variant"),
    [("toy_float", "float32"), ("toy_int8", "int8-io"), ("toy_stateful", "float32")],
)
def test_toys_are_written_in(name, variant):
    assert variant_of(read_graph((DATA / f"{name}.tflite").read_bytes())) == variant


def retyped(kind: int, names: tuple[str, ...], scale: float | None = 0.1) -> bytes:
    def edit(model) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.name.decode() in names:
                tensor.type = kind
                if scale is not None:
                    quantum = schema.QuantizationParametersT()
                    quantum.scale = np.array([scale], np.float32)
                    quantum.zeroPoint = np.array([0], np.int64)
                    tensor.quantization = quantum

    return edited(bare_run.graph(KERNEL), edit)


@pytest.mark.parametrize(
    ("kind", "names", "scale", "variant"),
    [
        (schema.TensorType.INT8, ("kernel",), 0.1, "dynamic"),
        (schema.TensorType.FLOAT16, ("kernel",), None, "float16"),
        (schema.TensorType.INT8, ("mean",), 0.1, "int8"),
        (schema.TensorType.INT16, ("mean",), 0.1, "int16x8"),
        (schema.TensorType.INT16, ("features", "mean", "logits"), 0.1, "int16x8"),
        (schema.TensorType.INT8, ("features", "mean", "logits"), 0.1, "int8-io"),
    ],
)
def test_types_of_tensors_tell_the_variant(kind, names, scale, variant):
    assert variant_of(read_graph(retyped(kind, names, scale))) == variant


def test_what_is_no_graph_is_an_error():
    with pytest.raises(ConversionFailed):
        without_softmax(b"nothing of the kind")
