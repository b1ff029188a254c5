"""Several variants of one network, side by side; the converter is a stand-in."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from ser_edge_convert import conversion
from ser_edge_convert.child import Desk
from ser_edge_convert.conversion import Settings, convert, convert_each, report_path
from ser_edge_convert.errors import (
    BadNetwork,
    CalibrationError,
    ConversionCrashed,
    ConversionRefused,
    GateFailed,
    OutputFailed,
)
from ser_edge_convert.inputs import RunInputs
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.errors import MissingFile
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory
from tests.convert import bare_run

CRASH = "if job['variant'] == 'int8': os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    return folder, bare_run.make(folder)


@pytest.fixture
def run(made):
    return made[1]


def each(made, out: Path, *lines: str, **options):
    folder, run = made
    options = {"max_drop": 1.0, "calibration_size": 40} | options
    return convert_each(
        options.pop("run", run), lambda name: out / f"toy-{name}.tflite",
        store=folder / "store", command=bare_run.command(folder, *lines), **options,
    )  # fmt: skip


def copied(run: RunDirectory, folder: Path) -> RunDirectory:
    shutil.copytree(run.path, folder / "run")
    return RunDirectory(folder / "run")


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """All variants; what was told; the outcomes."""
    out, told = tmp_path_factory.mktemp("out"), []
    ended = []
    outcomes = each(made, out, progress=lambda *s: told.append(s), ended=ended.append)
    return out, outcomes, told, ended


def test_every_variant_has_a_file_and_a_report(whole):
    out, outcomes, _, ended = whole
    assert [outcome.variant for outcome in outcomes] == list(VARIANTS)
    assert outcomes == ended
    names = {f"toy-{name}.tflite" for name in VARIANTS}
    assert {p.name for p in out.iterdir()} == names | {f"{name}.report.json" for name in names}
    for outcome in outcomes:
        assert outcome.fault is None
        assert not outcome.refused
        assert outcome.conversion is not None
        metadata = read_model_file(outcome.conversion.path).metadata
        assert metadata.variant == outcome.variant
        assert outcome.report == json.loads(outcome.conversion.report_path.read_text())


def test_only_calibrated_variants_name_calibration_clips(whole, run):
    out = whole[0]
    inputs = RunInputs.read(run)
    training = {c.audio_sha256[:16] for c in inputs.partition.clips(inputs.manifest, "train")}
    for name, variant in VARIANTS.items():
        found = read_model_file(out / f"toy-{name}.tflite").metadata.provenance["calibration"]
        assert (found is not None) == variant.calibrated
        if found is not None:
            assert len(found["audio"]) == found["size"] == 40
            assert set(found["audio"]) <= training


def test_features_are_computed_once_for_all(whole):
    told = whole[2]
    stages = [stage for stage, done, total in told if done == total]
    assert stages.count("float32: validation features") == 1
    assert stages.count("int8: calibration features") == 1
    assert sum(stage.endswith("features") for stage in dict.fromkeys(stages)) == 2
    assert "int16x8: comparing" in stages


def test_one_variant_is_the_same_alone(made, whole, tmp_path):
    folder, run = made
    alone = convert(
        run, tmp_path / "alone.tflite", store=folder / "store", variant="int8", max_drop=1.0,
        calibration_size=40, command=bare_run.command(folder),
    )  # fmt: skip
    assert alone.path.read_bytes() == (whole[0] / "toy-int8.tflite").read_bytes()


def test_what_the_target_cannot_have_is_refused_with_the_reason_and_the_rest_is_made(
    made, tmp_path
):
    found = {o.variant: o for o in each(made, tmp_path, target="edgetpu")}
    refused = {name for name, outcome in found.items() if outcome.refused}
    assert refused == {"float32", "float16", "dynamic", "int16x8"}
    assert "float32 does not run on edgetpu" in str(found["float32"].fault)
    assert found["float32"].report is None
    assert {p.name for p in tmp_path.glob("*.tflite")} == {
        "toy-int8.tflite", "toy-int8-io.tflite",
    }  # fmt: skip


def test_a_crash_of_one_leaves_the_others(made, tmp_path):
    found = {o.variant: o for o in each(made, tmp_path, CRASH, variants=["int8", "float32"])}
    assert isinstance(found["int8"].fault, ConversionCrashed)
    assert not found["int8"].refused
    assert found["float32"].conversion is not None
    assert {p.name for p in tmp_path.iterdir()} == {
        "toy-int8.tflite.log", "toy-float32.tflite", "toy-float32.tflite.report.json",
    }  # fmt: skip


def test_one_above_the_gate_keeps_its_report_alone(made, tmp_path, run):
    inputs = RunInputs.read(run)
    right = inputs.classes(inputs.validation).tolist()
    perfect = f"if job['variant'] == 'int8': logits = 4 * np.eye(4)[{right}]"
    found = {
        o.variant: o
        for o in each(made, tmp_path, perfect, variants=["int8", "dynamic"], max_drop=0.0)
    }
    assert isinstance(found["int8"].fault, GateFailed)
    assert found["int8"].report == json.loads(report_path(tmp_path / "toy-int8.tflite").read_text())
    assert found["int8"].report["kept"] is False
    assert found["dynamic"].conversion is not None


def test_without_calibration_clips_the_others_are_made(made, tmp_path, run):
    other = copied(run, tmp_path)
    other.partition.write_text(other.partition.read_text().replace(",train", ",test"))
    (tmp_path / "out").mkdir()
    variants = ["int8", "float32"]
    found = {o.variant: o for o in each(made, tmp_path / "out", run=other, variants=variants)}
    assert isinstance(found["int8"].fault, CalibrationError)
    assert "\n" not in str(found["int8"].fault)
    assert found["float32"].conversion is not None


def test_a_missing_recording_is_one_line_for_each_that_needs_it(made, tmp_path, run):
    other = copied(run, tmp_path)
    shutil.copytree(run.path.parent / "recordings", tmp_path / "recordings")
    Manifest(tmp_path / "recordings", Manifest.read(run.manifest).clips).write(other.manifest)
    for path in (tmp_path / "recordings").glob("s[123]-*"):
        path.unlink()
    (tmp_path / "out").mkdir()
    found = convert_each(
        other, lambda name: tmp_path / "out" / f"{name}.tflite", store=tmp_path / "store",
        variants=["int8", "float32"], max_drop=1.0, command=bare_run.command(made[0]),
    )  # fmt: skip
    assert isinstance(found[0].fault, MissingFile)
    assert "\n" not in str(found[0].fault)
    assert "recordings" in str(found[0].fault)
    assert found[1].conversion is not None


def test_features_half_written_are_written_anew(made, tmp_path, monkeypatch):
    calls = []
    real = RunInputs.write_features

    def full_once(self, store, clips, path, progress, stage):
        calls.append(stage)
        if len(calls) == 1:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device", str(path))
        real(self, store, clips, path, progress, stage)

    monkeypatch.setattr(RunInputs, "write_features", full_once)
    found = each(made, tmp_path, variants=["float32", "float16"])
    assert isinstance(found[0].fault, OutputFailed)
    assert "No space left on device" in str(found[0].fault)
    assert found[1].conversion is not None
    assert calls == ["validation features"] * 2


def test_a_full_disk_stops_one_file_and_leaves_nothing_of_it(made, tmp_path, monkeypatch):
    real = conversion.write_atomically

    def full(path, data):
        if "float16" in str(path):
            raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr(conversion, "write_atomically", full)
    found = each(made, tmp_path, variants=["float16", "float32"])
    assert isinstance(found[0].fault, OutputFailed)
    assert "\n" not in str(found[0].fault)
    assert found[1].conversion is not None
    assert not list(tmp_path.glob("*float16*"))


def test_what_all_of_them_need_ends_it_at_once(made, tmp_path, run):
    other = copied(run, tmp_path)
    other.partition.write_text(other.partition.read_text().replace(",validation", ",test"))
    with pytest.raises(ConversionRefused, match="no validation clips"):
        each(made, tmp_path, run=other)
    other.model.write_bytes(b"PK nothing")
    with pytest.raises(BadNetwork, match="not a file that Keras 3 saved"):
        each(made, tmp_path, run=other)


def test_temporary_files_go(made, tmp_path, monkeypatch):
    (tmp_path / "desk").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "desk"))
    each(made, tmp_path / "out", CRASH, variants=["float32", "int8"])
    assert list((tmp_path / "desk").iterdir()) == []


def test_settings_are_checked_before_the_work(made, tmp_path):
    def never(*arguments):
        raise AssertionError("the work began")

    for bad in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConversionRefused, match="is no share"):
            each(made, tmp_path, max_drop=bad, progress=never)
    with pytest.raises(TypeError):
        each(made, tmp_path, no_such_setting=1, progress=never)
    assert Settings().max_drop == conversion.MAX_DROP


def test_a_desk_shares_features_and_nothing_else(made, tmp_path):
    attempt = conversion.Bench(
        RunInputs.read(made[1]), made[0] / "store", tmp_path, lambda *step: None
    )
    chosen = attempt.calibrate(8, 0)
    one, other = attempt._desk(chosen), attempt._desk(None)
    assert isinstance(one, Desk)
    assert one.probe.samefile(other.probe)
    assert one.calibration.exists()
    assert not other.calibration.exists()
    assert one.folder != other.folder
