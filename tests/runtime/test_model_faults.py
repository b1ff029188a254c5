"""A model that cannot be used as it says: the file, what does not fit and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import InvalidThreads, MetadataInvalid, SpecTensorMismatch
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import (
    MEMBERS,
    build_model_file,
    parse_model_file,
    read_model_file,
)
from tests.runtime.faults import DAMAGED, said
from tests.runtime.test_model_file import members_of, packed

DATA = Path(__file__).resolve().parent.parent / "data"
V2 = DATA / "format_v2.tflite"
CONVERT = "convert the model again from its training run with: ser-edge convert RUN"
INT8_IN = TensorInfo((1, 20, 4), "int8", 1 / 32, 3)
INT8_OUT = TensorInfo((1, 3), "int8", 1 / 8, -5)


@pytest.fixture(scope="module")
def model():
    return read_model_file(V2)


# tensors


@pytest.mark.parametrize(
    ("graph", "change", "fault"),
    [
        (
            "toy_float",
            {"input": INT8_IN},
            "its metadata promise the input 1x20x4 int8 (0.03125, 3), the graph has 1x20x4 float32",
        ),
        (
            "toy_float",
            {"output": INT8_OUT},
            "its metadata promise the output 1x3 int8 (0.125, -5), the graph has 1x3 float32",
        ),
        (
            "toy_int8",
            {},
            "its metadata promise the input 1x20x4 float32, the graph has 1x20x4 int8 (0.03125, 3)",
        ),
        (
            "toy_int8",
            {"input": INT8_IN, "output": replace(INT8_OUT, zero_point=5)},
            "its metadata promise the output 1x3 int8 (0.125, 5), "
            "the graph has 1x3 int8 (0.125, -5)",
        ),
        (
            "toy_int8",
            {"input": replace(INT8_IN, scale=0.0625), "output": INT8_OUT},
            "its metadata promise the input 1x20x4 int8 (0.0625, 3), "
            "the graph has 1x20x4 int8 (0.03125, 3)",
        ),
        (
            "toy_int8",
            {"input": replace(INT8_IN, scale=0.03125 + 1e-9), "output": INT8_OUT},
            "its metadata promise the input 1x20x4 int8 (0.031250001, 3), "
            "the graph has 1x20x4 int8 (0.03125, 3)",
        ),
        (
            "toy_int8",
            {"input": replace(INT8_IN, dtype="uint8"), "output": INT8_OUT},
            "its metadata promise the input 1x20x4 uint8 (0.03125, 3), "
            "the graph has 1x20x4 int8 (0.03125, 3)",
        ),
    ],
    ids=["input", "output", "float of int8", "zero point", "scale", "scale by a hair", "type"],
)
def test_metadata_of_another_graph_are_told_of_the_file(model, tmp_path, graph, change, fault):
    metadata = replace(model.metadata, **change)
    flatbuffer = (DATA / f"{graph}.tflite").read_bytes()
    path = tmp_path / "swapped.tflite"
    path.write_bytes(build_model_file(flatbuffer, metadata, model.golden))
    assert said(SpecTensorMismatch, Classifier.load, path) == f"{path}: {fault}; {CONVERT}"


def test_metadata_of_the_same_graph_are_used(model):
    graph = (DATA / "toy_int8.tflite").read_bytes()
    metadata = replace(model.metadata, input=INT8_IN, output=INT8_OUT)
    found = replace(model, flatbuffer=graph, metadata=metadata)
    assert Classifier(found).labels == model.metadata.labels


# the interpreter


@pytest.mark.parametrize("threads", [0, -1, 257, 2**40, 2.0, True, "2", None])
def test_a_number_of_threads_that_cannot_be_is_named(threads):
    words = f"threads must be 1 to 256, not {threads}"
    assert said(InvalidThreads, Interpreter, b"never looked at", threads=threads) == words
    assert said(InvalidThreads, Classifier.load, V2, threads=threads) == words


@pytest.mark.parametrize("threads", [1, 256])
def test_the_fewest_and_the_most_threads_are_taken(model, threads):
    features = model.golden.features
    found = Interpreter(model.flatbuffer, threads=threads).invoke(features)
    np.testing.assert_allclose(found, Interpreter(model.flatbuffer).invoke(features), atol=1e-6)


@pytest.fixture(scope="module")
def interpreter(model):
    return Interpreter(model.flatbuffer)


@given(st.lists(st.integers(0, 21), max_size=4).map(tuple).filter(lambda shape: shape != (20, 4)))
def test_features_of_any_other_shape_are_refused_and_change_nothing(model, interpreter, shape):
    before = interpreter.invoke(model.golden.features)
    words = said(ValueError, interpreter.invoke, np.zeros(shape, np.float32))
    assert words == f"shape (20, 4) expected, not {shape}"
    np.testing.assert_array_equal(interpreter.invoke(model.golden.features), before)


# ser_edge.json


def with_text(model, text):
    """The model file with this text for its ser_edge.json, faultless otherwise."""
    members = {**members_of(V2.read_bytes()), MEMBERS[0]: text}
    return packed(model.flatbuffer, members)


def of_metadata(model, text):
    """What is wrong with the metadata of a model, by what is said of its file."""
    message = said(MetadataInvalid, parse_model_file, with_text(model, text), "m.tflite")
    assert message.startswith("m.tflite: metadata: ")
    assert message.endswith(f"; {DAMAGED}")
    return message.removeprefix("m.tflite: metadata: ").removesuffix(f"; {DAMAGED}")


@pytest.mark.parametrize("text", ["null", "[]", "3", "-0.5", '"ser_edge"', "true", "[[{}]]"])
def test_metadata_that_are_no_table_are_refused(model, text):
    assert of_metadata(model, text.encode()) == "a table is expected"


@given(st.data())
def test_metadata_that_are_cut_anywhere_are_no_json(model, data):
    text = model.metadata.to_json().encode()
    size = data.draw(st.integers(0, len(text) - 1))
    assert of_metadata(model, text[:size]).startswith("not strict JSON (")


@given(st.sampled_from(["name", "labels", "front_end", "scores", "flatbuffer_sha256"]))
def test_a_field_that_stands_twice_is_refused_even_if_it_says_the_same(model, name):
    values = json.loads(model.metadata.to_json())
    again = json.dumps({name: values[name]}).removesuffix("}")
    text = again + "," + model.metadata.to_json().removeprefix("{")
    fault = f"not strict JSON (the name '{name}' stands twice in one table)"
    assert of_metadata(model, text.encode()) == fault


def nested(depth, wrap):
    value = "innermost"
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("field", ["scores", "provenance"])
@pytest.mark.parametrize(
    "wrap", [lambda inner: {"in": inner}, lambda inner: [inner]], ids=["tables", "lists"]
)
def test_metadata_are_nested_as_deep_as_a_device_can_hold(model, field, wrap):
    # The whole and the field itself are two of the 32.
    deep = replace(model.metadata, **{field: {"deep": nested(30, wrap)}})
    data = build_model_file(model.flatbuffer, deep, model.golden)
    assert parse_model_file(data, "m.tflite").metadata == deep
    for depth in (31, 32, 500):
        deeper = replace(model.metadata, **{field: {"deep": nested(depth, wrap)}})
        assert of_metadata(model, deeper.to_json().encode()) == "nested over 32 deep"
        # Nor is such a file written.
        said(MetadataInvalid, build_model_file, model.flatbuffer, deeper, model.golden)
