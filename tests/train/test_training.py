"""The training stage on small recordings: what a run holds, and what was looked at for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.front_end import Normaliser
from ser_edge_train import fitting
from ser_edge_train.errors import PartitionError
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Manifest
from ser_edge_train.metrics import confusion, masked_argmax, negative_log_likelihood, uar
from ser_edge_train.partitions import Partition
from ser_edge_train.plan import NothingToTrain
from ser_edge_train.predictions import Predictions
from ser_edge_train.recipes import Recipe, RecipeError
from ser_edge_train.run_directory import RunBusy, RunDirectory, RunError
from ser_edge_train.training import Trained, TrainingInterrupted, train

from .tones import recording
from .toys import Listener, Stopped, toy_recipe


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Two corpora of five speakers; the second has no sad, but one calm clip and a faulty one."""
    root = tmp_path_factory.mktemp("recordings")
    clips = [
        recording(root, corpus, f"speaker{number}", emotion, take)
        for corpus, emotions in (("all-three", "angry happy sad"), ("two", "angry happy"))
        for number in range(5)
        for emotion in emotions.split()
        for take in range(2)
    ]
    clips.append(recording(root, "two", "speaker0", "calm", 0))
    silent = recording(root, "two", "speaker1", "happy", 7)
    clips.append(dataclasses.replace(silent, fault="silent"))
    return Manifest(root, tuple(clips))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def trained(manifest, store, tmp_path_factory):
    """One undisturbed training, and who listened to it."""
    listener = Listener()
    done = run_of(manifest, store, tmp_path_factory.mktemp("runs") / "one", progress=listener)
    return done, listener


def recipe(**changes: object) -> Recipe:
    return toy_recipe(**{"fit__epochs": 3, **changes})


def run_of(
    manifest: Manifest, store: Path, path: Path, changes: dict[str, object] | None = None, **how
) -> Trained:
    return train(recipe(**(changes or {})), manifest, path, store_root=store, processes=1, **how)


def files_of(path: Path) -> dict[str, bytes]:
    return {
        entry.relative_to(path).as_posix(): entry.read_bytes()
        for entry in sorted(path.rglob("*"))
        if entry.is_file()
    }


def seen_by_fit(monkeypatch, manifest, store, path, changes):
    """What the fit is handed, without fitting."""
    seen = {}

    def fit(recipe, train, validation, normaliser, run, *, resume, progress, replicas):
        seen.update(train=train, validation=validation, normaliser=normaliser)
        seen["features"] = np.array(train.features)
        raise Stopped

    monkeypatch.setattr(fitting, "fit", fit)
    with pytest.raises(Stopped):
        run_of(manifest, store, path, changes)
    return seen


# --- what a run holds -----------------------------------------------------------------------


def test_a_run_holds_what_the_design_says(trained):
    done, _ = trained
    assert set(files_of(done.run.path)) == {
        ".lock", "recipe.toml", "manifest.csv", "manifest.root", "partition.csv",
        "front_end.json", "normaliser.json", "model.keras", "history.csv", "checkpoints/last.npz",
        "predictions.csv", "report.json", "report.html",
    }  # fmt: skip
    assert done.run.read_recipe() == recipe()
    assert done.run.front_end.read_text() == recipe().spec.to_json() + "\n"


def test_parts_are_the_protocols_and_speakers_are_apart(trained, manifest):
    done, _ = trained
    partition = Partition.read(done.run.partition)
    # 61 usable clips, one of them calm; folds 1 and 2 of five speakers are tested and validate.
    assert done.clips == {"train": 30, "validation": 10, "test": 10}
    assert sum(done.clips.values()) == len(partition.rows)
    speakers = [{c.speaker_key for c in partition.clips(manifest, p)} for p in done.clips]
    assert [len(each) for each in speakers] == [6, 2, 2]
    assert not set.intersection(speakers[0], speakers[1] | speakers[2])


