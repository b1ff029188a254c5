"""Augmentation: what it changes, what it leaves, and that nothing but its generator decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.augmentation import augment, mask_stretches, mix, shift_in_time
from ser_edge_train.dataset import (
    Part,
    PlainBatches,
    TrainingBatches,
    class_weights,
    utterance_weights,
)
from ser_edge_train.recipes.augmentation import Augmentation, Mixup, SpecAugment

from .toys import toy_part, toy_recipe

BATCH, FRAMES, COLUMNS, CLASSES = 64, 30, 12, 3


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def batch(seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that are nowhere 0, one-hot targets with full masks, and weights."""
    source = rng(seed)
    features = source.uniform(1, 2, (BATCH, FRAMES, COLUMNS)).astype(np.float32)
    one_hot = np.eye(CLASSES, dtype=np.float32)[source.integers(0, CLASSES, BATCH)]
    targets = np.concatenate([one_hot, np.ones_like(one_hot)], axis=1)
    return features, targets, source.uniform(0.5, 2, BATCH).astype(np.float32)


# --- shifting -------------------------------------------------------------------------------


def test_a_shift_moves_each_utterance_around_its_ends():
    features, _, _ = batch()
    moved = shift_in_time(features, 7, rng())
    shifts = set()
    for before, after in zip(features, moved, strict=True):
        found = [s for s in range(-7, 8) if np.array_equal(np.roll(before, s, axis=0), after)]
        assert len(found) == 1
        shifts.add(found[0])
    assert min(shifts) == -7
    assert max(shifts) == 7


# --- masking --------------------------------------------------------------------------------


def runs(hidden: np.ndarray) -> int:
    """Stretches of True in a row."""
    return int(np.count_nonzero(np.diff(np.concatenate([[False], hidden])[:].astype(int)) == 1))


def test_one_time_mask_hides_one_stretch_of_all_features():
    features, _, _ = batch()
    masked = mask_stretches(features, SpecAugment(time_masks=1, time_width=9), rng())
    widths = set()
    for before, after in zip(features, masked, strict=True):
        hidden = (after == 0).all(axis=1)
        assert np.array_equal(after[~hidden], before[~hidden])
        assert runs(hidden) <= 1
        widths.add(int(hidden.sum()))
    assert widths == set(range(10))


def test_one_frequency_mask_hides_one_range_in_all_frames():
    features, _, _ = batch()
    masked = mask_stretches(features, SpecAugment(frequency_masks=1, frequency_width=4), rng())
    widths = set()
    for before, after in zip(features, masked, strict=True):
        hidden = (after == 0).all(axis=0)
        assert np.array_equal(after[:, ~hidden], before[:, ~hidden])
        assert runs(hidden) <= 1
        widths.add(int(hidden.sum()))
    assert widths == set(range(5))


def test_every_frame_can_be_hidden():
    features = np.ones((4000, 10, 2), np.float32)
    masked = mask_stretches(features, SpecAugment(time_masks=1, time_width=3), rng())
    share = (masked == 0).mean(axis=(0, 2))
    assert (share > 0.05).all()


def test_a_mask_may_be_as_long_as_the_utterance():
    features = np.ones((200, 4, 3), np.float32)
    masked = mask_stretches(features, SpecAugment(time_masks=1, time_width=4), rng())
    hidden = (masked == 0).all(axis=2).sum(axis=1)
    assert set(hidden.tolist()) == {0, 1, 2, 3, 4}


def test_more_masks_hide_more():
    features = np.ones((500, 40, 4), np.float32)
    shares = [
        (mask_stretches(features, SpecAugment(time_masks=n, time_width=8), rng()) == 0).mean()
        for n in (0, 1, 2, 3)
    ]
    assert shares[0] == 0
    assert shares == sorted(set(shares))


# --- mixup ----------------------------------------------------------------------------------


