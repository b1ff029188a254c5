"""``ser-edge convert`` in all variants and of other people's networks, ``ser-edge calibration``.

The converter is a stand-in; tests/cli/test_training.py runs the real one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import click
import pytest

from ser_edge.commands.calibration import Sizes
from ser_edge_runtime.model_file import read_model_file
from tests.convert import bare_run, toy_run

# The command line with the stand-in in place of the converter.
MAIN = """
import sys
from ser_edge_convert import attempt, child
lines, folder, *words = sys.argv[1:]
real, command = attempt.run_child, COMMAND
attempt.run_child = lambda *a, **k: real(*a, command=[*command, folder])
from ser_edge.cli import main
main(words)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversions")
    run = bare_run.make(folder)
    shutil.copy(run.model, folder / "mine.keras")
    (folder / "labels.txt").write_text("\n".join(toy_run.LABELS))
    return folder


@pytest.fixture(scope="module")
def command(place):
    def run(*words: object, line: str = "") -> subprocess.CompletedProcess[str]:
        stand_in = bare_run.command(place, line)[:-1]
        code = MAIN.replace("COMMAND", repr(stand_in))
        return subprocess.run(
            [sys.executable, "-c", code, "", str(place), *map(str, words)],
            cwd=place, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


COMMON = ("--store", "store", "--calibration-size", "20", "--max-drop", "1")


def test_all_variants_side_by_side_in_a_folder(command, place):
    done = command("convert", "run", "--variant", "all", "--out", "models", *COMMON)
    assert done.returncode == 0, done.stderr
    heading, *rows = done.stdout.splitlines()
    assert heading.startswith("variant")
    assert [row.split()[:2] for row in rows[:6]] == [
        [name, "kept"] for name in ("float32", "float16", "dynamic", "int8", "int8-io", "int16x8")
    ]
    assert rows[6] == "wrote models/toy-float32.tflite"
    assert len(list((place / "models").glob("*.tflite"))) == 6


def test_a_variant_that_fails_is_one_line_and_exit_1_and_one_that_cannot_be_is_neither(
    command, place, one_line
):
    crash = "if job['variant'] == 'int8': os.kill(os.getpid(), signal.SIGSEGV)"
    done = command("convert", "run", "--variant", "all", "--target", "edgetpu", "--out",
                   "coral.tflite", *COMMON, line=crash)  # fmt: skip
    one_line(done, 1, "SIGSEGV", "coral-int8.tflite.log")
    assert "int8      failed" in done.stdout
    assert "int8-io   kept" in done.stdout
    assert "float32   not to be had" in done.stdout
    assert "float32: float32 does not run on edgetpu" in done.stdout
    assert (place / "coral-int8-io.tflite").exists()
    assert not (place / "coral-int8.tflite").exists()


def test_json_has_a_record_for_each_variant(command):
    done = command("convert", "run", "--variant", "all", "--target", "gpu", "--out", "gpu.tflite",
                   "--json", *COMMON)  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = {r["variant"]: r for r in map(json.loads, done.stdout.splitlines())}
    assert records["float16"]["result"] == "kept"
    assert records["float16"]["file"] == "gpu-float16.tflite"
    assert records["float16"]["report"]["plan"]["target"] == "gpu"
    assert records["int8"]["result"] == "refused"
    assert "does not run on gpu" in records["int8"]["fault"]


def test_a_class_without_calibration_clips_is_warned_of(command, place):
    done = command("convert", "run", "--variant", "int8", "--out", "few.tflite", "--store", "store",
                   "--calibration-size", "2", "--max-drop", "1")  # fmt: skip
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "no clip of the class neutral, sad" in line
    report = json.loads((place / "few.tflite.report.json").read_text())
    assert report["warnings"] == [line]


OWN = (
    "--network", "mine.keras", "--front-end", "run/front_end.json", "--labels", "labels.txt",
    "--normaliser", "run/normaliser.json", "--data", "run/manifest.csv",
    "--partition", "run/partition.csv",
)  # fmt: skip


def test_somebody_elses_network_is_converted_and_shown(command, place, ser_edge):
    done = command("convert", *OWN, "--variant", "int8", "--out", "mine.tflite", *COMMON)
    assert done.returncode == 0, done.stderr
    assert "wrote mine.tflite: int8 for cpu" in done.stdout
    metadata = read_model_file(place / "mine.tflite").metadata
    assert (metadata.name, metadata.labels) == ("mine", toy_run.LABELS)
    shown = ser_edge("info", place / "mine.tflite")
    assert shown.returncode == 0
    assert "audio: 20 values, all with --json" in shown.stdout
    assert "conversion: UAR" in shown.stdout


def without(option: str) -> list[str]:
    place = OWN.index(option)
    return [*OWN[:place], *OWN[place + 2 :]]


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        ([], 2, "--network"),
        (["run", *OWN], 2, "exclude each other"),
        (["run", "--labels", "labels.txt"], 2, "--labels goes with --network"),
        (without("--data"), 2, "--data"),
        (without("--partition"), 2, "--partition"),
        ([*OWN, "--labels", "run/recipe.toml"], 1, "recipe.toml"),
        ([*OWN, "--network", "labels.txt"], 1, "not a file that Keras 3 saved"),
        (["run", "--variant", "all", "--out", "labels.txt"], 2, "is a file; name a folder"),
        (["run", "--variant", "all", "--out", "absent/models"], 2, "create it first"),
        (["run", "--variant", "int8", "--out", "run"], 2, "is a folder"),
    ],
)
def test_bad_input_is_one_line(command, place, one_line, words, code, word):
    done = command("convert", *words, *(() if "--out" in words else ("--out", "never.tflite")))
    one_line(done, code, word)
    assert not (place / "never.tflite").exists()


def test_the_calibrations_sweep_prints_trials_and_their_spread(command, place):
    before = sorted(path.name for path in place.iterdir())
    words = ("calibration", "run", "--sizes", "8,40", "--seeds", "2", "--store", "store")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["8", "0"], ["8", "1"], ["40", "0"], ["40", "1"],
    ]  # fmt: skip
    assert lines[5].startswith("network: accuracy ")
    assert lines[6].startswith("8 clips, 2 seeds: UAR ")
    assert sorted(path.name for path in place.iterdir()) == before, "no file is kept"
    (values,) = map(json.loads, command(*words, "--json").stdout.splitlines())
    assert len(values["trials"]) == 4
    assert values["spread"][1]["size"] == 40


@pytest.mark.parametrize("sizes", ["", "x", "0", "5,5", "10,,20", "100001"])
def test_sizes_that_are_none(sizes):
    with pytest.raises(click.BadParameter, match="as 10,50,200"):
        Sizes().convert(sizes, None, None)


def test_sizes_are_different_numbers_of_clips():
    assert Sizes().convert("10,50,200", None, None) == (10, 50, 200)
    assert Sizes().convert((7,), None, None) == (7,)


def test_a_sweep_of_failures_says_so(command, one_line):
    done = command("calibration", "run", "--sizes", "8", "--seeds", "1", "--store", "store",
                   line="sys.exit(9)")  # fmt: skip
    one_line(done, 1, "8 clips, seed 0", "exit code 9")
    assert "8 clips: every conversion failed" in done.stdout
