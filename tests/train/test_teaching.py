"""A teacher from embeddings: a head that fits, scores that were made without the scored."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ser_edge_train.embeddings import Embeddings
from ser_edge_train.manifest import Manifest
from ser_edge_train.metrics import masked_log_softmax
from ser_edge_train.plan import make_plan
from ser_edge_train.teaching import GROUPS, NothingToTeach, fit_head, teach
from tests.train.recordings import make_clip
from tests.train.toys import Listener, toy_recipe

EMOTIONS = ("angry", "happy", "sad")
WIDTH = 12


def spoken(corpora=("ravdess", "crema-d"), speakers=24, takes=2):
    clips = []
    for corpus, speaker, emotion, take in product(
        corpora, range(1, speakers + 1), EMOTIONS, range(takes)
    ):
        number = len(clips)
        name = f"{speaker:02}" if corpus == "ravdess" else f"{1000 + speaker}"
        clips.append(
            make_clip(
                number, corpus=corpus, stem=f"{name}-{emotion}-{take}", speaker=name,
                emotion=emotion, path=f"{corpus}/{number}.wav", sex="male",
            )
        )  # fmt: skip
    return Manifest(Path("/data"), tuple(clips))


def heard(manifest, seed=0, voice=0.0):
    """Embeddings that tell the emotion, blurred by noise and moved by whose voice it is."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(len(EMOTIONS), WIDTH))
    voices = {key: draw.normal(size=WIDTH) for key in {c.speaker_key for c in manifest.clips}}
    rows = [
        centres[EMOTIONS.index(c.emotion)] + voice * voices[c.speaker_key]
        + 0.8 * draw.normal(size=WIDTH)
        for c in manifest.clips
    ]  # fmt: skip
    return Embeddings("path", tuple(c.path for c in manifest.clips), np.array(rows, np.float32))


# --- the head -------------------------------------------------------------------------------


def head_data(count=300, seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, count)
    allowed = np.ones((count, 3), bool)
    allowed[(labels < 2) & (np.arange(count) % 2 == 0), 2] = False
    values = draw.normal(size=(count, 5)) + np.eye(3, 5)[labels]
    return values, labels, allowed


def objective(head, values, labels, allowed, strength):
    logs = masked_log_softmax(values @ head[:-1] + head[-1], allowed)
    return -logs[np.arange(len(labels)), labels].mean() + 0.5 * strength * (head[:-1] ** 2).sum()


def test_a_head_is_the_minimum_of_its_convex_loss():
    values, labels, allowed = head_data()
    head = fit_head(values, labels, allowed, 0.01)
    least = objective(head, values, labels, allowed, 0.01)
    draw = np.random.default_rng(1)
    for _ in range(50):
        step = draw.normal(size=head.shape) * 0.05
        assert objective(head + step, values, labels, allowed, 0.01) > least
    assert least < objective(np.zeros_like(head), values, labels, allowed, 0.01) - 0.1


def test_a_head_without_masks_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    values, labels, _ = head_data()
    head = fit_head(values, labels, np.ones((300, 3), bool), 0.02)
    # Its C weighs the summed losses against half of the squared weights.
    theirs = LogisticRegression(C=1 / (0.02 * 300), tol=1e-8, max_iter=2000).fit(values, labels)
    np.testing.assert_allclose(head[:-1], theirs.coef_.T, atol=2e-3)


def test_a_head_held_back_more_has_smaller_weights():
    values, labels, allowed = head_data()
    sizes = [
        np.abs(fit_head(values, labels, allowed, strength)[:-1]).sum()
        for strength in (0.001, 0.01, 0.1, 1.0)
    ]
    assert sizes == sorted(sizes, reverse=True)


# --- the scores -----------------------------------------------------------------------------


