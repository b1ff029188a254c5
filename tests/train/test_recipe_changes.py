"""When two recipes are one: their digests, their folds and seeds, and what changing one gives."""

from __future__ import annotations

import pytest

from ser_edge_train.recipes import RecipeError, parse_recipe

from .toys import toy_recipe


def test_a_field_left_at_its_default_is_no_part_of_the_digest():
    """So that a field which a later release adds leaves older runs the recipe they had."""
    recipe = toy_recipe()
    written_out = parse_recipe(recipe.to_toml(), "recipe.toml")
    assert 'sex = "mixed"' in recipe.to_toml()
    assert written_out.digest == toy_recipe(sex="mixed").digest == recipe.digest
    assert toy_recipe(sex="female").digest != recipe.digest


def test_networks_and_protocols_of_equal_tables_have_digests_of_their_own():
    networks = {toy_recipe(network={"name": name}).digest for name in ("cnn1d", "cnn_lstm", "rnn")}
    assert len(networks) == 3
    protocols = {
        toy_recipe(protocol={"name": name}).digest
        for name in ("speaker-folds", "speaker-disjoint", "random")
    }
    assert len(protocols) == 3


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        toy_recipe().seed = 4  # type: ignore[misc]


def test_changes_make_another_recipe():
    recipe = toy_recipe()
    changed = recipe.with_changes(fold=2, seed=9, epochs=7)
    assert (changed.protocol.fold, changed.seed, changed.fit.epochs) == (2, 9, 7)
    assert changed.digest != recipe.digest
    assert recipe.with_changes() == recipe
    assert recipe.with_changes(seed=0).seed == 0


@pytest.mark.parametrize(
    ("table", "of_a_fold", "others"),
    [
        ("teacher", ("scores", "scores_sha256"), {"weight": 0.3, "temperature": 2.0,
                                                  "learnt_by": "nobody knows"}),
        ("fine_tuning", ("run", "network_sha256"), {}),
        ("speaker_embedding", ("run", "network_sha256"), {"join": "pooled"}),
    ],
)  # fmt: skip
def test_what_a_fold_builds_on_is_its_own(table, of_a_fold, others):
    def recipe(number, **changes):
        own = dict(zip(of_a_fold, (f"fold-{number}", str(number) * 64), strict=True))
        protocol = {"name": "speaker-folds", "fold": number}
        return toy_recipe(seed=number, protocol=protocol, **{table: {**own, **changes}})

    assert recipe(1).digest != recipe(2).digest
    assert recipe(1).common == recipe(2).common
    for name, value in others.items():
        assert recipe(1).common != recipe(1, **{name: value}).common
    assert table in recipe(1).common
    assert table not in toy_recipe().common


def test_a_note_is_words_alone():
    plain = toy_recipe(teacher={"scores": "s.csv"})
    noted = toy_recipe(teacher={"scores": "s.csv", "note": "It heard them."})
    assert noted.digest == plain.digest
    assert noted.common == plain.common
    assert parse_recipe(noted.to_toml(), "again.toml").teacher.note == "It heard them."


def test_folds_and_seeds_have_all_else_in_common():
    recipe = toy_recipe()
    common = recipe.with_changes(fold=2, seed=9).common
    assert common == recipe.common
    assert common["protocol"] == {"name": "speaker-folds"}
    assert common.keys() == recipe.model_dump(exclude_none=True).keys() - {"seed"}
    assert recipe.with_changes(epochs=7).common != common
    folds = [toy_recipe(protocol={"name": "random", "folds": folds}).common for folds in (4, 5)]
    assert folds[0] != folds[1]


def test_changes_are_checked_like_a_file():
    with pytest.raises(RecipeError, match=r"^toy: protocol\.fold: "):
        toy_recipe().with_changes(fold=0)
