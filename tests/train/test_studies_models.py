"""Studies of model files, and the study of corpora, from the first file to the last."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime import Classifier
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.evaluation import allowed_classes, evaluate_model, score
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.folder import StudyFolder
from ser_edge_train.studies.models import model_subject, plan_of_model
from ser_edge_train.studies.planning import plan_of_recipe, recipe_subject
from ser_edge_train.studies.running import run_study
from ser_edge_train.studies.scoring import of_model_file
from ser_edge_train.studies.study import StudyError, StudyRefused
from tests.train.pages import Page

from .recordings import write_wav
from .studied import Heard, study_recipe, tones

MODEL = Path(__file__).resolve().parents[1] / "data" / "format_v1.tflite"
LABELS = Classifier.load(MODEL).labels


def part_of(clip):
    """The first speaker validates, the second is tested."""
    return {"speaker0": "validation", "speaker1": "test"}.get(clip.speaker, "train")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Tones under the labels of the model file, which hears none of them."""
    found = tones(tmp_path_factory.mktemp("recordings"))
    names = dict(zip(("angry", "happy", "sad"), (LABELS * 2)[:3], strict=True))
    clips = [
        dataclasses.replace(clip, emotion=names[clip.emotion])
        for clip in found.clips
        if clip.emotion in ("angry", "happy")
    ]
    return Manifest(found.root, tuple(clips))


@pytest.fixture(scope="module")
def partition(manifest):
    return Partition.of(manifest.clips, part_of)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def do(plan, store, listener=None):
    return run_study(plan, listener or Heard(), store_root=store, processes=1)


# --- model files ----------------------------------------------------------------------------


def test_a_model_files_validation_clips_are_those_of_the_partition(manifest, partition):
    found = model_subject(MODEL, manifest, partition)
    assert {clip.speaker for clip in found.clips} == {"speaker0"}
    assert len(found.clips) == 8
    assert found.model == MODEL
    assert found.recipe is None


def test_a_partition_that_is_not_the_models_is_told(manifest, partition):
    (note,) = model_subject(MODEL, manifest, partition).notes
    assert note.startswith("the model was not trained with this partition")


def test_clips_of_other_classes_are_left_out_and_counted(manifest, partition):
    clips = [
        dataclasses.replace(clip, emotion="bored") if clip.take == "0" else clip
        for clip in manifest.clips
    ]
    found = model_subject(MODEL, Manifest(manifest.root, tuple(clips)), partition)
    assert len(found.clips) == 4
    assert found.notes[-1] == "left out: 4 clips of classes that the model does not have"


def test_a_partition_without_validation_clips_is_refused(manifest):
    all_train = Partition.of(manifest.clips, lambda clip: "train")
    with pytest.raises(StudyRefused, match=r"no validation clip .*the test part is not looked at"):
        model_subject(MODEL, manifest, all_train)


def test_a_file_that_is_no_model_is_refused(manifest, partition, tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"not a model")
    with pytest.raises(SerEdgeError, match=r"model\.tflite"):
        model_subject(tmp_path / "model.tflite", manifest, partition)