def test_what_is_left_out_is_counted_and_told(trained):
    done, listener = trained
    assert done.left_out == {"label calm": 1, "silent": 1}
    assert "left out: 1 label calm, 1 silent" in listener.notes
    assert "train: 30 clips of 6 speakers" in listener.notes


def test_the_manifest_in_the_run_keeps_what_was_left_out(trained, manifest):
    done, _ = trained
    assert Manifest.read(done.run.manifest).digest == manifest.digest


def test_the_normaliser_knows_training_clips_only(trained, manifest, store):
    done, _ = trained
    clips = Partition.read(done.run.partition).clips(manifest, "train")
    features = FeatureStore(store, recipe().spec)
    wanted = Normaliser.fit([np.stack([features.features(clip) for clip in clips])])
    found = Normaliser.from_json(done.run.normaliser.read_text())
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-5)
    np.testing.assert_allclose(found.scale, wanted.scale, rtol=1e-5)
    features.fill(manifest, manifest.usable, processes=1)
    everyone = Normaliser.fit([np.stack([features.features(c) for c in manifest.usable])])
    assert not np.allclose(found.mean, everyone.mean, rtol=1e-5)


def test_predictions_are_of_validation_clips(trained, manifest):
    done, _ = trained
    predictions = Predictions.read(done.run.predictions)
    keys = Partition.read(done.run.partition).part("validation")
    assert {row.key for row in predictions} == keys
    assert predictions.parts == ("validation",)
    assert predictions.labels == recipe().labels
    assert done.report["scores"].keys() == {"validation"}


def test_the_report_is_the_one_on_the_disk_and_agrees_with_the_history(trained):
    done, listener = trained
    assert json.loads(done.run.report_json.read_text()) == done.report
    model = done.report["model"]
    best = listener.reports[model["best_epoch"] - 1]
    scored = done.report["scores"]["validation"]["overall"]["uar"]
    assert scored == pytest.approx(best.metrics["val_uar"], abs=1e-6)
    assert model["epochs"] == 3
    assert model["parameters"] == fitting.load_network(done.run.model).count_params()


def test_the_temperature_is_fitted_on_validation_and_is_in_the_probabilities(
    trained, manifest, store
):
    done, _ = trained
    clips = Partition.read(done.run.partition).clips(manifest, "validation")
    features = FeatureStore(store, recipe().spec)
    normaliser = Normaliser.from_json(done.run.normaliser.read_text())
    logits = fitting.predict(
        done.run.model, np.stack([features.features(c) for c in clips]), normaliser
    )
    temperature = done.report["model"]["temperature"]
    labels = np.array([recipe().labels.index(clip.emotion) for clip in clips])
    allowed = np.array([[True, True, clip.corpus == "all-three"] for clip in clips])
    losses = [
        negative_log_likelihood(logits, labels, allowed, temperature * factor)
        for factor in (0.97, 1.0, 1.03)
    ]
    assert temperature != 1
    assert losses[1] == min(losses)
    wanted = np.exp(logits / temperature)
    wanted /= wanted.sum(axis=1, keepdims=True)
    found = Predictions.read(done.run.predictions).probabilities
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    answers = masked_argmax(found, allowed)
    assert done.report["scores"]["validation"]["overall"]["uar"] == pytest.approx(
        uar(confusion(labels, answers, 3))
    )


def test_progress_tells_every_stage(trained):
    _, listener = trained
    stages = [stage for stage, _, _ in listener.steps]
    assert list(dict.fromkeys(stages)) == [
        "frames", "features of train", "features of validation", "epoch 1/3", "epoch 2/3",
        "epoch 3/3",
    ]  # fmt: skip
    assert [report.epoch for report in listener.reports] == [1, 2, 3]


def test_the_same_training_gives_the_same_bytes(trained, manifest, store, tmp_path):
    done, _ = trained
    again = run_of(manifest, store, tmp_path / "again")
    assert files_of(again.run.path) == files_of(done.run.path)


# --- what is looked at ----------------------------------------------------------------------


