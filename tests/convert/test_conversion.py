"""Whole conversions of a toy run: what is kept, what is refused, what is left behind."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert import attempt as attempts
from ser_edge_convert import conversion
from ser_edge_convert.child import run_child
from ser_edge_convert.conversion import convert, report_path
from ser_edge_convert.errors import (
    BadNetwork,
    ConversionCrashed,
    ConversionMismatch,
    ConversionRefused,
    GateFailed,
    OutputFailed,
)
from ser_edge_convert.graph import read_graph
from ser_edge_runtime import Classifier
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.run_directory import RunDirectory, RunError
from tests.convert import toy_run

MODEL = "toy.tflite"
# Stands in for the converter: lays a finished export on the desk, then runs further lines.
COPY = """
import os, pathlib, shutil, signal, sys
import numpy as np
source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[-1])
for name in ("network.tflite", "logits.npy", "facts.json"):
    shutil.copy(source / name, folder / name)
logits = np.load(folder / "logits.npy")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, and its int8 conversion by the real converter, whose export is kept."""
    folder = tmp_path_factory.mktemp("toy")
    run = toy_run.make_run(folder)
    kept = folder / "export"

    def keep(desk, job, log, *, command):
        found = run_child(desk, job, log, command=command)
        shutil.copytree(desk.folder, kept)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "run_child", keep)
        result = convert(
            run, folder / MODEL, store=folder / "store", variant="int8", max_drop=1.0,
            calibration_size=40,
        )  # fmt: skip
    return folder, run, result


@pytest.fixture
def run(made):
    return made[1]


def attempt(made, out: Path, *lines: str, **options):
    """A conversion with the export of ``made`` and lines that tamper with it."""
    folder, run, _ = made
    command = [sys.executable, "-c", "\n".join([COPY, *lines]), str(folder / "export")]
    options = {"variant": "int8", "max_drop": 1.0, "calibration_size": 40} | options
    return convert(options.pop("run", run), out, store=folder / "store", command=command, **options)


def truth(run: RunDirectory) -> str:
    """A line that makes the network's logits right on every validation clip."""
    inputs = conversion.RunInputs.read(run)
    classes = inputs.classes(inputs.validation).tolist()
    return f'np.save(folder / "logits.npy", 4 * np.eye(4, dtype=np.float32)[{classes}])'


def left_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_the_model_file_knows_where_it_came_from(made):
    folder, run, result = made
    model = read_model_file(folder / MODEL)
    metadata = model.metadata
    assert (metadata.target, metadata.variant, metadata.name) == ("cpu", "int8", "toy")
    assert metadata.labels == toy_run.LABELS
    assert metadata.front_end == toy_run.SPEC
    manifest, partition = Manifest.read(run.manifest), Partition.read(run.partition)
    assert metadata.provenance["manifest"] == manifest.digest
    assert metadata.provenance["partition"] == partition.digest
    assert metadata.provenance["recipe"] == {"name": "toy", "digest": run.read_recipe().digest}
    assert metadata.provenance["calibration"]["digest"] == result.report["calibration"]["digest"]
    assert {"tensorflow", "keras", "ser-edge"} <= metadata.provenance["versions"].keys()
    assert metadata.scores["conversion"]["part"] == "validation"
    assert result.report["file"]["bytes"] == (folder / MODEL).stat().st_size


