"""``fit.average``: an average of the weights is validated and kept, the fit goes on beside it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ser_edge_train.fit_state import FitState
from ser_edge_train.fitting import FitError, fit, predict
from ser_edge_train.metrics import negative_log_likelihood
from ser_edge_train.networks.files import load_network
from ser_edge_train.run_directory import RunDirectory

from .toys import Listener, toy_data, toy_part, toy_recipe

DECAY = 0.8
PLAIN = {
    "fit__epochs": 4,
    "fit__monitor": "val_loss",
    "fit__label_smoothing": 0.0,
    "fit__class_weights": "none",
    "fit__early_stopping": None,
    "fit__reduce_learning_rate": None,
}
AVERAGED = {**PLAIN, "fit__average": DECAY}


class Watcher(Listener):
    """Notes the trainable weights after each step."""

    def __init__(self, states):
        super().__init__()
        self.states = states
        self.weights = []

    def step(self, stage, done, total):
        super().step(stage, done, total)
        (state,) = self.states
        self.weights.append([one.numpy() for one in state.model.trainable_variables])


def fitted(monkeypatch, path, changes, validation=None):
    """A fit, the weights after each of its steps, and its end."""
    states = []
    attach = FitState.attach
    monkeypatch.setattr(
        FitState, "attach", lambda state, chosen: (states.append(state), attach(state, chosen))
    )
    recipe, watcher = toy_recipe(**changes), Watcher(states)
    train, checked, normaliser = toy_data(recipe)
    run = RunDirectory(path)
    run.create(recipe)
    checked = checked if validation is None else validation
    fit(recipe, train, checked, normaliser, run, progress=watcher)
    return run, watcher.weights, states[0]


def averages_of(steps):
    """Of each weight, after every step; the first step's is where it begins."""
    found = [steps[0]]
    for weights in steps[1:]:
        found.append(
            [DECAY * old + (1 - DECAY) * new for old, new in zip(found[-1], weights, strict=True)]
        )
    return found


def trainable(run):
    return [one.numpy() for one in load_network(run.model).trainable_variables]


def assert_close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_what_is_kept_is_the_average_of_all_steps_so_far(monkeypatch, tmp_path):
    run, steps, state = fitted(monkeypatch, tmp_path / "run", AVERAGED)
    each = len(steps) // 4
    kept = averages_of(steps)[state.best.epoch * each - 1]
    assert_close(trainable(run), kept)
    raw = steps[state.best.epoch * each - 1]
    assert max(np.abs(a - b).max() for a, b in zip(kept, raw, strict=True)) > 1e-3


def test_the_fit_itself_goes_the_way_it_went(monkeypatch, tmp_path):
    """The averages are looked at, not fitted: losses and weights of training are the same."""
    plain, averaged = (
        fitted(monkeypatch, tmp_path / name, changes)[1:]
        for name, changes in (("plain", PLAIN), ("averaged", AVERAGED))
    )
    for one, other in zip(plain[0], averaged[0], strict=True):
        assert_close(one, other)
    for one, other in zip(plain[1].history, averaged[1].history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["val_loss"] != pytest.approx(other["val_loss"], abs=1e-5)


def test_the_averages_are_what_is_validated(monkeypatch, tmp_path):
    run, _, state = fitted(monkeypatch, tmp_path / "run", AVERAGED)
    _, validation, normaliser = toy_data(toy_recipe(**AVERAGED))
    logits = predict(run.model, validation.features, normaliser)
    found = negative_log_likelihood(logits, validation.labels, validation.allowed)
    losses = [row["val_loss"] for row in state.history]
    assert state.best.epoch == losses.index(min(losses)) + 1
    assert found == pytest.approx(min(losses), abs=1e-4)


def test_without_validation_the_last_average_is_kept(monkeypatch, tmp_path):
    nobody = toy_part(toy_recipe(**AVERAGED), 0)
    run, steps, state = fitted(monkeypatch, tmp_path / "run", AVERAGED, nobody)
    assert state.best.epoch == 4
    assert_close(trainable(run), averages_of(steps)[-1])


def test_without_it_the_weights_themselves_are_kept(monkeypatch, tmp_path):
    run, steps, state = fitted(monkeypatch, tmp_path / "run", PLAIN)
    each = len(steps) // 4
    assert_close(trainable(run), steps[state.best.epoch * each - 1])
    assert not state.optimizer.use_ema


def test_replicas_do_not_average(tmp_path):
    recipe, run = toy_recipe(**AVERAGED), RunDirectory(tmp_path / "run")
    run.create(recipe)
    with pytest.raises(FitError, match=r"toy: fit.average is for one process alone; leave it or"):
        fit(recipe, *toy_data(recipe), run, replicas=SimpleNamespace(chief=True))
    assert not run.model.exists()


def test_a_recipe_without_it_has_the_digest_that_it_had(tmp_path):
    """Runs of before are still runs of their recipes."""
    plain, averaged = toy_recipe(**PLAIN), toy_recipe(**AVERAGED)
    assert "average" not in plain.to_toml()
    assert plain.digest != averaged.digest
    assert "average = 0.8" in averaged.to_toml()