def test_test_clips_are_not_even_opened(trained, manifest, tmp_path):
    """With the recordings of the test speakers gone, the training ends with the same model."""
    done, _ = trained
    tested = Partition.read(done.run.partition).part("test")
    root = tmp_path / "recordings"
    for clip in manifest.clips:
        if clip.key not in tested:
            (root / clip.path).parent.mkdir(parents=True, exist_ok=True)
            (root / clip.path).write_bytes(manifest.path_of(clip).read_bytes())
    moved = Manifest(root, manifest.clips)
    again = run_of(moved, tmp_path / "store", tmp_path / "run")
    assert again.run.model.read_bytes() == done.run.model.read_bytes()
    assert again.run.predictions.read_bytes() == done.run.predictions.read_bytes()


def test_the_test_part_is_scored_when_asked_on_a_finished_run_too(
    trained, manifest, store, tmp_path
):
    done, _ = trained
    first = run_of(manifest, store, tmp_path / "run")
    scored = run_of(manifest, store, tmp_path / "run", resume=True, score_test=True)
    assert scored.report["scores"].keys() == {"validation", "test"}
    assert Predictions.read(scored.run.predictions).parts == ("validation", "test")
    assert scored.run.model.read_bytes() == first.run.model.read_bytes()
    before = done.report["scores"]["validation"]
    assert scored.report["scores"]["validation"] == before


def test_each_clip_has_its_corpuss_classes(monkeypatch, manifest, store, tmp_path):
    seen = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", {})
    train_part = seen["train"]
    masks = {tuple(row) for row in train_part.allowed.tolist()}
    assert masks == {(True, True, True), (True, True, False)}
    assert train_part.allowed[train_part.labels == 2].all()
    assert train_part.weights.tolist() == [1.0] * 30
    assert seen["features"].shape == (30, *recipe().spec.output_shape)


def test_merges_come_before_masks(monkeypatch, manifest, store, tmp_path):
    seen = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", {"merge": {"calm": "sad"}})
    masks = {tuple(row) for part in ("train", "validation") for row in seen[part].allowed.tolist()}
    assert masks == {(True, True, True)}


def test_corpora_that_are_not_named_are_ignored(monkeypatch, manifest, store, tmp_path):
    seen = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", {"corpora": ["two"]})
    assert len(seen["train"]) == 12
    assert Manifest.read(tmp_path / "run" / "manifest.csv").corpora == ("two",)


def test_a_corpuss_weight_reaches_its_clips(monkeypatch, manifest, store, tmp_path):
    changes = {"fit__corpus_weights": {"two": 0.5}}
    part = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", changes)["train"]
    # "all-three" comes first: a manifest is in the order of its corpora.
    assert part.weights.tolist() == [1.0] * 18 + [0.5] * 12


def test_a_corpuss_repeats_reach_its_clips(monkeypatch, manifest, store, tmp_path):
    changes = {"fit__corpus_repeats": {"two": 2.5}}
    part = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", changes)["train"]
    assert part.repeats.tolist() == [1.0] * 18 + [2.5] * 12


def test_the_scratch_is_gone_however_it_ended(trained, monkeypatch, manifest, store, tmp_path):
    assert not trained[0].run.scratch.exists()
    seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", {})
    assert not RunDirectory(tmp_path / "run").scratch.exists()


# --- stopping and going on ------------------------------------------------------------------


