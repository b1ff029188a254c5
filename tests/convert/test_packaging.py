from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.packaging import package
from ser_edge_convert.tflite_metadata import (
    BUFFER_NAME,
    add_tflite_metadata,
    read_tflite_metadata,
)
from ser_edge_runtime.backends import available_backends
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import (
    MetadataInvalid,
    ModelRejected,
    ModelTooLarge,
    SpecTensorMismatch,
    UnsupportedTensors,
)
from ser_edge_runtime.front_end import Normaliser
from ser_edge_runtime.golden import verify_golden
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.metadata import FORMAT_VERSION
from ser_edge_runtime.model_file import parse_model_file
from tests.convert.toy_package import DATA, SPEC, graph, parts

USABLE = [name for name, _, fault in available_backends() if fault is None]
TOYS = ("toy_float", "toy_int8", "toy_stateful")


def described(flatbuffer, **change):
    texts = {
        "name": "toy",
        "description": "A toy.",
        "licence": "MIT",
        "input_description": "Features.",
        "output_description": "Logits.",
    }
    return add_tflite_metadata(flatbuffer, **{**texts, **change})


class Table:
    """Reads a flatbuffer's tables slot by slot, as no generated code is at hand."""

    def __init__(self, data, position=None):
        if position is None:
            position = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
        self.table = flatbuffers.table.Table(data, position)

    def offset(self, slot):
        return self.table.Offset(4 + 2 * slot)

    def text(self, slot):
        return self.table.String(self.table.Pos + self.offset(slot)).decode()

    def byte(self, slot):
        return self.table.Bytes[self.table.Pos + self.offset(slot)]

    def child(self, slot):
        return Table(self.table.Bytes, self.table.Indirect(self.table.Pos + self.offset(slot)))

    def children(self, slot):
        start = self.table.Vector(self.offset(slot))
        count = self.table.VectorLen(self.offset(slot))
        return [Table(self.table.Bytes, self.table.Indirect(start + 4 * i)) for i in range(count)]


def test_the_toys_are_what_their_script_makes():
    script = DATA / "make_toy_models.py"
    namespace = {"__file__": str(script), "__name__": "made"}
    exec(script.read_text(), namespace)
    for toy in namespace["TOYS"]:
        made = schema.ModelT.InitFromPackedBuf(toy(), 0)
        assert plain(made) == plain(schema.ModelT.InitFromPackedBuf(graph(toy.__name__), 0))


def test_the_metadata_are_where_tflite_tools_look_for_them():
    content = read_tflite_metadata(
        described(graph("toy_float"), input_description="Fed.", output_description="Given.")
    )
    assert content[4:8] == b"M001"
    model = Table(content)
    assert (model.text(0), model.text(1), model.text(5)) == ("toy", "A toy.", "MIT")
    assert model.text(7) == "1.0.0"
    (subgraph,) = model.children(3)
    (fed,), (given_,) = subgraph.children(2), subgraph.children(3)
    assert (fed.text(0), fed.text(1)) == ("features", "Fed.")
    assert (given_.text(0), given_.text(1)) == ("logits", "Given.")
    # 1 is FeatureProperties; 4, AudioProperties, would have tools feed samples.
    assert fed.child(3).byte(0) == given_.child(3).byte(0) == 1
    (labels,) = given_.children(6)
    assert labels.text(0) == "labels.txt"
    assert labels.byte(2) == 2  # TENSOR_AXIS_LABELS
    assert not fed.offset(6)


def test_a_plain_model_has_none():
    assert read_tflite_metadata(graph("toy_float")) is None


def test_metadata_that_are_there_are_replaced():
    once = described(graph("toy_float"))
    twice = described(described(graph("toy_float"), name="older, and longer"))
    model = schema.ModelT.InitFromPackedBuf(twice, 0)
    assert [entry.name for entry in model.metadata] == [BUFFER_NAME.encode()]
    assert len(model.buffers) == len(schema.ModelT.InitFromPackedBuf(once, 0).buffers)
    assert read_tflite_metadata(twice) == read_tflite_metadata(once)