def test_a_run_has_a_partition_of_its_own(partition, tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(study_recipe())
    with pytest.raises(StudyRefused, match="leave out --partition"):
        model_subject(run.path, None, partition)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(SerEdgeError, match="not a run"):
        model_subject(tmp_path)


@pytest.mark.parametrize("leaking", [True, False])
def test_a_run_whose_validation_speakers_were_heard_is_refused(manifest, tmp_path, leaking):
    run = RunDirectory(tmp_path / "run")
    run.create(study_recipe(labels=list(LABELS), protocol={"name": "random"}))
    manifest.write(run.manifest)
    parts = ("train", "validation")
    rows = Partition.of(
        manifest.clips, (lambda clip: parts[int(clip.take)]) if leaking else part_of
    )
    rows.write(run.partition)
    run.model.write_bytes(b"weights")
    run.normaliser.write_text("{}")
    if leaking:
        with pytest.raises(StudyError, match=r"its partition leaks \(.*train and validation\)"):
            model_subject(run.path)
    else:
        assert len(model_subject(run.path).clips) == 8


def test_a_speaker_run_is_refused(manifest, partition, tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(
        study_recipe(target="speaker", labels=None, network={"name": "tdnn"}, augmentation=None)
    )
    for path in (run.model, run.normaliser):
        path.write_bytes(b"")
    with pytest.raises(StudyRefused, match="its classes are speakers"):
        model_subject(run.path)


def test_a_model_file_answers_as_the_interpreter_does(manifest):
    trained = of_model_file(MODEL)
    classifier = Classifier.load(MODEL)
    assert trained.labels == LABELS
    assert trained.spec == classifier.front_end.spec
    assert trained.heard is None
    features = np.random.default_rng(0).normal(size=(3, *trained.spec.output_shape))
    found = trained.probabilities(features.astype(np.float32))
    wanted = [classifier.probabilities(each.astype(np.float32)) for each in features]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_whole_clips_score_as_ser_edge_evaluate_scores_them(manifest, partition, store, tmp_path):
    found = model_subject(MODEL, manifest, partition)
    values = do(plan_of_model(STUDIES["clip-length"], found, tmp_path / "out"), store)
    (run,) = values["runs"]
    parts = {clip.key: "validation" for clip in found.clips}
    answers = evaluate_model(MODEL, manifest, parts, processes=1)
    wanted = score(answers, allowed_classes(manifest, LABELS))
    assert run["scores"]["whole"]["all"]["uar"] == pytest.approx(wanted["overall"]["uar"])
    assert values["subject"]["name"] == MODEL.name
    assert values["subject"]["protocol"] == "as the model's partition says"
    assert not (tmp_path / "out" / "model" / "recipe.toml").exists()
    page = Page((tmp_path / "out" / "study.html").read_text())
    assert "Each training chose its epoch" not in page.text
    assert page.faults == []


def test_recorded_noise_is_heard(manifest, partition, store, tmp_path):
    write_wav(tmp_path / "rooms" / "hum.wav", 77)
    found = model_subject(MODEL, manifest, partition)
    plan = plan_of_model(
        STUDIES["noise"], found, tmp_path / "out", recordings=str(tmp_path / "rooms")
    )
    values = do(plan, store)
    assert {each["recordings"] for each in values["conditions"][1:]} == {str(tmp_path / "rooms")}
    assert len(values["table"]) == 7 * (1 + len(manifest.corpora))
    # White noise instead: the scores of recorded noise do not count.
    white = plan_of_model(STUDIES["noise"], found, tmp_path / "out")
    assert StudyFolder(white).state(white.jobs[0]) == "to do"
    assert StudyFolder(plan).state(plan.jobs[0]) == "finished"


# --- corpora --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crossed(store, tmp_path_factory):
    """The study of two corpora, of the second of which nobody validates; and its recordings."""
    manifest = tones(tmp_path_factory.mktemp("corpora"))

    def parts(clip):
        if clip.corpus == "two":
            return "test" if clip.speaker == "speaker1" else "train"
        return part_of(clip)

    subject = recipe_subject(study_recipe(), manifest, Partition.of(manifest.clips, parts))
    out = tmp_path_factory.mktemp("studies") / "corpora"
    plan = plan_of_recipe(STUDIES["corpora"], subject, out, seeds=1)
    return plan, do(plan, store)


def test_each_variant_trains_on_its_corpora_alone(crossed):
    plan, values = crossed
    assert [run["variant"] for run in values["runs"]] == ["one", "two", "all-corpora"]
    for job, corpora in zip(plan.jobs, ({"one"}, {"two"}, {"one", "two"}), strict=True):
        rows = Partition.read(job.run.partition).rows
        assert {row.corpus for row in rows} == corpora
        assert set(rows) <= set(plan.subject.partition.rows)


def test_a_corpus_is_scored_over_the_classes_that_training_had(crossed):
    _, values = crossed
    rows = {(row["variant"], row["condition"]): row for row in values["table"]}
    # Of "two" nobody validates: there is no such column in the table.
    assert rows.keys() == {("one", "one"), ("two", "one"), ("all-corpora", "one")}
    assert {place[0]: row["classes"] for place, row in rows.items()} == {
        "one": 3, "two": 2, "all-corpora": 3,
    }  # fmt: skip
    assert {place[0]: row["clips"] for place, row in rows.items()} == {
        "one": 6, "two": 4, "all-corpora": 6,
    }  # fmt: skip


def test_a_run_without_validation_speakers_is_finished_all_the_same(crossed, store):
    plan, values = crossed
    job = plan.jobs[1]
    assert not job.run.report_json.exists()
    assert values["runs"][1]["best_epoch"] is None
    listener = Heard()
    do(plan, store, listener)
    assert listener.begun == []


def test_the_matrix_stands_on_the_page(crossed):
    plan, values = crossed
    page = Page((plan.out / "study.html").read_text())
    assert page.faults == []
    assert page.words.count("–") >= 3
    assert "2 classes" in page.words
    assert json.loads((plan.out / "study.json").read_text()) == values


def test_nobody_is_in_training_whom_another_variant_validates_on(crossed):
    plan, _ = crossed
    validate = {clip.key for clip in plan.subject.clips}
    for job in plan.jobs:
        assert not validate & Partition.read(job.run.partition).part("train")
