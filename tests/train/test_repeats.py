"""Corpora that an epoch shows more often than once, or only in part."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.dataset import Part, PlainBatches, TrainingBatches
from ser_edge_train.recipes.augmentation import Augmentation
from tests.train.toys import toy_values

BATCH = 7


def part(repeats: list[float] | None, copies: int = 0, utterances: int = 20) -> Part:
    """Utterance n has the features (n, copy)."""
    rows = np.arange(utterances * (copies + 1))
    features = np.stack([rows // (copies + 1), rows % (copies + 1)], axis=1).astype(np.float32)
    return Part(
        features,
        np.zeros(utterances, np.int64),
        np.ones((utterances, 2), bool),
        None,
        copies,
        None if repeats is None else np.array(repeats, np.float32),
    )


def batches(whole: Part, seed: int = 1) -> TrainingBatches:
    weights = np.ones(len(whole), np.float32)
    return TrainingBatches(whole, weights, Normaliser.identity(2), Augmentation(), BATCH, seed)


def shown(series: TrainingBatches, epoch: int) -> np.ndarray:
    return np.concatenate([series.batch(epoch, place)[0] for place in range(len(series))])


def counts(series: TrainingBatches, epoch: int) -> np.ndarray:
    return np.bincount(shown(series, epoch)[:, 0].astype(int), minlength=20)


def test_an_epoch_shows_each_corpus_as_often_as_asked():
    series = batches(part([3.0] * 5 + [1.0] * 5 + [0.5] * 10))
    for epoch in range(4):
        seen = counts(series, epoch)
        assert seen[:5].tolist() == [3] * 5
        assert seen[5:10].tolist() == [1] * 5
        assert sorted(seen[10:]) == [0] * 5 + [1] * 5


def test_a_broken_number_is_drawn_anew_in_every_epoch():
    series = batches(part([2.5] * 20))
    seen = np.stack([counts(series, epoch) for epoch in range(30)])
    assert set(np.unique(seen)) == {2, 3}
    assert (seen.sum(axis=1) == 50).all()
    assert (seen.min(axis=0) == 2).all()
    assert (seen.max(axis=0) == 3).all()


def test_each_showing_draws_its_own_copy():
    series = batches(part([4.0] * 20, copies=3))
    rows = shown(series, 0)
    drawn = {n: sorted(rows[rows[:, 0] == n][:, 1]) for n in range(20)}
    assert all(len(copies) == 4 for copies in drawn.values())
    assert any(len(set(copies)) > 1 for copies in drawn.values())
    assert {copy for copies in drawn.values() for copy in copies} == {0, 1, 2, 3}


def test_repeats_of_one_are_a_fit_without_them():
    plain, once = batches(part(None)), batches(part([1.0] * 20))
    assert len(plain) == len(once) == 3
    assert counts(plain, 2).tolist() == counts(once, 2).tolist() == [1] * 20


@given(
    st.lists(st.sampled_from([0.3, 0.5, 1.0, 1.7, 3.0]), min_size=1, max_size=40),
    st.integers(0, 50),
)
def test_every_epoch_has_as_many_batches(repeats, epoch):
    series = batches(part(repeats, utterances=len(repeats)))
    total = sum(
        len([r for r in repeats if r == times]) * int(times)
        + round(len([r for r in repeats if r == times]) * float(np.float32(times) % 1))
        for times in set(repeats)
    )
    sizes = [len(series.indices(epoch, place)) for place in range(len(series))]
    assert sum(sizes) == total
    assert all(size == BATCH for size in sizes[:-1])
    assert all(0 < size <= BATCH for size in sizes)


def test_the_order_follows_from_seed_and_epoch():
    whole = part([2.0] * 20)
    first = batches(whole).indices(3, 1).tolist()
    assert first == batches(whole).indices(3, 1).tolist()
    assert first != batches(whole).indices(4, 1).tolist()
    assert first != batches(whole, seed=2).indices(3, 1).tolist()


def test_validation_shows_everything_once():
    whole = part([3.0] * 20)
    plain = PlainBatches(whole, np.ones(20, np.float32), Normaliser.identity(2), BATCH)
    rows = np.concatenate([plain.batch(place)[0] for place in range(len(plain))])
    assert rows[:, 0].tolist() == list(range(20))


def test_repeats_belong_to_utterances():
    with pytest.raises(ValueError, match="differ in length"):
        dataclasses.replace(part(None), repeats=np.ones(19, np.float32))


def test_a_recipe_says_repeats_by_corpus():
    from ser_edge_train.recipes.schema import recipe_from_dict

    recipe = recipe_from_dict(toy_values(fit__corpus_repeats={"tess": 0.5}), "toy.toml")
    assert recipe.fit.corpus_repeats == {"tess": 0.5}
    assert "tess = 0.5" in recipe.to_toml()
