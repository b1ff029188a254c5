"""The fit: what it writes, what it keeps, and that a stopped one ends like an unbroken one."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.checkpoint import Checkpoint, CheckpointError
from ser_edge_train.dataset import Part, TrainingBatches
from ser_edge_train.fit_state import HISTORY_COLUMNS
from ser_edge_train.fitting import FitError, fit, predict
from ser_edge_train.metrics import confusion, masked_argmax, uar
from ser_edge_train.networks.files import NetworkFileError, load_network
from ser_edge_train.run_directory import RunDirectory

from ..conftest import ROOT
from .toys import Listener, Stopped, toy_data, toy_part, toy_recipe

# Each shows another thing that must survive: plateau and early stopping, seeds between layers,
# the optimizer's place in a schedule.
KINDS: dict[str, dict[str, Any]] = {
    "cnn1d": {},
    "ds_cnn": {
        "network": {"name": "ds_cnn", "stem": 4, "channels": [4, 4], "strides": [[1, 2], [1, 1]],
                    "residual": True},
    },
    "cnn_lstm": {"network": {"name": "cnn_lstm", "filters": [4], "units": [4, 3]}},
    "rnn": {"network": {"name": "rnn", "cell": "simple", "units": [4, 3]}},
    "res_cnn1d": {
        "network": {"name": "res_cnn1d", "stages": [{"channels": 4, "kernel": 3}],
                    "spatial_dropout": 0.2},
    },
    "tdnn": {
        "network": {"name": "tdnn", "layers": [{"channels": 4, "kernel": 3}], "embedding": 3,
                    "hidden": 4},
    },
    "cosine": {
        "fit__optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "fit__schedule": {"name": "cosine", "warmup_epochs": 1},
        "fit__reduce_learning_rate": None,
        "fit__monitor": "val_loss",
    },
    "average": {"fit__average": 0.8, "fit__reduce_learning_rate": None},
}  # fmt: skip


@functools.cache
def unbroken(kind: str, folder: Path) -> RunDirectory:
    """The run of a fit that nothing disturbed."""
    return fitted(folder / f"unbroken-{kind}", KINDS[kind])[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fits")


def fitted(path: Path, changes: dict[str, Any], **data: Any) -> tuple[RunDirectory, Listener]:
    recipe = toy_recipe(**changes)
    train, validation, normaliser = toy_data(recipe)
    run, listener = RunDirectory(path), Listener()
    run.create(recipe)
    fit(
        recipe,
        data.get("train", train),
        data.get("validation", validation),
        normaliser,
        run,
        progress=listener,
    )
    return run, listener


def stopped_and_resumed(path: Path, changes: dict[str, Any], *listeners: Listener) -> RunDirectory:
    recipe = toy_recipe(**changes)
    run = RunDirectory(path)
    run.create(recipe)
    for listener in listeners:
        with pytest.raises(Stopped):
            fit(recipe, *toy_data(recipe), run, resume=True, progress=listener)
    fit(recipe, *toy_data(recipe), run, resume=True)
    return run


def assert_equal_runs(one: RunDirectory, other: RunDirectory) -> None:
    """Weights, history and everything that an epoch leaves for the next: the same bytes."""
    assert one.history.read_text() == other.history.read_text()
    assert one.checkpoint.read_bytes() == other.checkpoint.read_bytes()
    assert one.model.read_bytes() == other.model.read_bytes()


def history_of(run: RunDirectory) -> list[dict[str, float]]:
    header, *rows = [line.split(",") for line in run.history.read_text().splitlines()]
    return [dict(zip(header, map(float, row), strict=True)) for row in rows]


# --- stopping and going on ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_stopped_twice_ends_like_an_unbroken_one(kind, folder, tmp_path):
    run = stopped_and_resumed(
        tmp_path / "run", KINDS[kind], Listener(at_step=(2, 3)), Listener(at_epoch=3)
    )
    assert_equal_runs(run, unbroken(kind, folder))


def test_a_fit_stopped_in_its_first_epoch_begins_anew(folder, tmp_path):
    run = stopped_and_resumed(tmp_path / "run", {}, Listener(at_step=(1, 2)))
    assert_equal_runs(run, unbroken("cnn1d", folder))


def test_a_fit_stopped_after_its_last_epoch_only_writes_the_model(folder, tmp_path):
    last = toy_recipe().fit.epochs
    run = stopped_and_resumed(tmp_path / "run", {}, Listener(at_epoch=last))
    assert_equal_runs(run, unbroken("cnn1d", folder))


def killed(run: Path, *instant: str) -> None:
    command = [sys.executable, "-m", "tests.train.killed_fit", str(run), *instant]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_fit_killed_within_an_epoch_and_while_writing_ends_like_an_unbroken_one(folder, tmp_path):
    run = RunDirectory(tmp_path / "run")
    killed(run.path, "step", "2", "3")
    assert Checkpoint.read(run.checkpoint).epoch == 1
    # The second process renames checkpoint 2 and dies with checkpoint 3 still a draft.
    killed(run.path, "write", "2")
    assert Checkpoint.read(run.checkpoint).epoch == 2
    assert [path.name for path in run.checkpoints.glob(".*.part")] != []
    recipe = toy_recipe()
    with run.lock():
        fit(recipe, *toy_data(recipe), run, resume=True)
    assert_equal_runs(run, unbroken("cnn1d", folder))
    assert [path.name for path in run.checkpoints.iterdir()] == ["last.npz"]


def test_the_toy_shows_what_could_be_forgotten(folder):
    """The plateau acts within the toy's epochs and seeds are kept, or the above shows little."""
    run = unbroken("cnn1d", folder)
    rates = [row["learning_rate"] for row in history_of(run)]
    assert len(set(rates)) > 1
    checkpoint = Checkpoint.read(run.checkpoint)
    assert set(checkpoint.callbacks) == {"best_weights", "early_stopping", "reduce_learning_rate"}
    # The dropout layer's seed is among the network's variables.
    assert len(checkpoint.model) == len(checkpoint.best) + 1


