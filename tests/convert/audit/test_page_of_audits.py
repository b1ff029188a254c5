"""docs/audit.md: that it is what its script writes, and how the script makes it of runs."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ser_edge_convert.conversion import Conversion, Outcome, report_path
from ser_edge_convert.errors import ConversionRefused, RepairFailed
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import default_model_path, read_model_file
from ser_edge_train.run_directory import RunDirectory
from tests.convert.audit import toys
from tests.scripts import load_script
from tests.system import three_interpreters

DOCS = Path(__file__).parents[3] / "docs"
POOLED = "toy, speaker-folds"


make_audit = load_script(DOCS / "make_audit.py")


@pytest.fixture(scope="module")
def converted():
    """Which variants were converted, a list a run."""
    return []


@pytest.fixture(scope="module")
def place(tmp_path_factory, world):
    """Two folds, one that was not scored, and one that leaks."""
    folder = tmp_path_factory.mktemp("page")
    for fold in (1, 2):
        toys.make_run(folder / "runs" / f"fold-{fold}", world, fold)
    toys.make_run(folder / "runs" / "unscored", world, 3, parts=("validation",))
    leaks = {"divide": lambda clip: "test" if int(clip.take) % 3 == 0 else "train"}
    toys.make_run(folder / "runs" / "leaky", world, 3, parts=("test",), **leaks)
    shutil.copytree(folder / "runs" / "fold-2", folder / "runs" / "leaky" / "clean")
    return folder


def write_agreement(path: Path, same: int) -> None:
    """What a conversion says of 100 validation clips."""
    report_path(path).write_text(json.dumps({"agreement": {"same": same, "clips": 100}}))


@pytest.fixture(scope="module")
def content(place, converted):
    """What the script collects, the conversions taken from the toys."""

    def convert_each(run, out_of, *, store, variants, manifest, max_drop):
        assert max_drop == 1.0
        converted.append((run.path.name, tuple(variants)))
        found = []
        for variant in variants:
            if variant == "int16x8":
                fault = ConversionRefused(f"{run.path}: no int16x8 of this network")
                found.append(Outcome(variant, fault=fault))
                continue
            path = toys.make_model(out_of(variant), run, variant)
            write_agreement(path, 98)
            found.append(Outcome(variant, Conversion(path, path, {})))
        return found

    def answers_of(flatbuffer, features, pythons):
        if flatbuffer == refused and "tflite-runtime" in pythons:
            raise SystemExit("tflite-runtime ended with 1:\nTraceback\nValueError: no such op\n\n")
        graph = Interpreter(flatbuffer)
        rows = np.array([graph.invoke(one) for one in [*features, features[0]]])
        return dict.fromkeys(pythons, rows)

    # The graph of all float files.
    run = RunDirectory(place / "runs" / "fold-1")
    refused = read_model_file(toys.make_model(place / "float.tflite", run)).flatbuffer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_audit, "convert_each", convert_each)
        patch.setattr(three_interpreters, "answers_of", answers_of)
        given = argparse.Namespace(
            runs=[place / "runs"],
            work=place / "work",
            store=place / "store",
            data=None,
            tflite_runtime_python="python",
        )
        first = make_audit.collect(given)
        again = make_audit.collect(given)
    assert again == first
    return first


def test_the_page_is_what_its_script_writes():
    committed = json.loads((DOCS / "audits.json").read_text("utf-8"))
    assert make_audit.page(committed) == (DOCS / "audit.md").read_text("utf-8"), (
        "run: python docs/make_audit.py"
    )


def test_only_runs_that_prove_something_are_found(place):
    found = make_audit.find_runs([place / "runs", place / "runs" / "fold-1"])
    assert sorted(run.path.name for run in found) == ["fold-1", "fold-2"]


def test_folds_of_a_recipe_are_a_group(place):
    groups = make_audit.grouped(make_audit.find_runs([place / "runs"]))
    assert {name: [run.path.name for run in runs] for name, runs in groups.items()} == {
        POOLED: ["fold-1", "fold-2"]
    }


def test_every_variant_is_made_once(content, converted):
    every = ("float32", "float16", "dynamic", "int8", "int8-io", "int16x8")
    assert converted == [("fold-1", every), ("fold-2", every)]
    assert content["audits"]


@pytest.mark.parametrize(("same", "repaired"), [(98, False), (97, True)])
def test_int8_that_changes_too_many_classes_is_repaired_once(
    place, tmp_path, monkeypatch, same, repaired
):
    run = RunDirectory(place / "runs" / "fold-1")
    asked = []

    def convert_each(run, out_of, *, store, variants, manifest, **settings):
        asked.append((variants, settings))
        made = [toys.make_model(out_of(variant), run, variant) for variant in variants]
        for path in made:
            write_agreement(path, same)
        return [
            Outcome(variant, Conversion(path, path, {}))
            for variant, path in zip(variants, made, strict=True)
        ]

    monkeypatch.setattr(make_audit, "convert_each", convert_each)
    files, faults = make_audit.convert(run, tmp_path, place / "store", None)
    assert not faults
    assert ("int8-repaired" in files) == repaired
    assert len(asked) == 1 + repaired
    if repaired:
        assert asked[1] == (["int8"], {"max_drop": 1.0, "min_agreement": 0.985, "repair": True})
    assert make_audit.convert(run, tmp_path, place / "store", None) == (files, {})
    assert len(asked) == 1 + repaired


def test_int8_that_no_layers_repair_is_a_fault_that_is_kept(place, tmp_path, monkeypatch):
    run = RunDirectory(place / "runs" / "fold-1")
    asked = []

    def convert_each(run, out_of, *, store, variants, manifest, **settings):
        asked.append(variants)
        if settings.get("repair"):
            log = tmp_path / "int8-repaired.tflite.log"
            return [Outcome("int8", fault=RepairFailed(f"{run.path}: no choice (log: {log})"))]
        made = [toys.make_model(out_of(variant), run, variant) for variant in variants]
        write_agreement(out_of("int8"), 10)
        return [
            Outcome(variant, Conversion(path, path, {}))
            for variant, path in zip(variants, made, strict=True)
        ]

    monkeypatch.setattr(make_audit, "convert_each", convert_each)
    for _ in range(2):
        files, faults = make_audit.convert(run, tmp_path, place / "store", None)
        assert faults == {"int8-repaired": "RUN: no choice (log: WORK/int8-repaired.tflite.log)"}
        assert set(files) == set(VARIANTS)
    assert len(asked) == 2


def test_the_audit_is_of_what_all_folds_have(content):
    (document,) = content["audits"]
    assert document["group"] == POOLED
    assert document["clips"] == 48
    variants = [variant["variant"] for variant in document["variants"]]
    assert variants == ["float32", "float16", "dynamic", "int8", "int8-io"]
    assert document["faults"] == {"int16x8": "RUN: no int16x8 of this network"}
    assert all("flips" not in variant for variant in document["variants"])
    changes = {variant["variant"]: variant["changes"] for variant in document["variants"]}
    assert changes["float32"] == {}
    agreement = document["variants"][-1]["agreement"]
    assert sum(changes["int8-io"].values()) == agreement["clips"] - agreement["same"]


def test_reports_for_people_lie_in_the_work_folder(content, place):
    assert content["audits"]
    folder = place / "work" / "reports" / "toy-speaker-folds"
    names = {"audit.html", "audit.json", "audit.md", "audit.xml"}
    assert {path.name for path in folder.iterdir()} == names


def test_another_file_is_audited_anew(content, place, monkeypatch):
    assert content["audits"]
    runs = [RunDirectory(place / "runs" / "fold-1")]
    model = toys.make_model(place / "other.tflite", runs[0], name="other")
    called = []
    monkeypatch.setattr(make_audit, "audit", lambda *a, **k: called.append(a) or {"variants": []})
    monkeypatch.setattr(make_audit, "write_audit", lambda document, folder: None)
    make_audit.audited(POOLED, runs, [model], place / "work", place / "store", None)
    assert len(called) == 1


def test_the_shipped_model_takes_the_place_of_its_own_variant(
    place, tmp_path, monkeypatch, content
):
    assert content["audits"]
    run = RunDirectory(place / "runs" / "fold-1")
    shipped = toys.make_model(tmp_path / "shipped.tflite", run, "int8-io", name="shipped")
    monkeypatch.setattr(make_audit, "default_model_path", lambda: shipped)
    given = argparse.Namespace(
        runs=[run.path], work=place / "work", store=place / "store", data=None,
        tflite_runtime_python=None,
    )  # fmt: skip
    found = make_audit.collect(given)
    # Of what a call before asked the interpreters, that of this run.
    assert found["interpreters"] == [row for row in content["interpreters"] if row["fold"] == 1]
    assert [one["group"] for one in found["audits"]] == [make_audit.SHIPPED, POOLED]
    digest = hashlib.sha256(shipped.read_bytes()).hexdigest()
    files = {one["variant"]: one["files"][0]["sha256"] for one in found["audits"][0]["variants"]}
    assert files["int8-io"] == digest
    assert digest not in {v["files"][0]["sha256"] for v in found["audits"][1]["variants"]}


def test_every_model_that_ships_is_audited_under_its_name(place, tmp_path, monkeypatch, content):
    assert content["audits"]
    runs = [RunDirectory(place / "runs" / f"fold-{fold}") for fold in (1, 2)]
    default = toys.make_model(tmp_path / "default.tflite", runs[1], name="default")
    small = toys.make_model(tmp_path / "small.tflite", runs[0], "int8-io", name="small")
    monkeypatch.setattr(make_audit, "default_model_path", lambda: default)
    given = argparse.Namespace(
        runs=[run.path for run in runs], work=place / "work", store=place / "store", data=None,
        tflite_runtime_python=None,
    )  # fmt: skip
    found = make_audit.collect(given)["audits"]
    names = [make_audit.SHIPPED, f"{make_audit.SHIPPED} as small", POOLED]
    assert [one["group"] for one in found] == names
    for document, model in zip(found, (default, small), strict=False):
        digests = [file["sha256"] for of in document["variants"] for file in of["files"]]
        assert digests.count(hashlib.sha256(model.read_bytes()).hexdigest()) == 1
        assert len(document["references"]) == 1


def test_interpreters_are_compared_on_all_test_clips(content):
    rows = content["interpreters"]
    assert len(rows) == 10
    assert {row["clips"] for row in rows} == {24}
    assert all(row["forgets"] and not row["stateful"] for row in rows)
    assert all(one["same"] == 24 for row in rows for one in row["others"].values())
    whole = [row for row in rows if not row["refused"]]
    assert {row["variant"] for row in whole} == {"int8", "int8-io"}
    assert all(set(row["others"]) == {"tensorflow", "tflite-runtime"} for row in whole)


def test_a_file_that_an_interpreter_refuses_is_named_and_the_others_go_on(content):
    rows = [row for row in content["interpreters"] if row["refused"]]
    assert {row["variant"] for row in rows} == {"float32", "float16", "dynamic"}
    assert all(row["refused"] == {"tflite-runtime": "ValueError: no such op"} for row in rows)
    assert all(set(row["others"]) == {"tensorflow"} for row in rows)
    lines = make_audit.page(content).splitlines()
    assert "| toy | dynamic | 2 | 48 | 0 | 0 |  | DOES NOT LOAD (2 files) | yes |" in lines
    assert "- dynamic of toy in tflite-runtime: ValueError: no such op" in lines


def test_the_page_has_a_row_a_variant_and_says_what_cannot_be_had(content):
    lines = make_audit.page(content).splitlines()
    rows = [line for line in lines if line.startswith(f"| {POOLED} | 48 | 4 |")]
    assert len(rows) == 5
    assert rows[0].endswith("| passed |")
    assert rows[-1].endswith("| FAILED |")
    assert "- int16x8 cannot be had: RUN: no int16x8 of this network" in lines
    assert "| toy | int8-io | 2 | 48 | 0 | 0 | 0 | 0 | yes |" in lines
    changes = content["audits"][0]["variants"][-1]
    lost = changes["changes"].get("lost", 0)
    assert any(f"({lost} lost," in line and "int8-io for cpu" in line for line in lines)


def test_tables_of_the_page_are_tables(content):
    widths: set[int] = set()
    for line in make_audit.page(content).splitlines():
        if line.startswith("|"):
            widths.add(line.count("|"))
            assert len(widths) == 1, line
        else:
            widths.clear()


def test_a_difference_between_interpreters_shows():
    answers = {"clips": 10, "same": 7, "near_ties": 2}
    answers |= {"widest_gap": 0.0123, "widest_in_quanta": 0.456}
    row = {
        "recipe": "toy", "fold": 1, "variant": "int8", "clips": 10, "stateful": True,
        "forgets": False, "others": {"tensorflow": answers}, "refused": {}, "float_output": True,
    }  # fmt: skip
    same = row | {"fold": 2, "others": {"tensorflow": answers | {"same": 10, "near_ties": 0}}}
    far = row | {"variant": "z", "others": {"tensorflow": answers | {"widest_in_quanta": 2.1}}}
    whole = row | {"variant": "int16x8", "float_output": False}
    table = make_audit.interpreter_table([row, same, whole, far])
    assert any(line.endswith(" or one within two quanta: 2 of 4 in tensorflow.") for line in table)
    assert table.pop().endswith("| 1 (by 1.2 points, 2.1 quanta) | NO |")
    assert table[-1] == "| toy | int8 | 2 | 20 | 2 | 1 (by 1.2 points, 0.5 quanta) | NO |"
    assert make_audit.interpreter_table([]) == ["Not run."]


def test_files_with_layers_in_floats_are_told_apart(tmp_path):
    shipped = default_model_path().with_name("small.tflite")
    assert read_model_file(shipped).metadata.provenance["float_layers"]
    row = {"recipe": "small", "fold": 1}
    cache = {make_audit.sha256(shipped): row, "another file": {"recipe": "other"}}
    (tmp_path / "interpreters.json").write_text(json.dumps(cache))
    found = make_audit.interpreters({"run": [shipped]}, None, tmp_path, tmp_path, None)
    assert found == [row | {"variant": "int8, repaired", "float_output": True}]


def test_corpora_of_few_speakers_are_left_out_of_a_further_audit(monkeypatch, place):
    runs = [RunDirectory(place / "runs" / "fold-1")]
    report = {"recipe": {"corpora": ["tess", "ravdess", "savee", "crema-d"]}}
    monkeypatch.setattr(make_audit, "read_report", lambda path: report)
    assert make_audit.parts_of("default", runs) == [
        ("default", ()),
        ("default, crema-d and ravdess alone", ("crema-d", "ravdess")),
    ]
    report["recipe"]["corpora"] = ["ravdess"]
    assert make_audit.parts_of("one", runs) == [("one", ())]


def found_of(*groups, recipes):
    return {
        "audits": [{"group": group} for group in groups],
        "interpreters": [{"recipe": recipe} for recipe in recipes],
    }


def test_a_recipe_that_is_audited_anew_leaves_the_others_as_they_were():
    shipped, small = make_audit.SHIPPED, f"{make_audit.SHIPPED} as small"
    known = found_of(
        shipped, small, "default, speaker-folds", "small, speaker-folds", "toy, speaker-folds",
        recipes=["default", "default", "small", "toy"],
    )  # fmt: skip
    found = found_of("small, speaker-folds, crema-d alone", small, recipes=["small", "small"])
    merged = make_audit.merged(known, found)
    assert [one["group"] for one in merged["audits"]] == [
        shipped, small, "default, speaker-folds", "small, speaker-folds, crema-d alone",
        "toy, speaker-folds",
    ]  # fmt: skip
    assert merged["audits"][1] is found["audits"][1]
    recipes = [row["recipe"] for row in merged["interpreters"]]
    assert recipes == ["default", "default", "small", "small", "toy"]
    # Where the model that ships was made anew, nothing of the old one stays.
    found = found_of(shipped, "default, speaker-folds", recipes=[])
    merged = make_audit.merged(known, found)
    assert {row["recipe"] for row in merged["interpreters"]} == {"small", "toy"}
    assert merged["audits"][0] is found["audits"][0]


def test_audits_that_are_committed_stay_when_others_are_made(place, tmp_path, monkeypatch, content):
    known = found_of(make_audit.SHIPPED, "other, speaker-folds", recipes=["other"])
    audits, page = tmp_path / "audits.json", tmp_path / "audit.md"
    audits.write_text(json.dumps(known))
    monkeypatch.setattr(make_audit, "collect", lambda given: content)
    monkeypatch.setattr(make_audit, "page", lambda merged: f"{len(merged['audits'])} audits")
    words = [place / "runs", "--audits", audits, "--page", page]
    monkeypatch.setattr("sys.argv", ["make_audit.py", *map(str, words)])
    make_audit.main()
    written = json.loads(audits.read_text())
    assert written["audits"] == [*known["audits"], *content["audits"]]
    assert written["interpreters"] == [*known["interpreters"], *content["interpreters"]]
    assert page.read_text() == "3 audits"
    audits.unlink()
    make_audit.main()
    assert json.loads(audits.read_text()) == content


@pytest.mark.parametrize(
    ("name", "slug"),
    [("cnn-lstm, speaker-folds", "cnn-lstm-speaker-folds"), ("a  b/c", "a-b-c")],
)
def test_names_become_folders(name, slug):
    assert make_audit.slug(name) == slug
