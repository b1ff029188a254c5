"""What a model file says of the recordings and the teacher that its network learnt from."""

from __future__ import annotations

import tomllib

import tomli_w

from ser_edge_convert.inputs import RunInputs
from ser_edge_train.recipes.teacher import Teacher
from tests.convert import toy_run

TEACHER = {"scores": "/somewhere/scores-1.csv", "name": "an encoder", "scores_sha256": "ab" * 32,
           "learnt_by": "this partition"}  # fmt: skip


def test_the_corpora_are_those_of_training_and_validation(tmp_path):
    inputs = RunInputs.read(toy_run.make_run(tmp_path, trained=False))
    heard = {row.corpus for row in inputs.partition.rows if row.part != "test"}
    assert inputs.provenance()["corpora"] == sorted(heard) != []
    assert "teacher" not in inputs.provenance()


def test_the_teacher_is_named_without_the_place_of_its_table(tmp_path):
    run = toy_run.make_run(tmp_path, trained=False)
    recipe = tomllib.loads(run.recipe.read_text("utf-8"))
    run.recipe.write_text(tomli_w.dumps({**recipe, "teacher": TEACHER}), encoding="utf-8")
    found = RunInputs.read(run).provenance()["teacher"]
    assert found == {"name": "an encoder", "weight": 0.6, "temperature": 1.0,
                     "scores_sha256": "ab" * 32, "learnt_by": "this partition"}  # fmt: skip


def test_its_hint_is_told_without_the_place_of_the_embeddings(tmp_path):
    run = toy_run.make_run(tmp_path, trained=False)
    recipe = tomllib.loads(run.recipe.read_text("utf-8"))
    hint = {"embeddings": "/somewhere/encoder.npz", "components": 64, "weight": 3.0,
            "embeddings_sha256": "cd" * 32}  # fmt: skip
    run.recipe.write_text(tomli_w.dumps({**recipe, "teacher": {**TEACHER, "hint": hint}}))
    found = RunInputs.read(run).provenance()["teacher"]
    assert found["hint"] == {"components": 64, "weight": 3.0, "by_speaker": True, "by_label": True,
                             "embeddings_sha256": "cd" * 32}  # fmt: skip
    assert "somewhere" not in str(found)


def test_a_teacher_needs_no_name():
    assert Teacher(scores="x.csv").name is None
