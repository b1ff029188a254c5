"""Fine-tuning: goes on from a network, rounds as int8 does, and lets nothing leak."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ser_edge_train.fine_tuning import FineTuningError, fine_tuning_recipe, starting_run
from ser_edge_train.fitting import FitError, fine_tune, fit
from ser_edge_train.networks.files import NetworkFileError, load_network
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes import recipe_from_dict
from ser_edge_train.recipes.schema import RecipeError, parse_recipe
from ser_edge_train.run_directory import RunDirectory

from .toys import Listener, Stopped, toy_data, toy_recipe


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run with a network, and a partition of nobody."""
    run, recipe = RunDirectory(tmp_path_factory.mktemp("tuning") / "source"), toy_recipe()
    run.create(recipe)
    train, validation, normaliser = toy_data(recipe)
    fit(recipe.with_changes(epochs=2), train, validation, normaliser, run)
    run.normaliser.write_text(normaliser.to_json())
    Partition(()).write(run.partition)
    return run


def tuned(source, path, listener=None, **options):
    recipe = fine_tuning_recipe(source, epochs=3, learning_rate=0.01)
    run = RunDirectory(path)
    if not options.get("resume"):
        run.create(recipe)
    found = fine_tune(recipe, *toy_data(recipe), run, source.model, progress=listener, **options)
    return run, found


@pytest.fixture(scope="module")
def unbroken(source, tmp_path_factory):
    return tuned(source, tmp_path_factory.mktemp("unbroken") / "run")


def test_the_recipe_is_the_runs_with_a_smaller_step(source):
    before, after = source.read_recipe(), fine_tuning_recipe(source)
    assert after.fit.epochs == 8
    assert after.fit.optimizer.learning_rate == pytest.approx(
        before.fit.optimizer.learning_rate / 10
    )
    assert after.fit.schedule.name == "cosine"
    assert after.fit.early_stopping is None
    assert after.fit.reduce_learning_rate is None
    assert after.fine_tuning.run == str(source.path)
    same = {"fit", "fine_tuning"}
    assert after.model_dump(exclude=same) == before.model_dump(exclude=same)
    assert parse_recipe(after.to_toml(), "again.toml") == after
    assert fine_tuning_recipe(source, learning_rate=0.5).fit.optimizer.learning_rate == 0.5


def test_the_digest_is_of_the_network_not_of_its_place(source):
    recipe = fine_tuning_recipe(source)
    assert recipe.digest != source.read_recipe().digest
    moved = recipe.fine_tuning.model_copy(update={"run": "elsewhere"})
    assert recipe.model_copy(update={"fine_tuning": moved}).digest == recipe.digest
    other = recipe.fine_tuning.model_copy(update={"network_sha256": "0" * 64})
    assert recipe.model_copy(update={"fine_tuning": other}).digest != recipe.digest


@pytest.mark.parametrize("table", [{"run": "x"}, {"run": "", "network_sha256": "0" * 64}])
def test_a_table_that_does_not_say_which_network_is_refused(table):
    values = toy_recipe().model_dump(mode="json", exclude_none=True) | {"fine_tuning": table}
    with pytest.raises(RecipeError, match="fine_tuning"):
        recipe_from_dict(values, "toy.toml")


def test_what_is_saved_is_a_plain_network_that_moved(source, unbroken):
    run, found = unbroken
    before, after = load_network(source.model), load_network(run.model)
    assert [type(layer) for layer in after.layers] == [type(layer) for layer in before.layers]
    assert [layer.name for layer in after.layers] == [layer.name for layer in before.layers]
    assert found.parameters == before.count_params()
    assert found.epochs == 3
    assert 1 <= found.best_epoch <= 3
    moved = [
        np.abs(new - old).max()
        for new, old in zip(after.get_weights(), before.get_weights(), strict=True)
    ]
    assert 0 < max(moved) < 1
    for layer in after.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for new, old in zip(
                layer.get_weights(), before.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(new, old)


def test_stopped_and_gone_on_with_it_ends_the_same(source, unbroken, tmp_path):
    with pytest.raises(Stopped):
        tuned(source, tmp_path / "run", Listener(at_epoch=2))
    run, _ = tuned(source, tmp_path / "run", resume=True)
    assert run.history.read_text() == unbroken[0].history.read_text()
    assert run.checkpoint.read_bytes() == unbroken[0].checkpoint.read_bytes()
    assert run.model.read_bytes() == unbroken[0].model.read_bytes()


def test_nothing_to_train_on_and_no_network_are_named(source, tmp_path):
    recipe = fine_tuning_recipe(source)
    train, validation, normaliser = toy_data(recipe)
    nothing = type(train)(train.features[:0], train.labels[:0], train.allowed[:0])
    run = RunDirectory(tmp_path)
    with pytest.raises(FitError, match="no training utterance"):
        fine_tune(recipe, nothing, validation, normaliser, run, source.model)
    with pytest.raises(NetworkFileError, match="no such file"):
        fine_tune(recipe, train, validation, normaliser, run, tmp_path / "none.keras")


def plan_of(recipe, partition=None):
    return SimpleNamespace(recipe=recipe, partition=partition or Partition(()))


def test_a_recipe_without_the_table_starts_anew(source):
    assert starting_run(plan_of(source.read_recipe())) is None


def test_the_run_is_found_again_on_its_own_partition(source):
    assert starting_run(plan_of(fine_tuning_recipe(source))).path == source.path


def test_another_partition_would_leak(source):
    other = SimpleNamespace(digest="another")
    with pytest.raises(FineTuningError, match="was trained on another partition"):
        starting_run(plan_of(fine_tuning_recipe(source), other))


def test_another_network_is_refused(source):
    recipe = fine_tuning_recipe(source)
    asked = recipe.fine_tuning.model_copy(update={"network_sha256": "0" * 64})
    with pytest.raises(FineTuningError, match="is not the one"):
        starting_run(plan_of(recipe.model_copy(update={"fine_tuning": asked})))


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("labels", ["angry", "calm", "sad"], "labels"),
        ("network", {"name": "cnn1d", "filters": [8], "dropout": 0.3}, "network"),
        ("network", {"name": "rnn"}, "network"),
        ("front_end", {"clip_seconds": 0.3, "features": [{"kind": "log_mel", "bands": 8}]},
         "front end"),
    ],
)  # fmt: skip
def test_a_recipe_that_the_network_does_not_fit_is_refused(source, field, value, what):
    recipe = fine_tuning_recipe(source)
    other = recipe.model_copy(update={field: getattr(toy_recipe(**{field: value}), field)})
    with pytest.raises(FineTuningError, match=f"differs in its {what};"):
        starting_run(plan_of(other))


def test_a_run_without_a_network_is_named(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(toy_recipe())
    with pytest.raises(FineTuningError, match="holds no trained model"):
        fine_tuning_recipe(run)


def test_a_fine_tuned_run_is_not_fine_tuned_again(source, unbroken):
    with pytest.raises(FineTuningError, match="was fine-tuned already"):
        fine_tuning_recipe(unbroken[0])
