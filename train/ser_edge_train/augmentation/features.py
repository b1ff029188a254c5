"""Changes made to the features of training utterances, each from a given generator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.kinds import LogMel, Mfcc, Rms, feature_names
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_train.recipes.augmentation import Augmentation, Mixup, SpecAugment

Array = npt.NDArray[np.float32]


def augment(
    features: Array,
    targets: Array,
    weights: Array,
    how: Augmentation,
    rng: np.random.Generator,
    classes: int | None = None,
) -> tuple[Array, Array, Array]:
    """Shifts, masks and blends a batch, in this order; the arguments stay as they are.

    What is done before the normaliser, :class:`Level`, is not done here.

    Args:
        features: Normalised, so that 0 is the mean: (batch, frames, features), or
            (batch, features) where only mixup is asked for.
        targets: (batch, 2 * classes): target distribution, then mask of allowed classes;
            perhaps, behind them, values of a hint and whether it is known.
        weights: (batch,), of each utterance in the loss.
        how: What to do and how much of it.
        rng: The only source of randomness.
        classes: Half the columns of ``targets`` that are no hint; None: none of them is.

    Returns:
        Features, targets and weights of the same shapes.
    """
    if how.time_shift:
        features = shift_in_time(features, how.time_shift, rng)
    if how.spec_augment is not None:
        features = mask_stretches(features, how.spec_augment, rng)
    if how.mixup is not None:
        return mix(features, targets, weights, how.mixup, rng, classes)
    return features, targets, weights


class Level:
    """How features answer to a louder or softer recording. Threads may share it.

    Log-mel bands move by as many decibels; of MFCCs the zeroth moves, by the
    orthonormal cosine transform of a constant, sqrt(bands) a decibel; root mean
    squares are multiplied. Deltas, zero crossings, chroma and contrast stay. That is
    what the front end computes of the louder recording, up to rounding, where no
    band lies at its floor of -100 dB.

    Args:
        spec: The front end that the features come from; its ``level`` must be None.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        added, multiplied = [], []
        for position, feature in enumerate(spec.features):
            count = len(feature_names(feature, spec.features[:position]))
            step = np.zeros(count, np.float32)
            if isinstance(feature, LogMel):
                step[:] = 1
            elif isinstance(feature, Mfcc):
                step[0] = np.sqrt(feature.bands)
            added.append(step)
            multiplied.append(np.full(count, isinstance(feature, Rms)))
        frames = spec.output_shape[0] // spec.feature_count if spec.layout == "flat" else 1
        self._added = np.tile(np.concatenate(added), frames)
        self._multiplied = np.tile(np.concatenate(multiplied), frames)

    def change(self, features: Array, most_db: float, rng: np.random.Generator) -> Array:
        """The features of recordings that are up to ``most_db`` louder or softer, each its own.

        Args:
            features: Before the normaliser, (batch, *shape).
            most_db: Bound of the gain, in dB; it is drawn evenly between minus and plus this.
            rng: The only source of randomness.
        """
        db = rng.uniform(-most_db, most_db, size=(len(features), *[1] * (features.ndim - 1)))
        factor = np.where(self._multiplied, 10 ** (db / 20), 1)
        return np.asarray(features * factor + db * self._added, dtype=np.float32)


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
    features: Array,
    targets: Array,
    weights: Array,
    how: Mixup,
    rng: np.random.Generator,
    classes: int | None = None,
) -> tuple[Array, Array, Array]:
    """Blends utterances with others of the batch: features, targets and weights.

    A pair may have had any class of either corpus: its mask is the union of both. Its hint
    is known if both are. The arguments are those of :func:`augment`.
    """
    batch = len(features)
    partners = rng.permutation(batch)
    shares = rng.beta(how.alpha, how.alpha, size=batch)
    # The larger share stays with the utterance itself, so that its weight and class lead.
    shares = np.maximum(shares, 1 - shares)
    shares[rng.random(batch) >= how.probability] = 1.0
    share = shares.astype(np.float32)
    wide = share.reshape(-1, *[1] * (features.ndim - 1))
    own = targets.shape[1] // 2 if classes is None else classes
    blended = share[:, None] * targets + (1 - share[:, None]) * targets[partners]
    alone = share[:, None] == 1
    mask = targets[:, own : 2 * own]
    blended[:, own : 2 * own] = np.where(alone, mask, np.maximum(mask, mask[partners]))
    if targets.shape[1] > 2 * own:
        known = targets[:, -1:]
        blended[:, -1:] = np.where(alone, known, np.minimum(known, known[partners]))
    return (
        wide * features + (1 - wide) * features[partners],
        blended,
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
