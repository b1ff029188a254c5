"""Plain graphs, and what a device's compiler leaves, as model files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge_convert.errors import DescriptionFault, PackingRefused
from ser_edge_convert.packing import Packed, pack, pack_like
from ser_edge_convert.tflite_metadata import add_tflite_metadata
from ser_edge_runtime import Classifier
from ser_edge_runtime.classifier import softmax
from ser_edge_runtime.errors import SpecTensorMismatch
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser
from ser_edge_runtime.golden import verify_golden
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import ModelFile, parse_model_file
from tests.convert import bare_run, toy_run

DATA = Path(__file__).resolve().parent.parent / "data"
KERNEL = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
# What the graphs of tests/data take: 20 frames of 4 features.
SPEC = FrontEndSpec(
    sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
    features=(LogMel(bands=4),), clip_seconds=0.19,
)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """What describes the toys of tests/data."""
    (tmp_path / "front_end.json").write_text(SPEC.to_json())
    (tmp_path / "labels.txt").write_text("calm\nhappy\nsad\n")
    normaliser = Normaliser(np.full(4, -35, np.float32), np.full(4, 9, np.float32))
    (tmp_path / "normaliser.json").write_text(normaliser.to_json())
    return {
        "front_end": tmp_path / "front_end.json",
        "labels": tmp_path / "labels.txt",
        "normaliser": tmp_path / "normaliser.json",
    }


@pytest.fixture
def files_of_run(tmp_path):
    """What describes :func:`bare_run.graph`."""
    (tmp_path / "spec.json").write_text(toy_run.SPEC.to_json())
    (tmp_path / "four.txt").write_text("\n".join(toy_run.LABELS))
    return {"front_end": tmp_path / "spec.json", "labels": tmp_path / "four.txt"}


def parsed(packed: Packed) -> ModelFile:
    return parse_model_file(packed.data, "packed")


@pytest.mark.parametrize(("name", "variant"), [("toy_float", "float32"), ("toy_int8", "int8-io")])
def test_a_plain_graph_becomes_a_model_that_classifies(files, name, variant):
    packed = pack(DATA / f"{name}.tflite", **files, temperature=1.5, licence="MIT")
    assert (packed.variant, packed.softmax, packed.golden) == (variant, False, "made")
    model = parsed(packed)
    metadata = model.metadata
    assert (metadata.name, metadata.variant, metadata.target) == (name, variant, "cpu")
    assert metadata.labels == ("calm", "happy", "sad")
    assert (metadata.temperature, metadata.licence) == (1.5, "MIT")
    assert metadata.front_end == SPEC
    classifier = Classifier(model)
    assert classifier.classify(np.zeros(8000, np.float32), 8000).label in metadata.labels
    assert verify_golden(model, classifier).passed


def test_the_same_files_give_the_same_bytes(files):
    plain = DATA / "toy_float.tflite"
    assert pack(plain, **files) == pack(plain, **files)


def test_a_softmax_is_taken_off_so_that_it_is_not_applied_twice(files_of_run, tmp_path):
    plain = tmp_path / "soft.tflite"
    plain.write_bytes(bare_run.graph(KERNEL, softmax=True))
    packed = pack(plain, **files_of_run)
    assert packed.softmax
    classifier = Classifier(parsed(packed))
    features = np.random.default_rng(5).normal(size=toy_run.SPEC.output_shape).astype(np.float32)
    np.testing.assert_allclose(
        classifier.probabilities(features), softmax(features.mean(axis=0) @ KERNEL, 1.0), atol=1e-5
    )


def test_what_other_tools_appended_is_dropped(files, tmp_path):
    plain = tmp_path / "with_labels.tflite"
    plain.write_bytes((DATA / "toy_float.tflite").read_bytes() + b"PK\x03\x04 a zip of labels")
    named = files | {"name": "toy_float"}
    first = parsed(pack(plain, **named))
    assert first.flatbuffer == parsed(pack(DATA / "toy_float.tflite", **named)).flatbuffer


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": "two.txt"}, SpecTensorMismatch, "2 labels"),
        ({"front_end": "other.json", "normaliser": None}, SpecTensorMismatch, "the graph takes"),
        ({"front_end": "other.json"}, DescriptionFault, "is for 4 features"),
        ({"labels": "none.txt"}, DescriptionFault, "none.txt: no such file"),
    ],
)
def test_what_does_not_belong_together(files, tmp_path, change, error, words):
    (tmp_path / "two.txt").write_text("calm\nhappy\n")
    other = replace(SPEC, features=(LogMel(bands=5),))
    (tmp_path / "other.json").write_text(other.to_json())
    named = {name: None if value is None else tmp_path / value for name, value in change.items()}
    with pytest.raises(error) as caught:
        pack(DATA / "toy_float.tflite", **files | named)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("none.tflite", PackingRefused, "no such file"),
        ("make_toy_models.py", PackingRefused, "no whole TensorFlow Lite model"),
        ("format_v1.tflite", PackingRefused, "model file already"),
        ("toy_two_inputs.tflite", PackingRefused, "2 inputs and 1 outputs"),
        ("toy_two_outputs.tflite", PackingRefused, "1 inputs and 2 outputs"),
        (
            "toy_strings.tflite",
            PackingRefused,
            "toy_strings.tflite: the graph's input is bytes; export",
        ),
        (
            "toy_unknown_op.tflite",
            PackingRefused,
            "toy_unknown_op.tflite: ai-edge-litert refuses the",
        ),
    ],
)
def test_what_cannot_be_packed(files, name, error, words):
    with pytest.raises(error) as caught:
        pack(DATA / name, **files)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_graph_is_refused(files, tmp_path):
    whole = (DATA / "toy_float.tflite").read_bytes()
    for length in (0, 6, 40, len(whole) // 2):
        cut = tmp_path / "cut.tflite"
        cut.write_bytes(whole[:length])
        with pytest.raises(PackingRefused, match=r"cut\.tflite: is no whole"):
            pack(cut, **files)


@pytest.fixture
def model(files):
    """A model file of ``toy_float``, with scores to keep."""
    packed = parsed(pack(DATA / "toy_float.tflite", **files, temperature=1.5, name="kept"))
    return replace(packed, metadata=replace(packed.metadata, scores={"uar": 0.5}))


def compiled(tmp_path, flatbuffer: bytes) -> Path:
    path = tmp_path / "compiled.tflite"
    path.write_bytes(flatbuffer)
    return path


def test_a_compilers_output_takes_all_that_the_model_had(model, tmp_path):
    # A compiler rewrites the bytes and keeps what they compute.
    rewritten = add_tflite_metadata(
        model.flatbuffer, name="compiler", description="", licence="", input_description="",
        output_description="",
    )  # fmt: skip
    packed = pack_like(compiled(tmp_path, rewritten), model, target="edgetpu")
    assert packed.golden == "held"
    made = parsed(packed)
    assert made.flatbuffer == rewritten, "the compiler's bytes are not touched"
    assert made.metadata.target == "edgetpu"
    assert made.metadata.provenance["compiled_from"] == model.metadata.flatbuffer_sha256
    for name in ("name", "labels", "front_end", "normaliser", "temperature", "scores", "variant"):
        assert getattr(made.metadata, name) == getattr(model.metadata, name)
    assert made.golden_npz == model.golden_npz
    assert pack_like(compiled(tmp_path, rewritten), model).data == pack_like(
        compiled(tmp_path, rewritten), model
    ).data  # fmt: skip


def test_an_operator_that_no_interpreter_here_knows_is_packed_and_said(model, tmp_path):
    custom = (DATA / "toy_unknown_op.tflite").read_bytes()
    packed = pack_like(compiled(tmp_path, custom), model)
    assert packed.golden not in ("held", "made")
    assert "\n" not in packed.golden
    assert "convert it" not in packed.golden, "the graph is right, this machine is not the one"
    assert parsed(packed).metadata.labels == model.metadata.labels


def test_a_graph_that_computes_something_else_is_refused(model, tmp_path):
    namespace = {"__file__": str(bare_run.TOYS), "__name__": "made"}
    exec(bare_run.TOYS.read_text(), namespace)
    graph = namespace["Graph"]()
    fed = graph.tensor("features", [1, 20, 4])
    mean = namespace["mean_over_time"](graph, fed, "mean")
    other = graph.bytes([fed], [namespace["float_dense"](graph, mean, "logits", seed=8)])
    with pytest.raises(PackingRefused, match="computes something else"):
        pack_like(compiled(tmp_path, other), model)


def test_other_tensors_than_the_models_are_refused(model, tmp_path):
    int8 = compiled(tmp_path, (DATA / "toy_int8.tflite").read_bytes())
    with pytest.raises(PackingRefused, match=r"its input is int8 1 x 20 x 4, that of .* float32"):
        pack_like(int8, model)
    given = TensorInfo((1, 4), "float32")
    wrong = replace(model, metadata=replace(model.metadata, output=given))
    with pytest.raises(PackingRefused, match="its output is float32 1 x 3"):
        pack_like(compiled(tmp_path, model.flatbuffer), wrong)


def test_a_model_file_is_not_packed_again(model, files, tmp_path):
    whole = pack(DATA / "toy_float.tflite", **files).data
    with pytest.raises(PackingRefused, match="is a model file already"):
        pack_like(compiled(tmp_path, whole), model)