def test_without_resume_a_checkpoint_is_passed_over(folder, tmp_path):
    recipe = toy_recipe()
    run = RunDirectory(tmp_path / "run")
    run.create(recipe)
    with pytest.raises(Stopped):
        fit(recipe, *toy_data(recipe), run, progress=Listener(at_epoch=2))
    listener = Listener()
    fit(recipe, *toy_data(recipe), run, progress=listener)
    assert listener.reports[0].epoch == 1
    assert_equal_runs(run, unbroken("cnn1d", folder))


# --- what is kept ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "monitor"), [("cnn1d", "val_uar"), ("cosine", "val_loss"), ("average", "val_uar")]
)
def test_the_weights_kept_are_the_best_epochs(kind, monitor, folder):
    run = unbroken(kind, folder)
    rows = history_of(run)
    scores = [row[monitor] for row in rows]
    best = scores.index(max(scores) if monitor == "val_uar" else min(scores))
    recipe = toy_recipe(**KINDS[kind])
    _, validation, normaliser = toy_data(recipe)
    logits = predict(run.model, validation.features, normaliser)
    answers = masked_argmax(logits, validation.allowed)
    found = uar(confusion(validation.labels, answers, 3))
    assert found == pytest.approx(rows[best]["val_uar"], abs=1e-6)
    assert Checkpoint.read(run.checkpoint).best_epoch == best + 1


def test_early_stopping_stops_and_a_stopped_fit_stays_stopped(tmp_path):
    changes = {"fit__epochs": 30, "fit__early_stopping": {"patience": 2}}
    run, listener = fitted(tmp_path / "run", changes)
    rows = history_of(run)
    assert len(rows) < 30
    scores = [row["val_uar"] for row in rows]
    assert len(rows) == scores.index(max(scores)) + 1 + 2
    assert listener.reports[-1].remaining_seconds == 0
    # Stopped while it was losing patience, a fit has not gained any when it goes on.
    resumed = stopped_and_resumed(tmp_path / "resumed", changes, Listener(at_epoch=len(rows) - 1))
    assert_equal_runs(resumed, run)
    before = run.model.read_bytes()
    recipe = toy_recipe(**changes)
    fit(recipe, *toy_data(recipe), run, resume=True, progress=Listener(at_step=(len(rows) + 1, 1)))
    assert history_of(run) == rows
    assert run.model.read_bytes() == before


