"""A file from samples to probabilities says what the model file says."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.number_types import Uint32Flags

from ser_edge_convert import waveform_in
from ser_edge_convert.errors import ConversionMismatch, ConversionRefused, OutputFailed
from ser_edge_convert.graph import read_graph
from ser_edge_convert.packaging import package
from ser_edge_convert.tflite_metadata import read_tflite_metadata
from ser_edge_convert.waveform_in import (
    embed_front_end,
    filled,
    usual_seconds,
    write_waveform_model,
)
from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Mfcc, Normaliser
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import (
    default_model_path,
    parse_model_file,
    read_model_file,
)
from ser_edge_runtime.resampling import resample
from tests.convert.test_packaging import Table, graph, parts
from tests.system.three_interpreters import VARIABLE, answers_of

ROOT = Path(__file__).resolve().parent.parent.parent
CLIPS = sorted((ROOT / "examples" / "clips").glob("*.wav"))


def packed(toy="toy_float", variant="float32", **change):
    return parse_model_file(package(graph(toy), **parts(variant=variant, **change)), "toy.tflite")


def recordings(model, count=12):
    """Noise of several lengths, as quiet at its ends as recordings are, and of several levels."""
    rate = model.metadata.front_end.sample_rate
    longest = int(usual_seconds(model) * rate)
    generator = np.random.default_rng(5)
    for number in range(count):
        samples = generator.standard_normal(longest * (number + 1) // count)
        tilt = np.convolve(samples, generator.uniform(-1, 1, 5), mode="same")
        yield (10.0 ** generator.uniform(-4, -0.5) * tilt).astype(np.float32)


def answers(made, clips):
    interpreter = Interpreter(made.data)
    return np.array([interpreter.invoke(filled(clip, made.samples)[0]) for clip in clips])


def expected(model, clips):
    classifier = Classifier(model)
    return np.array([classifier.probabilities(classifier.front_end(clip)) for clip in clips])


@pytest.fixture(scope="module")
def default():
    model = read_model_file(default_model_path())
    return model, embed_front_end(model)


@pytest.mark.parametrize(("toy", "variant"), [("toy_float", "float32"), ("toy_int8", "int8-io")])
def test_probabilities_are_those_of_the_model(toy, variant):
    model = packed(toy, variant)
    made = embed_front_end(model)
    clips = list(recordings(model))
    found = answers(made, clips)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, expected(model, clips), atol=1e-4)
    assert np.ptp(found, axis=0).max() > 0.05, "the same answer to all shows nothing"
    assert made.difference < 1e-4


@pytest.mark.parametrize(
    "front_end",
    [
        FrontEndSpec(
            sample_rate=8000, fft_length=200, window_length=200, hop_length=80, cut="start",
            features=(Mfcc(count=4, bands=10),), clip_seconds=0.19, trim_db=30.0, level=0.1,
        ),
        FrontEndSpec(
            sample_rate=11025, fft_length=256, window_length=200, hop_length=80, centred=False,
            features=(LogMel(bands=4),), clip_seconds=0.164, offset_seconds=0.1,
        ),
    ],
)  # fmt: skip
def test_other_front_ends_are_embedded_too(front_end):
    model = packed(front_end=front_end)
    clips = list(recordings(model))
    np.testing.assert_allclose(
        answers(embed_front_end(model), clips), expected(model, clips), atol=1e-4
    )


def test_the_temperature_and_the_normaliser_are_inside():
    clips = list(recordings(packed(), 3))
    mild = answers(embed_front_end(packed(temperature=4.0)), clips)
    sharp = answers(embed_front_end(packed(temperature=0.5)), clips)
    assert (sharp.max(axis=1) > mild.max(axis=1) + 0.05).all()
    other = Normaliser(np.full(4, 10, np.float32), np.full(4, 2, np.float32))
    model = packed(normaliser=other)
    found = answers(embed_front_end(model), clips)
    np.testing.assert_allclose(found, expected(model, clips), atol=1e-4)
    assert np.abs(found - answers(embed_front_end(packed()), clips)).max() > 0.05


def test_the_default_model_hears_the_example_clips_alike(default):
    model, made = default
    rate = model.metadata.front_end.sample_rate
    assert (made.sample_rate, made.samples) == (rate, 6 * rate)
    loaded = [load_audio(path) for path in CLIPS]
    assert len(loaded) >= 2
    clips = [resample(samples, source, rate) for samples, source in loaded]
    clips += [clip[rate // 2 : 2 * rate] for clip in clips]
    found, wanted = answers(made, clips), expected(model, clips)
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_the_models_own_operators_stand_in_it_unchanged():
    model = read_model_file(default_model_path().with_name("small.tflite"))
    made = embed_front_end(model)
    own, whole = read_graph(model.flatbuffer), read_graph(made.data)
    last = whole.operators[-2 - len(own.operators) : -2]
    assert [operator.name for operator in last] == [operator.name for operator in own.operators]
    assert [operator.name for operator in whole.operators[-2:]] == ["MUL", "SOFTMAX"]
    scales = [own.tensors[op.outputs[0]].scales for op in own.operators]
    assert [whole.tensors[op.outputs[0]].scales for op in last] == scales
    assert any(scale for scale in scales), "it is quantised"
    before = whole.operators[: -2 - len(own.operators)]
    assert not any(whole.tensors[i].scales for op in before for i in op.outputs)
    assert "CUSTOM" not in whole.counts


def test_the_ends_are_samples_and_probabilities(default):
    model, made = default
    graph_ = read_graph(made.data)
    (fed,), (given,) = graph_.inputs, graph_.outputs
    assert graph_.tensors[fed].name == "samples"
    assert graph_.tensors[fed].shape == (1, made.samples)
    assert graph_.tensors[given].name == "probabilities"
    assert graph_.tensors[given].shape == (1, len(model.metadata.labels))
    assert {graph_.tensors[index].dtype for index in (fed, given)} == {"float32"}


def test_every_invoke_is_by_itself(default):
    model, made = default
    clips = list(recordings(model, 4))
    np.testing.assert_array_equal(answers(made, [*clips, *clips])[4:], answers(made, clips))


def test_the_metadata_tell_tools_to_feed_samples():
    made = embed_front_end(packed())
    content = read_tflite_metadata(made.data)
    model = Table(content)
    assert (model.text(0), model.text(5), model.text(7)) == ("toy", "MIT", "1.3.0")
    assert packed().metadata.flatbuffer_sha256 in model.text(1)
    (subgraph,) = model.children(3)
    (fed,), (given,) = subgraph.children(2), subgraph.children(3)
    assert (fed.text(0), given.text(0)) == ("samples", "probabilities")
    assert fed.child(3).byte(0) == 4  # AudioProperties
    audio = fed.child(3).child(1)
    places = [audio.table.Pos + audio.offset(slot) for slot in (0, 1)]
    assert [audio.table.Get(Uint32Flags, place) for place in places] == [8000, 1]
    (labels,) = given.children(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)


def test_the_labels_stand_behind_the_graph_as_a_zip():
    made = embed_front_end(packed())
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt") == b"calm\nhappy\nsad\n"
        assert archive.testzip() is None


def test_the_same_model_gives_the_same_bytes(default):
    model, made = default
    assert embed_front_end(model).data == made.data


@pytest.mark.parametrize("name", ["accurate", "default", "open", "small"])
def test_an_interpreter_of_2023_answers_the_same(name):
    """TensorFlow's own is compared by docs/make_waveform.py: it takes seconds to start."""
    python = os.environ.get(VARIABLE) or pytest.skip(f"${VARIABLE} names no Python with it")
    model = read_model_file(default_model_path().with_name(f"{name}.tflite"))
    made = embed_front_end(model)
    rate = model.metadata.front_end.sample_rate
    said = [resample(samples, source, rate) for samples, source in map(load_audio, CLIPS)]
    rows = [filled(clip, made.samples) for clip in (*said, *recordings(model, 8))]
    fed = np.concatenate(rows)
    found = answers_of(made.data, fed, {"tflite-runtime": python})["tflite-runtime"][:-1]
    wanted = np.array([Interpreter(made.data).invoke(row) for row in fed])
    np.testing.assert_allclose(found, wanted, atol=0.03)
    # Of one noise default's two best classes lie closer than two interpreters' rounding.
    same = slice(len(said)) if name == "default" else slice(None)
    np.testing.assert_array_equal(found[same].argmax(axis=1), wanted[same].argmax(axis=1))


