"""A protocol that leaks: its scores, the clean ones beside them, and both after any stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import PARTS, Partition
from ser_edge_train.plan import LeakyPartition, make_plan
from ser_edge_train.predictions import Predictions
from ser_edge_train.run_directory import RunDirectory, RunError
from ser_edge_train.training import Trained, TrainingInterrupted, clean_recipe, train

from .recordings import RATE, make_clip, write_wav
from .test_teacher_scores import scores_of
from .toys import Listener, toy_recipe

PITCH = {"angry": 2500, "happy": 1200, "sad": 300}
SPEAKERS = "abcdef"
COPIES = {"augmentation__waveform": {"copies": 1, "noise": {"snr_db": [20, 30]}}}


def recording(root: Path, speaker: str, emotion: str, take: int) -> Clip:
    """A clip whose pitch tells its emotion."""
    stem = f"{speaker}-{emotion}-{take}"
    rng = np.random.default_rng([ord(speaker), PITCH[emotion], take])
    time = np.arange(int(0.2 * RATE)) / RATE
    tone = 0.2 * np.sin(2 * np.pi * PITCH[emotion] * time) + 0.02 * rng.normal(size=len(time))
    path = write_wav(root / f"{stem}.wav", (tone * 32767).astype(np.int16))
    return make_clip(0, corpus="toys", stem=stem, path=path.name, speaker=speaker, emotion=emotion,
                     seconds=0.2, audio_sha256=audio_digest(*load_audio(path)))  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    return Manifest(
        root,
        tuple(
            recording(root, speaker, emotion, take)
            for speaker in SPEAKERS
            for emotion in PITCH
            for take in range(3)
        ),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def run(manifest, store):
    """Trains the toy for two epochs."""

    def go(path: Path, protocol: str = "augment-then-split", **how) -> Trained:
        recipe = toy_recipe(protocol={"name": protocol}, fit__epochs=2, **COPIES)
        how = {"manifest": manifest, "store_root": store, "processes": 1, **how}
        return train(recipe, run=path, **how)

    return go


@pytest.fixture(scope="module")
def leaky(run, tmp_path_factory):
    """One undisturbed training with both test parts scored, and who listened to it."""
    listener = Listener()
    path = tmp_path_factory.mktemp("runs") / "leaky"
    return run(path, score_test=True, progress=listener), listener


def files_of(path: Path) -> dict[str, bytes]:
    return {
        entry.relative_to(path).as_posix(): entry.read_bytes()
        for entry in sorted(path.rglob("*"))
        if entry.is_file()
    }


# --- the two figures ------------------------------------------------------------------------


def test_the_report_is_leaky_and_says_why(leaky):
    protocol = leaky[0].report["protocol"]
    assert protocol["leaky"] is True
    assert protocol["speaker_disjoint"] is False
    assert "6 speakers in both train and test" in protocol["leaks"]
    assert any("with their augmented copies in both train and test" in one
               for one in protocol["leaks"])  # fmt: skip
    # 54 recordings and as many copies, a fifth of all tested.
    assert protocol["parts"]["test"] == {"clips": 22, "speakers": 6}


def test_copies_are_predicted_and_scored_like_recordings(leaky, manifest):
    done, _ = leaky
    partition = Partition.read(done.run.partition)
    predictions = Predictions.read(done.run.predictions)
    for part in PARTS[1:]:
        rows = {(*clip.key, copy) for clip, copy in partition.copies(manifest, part)}
        assert {row.copy_key for row in predictions if row.part == part} == rows
        assert done.report["scores"][part]["overall"]["clips"] == len(rows)
    assert {row.copy for row in predictions} == {0, 1}
    assert done.clips == {"train": 76, "validation": 10, "test": 22}


def test_the_clean_figure_stands_beside_it(leaky):
    done, listener = leaky
    written = json.loads(done.run.report_json.read_text())
    clean = json.loads(done.run.clean.report_json.read_text())
    assert written == done.report
    assert written["clean"] == {name: clean[name] for name in ("protocol", "scores")}
    assert written["clean"]["protocol"]["name"] == "speaker-folds"
    assert written["clean"]["protocol"]["leaky"] is False
    assert written["clean"]["scores"].keys() == written["scores"].keys() == {"validation", "test"}
    assert done.clean is not None
    assert done.clean.report == clean
    assert f"the clean figure: toy with speaker-folds, in {done.run.clean.path}" in listener.notes


def test_the_page_has_both(leaky):
    page = leaky[0].run.report_html.read_text()
    assert "LEAKY" in page
    assert "without the leak" in page


def test_the_clean_training_is_the_one_that_speaker_folds_alone_makes(leaky, run, tmp_path):
    alone = run(tmp_path / "alone", "speaker-folds", score_test=True)
    assert alone.clean is None
    assert "clean" not in alone.report
    assert files_of(alone.run.path) == files_of(leaky[0].run.clean.path)


def test_it_can_be_left_out(run, tmp_path):
    done = run(tmp_path / "run", "random", clean=False)
    assert done.clean is None
    assert done.report["protocol"]["leaky"] is True
    assert "clean" not in done.report
    assert not done.run.clean.path.exists()
    # And made later.
    later = run(tmp_path / "run", "random", resume=True)
    assert later.report["clean"]["protocol"]["leaky"] is False


def test_its_fold_is_one_of_five():
    def twin(**protocol: object) -> tuple[str, int]:
        clean = clean_recipe(toy_recipe(protocol=protocol))
        assert clean is not None
        return clean.protocol.name, clean.protocol.fold

    assert twin(name="random", folds=12, fold=5) == ("speaker-folds", 5)
    assert twin(name="random", folds=12, fold=6) == ("speaker-folds", 1)
    assert twin(name="random", folds=12, fold=12) == ("speaker-folds", 2)
    assert clean_recipe(toy_recipe(protocol={"name": "speaker-disjoint"})) is None
    assert clean_recipe(toy_recipe(protocol={"name": "given"})) is None


def test_where_it_cannot_be_made_nothing_begins(run, manifest, tmp_path):
    alone = Manifest(manifest.root, tuple(c for c in manifest.clips if c.speaker == "a"))
    with pytest.raises(PartitionError, match=r"^the clean figure beside.*nobody to test.*--no-cle"):
        run(tmp_path / "run", "random", manifest=alone)
    assert not (tmp_path / "run").exists()
    assert run(tmp_path / "run", "random", manifest=alone, clean=False).report is not None


@pytest.mark.parametrize("named", [True, False], ids=["the leaky partition", "no partition"])
def test_a_teacher_that_may_have_heard_the_clean_test_is_refused(named, manifest, store, tmp_path):
    recipe = toy_recipe(protocol={"name": "random"})
    learnt_by = make_plan(recipe, manifest).partition.digest if named else ""
    scores_of(manifest.clips, learnt_by).write(tmp_path / "scores.csv")
    recipe = recipe.with_changes(teacher=str(tmp_path / "scores.csv"))
    with pytest.raises(PartitionError, match=r"^the clean figure.*may have heard.*--no-clean$"):
        train(recipe, manifest, tmp_path / "run", store_root=store, processes=1)
    assert not (tmp_path / "run").exists()
    make_plan(recipe, manifest)  # it is for this protocol's own figure alone


# --- stopping and going on ------------------------------------------------------------------


class CtrlC(Listener):
    """Stops at a step of an epoch, or at a note."""

    def __init__(self, at_step: tuple[int, int] | None = None, note: str = "\0") -> None:
        super().__init__(at_step=at_step)
        self._note = note

    def note(self, line: str) -> None:
        if line.startswith(self._note):
            self.end()

    def end(self) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CtrlC(at_step=(2, 1)), Listener()),
        (Listener(), CtrlC(note="train: ")),
        (Listener(), CtrlC(at_step=(2, 1))),
    ],
    ids=["in the leaky fit", "before the clean fit", "in the clean fit"],
)
def test_stopped_anywhere_it_goes_on_to_the_same_files(leaky, run, tmp_path, first, second):
    path = tmp_path / "run"
    with pytest.raises(TrainingInterrupted, match="go on with the same command and --resume"):
        run(path, score_test=True, progress=first, clean_progress=second)
    run(path, score_test=True, resume=True)
    assert files_of(path) == files_of(leaky[0].run.path)


def test_what_a_kill_left_of_a_beginning_run_is_in_nobodys_way(leaky, run, tmp_path):
    """Killed between the two trainings, and while the recipe of the second was written."""
    path = tmp_path / "run"
    run(path, clean=False, score_test=True)
    clean = RunDirectory(path).clean
    clean.path.mkdir()
    (clean.path / ".recipe.toml.123.part").write_text("name = ")
    run(path, score_test=True, resume=True)
    assert files_of(path) == files_of(leaky[0].run.path)


# --- given partitions -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def split(manifest):
    """Five speakers train and are tested by their last takes; f validates."""
    return Partition.of(
        manifest.clips,
        lambda c: "validation" if c.speaker == "f" else "test" if c.take == "" and c.stem[-1] == "2"
        else "train",
    )  # fmt: skip


def test_a_leaking_partition_needs_leave_and_is_reported(run, split, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(LeakyPartition, match="5 speakers in both train and test"):
        run(path, partition=split)
    assert not path.exists()
    done = run(path, partition=split, allow_leaks=True)
    protocol = done.report["protocol"]
    assert (protocol["name"], protocol["leaky"]) == ("given", True)
    assert protocol["leaks"] == ["5 speakers in both train and test"]
    assert "clean" not in done.report
    assert Partition.read(done.run.partition) == split
    page = done.run.report_html.read_text()
    assert page.index("LEAKY") < page.index("<h1")


def test_a_run_of_a_given_partition_goes_on_without_it(run, split, manifest, store, tmp_path):
    moved = Partition(tuple(
        replace(row, part="train") if row.part == "test" and not row.stem.startswith("a") else
        replace(row, part="test") if row.stem.startswith("a") else row
        for row in split.rows
    ))  # fmt: skip
    path = tmp_path / "run"
    with pytest.raises(TrainingInterrupted):
        run(path, partition=moved, progress=CtrlC(at_step=(2, 1)))
    directory = RunDirectory(path)
    done = train(directory.read_recipe(), manifest, directory, store_root=store, resume=True,
                 processes=1)  # fmt: skip
    assert done.report["protocol"]["leaky"] is False
    whole = run(tmp_path / "whole", partition=moved)
    assert files_of(path) == files_of(whole.run.path)
    with pytest.raises(RunError, match="began with another partition"):
        run(path, partition=split, allow_leaks=True, resume=True)
