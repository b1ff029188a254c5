"""``ser-edge convert --c-array``: the option; what it writes is tested in tests/convert."""

from __future__ import annotations

import json

import pytest

from ser_edge.cli import run
from ser_edge_convert import conversion
from ser_edge_convert.conversion import Conversion
from ser_edge_convert.errors import GateFailed
from ser_edge_convert.inputs import RunInputs
from ser_edge_runtime.model_file import default_model_path, read_model_file
from ser_edge_train.run_directory import RunDirectory

REPORT = {
    "warnings": [],
    "repair": None,
    "plan": {"variant": "int8-io", "target": "micro"},
    "gate": {"drop": 0.0, "max_drop": 0.02},
    "agreement": {"same": 9, "clips": 9, "max_difference": 0.0},
    "file": {"bytes": 1000},
    "validation": {
        "speakers": 1,
        "before": {"clips": 9, "accuracy": 1.0, "uar": 1.0},
        "after": {"clips": 9, "accuracy": 1.0, "uar": 1.0},
    },
}


@pytest.fixture
def converting(monkeypatch):
    """A conversion that is over at once: its model file is the default model."""
    asked = []

    def convert(inputs, out, **settings):
        asked.append(out)
        out.write_bytes(default_model_path().read_bytes())
        return Conversion(out, out.with_suffix(".json"), REPORT)

    monkeypatch.setattr(RunDirectory, "open", lambda *given: None)
    monkeypatch.setattr(RunInputs, "read", lambda *given: None)
    monkeypatch.setattr(conversion, "convert", convert)
    return asked


def test_the_array_is_written_beside_the_model(converting, tmp_path, capsys):
    out, array = tmp_path / "m.tflite", tmp_path / "net.c"
    assert run(["convert", "runs/x", "--out", str(out), "--c-array", str(array)]) == 0
    model = read_model_file(out)
    assert f"NET_DATA_SIZE {len(model.flatbuffer)}\n" in (tmp_path / "net.h").read_text()
    assert model.metadata.flatbuffer_sha256 in (tmp_path / "net.h").read_text()
    assert '#include "net.h"' in array.read_text()
    assert f"wrote {array} and {tmp_path / 'net.h'}" in capsys.readouterr().out


def test_json_stays_one_record(converting, tmp_path, capsys):
    words = ["--out", str(tmp_path / "m.tflite"), "--c-array", str(tmp_path / "net.cc"), "--json"]
    assert run(["convert", "runs/x", *words]) == 0
    json.loads(capsys.readouterr().out)
    assert (tmp_path / "net.h").exists()


def test_without_the_option_no_c_is_written(converting, tmp_path):
    assert run(["convert", "runs/x", "--out", str(tmp_path / "m.tflite")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]


def test_a_failed_gate_writes_no_c(converting, monkeypatch, tmp_path):
    def fail(inputs, out, **settings):
        report = tmp_path / "report.json"
        report.write_text(json.dumps(REPORT))
        raise GateFailed("lost too much", report, REPORT)

    monkeypatch.setattr(conversion, "convert", fail)
    words = ["--out", str(tmp_path / "m.tflite"), "--c-array", str(tmp_path / "net.c")]
    assert run(["convert", "runs/x", *words]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--c-array", "net.h"], "net.h: no name of a C file; end it in .c"),
        (["--c-array", "gone/net.c"], "the folder of gone/net.c does not exist"),
        (["--c-array", "net.c", "--variant", "all"], "variant"),
    ],
)
def test_wrong_calls_end_before_the_work(converting, monkeypatch, tmp_path, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert run(["convert", "runs/x", "--out", "m.tflite", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert converting == []
    assert list(tmp_path.iterdir()) == []
