"""Reading a reference: what proves nothing is refused, with one line and the next step."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from ser_edge_convert.audit.reference import Reference, check_alike
from ser_edge_convert.errors import AuditRefused
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions
from ser_edge_train.report.content import ReportError, build_report
from ser_edge_train.run_directory import RunDirectory, RunError
from tests.convert.audit import toys


@pytest.fixture
def run(runs, tmp_path):
    """A copy of the first fold, to be broken."""
    shutil.copytree(runs[0].path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def report_anew(run):
    report = build_report(run, Manifest.read(run.manifest))
    run.report_json.write_text(json.dumps(report))


def refused(*words, kind=AuditRefused):
    return pytest.raises(kind, match=".*".join(words))


def test_it_has_the_answers_of_its_part(runs):
    reference = Reference.read(runs[0])
    assert {row.part for row in reference.answers} == {"test"}
    assert {row.speaker for row in reference.answers} == {"s1", "s2"}
    assert [clip.key for clip in reference.clips] == [row.key for row in reference.answers]
    assert reference.name == "fold-1"
    assert reference.allowed == {"toy": toys.LABELS}
    facts = reference.facts()
    assert (facts["fold"], facts["seed"], facts["clips"], facts["speakers"]) == (1, 3, 24, 2)
    assert facts["digests"]["model"] == reference.network


def test_the_validation_part(runs):
    reference = Reference.read(runs[0], "validation")
    assert {row.speaker for row in reference.answers} == {"s3"}


def test_a_part_that_was_not_scored_is_refused_with_the_next_step(world, tmp_path):
    run = toys.make_run(tmp_path / "run", world, parts=("validation",))
    with refused("its test part was not scored", "ser-edge evaluate RUN --part test"):
        Reference.read(run)
    assert len(Reference.read(run, "validation").answers) == 12


def test_another_network_than_the_reports(run):
    run.model.write_bytes(b"trained on")
    with refused("another network", "ser-edge evaluate"):
        Reference.read(run)


def test_other_predictions_than_the_reports(run):
    table = Predictions.read(run.predictions)
    table.where([row.stem != "s1-0" for row in table]).write(run.predictions)
    with refused("not of its predictions", "ser-edge evaluate"):
        Reference.read(run)


def test_a_run_without_a_report(run):
    run.report_json.unlink()
    with pytest.raises(ReportError, match="cannot be read"):
        Reference.read(run)


def test_a_run_without_a_network(run):
    run.model.unlink()
    with pytest.raises(RunError, match=r"no model\.keras"):
        Reference.read(run)


def test_labels_other_than_the_recipes(run):
    table = Predictions.read(run.predictions)
    names = ("calm", "happy", "weary")
    rows = tuple(replace(row, label="weary") if row.label == "sad" else row for row in table)
    Predictions(names, rows, table.probabilities).write(run.predictions)
    change_digest(run)
    with refused("other labels than its recipe"):
        Reference.read(run)


def change_digest(run):
    import hashlib

    report = json.loads(run.report_json.read_text())
    digest = hashlib.sha256(run.predictions.read_bytes()).hexdigest()
    report["digests"]["predictions"] = digest
    run.report_json.write_text(json.dumps(report))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"copy": 1}, "augmented copies"),
        ({"label": "sad"}, "tell toy s1-1 differently"),
        ({"speaker": "s9"}, "tell toy s1-1 differently"),
        ({"stem": "s9-1"}, "tell toy s9-1 differently"),
    ],
)
def test_rows_that_the_manifest_tells_otherwise(run, changes, words):
    table = Predictions.read(run.predictions)
    rows = tuple(
        replace(row, **changes) if row.stem == "s1-1" and row.label != changes.get("label") else row
        for row in table
    )
    assert rows != table.rows, "the clip to change has the label already"
    Predictions(table.labels, rows, table.probabilities).write(run.predictions)
    change_digest(run)
    with refused(words):
        Reference.read(run)


def test_only_clips_of_a_corpus(run):
    assert len(Reference.read(run, corpora=("toy", "other")).answers) == 24
    with refused("no clip of other"):
        Reference.read(run, corpora=("other",))


def test_recordings_may_have_been_moved(runs, world, tmp_path):
    shutil.copytree(world.manifest.root, tmp_path / "moved")
    moved = Manifest(tmp_path / "moved", world.manifest.clips)
    reference = Reference.read(runs[0], recordings=moved)
    assert reference.recordings.root == tmp_path / "moved"


def test_recordings_that_are_missing_from_the_manifest(runs, world):
    some = Manifest(world.manifest.root, tuple(c for c in world.manifest.clips if c.stem != "s2-4"))
    with refused("1 of 24 clips", "not in the manifest", "first: toy s2-4", "scan"):
        Reference.read(runs[0], recordings=some)


def test_other_audio_under_the_same_name(runs, world):
    clips = tuple(
        replace(clip, audio_sha256="0" * 64) if clip.stem == "s2-4" else clip
        for clip in world.manifest.clips
    )
    with refused("toy s2-4 has other audio"):
        Reference.read(runs[0], recordings=Manifest(world.manifest.root, clips))


def test_other_audio_of_a_clip_that_is_not_compared_does_not_matter(runs, world):
    clips = tuple(
        replace(clip, audio_sha256="0" * 64) if clip.stem == "s6-4" else clip
        for clip in world.manifest.clips
    )
    Reference.read(runs[0], recordings=Manifest(world.manifest.root, clips))


def test_folds_of_a_recipe_are_alike(runs):
    check_alike([Reference.read(run) for run in runs])


def test_a_run_named_twice(runs):
    references = [Reference.read(runs[0]), Reference.read(runs[0])]
    with refused("stands twice"):
        check_alike(references)


def test_runs_of_different_recipes(runs, world, tmp_path):
    other = toys.make_run(tmp_path / "run", world, 2, fit={"epochs": 50})
    with refused("another recipe"):
        check_alike([Reference.read(runs[0]), Reference.read(other)])


def test_another_seed_is_the_same_recipe(runs, world, tmp_path):
    other = toys.make_run(tmp_path / "run", world, 2, seed=9)
    check_alike([Reference.read(runs[0]), Reference.read(other)])


def test_folds_that_were_taught_by_teachers_of_their_own_are_alike(runs, world, tmp_path):
    def taught(fold):
        teacher = {"scores": f"fold{fold}.csv", "scores_sha256": f"{fold}" * 64}
        return Reference.read(toys.make_run(tmp_path / f"{fold}", world, fold, teacher=teacher))

    check_alike([taught(1), taught(2)])
    with refused("another recipe"):
        check_alike([Reference.read(runs[0]), Reference.read(RunDirectory(tmp_path / "2"))])


def test_errors_are_one_line(run):
    run.model.write_bytes(b"trained on")
    with pytest.raises(SerEdgeError) as caught:
        Reference.read(run)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(run.path))


def test_a_partition_of_other_audio(run, world):
    rows = Partition.read(run.partition).rows
    changed = tuple(
        replace(row, audio_sha256="1" * 64) if row.stem == "s1-3" else row for row in rows
    )
    Partition(changed).write(run.partition)
    with refused("toy s1-3 has other audio"):
        Reference.read(run)
