"""Changes made to training utterances, on normalised features, each from a given generator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ser_edge_train.recipes.schema import Augmentation, Mixup, SpecAugment

Array = npt.NDArray[np.float32]


def augment(
    features: Array, targets: Array, weights: Array, how: Augmentation, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Shifts, masks and blends a batch, in this order; the arguments stay as they are.

    Args:
        features: Normalised, so that 0 is the mean: (batch, frames, features), or
            (batch, features) where only mixup is asked for.
        targets: (batch, 2 * classes): target distribution, then mask of allowed classes.
        weights: (batch,), of each utterance in the loss.
        how: What to do and how much of it.
        rng: The only source of randomness.

    Returns:
        Features, targets and weights of the same shapes.
    """
    if how.time_shift:
        features = shift_in_time(features, how.time_shift, rng)
    if how.spec_augment is not None:
        features = mask_stretches(features, how.spec_augment, rng)
    if how.mixup is not None:
        return mix(features, targets, weights, how.mixup, rng)
    return features, targets, weights


def shift_in_time(features: Array, most: int, rng: np.random.Generator) -> Array:
    """Moves each utterance by up to ``most`` frames; what leaves one end enters the other."""
    batch, frames = features.shape[:2]
    shifts = rng.integers(-most, most + 1, size=(batch, 1))
    sources = (np.arange(frames) - shifts) % frames
    return np.take_along_axis(features, sources[:, :, None], axis=1)


def mask_stretches(features: Array, how: SpecAugment, rng: np.random.Generator) -> Array:
    """Sets stretches of time and ranges of features to 0, the mean, in each utterance apart."""
    batch, frames, columns = features.shape
    time = _kept(batch, frames, how.time_masks, how.time_width, rng)
    frequency = _kept(batch, columns, how.frequency_masks, how.frequency_width, rng)
    return features * time[:, :, None] * frequency[:, None, :]


def mix(
    features: Array, targets: Array, weights: Array, how: Mixup, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Blends utterances with others of the batch: features, target distributions and weights.

    A pair may have had any class of either corpus: its mask is the union of both.
    """
    batch = len(features)
    partners = rng.permutation(batch)
    shares = rng.beta(how.alpha, how.alpha, size=batch)
    # The larger share stays with the utterance itself, so that its weight and class lead.
    shares = np.maximum(shares, 1 - shares)
    shares[rng.random(batch) >= how.probability] = 1.0
    share = shares.astype(np.float32)
    wide = share.reshape(-1, *[1] * (features.ndim - 1))
    distribution, allowed = np.split(targets, 2, axis=1)
    blended = share[:, None] * distribution + (1 - share[:, None]) * distribution[partners]
    alone = share[:, None] == 1
    union = np.where(alone, allowed, np.maximum(allowed, allowed[partners]))
    return (
        wide * features + (1 - wide) * features[partners],
        np.concatenate([blended, union], axis=1),
        share * weights + (1 - share) * weights[partners],
    )


def _kept(batch: int, length: int, masks: int, width: int, rng: np.random.Generator) -> Array:
    kept = np.ones((batch, length), np.float32)
    places = np.arange(length)
    for _ in range(masks):
        widths = rng.integers(0, min(width, length) + 1, size=(batch, 1))
        # Every start leaves the whole stretch inside.
        starts = np.floor(rng.random((batch, 1)) * (length - widths + 1))
        kept[(places >= starts) & (places < starts + widths)] = 0
    return kept