def test_without_validation_the_last_weights_are_kept(tmp_path):
    recipe = toy_recipe()
    nobody = toy_part(recipe, 0)
    run, _ = fitted(tmp_path / "run", {"fit__epochs": 3}, validation=nobody)
    assert list(history_of(run)[0]) == ["epoch", "loss", "uar", "learning_rate"]
    checkpoint = Checkpoint.read(run.checkpoint)
    assert checkpoint.best_epoch == 3
    weights = load_network(run.model).get_weights()
    for kept, best in zip(weights, checkpoint.best, strict=True):
        assert np.array_equal(kept, best)


def test_the_model_is_plain_keras_without_an_optimizer(folder):
    model = load_network(unbroken("cnn1d", folder).model)
    assert not model.compiled
    assert getattr(model, "optimizer", None) is None


# --- what is told ---------------------------------------------------------------------------


def test_every_step_and_epoch_is_told(tmp_path):
    _, listener = fitted(tmp_path / "run", {"fit__epochs": 2})
    # 36 utterances in batches of 8.
    assert listener.steps == [(f"epoch {e}/2", n, 5) for e in (1, 2) for n in range(1, 6)]
    first, last = listener.reports
    assert (first.epoch, first.epochs, last.epoch) == (1, 2, 2)
    assert set(first.metrics) == {"loss", "uar", "val_loss", "val_uar", "learning_rate"}
    assert first.best_epoch == 1
    assert first.seconds > 0
    assert first.remaining_seconds == first.seconds
    assert last.remaining_seconds == 0


def test_a_checkpoint_is_there_before_its_epoch_is_told(tmp_path):
    recipe = toy_recipe()
    run = RunDirectory(tmp_path / "run")
    run.create(recipe)

    class Reader(Listener):
        def epoch(self, report):
            assert Checkpoint.read(run.checkpoint).epoch == report.epoch
            assert len(history_of(run)) == report.epoch
            super().epoch(report)

    reader = Reader()
    fit(recipe, *toy_data(recipe), run, progress=reader)
    assert len(reader.reports) == len(history_of(run))


def test_each_batch_is_made_once_and_in_its_place(tmp_path, monkeypatch):
    made = []
    batch = TrainingBatches.batch

    def noted(self, epoch, place):
        made.append((epoch, place))
        return batch(self, epoch, place)

    monkeypatch.setattr(TrainingBatches, "batch", noted)
    run = stopped_and_resumed(tmp_path / "run", {"fit__epochs": 3}, Listener(at_epoch=1))
    assert made == [(epoch, place) for epoch in range(3) for place in range(5)]
    assert len(history_of(run)) == 3


def test_the_moving_averages_of_a_short_fit_are_the_datas(tmp_path):
    """Fifteen steps: validation must see the network that was trained, not one of the start."""
    changes = {"fit__epochs": 3, "augmentation": None, "fit__optimizer__learning_rate": 1e-5}
    run, _ = fitted(tmp_path / "run", changes)
    train, _, normaliser = toy_data(toy_recipe())
    model = load_network(run.model)
    found = model.get_layer("norm1")
    filtered = keras.Model(model.input, found.input).predict_on_batch(normaliser(train.features))
    variance = filtered.var(axis=(0, 1))
    np.testing.assert_allclose(found.moving_variance.numpy(), variance, rtol=0.35)


# --- refusals -------------------------------------------------------------------------------


def test_no_training_utterance_is_an_error(tmp_path):
    with pytest.raises(FitError, match=r"^toy: no training utterance"):
        fitted(tmp_path / "run", {}, train=toy_part(toy_recipe(), 0))