def test_int8_has_one_fused_operator_a_layer(made):
    graph = read_graph(read_model_file(made[0] / MODEL).flatbuffer)
    assert graph.counts["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 2
    assert graph.inner_floats == ()
    assert made[2].report["graph"]["operators"] == graph.counts


def test_its_tensors_have_the_short_names(made):
    folder, _, result = made
    given = read_graph((folder / "export" / "network.tflite").read_bytes())
    kept = read_graph(read_model_file(result.path).flatbuffer)
    assert any(";" in tensor.name for tensor in given.tensors)
    assert not any(";" in tensor.name for tensor in kept.tensors)


def test_the_file_classifies_recordings_as_the_report_says(made):
    folder, run, result = made
    manifest, partition = Manifest.read(run.manifest), Partition.read(run.partition)
    classifier = Classifier.load(folder / MODEL)
    clips = partition.clips(manifest, "validation")
    merge = run.read_recipe().merge
    right = [
        classifier.classify_file(manifest.path_of(clip)).label
        == merge.get(clip.emotion, clip.emotion)
        for clip in clips
    ]
    assert np.mean(right) == pytest.approx(
        result.report["validation"]["after"]["accuracy"], abs=1e-6
    )
    assert np.mean(right) > 0.5, "the toy network is to be better than chance"


def test_only_training_clips_calibrate_and_the_test_part_is_not_opened(made):
    folder, run, result = made
    partition = Partition.read(run.partition)
    listed = [(clip["corpus"], clip["stem"]) for clip in result.report["calibration"]["clips"]]
    assert len(listed) == 40
    assert set(listed) <= partition.part("train")
    assert set(result.report["calibration"]["classes"].values()) == {10}
    stored = {path.stem for path in (folder / "store").rglob("*.npy")}
    tested = {row.audio_sha256 for row in partition.rows if row.part == "test"}
    assert stored
    assert stored.isdisjoint(tested)


def test_the_report_beside_it_is_what_was_returned(made):
    folder, _, result = made
    assert result.report_path == folder / f"{MODEL}.report.json"
    assert json.loads(result.report_path.read_text()) == result.report
    assert result.report["kept"]
    validation = result.report["validation"]
    assert (validation["clips"], validation["speakers"]) == (24, 1)
    assert set(validation["before"]["corpora"]) == {"toy"}


def test_two_conversions_give_the_same_bytes(made, tmp_path):
    folder, run, _ = made
    shutil.copytree(run.path, tmp_path / "elsewhere")
    again = convert(
        RunDirectory(tmp_path / "elsewhere"), tmp_path / "other.tflite",
        store=tmp_path / "store", variant="int8", max_drop=1.0, calibration_size=40,
    )  # fmt: skip
    assert again.path.read_bytes() == (folder / MODEL).read_bytes()
    assert again.report_path.read_bytes() == report_path(folder / MODEL).read_bytes()
    assert left_in(tmp_path) == {"elsewhere", "store", "other.tflite", "other.tflite.report.json"}


def test_a_loss_above_the_gate_keeps_the_report_alone(made, tmp_path, run):
    out = tmp_path / MODEL
    with pytest.raises(GateFailed) as caught:
        attempt(made, out, truth(run), max_drop=0.02)
    assert left_in(tmp_path) == {f"{MODEL}.report.json"}
    report = json.loads(report_path(out).read_text())
    assert not report["kept"]
    assert "file" not in report
    assert report["validation"]["before"]["accuracy"] == 1.0
    assert report["gate"]["drop"] > report["gate"]["max_drop"] == 0.02
    text = str(caught.value)
    assert "\n" not in text
    after = [f"{100 * report['validation']['after'][name]:.1f} %" for name in ("accuracy", "uar")]
    assert f"(accuracy 100.0 to {after[0]}, UAR 100.0 to {after[1]})" in text
    assert str(report_path(out)) in text
    assert caught.value.exit_code == 1


def test_the_gate_is_met_by_a_loss_equal_to_it(made, tmp_path, run):
    out = tmp_path / MODEL
    with pytest.raises(GateFailed):
        attempt(made, out, truth(run), max_drop=0.0)
    lost = json.loads(report_path(out).read_text())["gate"]["drop"]
    assert 0 < lost < 1
    assert attempt(made, out, truth(run), max_drop=lost).path == out
    with pytest.raises(GateFailed):
        attempt(made, out, truth(run), max_drop=lost - 1e-4)


def test_the_gate_may_ask_how_many_clips_keep_their_class(made, tmp_path, run):
    out = tmp_path / MODEL
    with pytest.raises(GateFailed, match=r"keeps the class of \d+, 100 % are asked \(accuracy"):
        attempt(made, out, truth(run), max_drop=1.0, min_agreement=1.0)
    gate = json.loads(report_path(out).read_text())["gate"]
    assert 0 < gate["agreement"] < gate["min_agreement"] == 1.0
    kept = attempt(made, out, truth(run), max_drop=1.0, min_agreement=gate["agreement"])
    found = kept.report["agreement"]
    assert gate["agreement"] == found["same"] / found["clips"]


def test_no_loss_passes_a_gate_of_nothing(made, tmp_path):
    same = (
        "sys.path.insert(0, '.')",
        "from ser_edge_runtime.interpreter import Interpreter",
        "interpreter = Interpreter((folder / 'network.tflite').read_bytes())",
        "rows = []",
        "for clip in np.load(folder / 'probe.npy'):",
        "    interpreter.reset()",
        "    rows.append(interpreter.invoke(clip))",
        "np.save(folder / 'logits.npy', np.array(rows))",
    )
    result = attempt(made, tmp_path / MODEL, *same, max_drop=0.0)
    assert result.report["agreement"]["same"] == result.report["agreement"]["clips"]
    assert result.report["gate"]["drop"] == 0.0


def test_an_older_file_survives_a_failed_conversion(made, tmp_path, run):
    out = tmp_path / MODEL
    out.write_bytes(b"older")
    with pytest.raises(GateFailed, match="there before is untouched"):
        attempt(made, out, truth(run), max_drop=0.0)
    assert out.read_bytes() == b"older"


def test_a_file_that_answers_something_else_is_refused(made, tmp_path):
    shuffled = 'np.save(folder / "logits.npy", np.roll(logits, 1, axis=1))'
    with pytest.raises(ConversionMismatch, match="names the network's class on only"):
        attempt(made, tmp_path / MODEL, shuffled)
    assert left_in(tmp_path) == set()


def test_a_crash_leaves_only_its_log(made, tmp_path):
    with pytest.raises(ConversionCrashed, match="SIGSEGV"):
        attempt(made, tmp_path / MODEL, "os.kill(os.getpid(), signal.SIGSEGV)")
    assert left_in(tmp_path) == {f"{MODEL}.log"}


def test_labels_that_do_not_match_the_output_are_named(made, tmp_path):
    cut = 'np.save(folder / "logits.npy", logits[:, :3])'
    with pytest.raises(BadNetwork, match="gives 3 logits, but the recipe names 4 labels"):
        attempt(made, tmp_path / MODEL, cut)
    assert left_in(tmp_path) == set()


def test_temporary_files_go_whatever_happens(made, tmp_path, monkeypatch):
    (tmp_path / "desk").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "desk"))
    with pytest.raises(ConversionCrashed):
        attempt(made, tmp_path / "out" / MODEL, "os.kill(os.getpid(), signal.SIGKILL)")
    attempt(made, tmp_path / "out" / MODEL)
    assert left_in(tmp_path / "desk") == set()


