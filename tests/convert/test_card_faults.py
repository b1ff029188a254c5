"""Runs that no card can be made of: which one is named, what is wrong, and what to do."""

from __future__ import annotations

import pytest

from ser_edge_convert.card.content import card_content
from ser_edge_convert.errors import AuditRefused
from tests.convert.test_card import network_of, write_model
from tests.train.fold_runs import fold_run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model of fold 1, and runs of the same recipe and of others."""
    folder = tmp_path_factory.mktemp("cards")
    runs = {
        "first": fold_run(folder / "first", 1),
        "second": fold_run(folder / "second", 2),
        "longer": fold_run(folder / "longer", 2, fit={"epochs": 7}),
        "unscored": fold_run(folder / "unscored", 2, parts=("validation",)),
        "random": fold_run(folder / "random", 1, protocol={"name": "random"}),
    }
    for name, run in runs.items():
        run.model.write_bytes(f"weights of {name}".encode())
    write_model(folder / "model.tflite", network_of(runs["first"]))
    return folder / "model.tflite", runs


def refused(model, runs, **options) -> str:
    with pytest.raises(AuditRefused) as caught:
        card_content(model, runs, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("names", [[], ["second"], ["second", "longer"]])
def test_a_model_of_none_of_the_runs_is_named_itself(place, names):
    model, runs = place
    assert refused(model, [runs[name] for name in names]) == (
        f"{model}: was made from none of the runs (its network's digest is not theirs); "
        "name the run that it was converted from, too"
    )


def test_the_run_that_it_was_made_from_may_stand_last(place):
    model, runs = place
    content = card_content(model, [runs["second"], runs["first"]])
    assert content["protocols"][0]["folds"] == [1, 2]


def test_a_run_that_was_trained_further_is_no_longer_the_models(place):
    model, runs = place
    kept = runs["first"].model.read_bytes()
    runs["first"].model.write_bytes(kept + b" and more")
    try:
        said = refused(model, [runs["first"], runs["second"]])
    finally:
        runs["first"].model.write_bytes(kept)
    assert said.startswith(f"{model}: was made from none of the runs")


def test_a_run_of_another_recipe_is_named_with_the_first_and_what_differs(place):
    model, runs = place
    first, longer = runs["first"], runs["longer"]
    said = refused(model, [first, longer])
    assert said.startswith(f"{longer.path}: is of another recipe than {first.path} (fit")
    assert said.endswith(" differs); name runs of one recipe")
    # The first of a protocol is what the others are held against, whichever the model is of.
    turned = refused(model, [longer, first])
    assert turned.startswith(f"{first.path}: is of another recipe than {longer.path} (fit")


def test_runs_of_another_protocol_are_told_apart_and_not_refused(place):
    model, runs = place
    content = card_content(model, [runs["first"], runs["random"]])
    assert {one["name"] for one in content["protocols"]} == {"speaker-folds", "random"}


def test_a_run_whose_part_was_not_scored_names_the_command(place):
    model, runs = place
    both = [runs["first"], runs["unscored"]]
    assert refused(model, both) == (
        f"{runs['unscored'].path}: its test part was not scored; "
        "score it: ser-edge evaluate RUN --part test"
    )
    assert card_content(model, both, part="validation")["protocols"]