def test_a_loss_that_is_no_number_ends_the_fit(tmp_path):
    recipe = toy_recipe()
    part = toy_part(recipe, 16)
    features = part.features.copy()
    features[3] = np.nan
    with pytest.raises(FitError, match=r"^toy: the loss is not a number in epoch 1; lower fit\."):
        fitted(tmp_path / "run", {}, train=dataclasses.replace(part, features=features))
    assert not (tmp_path / "run" / "model.keras").exists()
    assert not RunDirectory(tmp_path / "run").checkpoint.exists()


def test_another_recipes_checkpoint_is_refused(folder, tmp_path):
    other = toy_recipe(seed=4)
    run = RunDirectory(tmp_path / "run")
    run.create(other)
    run.checkpoint.write_bytes(unbroken("cnn1d", folder).checkpoint.read_bytes())
    with pytest.raises(CheckpointError, match=r"last\.npz: of another recipe"):
        fit(other, *toy_data(other), run, resume=True)


def test_another_networks_checkpoint_is_refused(folder, tmp_path):
    recipe = toy_recipe()
    checkpoint = Checkpoint.read(unbroken("cnn1d", folder).checkpoint)
    run = RunDirectory(tmp_path / "run")
    run.create(recipe)
    dataclasses.replace(checkpoint, model=checkpoint.model[1:]).write(run.checkpoint)
    with pytest.raises(CheckpointError, match="of another network"):
        fit(recipe, *toy_data(recipe), run, resume=True)


# --- weights in the loss --------------------------------------------------------------------


def test_a_part_without_weight_teaches_nothing(tmp_path):
    """Half of the utterances have flipped labels; with weight 0 they leave no trace."""
    changes = {
        "augmentation": None, "network__dropout": 0.0, "fit__epochs": 25,
        "fit__early_stopping": None, "fit__class_weights": "none", "labels": ["angry", "sad"],
    }  # fmt: skip
    recipe = toy_recipe(**changes)
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    features = (rng.normal(size=(48, 21, 8)) + 2.0 * labels[:, None, None]).astype(np.float32)
    wrong = np.arange(48) < 24
    weights = np.where(wrong, 1e-6, 1).astype(np.float32)
    allowed = np.ones((48, 2), bool)
    train = Part(features, np.where(wrong, 1 - labels, labels), allowed, weights)
    validation = Part(features[24:], labels[24:], allowed[24:])
    run = RunDirectory(tmp_path / "run")
    run.create(recipe)
    fit(recipe, train, validation, Normaliser.fit([features]), run)
    answers = predict(run.model, features[:24], Normaliser.fit([features])).argmax(axis=1)
    assert (answers == labels[:24]).mean() > 0.9


# --- predicting -----------------------------------------------------------------------------


def test_predictions_do_not_hang_on_the_batch_or_on_a_memory_map(folder, tmp_path):
    run = unbroken("cnn1d", folder)
    _, validation, normaliser = toy_data(toy_recipe())
    np.save(tmp_path / "features.npy", validation.features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    whole = predict(run.model, validation.features, normaliser)
    assert whole.shape == (20, 3)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(predict(run.model, mapped, normaliser, 7), whole, atol=1e-5)


def test_predicting_nothing_gives_nothing(folder):
    run = unbroken("cnn1d", folder)
    normaliser = Normaliser.identity(8)
    assert predict(run.model, np.zeros((0, 21, 8), np.float32), normaliser).shape == (0, 3)


def test_predicting_without_a_model_names_the_file(tmp_path):
    with pytest.raises(NetworkFileError, match=r"model\.keras: no such file"):
        predict(tmp_path / "model.keras", np.zeros((1, 21, 8)), Normaliser.identity(8))


# --- checkpoints ----------------------------------------------------------------------------


def test_a_checkpoint_reads_back_as_it_was(folder):
    path = unbroken("cnn1d", folder).checkpoint
    one = Checkpoint.read(path)
    again = path.with_name("again.npz")
    one.write(again)
    assert again.read_bytes() == path.read_bytes()
    again.unlink()


def test_history_columns_are_all_written(folder):
    assert tuple(history_of(unbroken("cnn1d", folder))[0]) == HISTORY_COLUMNS