class CtrlC(Listener):
    def end(self) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_says_how_to_go_on_and_going_on_ends_the_same(trained, manifest, store, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(TrainingInterrupted) as stop:
        run_of(manifest, store, path, progress=CtrlC(at_step=(2, 2)))
    assert str(stop.value) == (
        f"{path}: stopped, 1 of 3 epochs are kept; go on with the same command and --resume"
    )
    assert stop.value.exit_code == 130
    resumed = run_of(manifest, store, path, resume=True)
    assert files_of(path) == files_of(trained[0].run.path)
    assert resumed.report == trained[0].report


def test_ctrl_c_before_the_first_epoch_is_no_loss(manifest, store, tmp_path):
    class Early(CtrlC):
        def step(self, stage, done, total):
            if stage == "features of train":
                self.end()

    with pytest.raises(TrainingInterrupted, match="stopped, 0 of 3 epochs are kept"):
        run_of(manifest, store, tmp_path / "run", progress=Early())
    with pytest.raises(RunError, match="holds a run already; go on with it by --resume"):
        run_of(manifest, store, tmp_path / "run")


def test_other_recordings_cannot_go_on(manifest, store, tmp_path):
    with pytest.raises(TrainingInterrupted):
        run_of(manifest, store, tmp_path / "run", progress=CtrlC(at_step=(1, 1)))
    fewer = Manifest(manifest.root, manifest.clips[1:])
    with pytest.raises(RunError, match="run: began with other recordings; name the same data"):
        run_of(fewer, store, tmp_path / "run", resume=True)


def test_another_partition_cannot_go_on(manifest, store, tmp_path):
    with pytest.raises(TrainingInterrupted):
        run_of(manifest, store, tmp_path / "run", progress=CtrlC(at_step=(1, 1)))
    run = RunDirectory(tmp_path / "run")
    partition = Partition.read(run.partition)
    Partition(partition.rows[1:]).write(run.partition)
    with pytest.raises(RunError, match="run: began with another partition"):
        run_of(manifest, store, run.path, resume=True)


def test_another_recipe_cannot_go_on(trained, manifest, store):
    with pytest.raises(RunError, match=r"began with another recipe \(seed differs\)"):
        run_of(manifest, store, trained[0].run.path, {"seed": 8}, resume=True)


def test_two_trainings_do_not_share_a_run(manifest, store, tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(recipe())
    with run.lock(), pytest.raises(RunBusy, match="another training works in it"):
        run_of(manifest, store, run.path, resume=True)


def test_recordings_that_moved_can_go_on(trained, manifest, store, tmp_path):
    with pytest.raises(TrainingInterrupted):
        run_of(manifest, store, tmp_path / "run", progress=CtrlC(at_step=(2, 1)))
    elsewhere = tmp_path / "moved"
    elsewhere.symlink_to(manifest.root, target_is_directory=True)
    done = run_of(Manifest(elsewhere, manifest.clips), store, tmp_path / "run", resume=True)
    assert done.run.model.read_bytes() == trained[0].run.model.read_bytes()
    assert Manifest.read(done.run.manifest).root == elsewhere


# --- refusals -------------------------------------------------------------------------------


def test_an_unknown_protocol_lists_the_known(manifest, store, tmp_path):
    changes = {"protocol": {"name": "by-chance"}}
    with pytest.raises(RecipeError, match=r"protocol.name: 'by-chance' is none of .*speaker-folds"):
        run_of(manifest, store, tmp_path / "run", changes)
    assert not (tmp_path / "run").exists()


def test_a_fold_that_is_none_leaves_no_folder(manifest, store, tmp_path):
    with pytest.raises(PartitionError, match="there is no fold 6"):
        run_of(manifest, store, tmp_path / "run", {"protocol__fold": 6})
    assert not (tmp_path / "run").exists()


def test_a_manifest_without_the_recipes_labels_is_refused(manifest, store, tmp_path):
    with pytest.raises(NothingToTrain, match=r"no usable clip has one of the labels of toy \(disg"):
        run_of(manifest, store, tmp_path / "run", {"labels": ["disgust", "fear"]})


def test_without_validation_there_is_no_report_until_the_test_is_scored(manifest, store, tmp_path):
    """Two speakers leave none for validation."""
    both = [c for c in manifest.clips if c.speaker in ("speaker0", "speaker1") and not c.fault]
    pair = Manifest(manifest.root, tuple(both))
    listener = Listener()
    done = run_of(pair, store, tmp_path / "run", progress=listener)
    assert done.clips["validation"] == 0
    assert done.report is None
    assert not done.run.report_json.exists()
    assert any("--score-test" in line for line in listener.notes)
    scored = run_of(pair, store, tmp_path / "run", resume=True, score_test=True)
    assert scored.report["model"]["temperature"] == 1
    assert scored.report["scores"].keys() == {"test"}