def test_other_metadata_stay():
    model = schema.ModelT.InitFromPackedBuf(graph("toy_float"), 0)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(b"2.21.0\0\0", np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = "min_runtime_version", len(model.buffers) - 1
    model.metadata = [entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    found = schema.ModelT.InitFromPackedBuf(described(bytes(builder.Output())), 0)
    kept = {e.name.decode(): bytes(bytearray(found.buffers[e.buffer].data)) for e in found.metadata}
    assert kept.pop("min_runtime_version") == b"2.21.0\0\0"
    assert list(kept) == [BUFFER_NAME]


def plain(value):
    """A schema object as plain values, to be compared."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "__dict__"):
        return {name: plain(v) for name, v in vars(value).items() if name != "Pack"}
    return value


@pytest.mark.parametrize("toy", TOYS)
def test_the_graph_is_the_same_afterwards(toy):
    before = plain(schema.ModelT.InitFromPackedBuf(graph(toy), 0))
    after = plain(schema.ModelT.InitFromPackedBuf(described(graph(toy)), 0))
    assert after.pop("metadata")
    before.pop("metadata")
    assert after.pop("buffers")[:-1] == before.pop("buffers")
    assert after == before


@pytest.mark.parametrize("backend", USABLE)
@pytest.mark.parametrize("toy", TOYS)
def test_outputs_are_the_same_bit_for_bit(toy, backend):
    features = np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32)
    before = Interpreter(graph(toy), backend=backend).invoke(features)
    after = Interpreter(described(graph(toy)), backend=backend).invoke(features)
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("toy", TOYS)
def test_weights_lie_at_multiples_of_16(toy):
    data = described(graph(toy))
    model = schema.Model.GetRootAs(data, 0)
    starts = [
        model.Buffers(index)._tab.Vector(model.Buffers(index)._tab.Offset(4))
        for index in range(model.BuffersLength())
        if not model.Buffers(index).DataIsNone()
    ]
    assert len(starts) >= 4
    assert [start % 16 for start in starts] == [0] * len(starts)


def test_the_same_parts_give_the_same_bytes():
    assert described(graph("toy_float")) == described(graph("toy_float"))
    assert package(graph("toy_float"), **parts()) == package(graph("toy_float"), **parts())


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_every_format_says_the_same_of_the_same_model(version):
    """Changes whenever packing changes: is that meant, and does it need a new version?"""
    namespace = {"__file__": str(DATA / "make_formats.py"), "__name__": "made"}
    exec((DATA / "make_formats.py").read_text(), namespace)
    old = parse_model_file((DATA / f"format_v{version}.tflite").read_bytes(), "old")
    new = parse_model_file(namespace["toy"](), "new")
    assert new.metadata == replace(old.metadata, format_version=FORMAT_VERSION)
    assert new.flatbuffer == old.flatbuffer
    assert verify_golden(old, Classifier(old)).passed
    # Before format 2 the clip was twice as long.
    assert len(old.golden.samples) == (4000 if version == 1 else 2000)
    if version == FORMAT_VERSION:
        np.testing.assert_allclose(new.golden.features, old.golden.features, atol=1e-3)
        np.testing.assert_array_equal(new.golden.samples, old.golden.samples)


def test_a_package_is_read_and_agrees_with_itself():
    model = parse_model_file(package(graph("toy_float"), **parts()), "toy")
    metadata = model.metadata
    assert metadata.labels == ("calm", "happy", "sad")
    assert metadata.front_end == SPEC
    assert metadata.temperature == 1.5
    assert (metadata.provenance, metadata.scores) == ({"seed": 1}, {"uar": 0.5})
    report = verify_golden(model, Classifier(model))
    assert report.passed
    assert report.probability_difference == 0


def test_a_package_is_a_tflite_model_and_a_zip():
    data = package(graph("toy_float"), **parts())
    content = read_tflite_metadata(data)
    assert b"Normalised features (20 x 4: log_mel) of mono speech at 8000 Hz" in content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("labels.txt") == b"calm\nhappy\nsad\n"


def test_the_whole_file_may_be_given_to_an_interpreter():
    """Other tools open the file as it is, zip and all."""
    data = package(graph("toy_float"), **parts())
    features = np.ones((20, 4), np.float32)
    np.testing.assert_array_equal(
        Interpreter(data).invoke(features), Interpreter(graph("toy_float")).invoke(features)
    )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"labels": ["a", "b"]}, SpecTensorMismatch),
        ({"labels": ["a", "a", "b"]}, MetadataInvalid),
        ({"front_end": replace(SPEC, clip_seconds=0.5)}, SpecTensorMismatch),
        ({"normaliser": Normaliser.identity(3)}, SpecTensorMismatch),
        ({"temperature": 0.0}, MetadataInvalid),
        ({"name": ""}, MetadataInvalid),
        ({"intended_use": "\x1b[31mred"}, MetadataInvalid),
        ({"licence": "x" * 2_500_000}, ModelTooLarge),
    ],
)
def test_parts_that_do_not_fit_are_not_packed(change, error):
    with pytest.raises(error), np.errstate(divide="ignore", invalid="ignore"):
        package(graph("toy_float"), **parts(**change))


def test_graphs_that_cannot_run_are_not_packed():
    with pytest.raises(UnsupportedTensors):
        package(graph("toy_two_outputs"), **parts())
    with pytest.raises(ModelRejected):
        package(graph("toy_unknown_op"), **parts())


def test_a_variant_that_nobody_knows_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        package(graph("toy_float"), **parts(variant="int4"))
