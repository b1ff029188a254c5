"""Hints: what a second head is taught, that it is not kept, and that it never touches the logits'
own loss."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.augmentation.features import mix
from ser_edge_train.dataset import Part, PlainBatches, TrainingBatches
from ser_edge_train.embeddings import Embeddings, EmbeddingsError
from ser_edge_train.fitting import fit, predict
from ser_edge_train.hints import pinned_hint
from ser_edge_train.networks import build
from ser_edge_train.networks.files import load_network
from ser_edge_train.networks.hint import with_hint
from ser_edge_train.objective import (
    HintedCrossentropy,
    MaskedCrossentropy,
    UnweightedAverageRecall,
)
from ser_edge_train.plan import make_plan
from ser_edge_train.recipes.augmentation import Augmentation, Mixup
from ser_edge_train.recipes.schema import RecipeError, parse_recipe
from ser_edge_train.recipes.teacher import Hint
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.teacher_scores import TeacherScores
from tests.train.recordings import make_clip, make_manifest
from tests.train.toys import Listener, Stopped, hinted, toy_data, toy_recipe

WIDTH = 6
COMPONENTS = 4
SPEAKERS = {("ravdess", f"{number:02}"): "male" for number in range(1, 25)}


def manifest():
    return make_manifest(SPEAKERS, clips_each=3)


def embeddings_of(clips, width=WIDTH, seed=0):
    rows = np.random.default_rng(seed).normal(2, 3, (len(clips), width)).astype(np.float32)
    return Embeddings("path", tuple(clip.path for clip in clips), rows)


def write_embeddings(path, known):
    np.savez(path, path=np.array(known.names), embedding=known.values)
    return path


def hinted_recipe(folder, clips, **changes):
    """A recipe with a teacher of the given clips and its hint, both files written."""
    table = np.full((len(clips), 3), 1 / 3)
    scores = TeacherScores(("angry", "happy", "sad"), tuple(c.audio_sha256 for c in clips), table)
    scores.write(folder / "scores.csv")
    known = write_embeddings(folder / "encoder.npz", embeddings_of(clips))
    hint = {"embeddings": str(known), "components": COMPONENTS, **changes}
    return toy_recipe(teacher={"scores": str(folder / "scores.csv"), "hint": hint})


# --- the recipe -----------------------------------------------------------------------------


def test_a_plan_pins_the_file_and_says_how_many_clips_it_knows(tmp_path):
    recordings = manifest()
    plan = make_plan(hinted_recipe(tmp_path, recordings.clips[:-4]), recordings)
    hint = plan.recipe.teacher.hint
    assert len(hint.embeddings_sha256) == 64
    (line,) = [note for note in plan.notes() if note.startswith("hint: ")]
    train = plan.clips("train")
    known = sum(clip in recordings.clips[:-4] for clip in train)
    assert line.endswith(f"{known} of {len(train)} training clips, weight 1")


def test_only_training_clips_are_hinted_recipe(tmp_path):
    recordings = manifest()
    plan = make_plan(hinted_recipe(tmp_path, recordings.clips), recordings)
    for part in ("train", "validation"):
        clips = plan.clips(part)
        made = plan.part(clips, np.zeros((len(clips), 2, 2)), taught=part == "train")
        assert made.hints.shape == (len(clips), COMPONENTS)
        assert np.isnan(made.hints).all() == (part != "train")
        assert made.target_width == 2 * 3 + COMPONENTS + 1


def test_test_clips_do_not_decide_what_training_clips_are_taught(tmp_path):
    recordings = manifest()
    recipe = hinted_recipe(tmp_path, recordings.clips)
    plan = make_plan(recipe, recordings)
    train = plan.clips("train")
    before = plan.hints(train, True)
    kept = [clip for clip in recordings.clips if clip not in plan.clips("test")]
    known = embeddings_of(recordings.clips)
    rows = known.rows(kept)
    fewer = Embeddings("path", tuple(clip.path for clip in kept), known.values[rows])
    write_embeddings(tmp_path / "encoder.npz", fewer)
    np.testing.assert_array_equal(make_plan(recipe, recordings).hints(train, True), before)


def test_a_recipe_without_a_hint_has_none(tmp_path):
    recordings = manifest()
    recipe = hinted_recipe(tmp_path, recordings.clips)
    recipe = toy_recipe(teacher={"scores": recipe.teacher.scores})
    plan = make_plan(recipe, recordings)
    assert plan.heard is None
    assert plan.hints(plan.clips("train"), True) is None
    assert pinned_hint(toy_recipe(), plan.clips("train")) == (toy_recipe(), None)


def test_a_moved_file_is_the_same_recipe_and_another_content_is_not(tmp_path):
    recordings = manifest()
    recipe = make_plan(hinted_recipe(tmp_path, recordings.clips), recordings).recipe
    (tmp_path / "encoder.npz").rename(tmp_path / "moved.npz")
    moved = recipe.model_copy(
        update={
            "teacher": recipe.teacher.model_copy(
                update={
                    "hint": recipe.teacher.hint.model_copy(
                        update={"embeddings": str(tmp_path / "moved.npz")}
                    )
                }
            )
        }
    )
    assert make_plan(moved, recordings).recipe.digest == recipe.digest
    write_embeddings(tmp_path / "moved.npz", embeddings_of(recordings.clips, seed=9))
    with pytest.raises(EmbeddingsError, match="not the embeddings that this training began with"):
        make_plan(moved, recordings)


def test_the_number_of_values_and_their_weight_are_the_recipes(tmp_path):
    recordings = manifest()
    digests = {
        make_plan(hinted_recipe(tmp_path, recordings.clips, **changes), recordings).recipe.digest
        for changes in (
            {}, {"components": 3}, {"weight": 2.0}, {"by_speaker": False}, {"by_label": False}
        )
    }  # fmt: skip
    assert len(digests) == 5


def test_a_resolved_recipe_is_read_again(tmp_path):
    recordings = manifest()
    recipe = make_plan(hinted_recipe(tmp_path, recordings.clips), recordings).recipe
    assert parse_recipe(recipe.to_toml(), "again") == recipe


def test_too_few_values_are_refused(tmp_path):
    recordings = manifest()
    recipe = hinted_recipe(tmp_path, recordings.clips, components=WIDTH + 1)
    with pytest.raises(EmbeddingsError) as caught:
        make_plan(recipe, recordings)
    assert str(caught.value) == (
        f"{tmp_path / 'encoder.npz'}: 6 values a recording, 7 are to be learnt; "
        "set teacher.hint.components to fewer"
    )


def test_embeddings_of_other_recordings_are_refused(tmp_path):
    recordings = manifest()
    recipe = hinted_recipe(tmp_path, recordings.clips)
    write_embeddings(tmp_path / "encoder.npz", embeddings_of([make_clip(999)]))
    with pytest.raises(EmbeddingsError, match="knows none of the training recordings"):
        make_plan(recipe, recordings)


def test_a_missing_file_is_one_line(tmp_path):
    recordings = manifest()
    recipe = hinted_recipe(tmp_path, recordings.clips)
    (tmp_path / "encoder.npz").unlink()
    with pytest.raises(
        EmbeddingsError, match=r"encoder\.npz: no such file; name the encoder.s emb"
    ):
        make_plan(recipe, recordings)


def test_a_hint_on_the_command_line_replaces_the_recipes_and_needs_a_teacher(tmp_path):
    recipe = make_plan(hinted_recipe(tmp_path, manifest().clips, weight=2.5), manifest()).recipe
    changed = recipe.with_changes(hint="other.npz").teacher.hint
    assert (changed.embeddings, changed.weight) == ("other.npz", 2.5)
    assert changed.embeddings_sha256 is None
    added = toy_recipe(teacher={"scores": "s.csv"}).with_changes(hint="other.npz").teacher.hint
    assert added == Hint(embeddings="other.npz")
    with pytest.raises(RecipeError, match="without a teacher there is no hint"):
        toy_recipe().with_changes(hint="other.npz")
    assert toy_recipe().with_changes(teacher="s.csv", hint="o.npz").teacher.hint is not None


# --- batches --------------------------------------------------------------------------------


def hinted_part(count=24, seed=0, unknown=0.25):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    hints = rng.normal(size=(count, COMPONENTS)).astype(np.float32)
    hints[rng.random(count) < unknown] = np.nan
    features = rng.normal(size=(count, 13, 8)).astype(np.float32)
    return Part(features, labels, np.ones((count, 3), bool), hints=hints)


def test_targets_hold_label_mask_values_and_whether_they_are_known():
    part = hinted_part()
    found = part.targets(np.arange(len(part)))
    assert found.shape == (len(part), part.target_width)
    assert np.isfinite(found).all()
    known = np.isfinite(part.hints).all(axis=1)
    np.testing.assert_array_equal(found[:, -1], known)
    np.testing.assert_array_equal(found[known, 6:-1], part.hints[known])
    assert not found[~known, 6:-1].any()


def test_a_part_refuses_hints_of_another_length():
    part = hinted_part()
    with pytest.raises(ValueError, match="differ in length"):
        dataclasses.replace(part, hints=part.hints[1:])


def test_without_a_hint_targets_are_as_ever():
    part = hinted_part()
    plain = dataclasses.replace(part, hints=None)
    indices = np.arange(len(part))
    assert (plain.components, plain.target_width) == (0, 6)
    np.testing.assert_array_equal(plain.targets(indices), part.targets(indices)[:, :6])


def test_mixup_blends_known_values_and_forgets_half_known_ones():
    part = hinted_part(200)
    indices = np.arange(len(part))
    targets = part.targets(indices)
    # The utterance's number in all its features: the blend shows partner and share.
    features = np.repeat(indices.astype(np.float32)[:, None], 2, axis=1)
    weights = np.ones(len(part), np.float32)
    how = Mixup(alpha=1.0, probability=0.7)
    _, mixed, _ = mix(features, targets, weights, how, np.random.default_rng(1), 3)
    rng = np.random.default_rng(1)
    partners = rng.permutation(len(part))
    share = rng.beta(how.alpha, how.alpha, size=len(part))
    share = np.maximum(share, 1 - share)
    share[rng.random(len(part)) >= how.probability] = 1
    both = (targets[:, -1] > 0) & ((share == 1) | (targets[partners, -1] > 0))
    np.testing.assert_array_equal(mixed[:, -1], both)
    blend = share[:, None] * targets + (1 - share[:, None]) * targets[partners]
    np.testing.assert_allclose(mixed[both, 6:-1], blend[both, 6:-1], atol=1e-6)
    # Labels and masks are blended as without a hint.
    _, plain, _ = mix(features, targets[:, :6], weights, how, np.random.default_rng(1))
    np.testing.assert_array_equal(mixed[:, :6], plain)
    assert both.any()
    assert not both.all()


def test_batches_carry_hints_through_the_augmentation():
    part = hinted_part()
    normaliser = Normaliser.fit([part.features])
    how = Augmentation(mixup=Mixup(alpha=0.3))
    batches = TrainingBatches(part, np.ones(len(part), np.float32), normaliser, how, 8, 1)
    plain = PlainBatches(part, np.ones(len(part), np.float32), normaliser, 8)
    assert len(batches) == len(plain) == 3
    for place in range(3):
        assert batches.batch(0, place)[1].shape == (8, part.target_width)
        np.testing.assert_array_equal(
            plain.batch(place)[1], part.targets(np.arange(8 * place, 8 * place + 8))
        )


# --- loss and network -----------------------------------------------------------------------


def predictions(part, seed=0):
    shape = (len(part), part.classes + COMPONENTS)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_loss_is_that_of_the_logits_and_the_weighted_error_of_known_values():
    part = hinted_part()
    y_true, y_pred = part.targets(np.arange(len(part))), predictions(part)
    plain = MaskedCrossentropy(0.1)
    found = np.asarray(HintedCrossentropy(plain, 3, 2.5).call(y_true, keras.ops.array(y_pred)))
    logits = np.asarray(plain.call(y_true[:, :6], keras.ops.array(y_pred[:, :3])))
    error = np.square(y_pred[:, 3:] - np.nan_to_num(part.hints)).mean(axis=1)
    known = np.isfinite(part.hints).all(axis=1)
    np.testing.assert_allclose(found, logits + 2.5 * known * error, rtol=1e-5)


def test_without_known_values_it_is_the_loss_of_the_logits():
    part = hinted_part(unknown=1.1)
    y_true, y_pred = part.targets(np.arange(len(part))), predictions(part)
    plain = MaskedCrossentropy(0.1)
    found = HintedCrossentropy(plain, 3, 50.0).call(y_true, keras.ops.array(y_pred))
    wanted = plain.call(y_true[:, :6], keras.ops.array(y_pred[:, :3]))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_the_recall_looks_at_the_logits_alone():
    part = hinted_part()
    y_true, y_pred = part.targets(np.arange(len(part))), predictions(part)
    both, alone = UnweightedAverageRecall(3), UnweightedAverageRecall(3)
    both.update_state(y_true, y_pred)
    alone.update_state(y_true[:, :6], y_pred[:, :3])
    assert float(both.result()) == float(alone.result())


NETWORKS = {
    "cnn1d": {"filters": (4,)},
    "res_cnn1d": {"stages": ({"channels": 4, "kernel": 3},)},
    "cnn2d": {"channels": (4, 4), "strides": ((2, 2), (1, 2))},
    "cnn_lstm": {"filters": (4,), "units": (4,)},
    "ds_cnn": {"stem": 4, "channels": (4, 4), "strides": ((1, 2), (1, 1))},
    "lstm_cnn": {},
    "rnn": {"cell": "simple", "units": (4,)},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_second_head_leaves_the_logits_as_they_are(name):
    network = build(name, (21, 8), 3, **NETWORKS[name])
    both = with_hint(network, COMPONENTS)
    features = np.random.default_rng(0).normal(size=(5, 21, 8)).astype(np.float32)
    found = both.predict_on_batch(features)
    assert found.shape == (5, 3 + COMPONENTS)
    np.testing.assert_array_equal(found[:, :3], network.predict_on_batch(features))
    added = both.count_params() - network.count_params()
    assert added == COMPONENTS * (network.get_layer("logits").input.shape[-1] + 1)


def test_no_values_add_no_head():
    network = build("cnn1d", (21, 8), 3, filters=(4,))
    assert with_hint(network, 0) is network


# --- the fit --------------------------------------------------------------------------------


def hinted_data(recipe):
    train, validation, normaliser = toy_data(recipe)
    return hinted(train, COMPONENTS, 5), hinted(validation, COMPONENTS, None), normaliser


def toy_hinted(**changes):
    hint = {"embeddings": "x.npz", "components": COMPONENTS, "weight": 3.0}
    return toy_recipe(teacher={"scores": "s.csv", "hint": hint}, **changes)


def fitted(folder, recipe, data, *listeners):
    run = RunDirectory(folder)
    run.create(recipe)
    for listener in listeners:
        with pytest.raises(Stopped):
            fit(recipe, *data, run, resume=True, progress=listener)
    fit(recipe, *data, run, resume=True)
    return run


def test_the_head_is_not_kept(tmp_path):
    recipe = toy_hinted()
    data = hinted_data(recipe)
    run = fitted(tmp_path / "run", recipe, data)
    network = load_network(run.model)
    assert network.output_shape == (None, 3)
    assert not [layer.name for layer in network.layers if "hint" in layer.name]
    logits = predict(run.model, data[1].features, data[2])
    assert logits.shape == (len(data[1]), 3)


def test_a_fit_with_a_hint_stopped_twice_ends_like_an_unbroken_one(tmp_path):
    recipe = toy_hinted()
    data = hinted_data(recipe)
    whole = fitted(tmp_path / "whole", recipe, data)
    stops = (Listener(at_step=(2, 3)), Listener(at_epoch=3))
    broken = fitted(tmp_path / "broken", recipe, data, *stops)
    assert broken.history.read_text() == whole.history.read_text()
    assert broken.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert broken.model.read_bytes() == whole.model.read_bytes()


def test_a_hint_is_learnt_and_moves_the_network(tmp_path):
    recipe = toy_hinted(fit__epochs=8, fit__early_stopping=None)
    data = hinted_data(recipe)
    with_it = fitted(tmp_path / "with", recipe, data)
    plain = toy_recipe(fit__epochs=8, fit__early_stopping=None)
    bare = tuple(dataclasses.replace(part, hints=None) for part in data[:2])
    without = fitted(tmp_path / "without", plain, (*bare, data[2]))
    rows = [line.split(",") for line in with_it.history.read_text().splitlines()[1:]]
    losses = [float(row[1]) for row in rows]
    # It begins with at least three times the variance of the values, which is 2/3.
    assert losses[0] > losses[-1] + 0.5
    assert with_it.model.read_bytes() != without.model.read_bytes()