def test_mixup_blends_features_targets_and_weights_by_one_share():
    features, targets, weights = batch()
    # Each utterance's number in all its features: the blend shows partner and share.
    numbers = np.arange(BATCH, dtype=np.float32)
    features[:] = numbers[:, None, None]
    mixed, blended, weighed = mix(features, targets, numbers.copy(), Mixup(alpha=1.0), rng())
    assert np.ptp(mixed, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(weighed, mixed[:, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(blended[:, :CLASSES].sum(axis=1), 1, rtol=1e-6)
    own = blended[np.arange(BATCH), targets[:, :CLASSES].argmax(axis=1)]
    assert (own >= 0.5).all()
    assert (own < 0.999).any()
    assert weights.shape == weighed.shape


def test_a_pairs_mask_is_the_union_of_both():
    features, targets, weights = batch()
    one_hot = np.zeros((BATCH, CLASSES), np.float32)
    one_hot[: BATCH // 2, 0] = one_hot[BATCH // 2 :, 1] = 1
    targets = np.concatenate([one_hot, one_hot], axis=1)
    _, blended, _ = mix(features, targets, weights, Mixup(alpha=1.0), rng())
    distribution, allowed = np.split(blended, 2, axis=1)
    assert np.array_equal(allowed > 0, distribution > 0)
    assert set(np.unique(allowed)) == {0.0, 1.0}
    assert allowed.sum(axis=1).max() == 2


def test_an_utterance_that_is_left_alone_stays_as_it_was():
    features, targets, weights = batch()
    targets[:, CLASSES + 2] = rng(1).integers(0, 2, BATCH)
    mixed, blended, weighed = mix(
        features, targets, weights, Mixup(alpha=1.0, probability=0.5), rng()
    )
    alone = (mixed == features).all(axis=(1, 2))
    assert 0.3 < alone.mean() < 0.7
    assert np.array_equal(blended[alone], targets[alone])
    assert np.array_equal(weighed[alone], weights[alone])


def test_mixup_works_on_features_without_time():
    features, targets, weights = batch()
    mixed, _, _ = mix(features[:, 0], targets, weights, Mixup(alpha=0.4), rng())
    assert mixed.shape == (BATCH, COLUMNS)


@given(alpha=st.floats(0.05, 5), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_blend_is_a_distribution_within_its_mask(alpha, size, seed):
    source = rng(seed)
    one_hot = np.eye(CLASSES, dtype=np.float32)[source.integers(0, CLASSES, size)]
    targets = np.concatenate(
        [one_hot, np.maximum(one_hot, source.integers(0, 2, one_hot.shape))], 1
    )
    features = source.normal(size=(size, 4, 2)).astype(np.float32)
    mixed, blended, _ = mix(
        features, targets.astype(np.float32), np.ones(size, np.float32), Mixup(alpha=alpha), source
    )
    distribution, allowed = np.split(blended, 2, axis=1)
    np.testing.assert_allclose(distribution.sum(axis=1), 1, rtol=1e-5)
    assert (distribution[allowed == 0] == 0).all()
    assert mixed.dtype == blended.dtype == np.float32


# --- all together ---------------------------------------------------------------------------


def test_nothing_asked_for_changes_nothing():
    given_batch = batch()
    for before, after in zip(
        given_batch, augment(*given_batch, Augmentation(), rng()), strict=True
    ):
        assert np.array_equal(before, after)


def test_the_arguments_stay_and_float32_stays():
    how = toy_recipe().augmentation
    given_batch = batch()
    copies = [values.copy() for values in given_batch]
    results = augment(*given_batch, how, rng())
    for before, copy, after in zip(given_batch, copies, results, strict=True):
        assert np.array_equal(before, copy)
        assert after.dtype == np.float32
        assert after.shape == before.shape
    assert not np.array_equal(results[0], given_batch[0])


def test_the_generator_alone_decides():
    how = toy_recipe().augmentation
    one, same, other = (augment(*batch(), how, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one[0], same[0])
    assert not np.array_equal(one[0], other[0])


# --- batches --------------------------------------------------------------------------------


def training_batches(**changes: object) -> TrainingBatches:
    recipe = toy_recipe()
    part = toy_part(recipe, 21)
    arguments = {
        "part": part,
        "weights": np.ones(21, np.float32),
        "normaliser": Normaliser.fit([part.features]),
        "augmentation": recipe.augmentation,
        "batch_size": 8,
        "seed": 3,
    }
    return TrainingBatches(**{**arguments, **changes})


def test_an_epoch_holds_every_utterance_once_in_an_order_of_its_own():
    batches = training_batches()
    assert len(batches) == 3
    orders = [np.concatenate([batches.indices(e, p) for p in range(3)]) for e in range(4)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(21))
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_a_batch_follows_from_its_place_alone():
    forwards, backwards = training_batches(), training_batches()
    places = [(epoch, place) for epoch in range(3) for place in range(3)]
    one = {where: forwards.batch(*where) for where in places}
    other = {where: backwards.batch(*where) for where in reversed(places)}
    for where in places:
        for a, b in zip(one[where], other[where], strict=True):
            assert np.array_equal(a, b)


def test_seed_epoch_and_place_each_matter():
    how = Augmentation(spec_augment=SpecAugment(time_masks=2, time_width=9))
    part = Part(np.ones((24, 21, 8), np.float32), np.zeros(24, np.int64), np.ones((24, 3), bool))
    plain = Normaliser.identity(8)

    def masks(seed: int, epoch: int, place: int) -> bytes:
        batches = TrainingBatches(part, np.ones(24, np.float32), plain, how, 8, seed)
        return batches.batch(epoch, place)[0].tobytes()

    found = {
        masks(seed, epoch, place) for seed in (0, 1) for epoch in (0, 1) for place in (0, 1, 2)
    }
    assert len(found) == 12


def test_batches_are_normalised_before_they_are_augmented():
    batches = training_batches(augmentation=Augmentation())
    features = np.concatenate([batches.batch(0, place)[0] for place in range(3)])
    np.testing.assert_allclose(features.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=(0, 1)), 1, atol=1e-5)


def test_targets_carry_class_and_mask_of_their_utterance():
    recipe = toy_recipe()
    part = toy_part(recipe, 21)
    batches = training_batches(part=part, augmentation=Augmentation())
    chosen = batches.indices(2, 1)
    _, targets, _ = batches.batch(2, 1)
    distribution, allowed = np.split(targets, 2, axis=1)
    assert np.array_equal(distribution.argmax(axis=1), part.labels[chosen])
    assert np.array_equal(allowed.astype(bool), part.allowed[chosen])


def test_plain_batches_keep_the_order():
    recipe = toy_recipe()
    part = toy_part(recipe, 21)
    weights = np.arange(21, dtype=np.float32)
    plain = PlainBatches(part, weights, Normaliser.identity(8), 8)
    assert len(plain) == 3
    features, _, weighed = (
        np.concatenate(v) for v in zip(*map(plain.batch, range(3)), strict=True)
    )
    assert np.array_equal(features, part.features)
    assert np.array_equal(weighed, weights)


def test_a_memory_map_is_read_a_batch_at_a_time(tmp_path):
    recipe = toy_recipe()
    part = toy_part(recipe, 21)
    np.save(tmp_path / "features.npy", part.features)
    mapped = Part(np.load(tmp_path / "features.npy", mmap_mode="r"), part.labels, part.allowed)
    for place in range(3):
        one = training_batches(part=part).batch(1, place)
        other = training_batches(part=mapped, normaliser=Normaliser.fit([part.features])).batch(
            1, place
        )
        assert np.array_equal(one[0], other[0])
        assert not isinstance(other[0], np.memmap)


# --- parts and weights ----------------------------------------------------------------------


def test_a_part_refuses_arrays_that_do_not_fit():
    features, allowed = np.zeros((3, 2)), np.ones((3, 2), bool)
    with pytest.raises(ValueError, match="differ in length"):
        Part(features, np.zeros(2, np.int64), allowed)
    with pytest.raises(ValueError, match="differ in length"):
        Part(features, np.zeros(3, np.int64), allowed, np.ones(2, np.float32))
    allowed[1, 0] = False
    with pytest.raises(ValueError, match="not among"):
        Part(features, np.zeros(3, np.int64), allowed)


@pytest.mark.parametrize(("how", "ratio"), [("balanced", 9.0), ("sqrt", 3.0), ("none", 1.0)])
def test_class_weights_favour_rare_classes_and_have_a_mean_of_one(how, ratio):
    labels = np.array([0] * 9 + [1])
    weights = class_weights(labels, 3, how)
    assert weights[1] / weights[0] == pytest.approx(ratio)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[2] == 1


def test_an_utterances_own_weight_is_a_further_factor():
    part = Part(np.zeros((2, 1)), np.array([0, 1]), np.ones((2, 2), bool), np.float32([1, 5]))
    assert utterance_weights(part, np.float32([2, 3])).tolist() == [2, 15]
