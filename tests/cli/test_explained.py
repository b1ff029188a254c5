"""``ser-edge recipes``: the list, a file, and a recipe in words."""

from __future__ import annotations

import json

import pytest

from ser_edge.explained import describe_published, explain
from ser_edge_train.recipes import load_recipe, recipe_names
from ser_edge_train.recipes.published import Published
from tests.train.toys import toy_recipe


def words(name: str) -> dict[str, str]:
    """A recipe's lines by their heading."""
    found: dict[str, list[str]] = {}
    for heading, line in explain(load_recipe(name)):
        found.setdefault(heading, []).append(line)
    return {heading: "\n".join(lines) for heading, lines in found.items()}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_explained(name):
    found = words(name)
    assert {"what", "data", "divided", "features", "input", "network", "fit", "train"} <= set(found)
    assert f"--recipe {name} " in found["train"]
    assert ("published" in found) is (load_recipe(name).published is not None)


def test_a_recipe_in_words():
    found = words("cnn1d-2376")
    assert "7 classes: angry, disgust, fear" in found["data"]
    assert "calm counts as neutral" in found["data"]
    assert found["divided"].startswith("speaker-folds, fold 1: each speaker in one part")
    assert "2.5 s from the start" in found["features"]
    assert found["input"] == "2376"
    assert found["network"].startswith("conv_stack: Convolutions one after the other")
    assert found["augmented"] == (
        "2 changed copies of each recording (pitch, stretch, shift, noise), all seen an epoch"
    )
    assert found["fit"].startswith("at most 50 epochs in batches of 64, rmsprop 0.001")
    assert found["published"].startswith("95.8 % accuracy (augment-then-split): ")
    assert found["as published"] == "the same with --protocol augment-then-split"


def test_figures_by_sex_are_three_trainings():
    found = words("cnn1d-mean58")
    assert found["as published"].splitlines() == [
        "the same with --protocol random",
        "the same with --protocol random --sex female",
        "the same with --protocol random --sex male",
    ]
    assert "female speakers" in found["published"]
    assert found["input"] == "58"


def test_speakers_and_embeddings_in_words():
    assert "the training speakers are the classes" in words("speaker-cremad")["data"]
    recipe = toy_recipe(speaker_embedding={"run": "runs/speakers", "join": "pooled"})
    lines = [line for heading, line in explain(recipe) if heading == "network"]
    assert lines[1] == "beside the pooled values: the speaker embedding of runs/speakers"


def test_all_that_a_fit_and_an_augmentation_can_be():
    recipe = toy_recipe(augmentation__gain_db=3.0, sex="female", corpora=["tess"])
    found = dict(explain(recipe))
    assert found["data"].startswith("tess, female speakers; 3 classes")
    assert "reduced by 0.5 after 1 epochs" in found["fit"]
    assert "balanced class weights" in found["fit"]
    augmented = [line for heading, line in explain(recipe) if heading == "augmented"]
    assert augmented == [
        "up to 3 dB louder or softer",
        "moved by up to 2 frames",
        "1 stretches of up to 4 frames and 1 of up to 2 features hidden",
        "100 % blended in pairs (mixup 0.3)",
    ]


def test_a_printed_figure_in_words():
    figure = Published(figure=75.0, protocol="random", sex="male", system="a network")
    assert describe_published(figure) == "75 % accuracy (random, male speakers): a network"


# --- the command ----------------------------------------------------------------------------


def test_the_list_has_every_recipe_and_its_figures(ser_edge):
    lines = ser_edge("recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    line = next(line for line in lines if line.startswith("cnn1d-mean58 "))
    assert line.endswith("(published: 80 %, 75 %, 75 %)")
    rows = [json.loads(row) for row in ser_edge("recipes", "--json").stdout.splitlines()]
    row = next(row for row in rows if row["name"] == "rnn-cremad")
    assert row["published"][0]["figure"] == 51.38


def test_explain_prints_headings_once(ser_edge):
    done = ser_edge("recipes", "cnn-lstm-ravdess", "--explain")
    assert done.returncode == 0, done.stderr
    headings = [line[:13].strip() for line in done.stdout.splitlines()]
    named = [heading for heading in headings if heading]
    assert len(named) == len(set(named))
    assert "features" in named


def test_explain_needs_a_name(ser_edge):
    done = ser_edge("recipes", "--explain")
    assert done.returncode == 2
    assert "--explain needs the name of a recipe" in done.stderr
