"""``ser-edge audit``: text, JSON, files, exit codes, refusals in one line."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.convert.audit import toys


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with one run, its float and its int8 file, and a store."""
    folder = tmp_path_factory.mktemp("audit")
    world = toys.make_world(folder / "recordings")
    run = toys.make_run(folder / "run", world)
    toys.make_model(folder / "float32.tflite", run)
    toys.make_model(folder / "int8.tflite", run, "int8-io")
    toys.make_run(folder / "unscored", world, 2, parts=("validation",))
    return folder


@pytest.fixture(scope="module")
def failed(ser_edge, place):
    """Both files against limits that int8 misses."""
    return ser_edge(
        "audit", "float32.tflite", "int8.tflite", "--reference", "run", "--store", "store",
        "--min-agreement", "1", "--timed-clips", "0", "--out", "deep/audit", cwd=place,
    )  # fmt: skip


def test_a_variant_beyond_the_limits_ends_with_1_and_is_named(failed):
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("ser-edge: int8-io for cpu: failed: ")
    assert "100 % asked" in line
    assert "float32" not in line


def test_it_prints_two_lines_a_variant(failed):
    lines = failed.stdout.splitlines()
    assert lines[0].startswith("Test parts of 1 run: 24 clips of 2 speakers of toy.")
    assert lines[1].startswith("float32 for cpu: passed: UAR ")
    assert "falls by 0.00 points (0.00 to 0.00)" in lines[1]
    assert "same answer 24 of 24 (100.00 %)" in lines[2]
    assert "arena 0.3 KB" in lines[2]
    assert "ms" not in lines[2]
    assert lines[3].startswith("int8-io for cpu: FAILED: UAR ")
    assert lines[5:] == ["wrote deep/audit/audit.html"]


def test_it_writes_all_forms(failed, place):
    folder = place / "deep" / "audit"
    assert failed.returncode == 1
    document = json.loads((folder / "audit.json").read_text("utf-8"))
    assert document["schema_version"] == 1
    assert [one["passed"] for one in document["variants"]] == [True, False]
    assert document["limits"]["min_agreement"] == 1.0
    assert int(ElementTree.parse(folder / "audit.xml").getroot().get("failures")) > 0
    assert "FAILED" in (folder / "audit.md").read_text("utf-8")
    assert (folder / "audit.html").read_text("utf-8").startswith("<!doctype html>")


def test_json_is_the_document_and_all_well_is_0(ser_edge, place):
    done = ser_edge(
        "audit", "float32.tflite", "--reference", "run", "--store", "store", "--json",
        "--data", "run/manifest.csv", "--corpus", "toy", "--part", "validation",
        "--timed-clips", "2", "--max-drop-upper", "0.5", cwd=place,
    )  # fmt: skip
    document = json.loads(done.stdout)
    # One validation speaker bounds nothing, whatever the limit.
    assert done.returncode == 1
    assert "one speaker only" in done.stderr
    assert document["part"] == "validation"
    assert document["clips"] == 12
    assert document["variants"][0]["latency"]["clips"] == 2


def test_a_network_that_lost_nothing_is_0(ser_edge, place):
    done = ser_edge("audit", "float32.tflite", "--reference", "run", "--store", "store", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "features" in done.stdout
    assert "ms, model" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("float32.tflite", "--reference", "unscored"), 1, ("was not scored", "--part test")),
        (("float32.tflite", "--reference", "nowhere"), 1, ("nowhere", "no such folder")),
        (("no.tflite", "--reference", "run"), 1, ("no.tflite", "no such file")),
        (("float32.tflite", "--reference", "run", "--reference", "run"), 1, ("stands twice",)),
        (("float32.tflite", "--reference", "run", "--corpus", "tess"), 1, ("no clip of tess",)),
        (("float32.tflite",), 2, ("--reference",)),
        (("--reference", "run"), 2, ("MODEL",)),
        (("float32.tflite", "--reference", "run", "--max-drop", "2"), 2, ("--max-drop", "share")),
        (("float32.tflite", "--reference", "run", "--confidence", "1"), 2, ("--confidence",)),
        (("float32.tflite", "--reference", "run", "--out", "int8.tflite"), 2, ("is a file",)),
        (
            ("float32.tflite", "--reference", "run", "--out", "audit.html"),
            2,
            ("audit.html is the name of one report; name a folder",),
        ),
        (("float32.tflite", "--reference", "run", "--part", "train"), 2, ("--part",)),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(ser_edge, place, one_line, arguments, code, words):
    done = ser_edge("audit", *arguments, cwd=place, SER_EDGE_STORE=str(place / "store"))
    one_line(done, code, *words)
