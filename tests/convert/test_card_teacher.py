"""What a card keeps of the teacher that its model learnt from."""

from __future__ import annotations

import pytest

from ser_edge_convert.card import content as card_of


@pytest.mark.parametrize(
    ("recipe", "noted"), [("default", True), ("cnn1d-quick", False), ("own", False)]
)
def test_a_note_that_a_recipe_got_later_is_said(recipe, noted):
    found = card_of._teacher({"scores": "runs/a.csv", "weight": 0.6}, recipe)
    assert found["scores"] == "a.csv"
    assert ("note" in found) == noted
    own = card_of._teacher({"scores": "a.csv", "note": "Its own."}, recipe)
    assert own["note"] == "Its own."
    assert card_of._teacher(None, recipe) is None


def test_no_place_of_a_teachers_files_is_kept():
    hint = {"embeddings": "/far/away/whisper.npz", "components": 4}
    found = {"scores": "/far/away/scores.csv", "weight": 0.6, "hint": hint}
    named = card_of._teacher(found, "own")
    assert (named["scores"], named["weight"]) == ("scores.csv", 0.6)
    assert named["hint"] == {"embeddings": "whisper.npz", "components": 4}
    assert hint["embeddings"] == "/far/away/whisper.npz", "the report is left as it was"