@pytest.mark.parametrize("seconds", [0.3, 0.38, 1.0])
def test_the_length_may_be_chosen(seconds):
    model = packed()
    made = embed_front_end(model, seconds)
    assert made.samples == round(seconds * 8000)
    clips = [clip[: made.samples] for clip in recordings(model)]
    np.testing.assert_allclose(answers(made, clips), expected(model, clips), atol=1e-4)


def test_by_default_it_takes_what_the_classifier_takes_whole():
    assert usual_seconds(packed()) == pytest.approx(0.38)
    spec = FrontEndSpec(features=(LogMel(bands=4),), clip_seconds=None, layout="mean")
    described = packed()
    kept = replace(described, metadata=replace(described.metadata, front_end=spec))
    assert usual_seconds(kept) == waveform_in.USUAL_SECONDS
    hour = replace(described.metadata.front_end, clip_seconds=3600.0)
    long = replace(described, metadata=replace(described.metadata, front_end=hour))
    assert usual_seconds(long) == waveform_in.MOST_SECONDS


@pytest.mark.parametrize("seconds", [0.0, 0.01, -1.0, 61.0, float("nan"), float("inf")])
def test_lengths_that_make_no_sense_are_refused(seconds):
    with pytest.raises(ConversionRefused, match=r"choose 0\.05 to 60 seconds") as caught:
        embed_front_end(packed(), seconds)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_graph_that_keeps_its_state_is_refused_with_the_way_out():
    with pytest.raises(ConversionRefused, match=r"keeps its state.*--target web"):
        embed_front_end(packed("toy_stateful", "dynamic"))