@pytest.mark.parametrize("when", ["model", "report"])
def test_a_full_disk_is_one_line_and_leaves_nothing(made, tmp_path, monkeypatch, when):
    out = tmp_path / MODEL

    def full(path, data):
        if (Path(path) == out) == (when == "model"):
            raise OSError(28, "No space left on device", str(path))
        real(path, data)

    name = "write_atomically" if when == "model" else "write_text_atomically"
    real = getattr(conversion, name)
    monkeypatch.setattr(conversion, name, full)
    with pytest.raises(OutputFailed, match="No space left on device") as caught:
        attempt(made, out)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == set()


def test_an_output_that_cannot_be_written_is_found_before_the_work(made, tmp_path):
    def never(*arguments):
        raise AssertionError("the work began")

    for out, fault in ((tmp_path / "no" / MODEL, "No such file"), (tmp_path, "is a folder")):
        with pytest.raises(OutputFailed, match=fault):
            attempt(made, out, progress=never)


def test_features_of_another_shape_than_the_network_has(made, tmp_path):
    folder, run, _ = made
    shutil.copytree(run.path, tmp_path / "run")
    other = RunDirectory(tmp_path / "run")
    spec = toy_run.FrontEndSpec.from_dict(toy_run.SPEC.to_dict() | {"clip_seconds": 0.4})
    other.front_end.write_text(spec.to_json())
    (tmp_path / "out").mkdir()
    with pytest.raises(BadNetwork, match="but the front end gives"):
        convert(other, tmp_path / "out" / MODEL, store=folder / "store", variant="float32")
    assert left_in(tmp_path / "out") == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "int4"}, "no variant 'int4'"),
        ({"variant": None, "target": "moon"}, "no target 'moon'"),
        ({"target": "web", "variant": "int8-io"}, "does not run on web"),
        ({"max_drop": 2.0}, "is no share"),
        ({"max_drop": -0.1}, "is no share"),
    ],
)
def test_options_that_cannot_work_are_refused_first(made, tmp_path, options, message):
    with pytest.raises(ConversionRefused, match=message):
        attempt(made, tmp_path / MODEL, **options)
    assert left_in(tmp_path) == set()