def test_training_recordings_alone_are_scored_by_their_partition():
    manifest = spoken()
    recipe = toy_recipe()
    lesson = teach(recipe, manifest, heard(manifest))
    plan = make_plan(recipe, manifest)
    assert set(lesson.scores.digests) == {clip.audio_sha256 for clip in plan.clips("train")}
    assert lesson.scores.partition == plan.partition.digest
    assert lesson.scores.labels == recipe.labels
    np.testing.assert_allclose(lesson.scores.probabilities.sum(axis=1), 1, rtol=1e-9)
    assert set(lesson.crossfitted) == set(lesson.validation) == {"crema-d", "ravdess"}
    assert min(lesson.crossfitted.values()) > 0.8


def test_no_speaker_is_scored_by_a_head_that_heard_him():
    """Embeddings that tell a speaker's own clips apart by heart, and nothing across speakers."""
    manifest = spoken()
    draw = np.random.default_rng(0)
    by_heart = {(clip.speaker_key, clip.emotion): draw.normal(size=400) for clip in manifest.clips}
    rows = np.array([by_heart[clip.speaker_key, clip.emotion] for clip in manifest.clips])
    known = Embeddings("path", tuple(c.path for c in manifest.clips), rows.astype(np.float32))
    lesson = teach(toy_recipe(), manifest, known, by_speaker=False)
    # A head that has heard a speaker answers all of his clips right here; a stranger guesses.
    for uar in lesson.crossfitted.values():
        assert uar < 0.55


def test_test_recordings_are_not_looked_at():
    manifest = spoken()
    recipe = toy_recipe()
    tested = {clip.path for clip in make_plan(recipe, manifest).clips("test")}
    whole = heard(manifest)
    rows = [row for row, name in enumerate(whole.names) if name not in tested]
    without = Embeddings("path", tuple(whole.names[row] for row in rows), whole.values[rows])
    first, second = teach(recipe, manifest, whole), teach(recipe, manifest, without)
    np.testing.assert_array_equal(first.scores.probabilities, second.scores.probabilities)
    assert first.validation == second.validation


def test_standardising_by_speaker_takes_the_voice_out():
    manifest = spoken()
    moved = heard(manifest, voice=4.0)
    by_speaker = teach(toy_recipe(), manifest, moved)
    raw = teach(toy_recipe(), manifest, moved, by_speaker=False)
    assert min(by_speaker.crossfitted.values()) > max(raw.crossfitted.values()) + 0.1


def test_a_corpus_of_few_speakers_is_left_out_and_said():
    many = spoken(corpora=("ravdess",))
    few = tuple(
        make_clip(10_000 + number, corpus="own", stem=clip.stem, speaker=clip.speaker,
                  emotion=clip.emotion, path=f"own/{number}.wav")
        for number, clip in enumerate(spoken(corpora=("own",), speakers=6).clips)
    )  # fmt: skip
    manifest = Manifest(Path("/data"), (*many.clips, *few))
    lesson = teach(toy_recipe(), manifest, heard(manifest))
    assert lesson.left_out == ("own",)
    assert set(lesson.crossfitted) == {"ravdess"}
    assert not {clip.audio_sha256 for clip in few} & set(lesson.scores.digests)


def test_too_few_speakers_everywhere_are_refused():
    manifest = spoken(corpora=("own",), speakers=6)
    with pytest.raises(NothingToTeach, match=f"no corpus has {GROUPS} training speakers"):
        teach(toy_recipe(), manifest, heard(manifest))


def test_embeddings_of_other_recordings_are_refused():
    manifest = spoken()
    other = Embeddings("path", ("x.wav",), np.zeros((1, WIDTH), np.float32))
    with pytest.raises(NothingToTeach, match=r"none of the .* train recordings has an embedding"):
        teach(toy_recipe(), manifest, other)


def test_the_same_call_gives_the_same_table_and_tells_its_steps(tmp_path):
    manifest = spoken()
    listener = Listener()
    for name in ("first.csv", "second.csv"):
        lesson = teach(toy_recipe(), manifest, heard(manifest), progress=listener)
        lesson.scores.write(tmp_path / name)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    stages = {stage for stage, _, _ in listener.steps}
    assert stages == {"fitting heads"}
    assert listener.steps[-1][1] == listener.steps[-1][2]
