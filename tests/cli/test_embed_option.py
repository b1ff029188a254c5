"""``ser-edge convert --embed-frontend``: the option; what it writes is tested in tests/convert."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ser_edge.cli import run
from ser_edge.commands import convert as command
from ser_edge_convert import conversion
from ser_edge_convert.conversion import Conversion
from ser_edge_convert.errors import GateFailed
from ser_edge_convert.packaging import package
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import default_model_path
from tests.convert.test_packaging import graph, parts

REPORT = {
    "warnings": [],
    "plan": {"variant": "float32", "target": "cpu"},
    "gate": {"drop": 0.0, "max_drop": 0.02},
    "agreement": {"same": 9, "clips": 9, "max_difference": 0.0},
    "file": {"bytes": 1000},
    "repair": None,
    "validation": {
        "speakers": 1,
        "before": {"clips": 9, "accuracy": 1.0, "uar": 1.0},
        "after": {"clips": 9, "accuracy": 1.0, "uar": 1.0},
    },
}


@pytest.fixture
def converting(monkeypatch):
    """A conversion that is over at once: its model file is a toy, or what the test puts there."""
    made = {"data": package(graph("toy_float"), **parts()), "calls": 0}

    def convert(inputs, out, **settings):
        made["calls"] += 1
        out.write_bytes(made["data"])
        return Conversion(out, out.with_suffix(".json"), REPORT)

    monkeypatch.setattr(command, "_inputs", lambda *given: None)
    monkeypatch.setattr(conversion, "convert", convert)
    return made


def called(tmp_path, *words):
    return run(["convert", "runs/x", "--out", str(tmp_path / "m.tflite"), *map(str, words)])


def test_the_file_from_samples_is_written_beside_the_model(converting, tmp_path, capsys):
    wave = tmp_path / "wave.tflite"
    assert called(tmp_path, "--embed-frontend", wave) == 0
    assert (tmp_path / "m.tflite").exists()
    interpreter = Interpreter(wave.read_bytes())
    assert interpreter.input.shape == (1, 3040)
    assert interpreter.invoke(np.zeros(3040, np.float32)).sum() == pytest.approx(1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"wrote {wave}: from 3040 samples at 8000 Hz to probabilities, ")


def test_its_length_may_be_chosen(converting, tmp_path):
    wave = tmp_path / "wave.tflite"
    assert called(tmp_path, "--embed-frontend", wave, "--embed-seconds", "0.5") == 0
    assert Interpreter(wave.read_bytes()).input.shape == (1, 4000)


def test_json_stays_one_record(converting, tmp_path, capsys):
    assert called(tmp_path, "--embed-frontend", tmp_path / "wave.tflite", "--json") == 0
    json.loads(capsys.readouterr().out)
    assert (tmp_path / "wave.tflite").exists()


def test_the_default_model_takes_six_seconds(converting, tmp_path):
    converting["data"] = default_model_path().read_bytes()
    assert called(tmp_path, "--embed-frontend", tmp_path / "wave.tflite") == 0
    wave = Interpreter((tmp_path / "wave.tflite").read_bytes())
    assert wave.input.shape == (1, 96000)


def test_a_graph_that_keeps_its_state_is_one_line_with_the_way_out(converting, tmp_path, capsys):
    converting["data"] = package(graph("toy_stateful"), **parts(variant="dynamic"))
    assert called(tmp_path, "--embed-frontend", tmp_path / "wave.tflite") == 2
    (line,) = capsys.readouterr().err.splitlines()[:1]
    assert "--target web" in line
    assert (tmp_path / "m.tflite").exists(), "the conversion itself was good"
    assert not (tmp_path / "wave.tflite").exists()


def test_a_length_that_no_clip_has_is_refused(converting, tmp_path, capsys):
    words = ["--embed-frontend", tmp_path / "wave.tflite", "--embed-seconds", "0.01"]
    assert called(tmp_path, *words) == 2
    assert "choose 0.05 to 60 seconds" in capsys.readouterr().err
    assert not (tmp_path / "wave.tflite").exists()


def test_what_was_not_kept_gets_no_second_file(converting, monkeypatch, tmp_path):
    def convert(inputs, out, **settings):
        raise GateFailed("lost too much", out, REPORT)

    monkeypatch.setattr(conversion, "convert", convert)
    assert called(tmp_path, "--embed-frontend", tmp_path / "wave.tflite") == 1
    assert not (tmp_path / "wave.tflite").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--embed-seconds", "3"], "--embed-seconds goes with --embed-frontend"),
        (["--embed-frontend", "w.tflite", "--variant", "all"], "takes one variant"),
        (["--embed-frontend", "nowhere/w.tflite"], "does not exist"),
        (["--embed-frontend", "w.tflite", "--embed-seconds", "-1"], "not a number of seconds"),
    ],
)
def test_calls_that_make_no_sense_convert_nothing(converting, tmp_path, capsys, words, line):
    assert called(tmp_path, *words) == 2
    assert line in capsys.readouterr().err
    assert converting["calls"] == 0