def test_a_graph_with_loops_is_refused(monkeypatch):
    model = packed()
    unpacked = schema.ModelT.InitFromPackedBuf(model.flatbuffer, 0)
    unpacked.subgraphs.append(unpacked.subgraphs[0])
    monkeypatch.setattr(schema.ModelT, "InitFromPackedBuf", lambda data, start: unpacked)
    monkeypatch.setattr(waveform_in, "read_graph", lambda data: read_graph_of(keeps_state=False))
    with pytest.raises(ConversionRefused, match=r"loops or branches.*--target web"):
        embed_front_end(model)


def read_graph_of(**facts):
    return type("Facts", (), facts)()


@pytest.mark.parametrize(("toy", "variant"), [("toy_float", "float32"), ("toy_int8", "int8-io")])
def test_a_file_that_answers_otherwise_is_not_handed_out(monkeypatch, tmp_path, toy, variant):
    wrong = Normaliser(np.full(4, 0, np.float32), np.full(4, 3, np.float32))
    add = waveform_in.add_front_end
    monkeypatch.setattr(
        waveform_in,
        "add_front_end",
        lambda builder, samples, spec, normaliser: add(builder, samples, spec, wrong),
    )
    with pytest.raises(ConversionMismatch, match="a probability differs by"):
        write_waveform_model(packed(toy, variant), tmp_path / "wave.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_a_quantised_output_is_no_other_function(monkeypatch):
    """An output in int8 moves by whole steps; what floats must not do is allowed to it."""
    steps = iter([0.0] * 3 + [0.03] * 3 + [0.06] * 3)
    original = waveform_in.Interpreter.invoke
    monkeypatch.setattr(
        waveform_in.Interpreter,
        "invoke",
        lambda self, row: original(self, row) + (next(steps) if len(row.shape) == 1 else 0),
    )
    model = packed("toy_int8", "int8-io")
    assert embed_front_end(model).difference < 1e-4
    assert embed_front_end(model).difference == pytest.approx(0.03, abs=1e-4)
    with pytest.raises(ConversionMismatch, match=r"0\.06\d\d, more than 0\.05"):
        embed_front_end(model)


def test_what_is_written_is_what_was_made(tmp_path):
    made = write_waveform_model(packed(), tmp_path / "wave.tflite", 0.5)
    assert (tmp_path / "wave.tflite").read_bytes() == made.data
    assert made == embed_front_end(packed(), 0.5)


def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch, tmp_path):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(waveform_in, "write_atomically", full)
    with pytest.raises(OutputFailed, match="No space left on device") as caught:
        write_waveform_model(packed(), tmp_path / "wave.tflite")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(OutputFailed, match="cannot be written"):
        write_waveform_model(packed(), tmp_path / "nowhere" / "wave.tflite")


def test_filling_up_puts_zeros_at_the_end():
    np.testing.assert_array_equal(filled(np.ones(2, np.float32), 4), [[1, 1, 0, 0]])
    with pytest.raises(ValueError, match="5 samples do not fit into 4"):
        filled(np.ones(5, np.float32), 4)


def test_the_runtime_says_that_it_is_no_model_file_of_its_own():
    from ser_edge_runtime.errors import NoMetadata

    with pytest.raises(NoMetadata):
        parse_model_file(embed_front_end(packed()).data, "wave.tflite")
