"""Going on with a finished run: no training clip is asked for; what was lost is made anew."""

from __future__ import annotations

import shutil

import pytest

from ser_edge_train.checkpoint import Checkpoint
from ser_edge_train.fine_tuning import fine_tuning_recipe
from ser_edge_train.fitting import finished
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.training import train

from .tones import recording
from .toys import Listener, Stopped, toy_recipe

EPOCHS = 2


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Five speakers of three emotions."""
    root = tmp_path_factory.mktemp("recordings")
    clips = [
        recording(root, "corpus", f"speaker{number}", emotion, take)
        for number in range(5)
        for emotion in ("angry", "happy", "sad")
        for take in range(2)
    ]
    return Manifest(root, tuple(clips))


@pytest.fixture(scope="module")
def ended(manifest, tmp_path_factory):
    """A run that has ended, its test part not looked at."""
    place = tmp_path_factory.mktemp("ended")
    return trained(manifest, place / "run").run


@pytest.fixture
def run(ended, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(ended.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def trained(manifest, path, changes=None, **how):
    recipe = changes or toy_recipe(fit__epochs=EPOCHS)
    return train(recipe, manifest, path, store_root=path.parent / "store", processes=1, **how)


def stages_of(listener):
    return list(dict.fromkeys(stage for stage, _, _ in listener.steps))


def bytes_of(run):
    """All that a fit leaves behind, beside its checkpoint."""
    paths = (run.model, run.normaliser, run.history, run.predictions, run.report_json)
    return {path.name: path.read_bytes() for path in paths}


def without_speakers_of(manifest, run, part, root):
    """The recordings moved to ``root``, those of a part's speakers left behind."""
    gone = Partition.read(run.partition).part(part)
    assert gone
    for clip in manifest.clips:
        if clip.key not in gone:
            (root / clip.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(manifest.path_of(clip), root / clip.path)
    return Manifest(root, manifest.clips)


def test_the_test_part_is_scored_without_a_training_clip(manifest, ended, run, tmp_path):
    """The recordings of the training speakers are gone, and no feature of any is kept."""
    moved = without_speakers_of(manifest, run, "train", tmp_path / "recordings")
    listener = Listener()
    scored = trained(moved, run.path, resume=True, score_test=True, progress=listener)
    assert scored.report["scores"].keys() == {"validation", "test"}
    assert stages_of(listener) == ["frames", "features of validation", "features of test"]
    assert not listener.reports
    for kept in (run.model, run.normaliser, run.history, run.checkpoint):
        assert kept.read_bytes() == (ended.path / kept.relative_to(run.path)).read_bytes()


def test_scores_are_those_of_a_training_that_scored_at_once(manifest, run, tmp_path):
    later = trained(manifest, run.path, resume=True, score_test=True)
    at_once = trained(manifest, tmp_path / "at-once" / "run", score_test=True)
    assert later.report == at_once.report
    assert bytes_of(later.run) == bytes_of(at_once.run)
    assert later.clips == at_once.clips


def test_a_finished_run_says_again_what_it_said(manifest, ended, run):
    before = bytes_of(ended)
    run.predictions.unlink()
    run.report_json.unlink()
    again = trained(manifest, run.path, resume=True)
    assert bytes_of(run) == before
    assert again.report["model"]["parameters"] > 0
    assert not run.scratch.exists()


def delete(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def spoil(path):
    path.write_bytes(b"\xff\xfe nothing of the kind")


@pytest.mark.parametrize("damage", [delete, cut, spoil])
@pytest.mark.parametrize("name", ["model", "normaliser"])
def test_what_was_lost_of_a_finished_run_is_made_anew(manifest, ended, run, name, damage):
    damage(getattr(run, name))
    listener = Listener()
    trained(manifest, run.path, resume=True, progress=listener)
    assert bytes_of(run) == bytes_of(ended)
    assert "features of train" in stages_of(listener)
    assert not listener.reports, "the checkpoint has the weights: no epoch is run again"


def test_without_its_checkpoint_it_is_trained_again(manifest, ended, run):
    run.checkpoint.unlink()
    listener = Listener()
    trained(manifest, run.path, resume=True, progress=listener)
    assert [report.epoch for report in listener.reports] == [1, 2]
    assert bytes_of(run) == bytes_of(ended)


def test_a_run_that_was_stopped_is_none_that_ended(manifest, ended, tmp_path):
    recipe, path = toy_recipe(fit__epochs=EPOCHS), tmp_path / "run"
    with pytest.raises(Stopped):
        trained(manifest, path, progress=Listener(at_epoch=1))
    run = RunDirectory(path)
    assert not Checkpoint.read(run.checkpoint).finished
    # A network is there all the same, as of a training that began in this folder before.
    shutil.copyfile(ended.model, run.model)
    assert finished(recipe, run) is None
    listener = Listener()
    trained(manifest, path, resume=True, progress=listener)
    assert [report.epoch for report in listener.reports] == [2]
    assert bytes_of(run) == bytes_of(ended)


def test_how_a_fit_ended_is_read_from_what_it_left(manifest, ended, run):
    recipe = toy_recipe(fit__epochs=EPOCHS)
    found = finished(recipe, run)
    checkpoint = Checkpoint.read(run.checkpoint)
    assert found.epochs == EPOCHS
    assert found.best_epoch == checkpoint.best_epoch
    assert (
        found.parameters == trained(manifest, run.path, resume=True).report["model"]["parameters"]
    )
    assert finished(toy_recipe(fit__epochs=EPOCHS, seed=4), run) is None
    cut(run.checkpoint)
    assert finished(recipe, run) is None
    assert finished(recipe, RunDirectory(run.path / "nowhere")) is None


def test_a_fine_tuned_run_that_ended_needs_no_training_clip_either(manifest, ended, tmp_path):
    tuning = fine_tuning_recipe(ended, epochs=1, learning_rate=0.01)
    run = trained(manifest, tmp_path / "run", tuning).run
    before = bytes_of(run)
    listener = Listener()
    again = trained(manifest, run.path, tuning, resume=True, score_test=True, progress=listener)
    assert "features of train" not in stages_of(listener)
    assert again.report["scores"].keys() == {"validation", "test"}
    assert run.model.read_bytes() == before["model.keras"]
    assert run.normaliser.read_bytes() == ended.normaliser.read_bytes()
