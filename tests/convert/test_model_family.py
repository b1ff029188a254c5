"""The models that ship: each has its card, and every card the table of all of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from ser_edge_convert.packaging import package
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.delegates import NONE, XNNPACK
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.front_end import Normaliser
from ser_edge_runtime.golden import verify_golden
from ser_edge_runtime.model_file import default_model_path, find_model
from tests.convert.audit import toys
from tests.scripts import load_script

DOCS = Path(__file__).parents[2] / "docs"
SHIPPED = sorted(default_model_path().parent.glob("*.tflite"))

make_card = load_script(DOCS / "make_card.py")
model_family = load_script(DOCS / "model_family.py")

GOLDEN = """
from pathlib import Path
import sys
from ser_edge_runtime import Classifier
from ser_edge_runtime.golden import verify_golden

for path in sys.argv[1:]:
    classifier = Classifier.load(path, interpreter="tflite-runtime")
    report = verify_golden(classifier.model_file, classifier)
    print(Path(path).stem, report.passed, f"{report.probability_difference:.1e}")
"""


def write_model(path, part="test", uars=None, **changes):
    rows = {
        corpus: {"uar": uar, "accuracy": uar, "classes": 6, "speakers": 2, "clips": 9,
                 "uar_interval": [uar - 0.1, uar + 0.1]}
        for corpus, uar in (uars or {"crema-d": 0.5}).items()
    }  # fmt: skip
    values = {
        "name": path.stem, "labels": toys.LABELS, "front_end": toys.SPEC, "temperature": 1.5,
        "normaliser": Normaliser.identity(4), "target": "cpu", "variant": "int8",
        "provenance": {"corpora": ["crema-d"]}, "scores": {"parts": {part: {"corpora": rows}}},
        "licence": "MIT", "intended_use": "Tests.",
    }  # fmt: skip
    path.write_bytes(package(toys.flatbuffer("toy_int8"), **{**values, **changes}))
    return path


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_golden_vectors_of_what_ships_hold_in_tflite_runtime(tflite_runtime):
    """The interpreter of 32-bit ARM; doctor, flash and serve refuse a model where they do not."""
    done = subprocess.run(
        [tflite_runtime, "-c", GOLDEN, *map(str, SHIPPED)],
        env={**os.environ, "PYTHONPATH": str(DOCS.parent / "runtime")},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [[path.stem, "True"] for path in SHIPPED], rows


@pytest.mark.parametrize("delegate", [XNNPACK, NONE])
@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_the_golden_vectors_of_what_ships_hold_in_both_kinds_of_kernels(model, delegate):
    classifier = Classifier.load(model, delegate=delegate)
    report = verify_golden(classifier.model_file, classifier)
    assert report.passed, report


@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_models_card_is_what_the_script_writes(model):
    content = json.loads((DOCS / "cards.json").read_text("utf-8"))[model.name]
    assert content["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest(), (
        f"another {model.stem}: run python docs/make_card.py RUNS --model {model.name}"
    )
    card = make_card.card_path(model)
    written = make_card.pages(model, card, content)
    assert list(written) == [card, model.with_name(f"{model.stem}-coverage.svg")]
    for path, text in written.items():
        assert path.read_text("utf-8") == text, "run: python docs/make_card.py"
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_has_its_name_and_stands_in_every_card(model):
    assert find_model(model.stem) == str(model)
    for other in SHIPPED:
        assert f"| `{model.stem}` |" in make_card.card_path(other).read_text("utf-8")


def test_nothing_but_shipped_models_has_a_card():
    cards = json.loads((DOCS / "cards.json").read_text("utf-8"))
    assert set(cards) == {model.name for model in SHIPPED}


def test_the_smallest_stands_first_and_says_what_it_reached(tmp_path):
    both = {"crema-d": 0.612, "ravdess": 0.701}
    small = write_model(tmp_path / "small.tflite")
    large = write_model(tmp_path / "large.tflite", uars=both, intended_use="Tests. " * 400,
                        provenance={"corpora": ["crema-d", "ravdess"]})  # fmt: skip
    head, _, first, second = model_family.family_table([large, small])
    assert len(cells(head)) == len(cells(first)) == 6
    kilobytes = f"{small.stat().st_size / 1000:.0f}"
    classes = str(len(toys.LABELS))
    assert cells(first) == ["`small`", kilobytes, classes, "50.0 %", "", "yes"]
    assert cells(second)[0] == "`large`"
    assert cells(second)[3:] == ["61.2 %", "70.1 %", "no"]


def test_a_figure_of_validation_speakers_is_none_of_the_table(tmp_path):
    path = write_model(tmp_path / "early.tflite", part="validation", licence="for research")
    assert cells(model_family.family_table([path])[2])[3:] == ["", "", "no"]


def test_a_broken_file_beside_them_is_named(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    with pytest.raises(SerEdgeError, match="broken"):
        model_family.family_table([tmp_path / "broken.tflite"])