def test_the_form_that_was_made_is_checked_against_the_target(made, tmp_path):
    tampered = (
        "facts = (folder / 'facts.json').read_text().replace('fused', 'unrolled')",
        "(folder / 'facts.json').write_text(facts)",
    )
    with pytest.raises(ConversionRefused, match="unrolled LSTM does not run on micro"):
        attempt(made, tmp_path / MODEL, *tampered, target="micro", variant="int8")


def copied(run: RunDirectory, folder: Path) -> RunDirectory:
    shutil.copytree(run.path, folder / "run")
    return RunDirectory(folder / "run")


@pytest.mark.parametrize("name", ["model.keras", "front_end.json", "normaliser.json"])
def test_a_run_that_is_not_finished_says_so(made, tmp_path, run, name):
    other = copied(run, tmp_path)
    (other.path / name).unlink()
    with pytest.raises(RunError, match=r"train --resume"):
        attempt(made, tmp_path / MODEL, run=other)


def test_a_network_that_is_no_keras_file(made, tmp_path, run):
    other = copied(run, tmp_path)
    other.model.write_bytes(b"PK nothing")
    with pytest.raises(BadNetwork, match="not a file that Keras 3 saved"):
        attempt(made, tmp_path / MODEL, run=other)


def reported(run: RunDirectory) -> dict:
    group = {"clips": 9, "speakers": 3, "accuracy": 0.7, "uar": 0.6, "uar_interval": [0.5, 0.7]}
    group |= {"macro_f1": 0.6, "ece": 0.1, "recalls": {"sad": 0.5}}
    tables = {"confusion": {"labels": [], "counts": []}, "precisions": {"sad": 0.5}}
    found = {"overall": group | tables, "corpora": {"toy": group | tables}, "speakers": {"a": {}}}
    report = {
        "schema_version": 1,
        "protocol": {"name": "speaker-folds", "fold": 1, "speaker_disjoint": True},
        "model": {"temperature": 1.75},
        "scores": {"train": found, "test": found},
    }
    run.report_json.write_text(json.dumps(report))
    return group


def test_scores_and_temperature_come_from_the_runs_report(made, tmp_path, run):
    other = copied(run, tmp_path)
    group = reported(other)
    metadata = read_model_file(attempt(made, tmp_path / MODEL, run=other).path).metadata
    assert metadata.temperature == 1.75
    assert metadata.scores["protocol"]["speaker_disjoint"]
    assert metadata.scores["parts"] == {"test": {"overall": group, "corpora": {"toy": group}}}
    assert metadata.scores["conversion"]["after"]["clips"] == 24


def test_without_a_report_the_temperature_is_fitted_within_reason(made):
    metadata = read_model_file(made[0] / MODEL).metadata
    assert 0.25 <= metadata.temperature <= 4.0
    assert metadata.scores["parts"] == {}
    assert metadata.scores["protocol"] == {"name": "speaker-folds", "fold": 1}


def test_a_partition_without_validation_clips(made, tmp_path, run):
    other = copied(run, tmp_path)
    other.partition.write_text(other.partition.read_text().replace(",validation", ",train"))
    with pytest.raises(ConversionRefused, match="no validation clips"):
        attempt(made, tmp_path / MODEL, run=other)


def test_progress_tells_its_stages_in_order(made, tmp_path):
    told = []
    attempt(made, tmp_path / MODEL, progress=lambda *step: told.append(step))
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [
        "calibration features", "validation features", "converting", "comparing", "packaging",
    ]  # fmt: skip
    assert ("comparing", 24, 24) in told
