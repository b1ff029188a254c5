"""``ser-edge lint`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ser_edge_convert.graph import read_graph
from ser_edge_runtime.model_file import default_model_path, read_model_file

DATA = Path(__file__).resolve().parent.parent / "data"
SMALL = default_model_path().with_name("small.tflite")


def test_a_model_file_is_held_to_its_own_target(ser_edge):
    done = ser_edge("lint", default_model_path())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{default_model_path()}: runs on cpu"
    assert any(line.split()[:2] == ["mapped", "CONV_2D"] for line in lines)
    assert lines[-1].startswith("  table: https://")
    assert done.stderr == ""


def test_several_targets_are_a_record_each(ser_edge):
    done = ser_edge(
        "lint", SMALL, "--target", "edgetpu", "--target", "gpu", "--json",
        "--no-compiler",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["target"], second["target"]) == ("edgetpu", "gpu")
    assert first["path"] == str(SMALL)
    assert 0 < first["share_before_first_unsupported"] < 1
    assert second["share_before_first_unsupported"] is None
    assert {"operator", "status", "reasons", "version"} <= set(first["findings"][0])


def test_what_cannot_run_ends_with_1_and_says_why(ser_edge, one_line):
    done = ser_edge("lint", DATA / "toy_float.tflite", "--target", "edgetpu", "--no-compiler")
    one_line(done, 1, "toy_float.tflite: does not run on edgetpu: not quantised", "--variant int8")
    assert "FULLY_CONNECTED" in done.stdout


def test_every_operator_can_be_listed(ser_edge):
    short = ser_edge("lint", default_model_path(), "--no-compiler").stdout.splitlines()
    long = ser_edge("lint", default_model_path(), "--no-compiler", "--operators").stdout
    rows = [line for line in long.splitlines() if line.startswith("  mapped")]
    assert len(rows) > len([line for line in short if line.startswith("  mapped")])
    graph = read_graph(read_model_file(default_model_path()).flatbuffer)
    convolutions = [operator for operator in graph.operators if operator.name == "CONV_2D"]
    assert sum(row.split()[1] == "CONV_2D" for row in rows) == len(convolutions) > 4


def test_one_bad_file_does_not_stop_the_others(ser_edge, tmp_path, one_line):
    (tmp_path / "text.tflite").write_text("nothing")
    done = ser_edge("lint", tmp_path / "text.tflite", default_model_path(), "--no-compiler")
    one_line(done, 1, "text.tflite: not a TFLite model")
    assert "runs on cpu" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.tflite"], 1, "none.tflite: no such file"),
        ([DATA / "toy_int8.tflite"], 2, "give --target, one of cpu, edgetpu"),
        ([DATA / "toy_int8.tflite", "--target", "moon"], 2, "'moon' is not one of"),
        ([DATA / "toy_int8.tflite", "--accelerator", "u99"], 2, "'u99' is none of ethos-u55-32"),
        ([], 2, "Missing argument 'MODEL...'"),
    ],
)
def test_wrong_calls_are_one_line(ser_edge, one_line, arguments, code, words):
    one_line(ser_edge("lint", *arguments), code, words)


def test_a_file_cut_short_is_one_line(ser_edge, one_line, tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((DATA / "toy_int8.tflite").read_bytes()[:600])
    one_line(ser_edge("lint", cut, "--target", "cpu"), 1, "cut.tflite: ", "damaged or cut short")
