"""What a hint's values are: standardised, and weighed by what they tell of the label."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.embeddings import standardised
from ser_edge_train.hints import between, hint_values
from ser_edge_train.recipes.teacher import Hint
from tests.train.recordings import make_clip
from tests.train.test_hints import COMPONENTS, embeddings_of, manifest


def labels_of(clips):
    return [clip.emotion for clip in clips]


def plain_values(clips, known, by_label=False, **how):
    hint = Hint(embeddings="x", components=COMPONENTS, by_label=by_label, **how)
    return hint_values(hint, known, clips, labels_of(clips))


def test_values_of_each_speaker_have_mean_0_and_deviation_1():
    clips = list(manifest().clips)
    found = plain_values(clips, embeddings_of(clips))
    assert found.shape == (len(clips), COMPONENTS)
    assert found.dtype == np.float32
    for speaker in {clip.speaker_key for clip in clips}:
        own = found[[clip.speaker_key == speaker for clip in clips]]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(own.std(axis=0), 1, rtol=1e-5)


def test_standardised_together_they_keep_what_tells_speakers_apart():
    clips = list(manifest().clips)
    known = embeddings_of(clips)
    found = plain_values(clips, known, by_speaker=False)
    leading = known.values[:, :COMPONENTS].astype(np.float64)
    expected = (leading - leading.mean(axis=0)) / leading.std(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_clip_without_an_embedding_is_not_known_and_moves_no_other():
    clips = list(manifest().clips)
    known = embeddings_of(clips[:-5])
    for by_label in (True, False):
        found = plain_values(clips, known, by_label=by_label)
        assert np.isnan(found[-5:]).all()
        fewer = plain_values(clips[:-5], known, by_label=by_label)
        np.testing.assert_array_equal(found[:-5], fewer)


def test_of_nothing_heard_nothing_is_known():
    clips = list(manifest().clips)
    found = hint_values(Hint(embeddings="x", components=2), None, clips, labels_of(clips))
    assert found.shape == (len(clips), 2)
    assert np.isnan(found).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1e6, 1e6, width=32)), min_size=1),
    st.floats(0.1, 100),
    st.floats(-1e3, 1e3),
)
def test_standardising_forgets_scale_and_offset_and_stays_finite(rows, scale, offset):
    groups = [group for group, _ in rows]
    values = np.array([[value] for _, value in rows])
    found = standardised(values, groups)
    assert np.isfinite(found).all()
    for group in set(groups):
        own = found[[each == group for each in groups]]
        assert abs(own.mean()) < 1e-6
        assert own.std() < 1 + 1e-6
    spread = [values[[each == group for each in groups]].std() for group in groups]
    # Where the deviation is at the bound that replaces 0, a scale is seen.
    wide = np.array(spread) > 1
    moved = standardised(values * scale + offset, groups)
    np.testing.assert_allclose(moved[wide], found[wide], atol=1e-4)


def telling(clips, seed=0):
    """Embeddings whose second value alone tells the emotion, blurred."""
    known = embeddings_of(clips, seed=seed)
    emotions = sorted(set(labels_of(clips)))
    place = np.array([emotions.index(label) for label in labels_of(clips)])
    values = known.values.copy()
    values[:, 1] = 5 * place + values[:, 1]
    return dataclasses.replace(known, values=values)


def many(speakers=12, takes=6):
    clips = []
    for corpus in ("ravdess", "crema-d"):
        for speaker in range(speakers):
            for take in range(takes):
                number = len(clips)
                emotion = ("angry", "happy", "sad")[take % 3]
                clips.append(make_clip(number, corpus=corpus, stem=f"{number}", emotion=emotion,
                                       speaker=f"{speaker:02}", path=f"{number}.wav"))  # fmt: skip
    return clips


def test_values_count_by_what_they_tell_of_the_label():
    clips = many()
    known = telling(clips)
    plain, weighed = plain_values(clips, known), plain_values(clips, known, by_label=True)
    weights = (weighed / plain)[0] ** 2
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-5)
    assert weights.argmax() == 1
    assert weights[1] > 5 * np.delete(weights, 1).max()
    # One weight a value, whoever said it.
    np.testing.assert_allclose(weighed, plain * np.sqrt(weights), rtol=1e-4, atol=1e-6)
    kinds = [(clip.corpus, clip.emotion) for clip in clips]
    share = between(plain.astype(np.float64), kinds)
    np.testing.assert_allclose(weights, share / share.mean(), rtol=1e-4)


def test_the_share_between_labels_is_that_of_the_analysis_of_variance():
    from scipy.stats import f_oneway

    draw = np.random.default_rng(0)
    labels = draw.choice(list("abc"), 90)
    values = draw.normal(size=(90, 5)) + (labels == "b")[:, None] * np.arange(5)
    found = between(values, [("one", label) for label in labels])
    test = f_oneway(*(values[labels == label] for label in "abc")).statistic
    np.testing.assert_allclose(found, 2 * test / (2 * test + 90 - 3), rtol=1e-9)


def test_the_share_is_the_mean_over_corpora_and_their_difference_is_none():
    draw = np.random.default_rng(1)
    labels = draw.choice(list("ab"), 100)
    corpora = np.array(["one"] * 70 + ["two"] * 30)
    values = draw.normal(size=(100, 3)) + (labels == "b")[:, None]
    kinds = list(zip(corpora, labels, strict=True))
    alone = [
        between(values[corpora == name], [kind for kind in kinds if kind[0] == name])
        for name in ("one", "two")
    ]
    np.testing.assert_allclose(between(values, kinds), 0.7 * alone[0] + 0.3 * alone[1], rtol=1e-9)
    apart = values + 1000.0 * (corpora == "two")[:, None]
    np.testing.assert_allclose(between(apart, kinds), between(values, kinds), rtol=1e-6)


@pytest.mark.parametrize("labels", [["a"] * 6, list("abcdef")])
def test_one_label_explains_nothing_and_a_label_a_row_all(labels):
    values = np.random.default_rng(2).normal(size=(6, 3))
    share = between(values, [("one", label) for label in labels])
    np.testing.assert_allclose(share, 0 if len(set(labels)) == 1 else 1, atol=1e-9)


def test_values_that_never_change_have_no_share():
    values = np.ones((6, 2))
    assert between(values, [("one", label) for label in "ababab"]).tolist() == [0, 0]
