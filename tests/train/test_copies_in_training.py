"""Copies in a training: which rows an epoch takes, and that a killed fit ends the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train import fitting
from ser_edge_train.dataset import Part, PlainBatches, TrainingBatches
from ser_edge_train.errors import NoNoise
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Manifest
from ser_edge_train.recipes import Recipe
from ser_edge_train.recipes.augmentation import Augmentation
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.training import train

from .recordings import make_clip, write_wav
from .toys import Listener, Stopped, toy_part, toy_recipe

COPIES = 3


def part(utterances: int = 20, copies: int = COPIES) -> Part:
    """Row u * (copies + 1) + k of the features holds the number u and k."""
    rows = np.arange(utterances * (copies + 1))
    features = np.stack([rows // (copies + 1), rows % (copies + 1)], axis=1).astype(np.float32)
    labels = np.arange(utterances) % 3
    return Part(features, labels, np.ones((utterances, 3), bool), None, copies)


def batches(seed: int = 1, **how: int) -> TrainingBatches:
    whole = part(**how)
    weights = np.arange(len(whole), dtype=np.float32)
    return TrainingBatches(whole, weights, Normaliser.identity(2), Augmentation(), 8, seed)


def epoch_of(series: TrainingBatches, epoch: int) -> dict[int, int]:
    """Which copy of each utterance an epoch shows."""
    shown = np.concatenate([series.batch(epoch, place)[0] for place in range(len(series))])
    assert len(shown) == len({int(row[0]) for row in shown})
    return {int(number): int(copy) for number, copy in shown}


# --- one of them an epoch -------------------------------------------------------------------


def test_an_epoch_shows_each_utterance_once_as_one_of_its_copies():
    series = batches()
    assert len(series) == 3
    shown = [epoch_of(series, epoch) for epoch in range(60)]
    assert all(sorted(each) == list(range(20)) for each in shown)
    for utterance in range(20):
        assert {each[utterance] for each in shown} == {0, 1, 2, 3}
    counts = np.bincount([copy for each in shown for copy in each.values()])
    assert counts.min() > 0.8 * counts.mean()


def test_the_choice_follows_from_seed_epoch_and_utterance_alone():
    forwards, backwards = batches(), batches()
    one = [epoch_of(forwards, epoch) for epoch in range(5)]
    other = [epoch_of(backwards, epoch) for epoch in reversed(range(5))]
    assert one == other[::-1]
    assert len({tuple(sorted(each.items())) for each in one}) == 5
    assert epoch_of(batches(seed=2), 0) != one[0]


def test_the_order_is_that_of_a_fit_without_copies():
    assert np.array_equal(batches().indices(3, 1), batches(copies=0).indices(3, 1))


def test_targets_and_weights_are_the_utterances():
    series, whole = batches(), part()
    for place in range(3):
        features, targets, weights = series.batch(4, place)
        numbers = features[:, 0].astype(int)
        assert np.array_equal(weights, numbers.astype(np.float32))
        assert np.array_equal(targets[:, :3].argmax(axis=1), whole.labels[numbers])


def test_plain_batches_show_the_recordings_themselves():
    plain = PlainBatches(part(), np.ones(20, np.float32), Normaliser.identity(2), 8)
    shown = np.concatenate([plain.batch(place)[0] for place in range(len(plain))])
    assert shown[:, 0].tolist() == list(range(20))
    assert not shown[:, 1].any()


def test_a_part_refuses_rows_that_are_no_whole_groups():
    labels, allowed = np.zeros(3, np.int64), np.ones((3, 2), bool)
    for rows in (3, 5, 7, 12):
        with pytest.raises(ValueError, match="differ in length"):
            Part(np.zeros((rows, 2)), labels, allowed, None, 1)
    assert len(Part(np.zeros((6, 2)), labels, allowed, None, 1)) == 3


# --- the fit --------------------------------------------------------------------------------


def fit_data(recipe: Recipe) -> tuple[Part, Part, Normaliser]:
    rows = toy_part(recipe, 24, seed=1)
    near = np.repeat(rows.features, COPIES + 1, axis=0)
    near += np.random.default_rng(3).normal(scale=0.2, size=near.shape).astype(np.float32)
    copied = dataclasses.replace(rows, features=near, copies=COPIES)
    return copied, toy_part(recipe, 12, seed=2), Normaliser.fit([near])


def fitted(path: Path, listener: Listener | None = None, *, resume: bool = False) -> bytes:
    recipe = toy_recipe(fit__epochs=4, augmentation__gain_db=4.0)
    run = RunDirectory(path)
    if not resume:
        run.create(recipe)
    with run.lock():
        fitting.fit(recipe, *fit_data(recipe), run, resume=resume, progress=listener)
    return run.model.read_bytes() + run.history.read_bytes()


@pytest.mark.parametrize("at_step", [(1, 2), (3, 1)])
def test_a_fit_that_draws_copies_resumes_to_the_same_weights(tmp_path, at_step):
    whole = fitted(tmp_path / "whole")
    with pytest.raises(Stopped):
        fitted(tmp_path / "broken", Listener(at_step=at_step))
    assert fitted(tmp_path / "broken", resume=True) == whole


# --- the stage ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    clips = []
    for speaker in range(5):
        for label in ("angry", "happy", "sad"):
            stem = f"s{speaker}-{label}"
            path = write_wav(root / f"{stem}.wav", len(clips))
            digest = audio_digest(*load_audio(path))
            fields = {"stem": stem, "path": path.name, "speaker": f"s{speaker}", "emotion": label}
            clips.append(make_clip(len(clips), audio_sha256=digest, **fields))
    return Manifest(root, tuple(clips))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def changes(use: str) -> dict[str, object]:
    return {"fit__epochs": 2, "augmentation__waveform": {"copies": 2, "use": use, "noise": {}}}


def seen_by_fit(monkeypatch, manifest, store, path, use) -> dict[str, Part]:
    seen = {}

    def fit(recipe, train, validation, normaliser, run, **how):
        # In memory: the run's matrices are gone when it ends.
        for name, each in (("train", train), ("validation", validation)):
            seen[name] = dataclasses.replace(each, features=np.array(each.features))
        seen["normaliser"] = normaliser
        raise Stopped

    monkeypatch.setattr(fitting, "fit", fit)
    with pytest.raises(Stopped):
        train(toy_recipe(**changes(use)), manifest, path, store_root=store, processes=1)
    return seen


def test_only_training_clips_have_copies(monkeypatch, manifest, store, tmp_path):
    seen = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", "all")
    assert (len(seen["train"]), seen["train"].copies) == (27, 0)
    assert (len(seen["validation"]), seen["validation"].copies) == (3, 0)
    names = {path.stem for path in store.rglob("*.npy")}
    assert len(names) == 12 + 18  # the test part's three are not even opened


def test_with_all_every_copy_is_an_utterance_of_its_clips_label(
    monkeypatch, manifest, store, tmp_path
):
    seen = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", "all")
    labels = seen["train"].labels.reshape(9, 3)
    assert np.array_equal(labels, np.repeat(labels[:, :1], 3, axis=1))
    rows = seen["train"].features.reshape(27, -1)
    assert len({row.tobytes() for row in rows}) == 27


def test_with_one_the_rows_are_the_same_in_groups(monkeypatch, manifest, store, tmp_path):
    every = seen_by_fit(monkeypatch, manifest, store, tmp_path / "all", "all")
    one = seen_by_fit(monkeypatch, manifest, store, tmp_path / "one", "one")
    assert np.array_equal(one["train"].features, every["train"].features)
    assert (len(one["train"]), one["train"].copies) == (9, 2)
    assert np.array_equal(one["train"].labels, every["train"].labels[::3])
    assert one["normaliser"] == every["normaliser"]
    assert one["normaliser"] == Normaliser.fit([one["train"].features])


def test_a_groups_first_row_is_the_recording(monkeypatch, manifest, store, tmp_path):
    seen = seen_by_fit(monkeypatch, manifest, store, tmp_path / "run", "one")
    plain = FeatureStore(store, toy_recipe().spec)
    stored = [clip for clip in manifest.clips if plain.path_of(clip).is_file()]
    recordings = {plain.features(clip).tobytes() for clip in stored}
    assert {row.tobytes() for row in seen["train"].features[::3]} <= recordings
    assert not {row.tobytes() for row in seen["train"].features[1::3]} & recordings


@pytest.mark.parametrize("use", ["all", "one"])
def test_a_training_with_copies_ends_and_is_the_same_again(manifest, store, tmp_path, use):
    runs = [
        train(toy_recipe(**changes(use)), manifest, tmp_path / name, store_root=store, processes=1)
        for name in ("one", "two")
    ]
    assert runs[0].run.model.read_bytes() == runs[1].run.model.read_bytes()
    assert runs[0].clips == {"train": 9, "validation": 3, "test": 3}
    assert runs[0].report == runs[1].report


def test_a_missing_folder_of_noise_leaves_no_folder(manifest, store, tmp_path):
    noise = {"copies": 1, "recorded_noise": {"folder": str(tmp_path / "absent")}}
    recipe = toy_recipe(augmentation__waveform=noise)
    with pytest.raises(NoNoise, match="is no folder of recorded noise"):
        train(recipe, manifest, tmp_path / "run", store_root=store, processes=1)
    assert not (tmp_path / "run").exists()
