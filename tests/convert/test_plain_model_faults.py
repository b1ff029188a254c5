"""Plain models that cannot be packed: too large, cut short, with other ends; the next step."""

from __future__ import annotations

import os
from dataclasses import replace

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from ser_edge.cli import run
from ser_edge_convert.errors import PackingRefused
from ser_edge_convert.packing import pack, pack_like
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import LARGEST_FILE, parse_model_file
from tests.convert.toy_package import DATA, SPEC, graph

PLAIN = graph("toy_float")
NO_GRAPH = "is no whole TensorFlow Lite model; export it again"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    (folder / "front_end.json").write_text(SPEC.to_json())
    (folder / "labels.txt").write_text("calm\nhappy\nsad\n")
    return folder


@pytest.fixture(scope="module")
def described(place):
    return {"front_end": place / "front_end.json", "labels": place / "labels.txt"}


@pytest.fixture(scope="module")
def model(described):
    """The model file from which a compiler is said to have made the plain one."""
    return parse_model_file(pack(DATA / "toy_float.tflite", **described).data, "whole.tflite")


@pytest.fixture(scope="module")
def ways(described, model):
    """Both functions that read a plain model, as they are called with its path."""
    return {
        "pack": lambda path: pack(path, **described),
        "pack_like": lambda path: pack_like(path, model),
    }


