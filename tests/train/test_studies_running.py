"""Studies that are done: what they leave behind, and that a kill costs nothing but time."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_edge_train.networks import NetworkError
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions
from ser_edge_train.report import read_report
from ser_edge_train.run_directory import RunDirectory, RunError
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.models import model_subject, plan_of_model
from ser_edge_train.studies.planning import plan_of_recipe, recipe_subject
from ser_edge_train.studies.running import StudyInterrupted, buildable, run_study
from ser_edge_train.studies.study import Study, StudyError, Variant

from .studied import PAIR, Heard, Stop, study_recipe, tones

ROOT = Path(__file__).resolve().parents[2]
FILES = ("study.json", "study.csv", "study.html")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    found = tones(tmp_path_factory.mktemp("recordings"))
    found.write(found.root / "manifest.csv")
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def subject(manifest):
    return recipe_subject(study_recipe(), manifest)


def pair(subject, out, **how):
    return plan_of_recipe(PAIR, subject, out, **{"seeds": 1, **how})


def do(plan, store, listener=None, **how):
    return run_study(plan, listener or Heard(), store_root=store, processes=1, **how)


@pytest.fixture(scope="module")
def whole(subject, store, tmp_path_factory):
    """One undisturbed study, what it returned, and who listened."""
    out, listener = tmp_path_factory.mktemp("studies") / "whole", Heard()
    return out, do(pair(subject, out), store, listener), listener


def contents(out: Path) -> dict[str, bytes]:
    return {
        entry.relative_to(out).as_posix(): entry.read_bytes()
        for entry in sorted(out.rglob("*"))
        if entry.is_file()
    }


# --- what is left behind --------------------------------------------------------------------


def test_each_run_is_a_run_directory(whole):
    out, _, _ = whole
    for name, filters in (("plain", (4,)), ("small", (2,))):
        run = RunDirectory.open(out / name / "seed-3")
        assert run.read_recipe().network.filters == filters
        assert run.model.is_file()
        assert read_report(run.report_json)["scores"].keys() == {"validation"}
        assert Predictions.read(run.predictions).parts == ("validation",)
    assert not (out / ".scratch").exists()


def test_the_scores_are_those_of_the_runs_own_reports(whole):
    out, values, _ = whole
    assert json.loads((out / "study.json").read_text()) == values
    assert values["runs_finished"] == values["runs_planned"] == 2
    for run in values["runs"]:
        report = read_report(out / run["run"] / "report.json")
        scores, model = report["scores"]["validation"], report["model"]
        found = run["scores"]["as recorded"]
        for group, wanted in (("all", scores["overall"]), *scores["corpora"].items()):
            for measure in ("uar", "accuracy", "macro_f1", "clips", "speakers"):
                assert found[group][measure] == pytest.approx(wanted[measure]), (group, measure)
        assert run["best_epoch"] == model["best_epoch"]
        assert run["parameters"] == model["parameters"]


def test_the_table_has_a_row_for_each_variant_and_corpus(whole):
    out, values, _ = whole
    with (out / "study.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["variant"], row["corpus"]) for row in rows] == [
        (variant, corpus) for variant in ("plain", "small") for corpus in ("all", "one", "two")
    ]
    assert [float(row["uar"]) for row in rows] == pytest.approx(
        [row["uar"] for row in values["table"]], abs=1e-6
    )
    assert rows[0]["difference"] == ""
    assert float(rows[3]["difference"]) == pytest.approx(
        float(rows[3]["uar"]) - float(rows[0]["uar"]), abs=2e-6
    )


def test_the_listener_hears_of_runs_and_of_the_time_left(whole):
    _, _, listener = whole
    assert listener.begun == ["1/2 plain, seed 3", "2/2 small, seed 3"]
    assert listener.ended == ["plain, seed 3", "small, seed 3"]
    assert listener.left[0] is None
    assert listener.left[1] > 0
    assert len(listener.guesses) == 1
    assert "epoch 1/3" in listener.stages
    assert "scoring" in listener.stages


def test_test_clips_are_not_even_opened(subject, whole, manifest, tmp_path):
    """With the recordings of the test speakers gone, the study ends the same."""
    out, _, _ = whole
    tested = Partition.read(out / "plain" / "seed-3" / "partition.csv").part("test")
    assert tested
    moved = tones(tmp_path / "recordings")
    for clip in moved.clips:
        if clip.key in tested:
            moved.path_of(clip).unlink()
    found = recipe_subject(study_recipe(), moved)
    do(pair(found, tmp_path / "out", names=["plain"]), tmp_path / "store")
    kept = (out / "study.csv").read_text().splitlines()
    assert (tmp_path / "out" / "study.csv").read_text().splitlines() == [
        line for line in kept if not line.startswith("small")
    ]


# --- going on -------------------------------------------------------------------------------


def test_a_finished_study_is_not_done_again(whole, subject, store, monkeypatch):
    from ser_edge_train.studies import running

    out, values, _ = whole
    before = contents(out)
    monkeypatch.setattr(running, "train", lambda *_, **__: pytest.fail("trained again"))
    listener = Heard()
    assert do(pair(subject, out), store, listener) == values
    assert listener.begun == []
    assert contents(out) == before


@pytest.mark.parametrize(("run", "stage"), [(2, "epoch 2/3"), (1, "scoring")])
def test_killed_and_done_again_it_ends_with_the_same_bytes(
    whole, subject, manifest, store, tmp_path, run, stage
):
    out = tmp_path / "killed"
    words = ["-m", "tests.train.killed_study", manifest.root, store, out, str(run), stage]
    died = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    # What was finished can be read.
    partial = json.loads((out / "study.json").read_text())
    assert (partial["runs_finished"], partial["runs_planned"]) == (run - 1, 2)
    rows = (out / "study.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * (run - 1)
    assert "not finished" in (out / "study.html").read_text()
    listener = Heard()
    do(pair(subject, out), store, listener)
    assert listener.begun[0].startswith(f"{run}/2")
    if stage.startswith("epoch"):
        # The epoch before the kill was kept.
        assert not any("epoch 1/3" in each for each in listener.stages)
    undisturbed, _, _ = whole
    assert contents(out) == contents(undisturbed)


def test_ctrl_c_says_how_far_it_is_and_how_to_go_on(subject, store, tmp_path):
    listener = Heard(at_run=1, at_stage="epoch 1/3", fault=KeyboardInterrupt)
    with pytest.raises(StudyInterrupted) as stop:
        do(pair(subject, tmp_path / "out"), store, listener)
    assert str(stop.value) == (
        f"{tmp_path / 'out'}: stopped, 0 of 2 runs are finished; go on with the same command"
    )
    assert stop.value.exit_code == 130
    assert not (tmp_path / "out" / ".scratch").exists()
    assert json.loads((tmp_path / "out" / "study.json").read_text())["runs"] == []


def test_more_of_a_study_joins_what_is_there(whole, subject, store, tmp_path):
    """The table is of all finished runs, whichever call made them."""
    out = tmp_path / "out"
    do(pair(subject, out, names=["small"]), store)
    listener = Heard()
    values = do(pair(subject, out, names=["plain"]), store, listener)
    assert listener.begun == ["1/1 plain, seed 3"]
    assert (out / "study.csv").read_bytes() == (whole[0] / "study.csv").read_bytes()
    assert values["runs_planned"] == 2


def test_another_recipe_is_refused_before_anything_is_trained(whole, manifest, store):
    out, _, _ = whole
    before = contents(out)
    other = recipe_subject(study_recipe(fit__batch_size=5), manifest)
    with pytest.raises(RunError, match=r"another recipe \(fit\.batch_size differs\)"):
        do(pair(other, out), store, Heard(at_run=1))
    assert contents(out) == before


def test_a_training_that_fails_leaves_what_was_finished(whole, subject, store, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Stop):
        do(pair(subject, out), store, Heard(at_run=1))
    assert sorted(entry.name for entry in out.iterdir()) == sorted(FILES)


# --- networks that cannot be built ----------------------------------------------------------


def test_an_impossible_network_is_left_out_or_refused_before_hours_of_training(subject, tmp_path):
    deep = Study(
        "deep", "?", "?",
        lambda recipe, corpora: (
            Variant("plain", "as it is"),
            Variant("deep", "more pooling than frames", {"network.filters": [2] * 12}),
        ),
    )  # fmt: skip
    plan = plan_of_recipe(deep, subject, tmp_path, seeds=2)
    found = buildable(plan, refuse=False)
    assert [job.name for job in found.jobs] == ["plain, seed 3", "plain, seed 4"]
    assert [name for name, _ in found.left_out] == ["deep"]
    with pytest.raises(NetworkError, match=r"^variant deep: network cnn1d"):
        buildable(plan, refuse=True)


# --- finished models ------------------------------------------------------------------------


def test_a_finished_run_is_scored_on_cut_clips_and_nothing_is_trained(
    whole, subject, store, tmp_path, monkeypatch
):
    from ser_edge_train.studies import running

    monkeypatch.setattr(running, "train", lambda *_, **__: pytest.fail("trained"))
    run = whole[0] / "plain" / "seed-3"
    found = model_subject(run)
    assert found.clips == subject.clips
    plan = plan_of_model(STUDIES["clip-length"], found, tmp_path / "out")
    values = do(plan, store)
    (only,) = values["runs"]
    assert (only["variant"], only["seed"], only["run"]) == ("model", None, "model")
    report = read_report(run / "report.json")["scores"]["validation"]["overall"]
    assert only["scores"]["whole"]["all"]["uar"] == pytest.approx(report["uar"])
    # The clips are shorter than half a second: the shortest cut does not touch them.
    assert only["scores"]["0.5 s"] == only["scores"]["whole"]
    assert values["subject"]["kind"] == "model"
    differences = {row["condition"]: row["difference"] for row in values["table"]}
    assert differences["whole"] is None
    assert differences["0.5 s"] == 0


def test_noise_is_scored_at_every_ratio_of_a_finished_run(whole, store, tmp_path):
    found = model_subject(whole[0] / "plain" / "seed-3")
    values = do(plan_of_model(STUDIES["noise"], found, tmp_path / "out"), store)
    (only,) = values["runs"]
    assert list(only["scores"]) == ["clean", *(f"{snr} dB" for snr in (30, 20, 15, 10, 5, 0))]
    assert all(np.isfinite(groups["all"]["uar"]) for groups in only["scores"].values())


def test_the_folder_of_one_model_is_not_anothers(whole, store, tmp_path):
    out, _, _ = whole
    first = model_subject(out / "plain" / "seed-3")
    other = model_subject(out / "small" / "seed-3")
    do(plan_of_model(STUDIES["clip-length"], first, tmp_path / "out"), store)
    with pytest.raises(StudyError, match="began with another model"):
        do(plan_of_model(STUDIES["clip-length"], other, tmp_path / "out"), store)