def refused(way, path) -> str:
    with pytest.raises(PackingRefused) as caught:
        way(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def sized(path, size):
    """A file that says it is a TFLite model and holds zeros, hardly any of them on the disk."""
    path.write_bytes(PLAIN[:8])
    os.truncate(path, size)
    return path


@pytest.mark.parametrize("name", ["pack", "pack_like"])
def test_a_model_over_the_largest_size_is_refused_for_its_size_alone(ways, tmp_path, name):
    path = sized(tmp_path / "large.tflite", LARGEST_FILE + 1)
    assert refused(ways[name], path) == "is over 64 MiB; name a smaller model"
    # With not a byte less than allowed it is looked into.
    sized(path, LARGEST_FILE)
    assert refused(ways[name], path) == NO_GRAPH


def test_the_command_names_the_large_model_and_keeps_what_it_would_write(place, tmp_path, capsys):
    path = sized(tmp_path / "large.tflite", LARGEST_FILE + 1)
    out = tmp_path / "out.tflite"
    out.write_bytes(b"packed before")
    words = ["--front-end", place / "front_end.json", "--labels", place / "labels.txt"]
    assert run(["pack", str(path), *map(str, words), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.err == f"ser-edge: {path}: is over 64 MiB; name a smaller model\n"
    assert said.out == ""
    assert out.read_bytes() == b"packed before"
    assert sorted(tmp_path.iterdir()) == [path, out]


@pytest.mark.parametrize("name", ["pack", "pack_like"])
def test_a_model_that_is_not_there_or_a_folder(ways, tmp_path, name):
    assert refused(ways[name], tmp_path / "none.tflite") == (
        "no such file or directory; name the .tflite file"
    )
    assert refused(ways[name], tmp_path) == "is a directory; name the .tflite file"


@given(length=st.integers(0, len(PLAIN) - 1))
def test_a_model_cut_short_at_any_byte_is_refused_by_name(place, ways, length):
    path = place / "cut.tflite"
    path.write_bytes(PLAIN[:length])
    for way in ways.values():
        assert refused(way, path) == NO_GRAPH


def changed(change) -> bytes:
    """The toy's graph with something in it changed."""
    model = schema.ModelT.InitFromPackedBuf(PLAIN, 0)
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(len(PLAIN))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def beyond(name, operator=None):
    """A position of ``name`` set behind the last tensor, and before the first."""

    def change(model, main, place):
        of = main if operator is None else main.operators[operator]
        places = np.array(getattr(of, name))
        places[0] = place
        setattr(of, name, places)

    return [lambda model, main, place=place: change(model, main, place) for place in (99, -2)]


@pytest.mark.parametrize(
    "change",
    [*beyond("inputs"), *beyond("outputs"), *beyond("inputs", 0), *beyond("outputs", 1)],
)
def test_a_graph_of_tensors_that_it_does_not_have_is_no_whole_one(ways, tmp_path, change):
    path = tmp_path / "beyond.tflite"
    path.write_bytes(changed(change))
    for way in ways.values():
        assert refused(way, path) == NO_GRAPH


def test_the_bias_that_a_layer_lacks_is_no_tensor_beyond_the_others(ways, tmp_path):
    def without_bias(model, main):
        dense = next(operator for operator in main.operators if len(operator.inputs) == 3)
        dense.inputs = np.array([*dense.inputs[:2], -1], np.int32)

    path = tmp_path / "no_bias.tflite"
    path.write_bytes(changed(without_bias))
    assert ways["pack"](path).golden == "made"


def test_a_name_that_is_no_text_is_a_refusal_of_the_interpreter(ways, tmp_path):
    name = schema.ModelT.InitFromPackedBuf(PLAIN, 0).subgraphs[0].tensors[0].name
    path = tmp_path / "name.tflite"
    path.write_bytes(PLAIN.replace(b"\0" + name, b"\0\x80" + name[1:]))
    assert path.read_bytes() != PLAIN
    said = refused(ways["pack"], path)
    assert said.startswith("ai-edge-litert refuses the graph ('utf-8' codec can't decode byte 0x80")
    assert said.endswith("; convert it for this target again")


def test_a_graph_that_computes_no_numbers_is_refused_by_its_own_name(ways, tmp_path):
    def endless(model, main):
        buffer = next(one for one in model.buffers if one.data is not None and len(one.data) == 12)
        buffer.data = np.frombuffer(np.full(3, np.nan, np.float32).tobytes(), np.uint8)

    path = tmp_path / "endless.tflite"
    path.write_bytes(changed(endless))
    assert refused(ways["pack"], path) == (
        "computes no numbers for the golden clip; train or export it again"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("toy_strings", "the graph's input is bytes; export it as float32 or quantised int8"),
        ("toy_unknown_op", "; convert it for this target again"),
        ("toy_bad_shapes", "; convert it for this target again"),
    ],
)
def test_a_graph_that_no_interpreter_runs_is_refused_by_its_own_name(ways, name, said):
    assert refused(ways["pack"], DATA / f"{name}.tflite").endswith(said)


@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_model_are_said_to_be_none(place, ways, data):
    path = place / "other.tflite"
    path.write_bytes(data)
    for way in ways.values():
        assert refused(way, path) == NO_GRAPH


def test_a_model_file_is_told_from_a_plain_one_and_info_is_named(place, model, described, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(pack(DATA / "toy_float.tflite", **described).data)
    said = "is a model file already; see what it holds with: ser-edge info"
    assert refused(lambda path: pack(path, **described), path) == said
    assert refused(lambda path: pack_like(path, model), path) == said


@pytest.mark.parametrize(
    ("name", "ends"),
    [("toy_two_inputs", "2 inputs and 1 outputs"), ("toy_two_outputs", "1 inputs and 2 outputs")],
)
def test_a_model_of_several_ends_says_how_many(ways, name, ends):
    for way in ways.values():
        said = refused(way, DATA / f"{name}.tflite")
        assert said == f"has {ends}; export it with one of each"


@pytest.mark.parametrize(
    ("end", "info", "words"),
    [
        ("input", TensorInfo((1, 20, 4), "int8"), "float32 1 x 20 x 4, that of {} is int8"),
        ("input", TensorInfo((1, 19, 4), "float32"), "that of {} is float32 1 x 19 x 4"),
        ("output", TensorInfo((1, 2), "float32"), "float32 1 x 3, that of {} is float32 1 x 2"),
    ],
)
def test_other_tensors_name_both_files_and_the_one_to_look_for(model, end, info, words):
    other = replace(model, metadata=replace(model.metadata, **{end: info}))
    path = DATA / "toy_float.tflite"
    said = refused(lambda path: pack_like(path, other), path)
    assert said.startswith(f"its {end} is ")
    assert words.format("whole.tflite") in said
    assert said.endswith("; name the model file that it was compiled from")
    assert pack_like(path, model).golden == "held"
