"""Utterances as a fit sees them: parts, weights, and batches that hang on nothing but their place.

What epoch 7's third batch holds follows from the seed, 7 and 3 alone: no
generator carries a state from one batch to the next. So a fit that was killed
and resumed sees what an unbroken one sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_train.augmentation import Level, augment
from ser_edge_train.recipes.augmentation import Augmentation

Array = npt.NDArray[np.float32]
Batch = tuple[Array, Array, Array]

# The last entry of a seed. All four entries are always given: numpy fills shorter seeds with
# zeros, so that [1, 2] and [1, 2, 0] would be one stream.
_ORDER, _AUGMENTATION, _COPIES, _LEVEL = range(4)


@dataclass(frozen=True, eq=False)
class Part:
    """The utterances of one part. Threads may share it.

    Attributes:
        features: (utterances * (copies + 1), *shape) as the front end gave them, before
            the normaliser; an array or a memory map: only one batch is read at a time.
        labels: Index of each utterance's class, (utterances,).
        allowed: The classes that each utterance's corpus has, bool (utterances, classes).
        weights: Factor of each utterance in the loss, (utterances,); None: 1 each.
        copies: Changed copies of each utterance; their rows follow the utterance's own.
        repeats: How often an epoch shows each utterance, (utterances,); None: once each.
            Of equal ones that are not whole, as 0.5, an epoch shows that share, drawn anew.
        soft: Target distribution of each utterance over its allowed classes, (utterances,
            classes), in place of its label alone; None: the labels.
        hints: Values that a second head learns, (utterances, components), NaN where they are
            not known; None: there is no such head.

    Raises:
        ValueError: The lengths differ, or a label is not among the allowed classes.
    """

    features: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    allowed: npt.NDArray[np.bool_]
    weights: Array | None = None
    copies: int = 0
    repeats: Array | None = None
    soft: Array | None = None
    hints: Array | None = None

    def __post_init__(self) -> None:
        groups = len(self.features) / (self.copies + 1)
        lengths = {groups, len(self.labels), len(self.allowed)}
        optional = (self.weights, self.repeats, self.soft, self.hints)
        lengths |= {len(given) for given in optional if given is not None}
        if len(lengths) != 1:
            raise ValueError(f"a part's arrays differ in length: {sorted(lengths)}")
        if not self.allowed[np.arange(len(self.labels)), self.labels].all():
            raise ValueError("a label is not among its utterance's allowed classes")
        if self.soft is not None and self.soft[~self.allowed].any():
            raise ValueError("a target is not among its utterance's allowed classes")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Width of the mask."""
        return int(self.allowed.shape[1])

    @property
    def components(self) -> int:
        """How many values of a hint there are; 0 without one."""
        return 0 if self.hints is None else int(self.hints.shape[1])

    @property
    def target_width(self) -> int:
        """Columns of :meth:`targets`."""
        return 2 * self.classes + (0 if self.hints is None else self.components + 1)

    def rows(
        self, indices: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | int = 0
    ) -> Array:
        """Features of some utterances, or of the given copy of each, read into memory."""
        return np.asarray(self.features[indices * (self.copies + 1) + copies])

    def targets(self, indices: npt.NDArray[np.int64]) -> Array:
        """Target distributions, one-hot without soft ones, and masks of some utterances.

        Behind them stand the values of a hint, if there is one, 0 where they are not known,
        and 1 where they are. float32 (len(indices), target_width).
        """
        if self.soft is None:
            distribution = np.eye(self.classes, dtype=np.float32)[self.labels[indices]]
        else:
            distribution = self.soft[indices]
        columns = [distribution, self.allowed[indices].astype(np.float32)]
        if self.hints is not None:
            hints = self.hints[indices]
            known = np.isfinite(hints).all(axis=1, keepdims=True)
            values = np.where(known, hints, np.float32(0)).astype(np.float32)
            columns += [values, np.asarray(known, np.float32)]
        return np.concatenate(columns, axis=1)


def class_weights(labels: npt.NDArray[np.int64], classes: int, how: str) -> Array:
    """The factor of each class in the loss, so that its mean over ``labels`` is 1.

    Args:
        labels: Classes of the training utterances.
        classes: How many classes there are.
        how: With n the count of a class, "balanced" weighs it 1/n, "sqrt" 1/sqrt(n),
            "none" 1.

    Returns:
        float32 (classes,); a class without an utterance has 1.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    power = {"balanced": 1.0, "sqrt": 0.5, "none": 0.0}[how]
    weights = np.maximum(counts, 1) ** -power
    weights *= counts.sum() / max((weights * counts).sum(), 1e-12)
    weights[counts == 0] = 1
    return weights.astype(np.float32)


def utterance_weights(part: Part, by_class: Array) -> Array:
    """The factor of each utterance: its class's times its own; float32 (utterances,)."""
    weights = by_class[part.labels]
    return weights if part.weights is None else weights * part.weights


class TrainingBatches:
    """Shuffled, augmented batches of a part. Threads may share it.

    An utterance with copies is one of them each time it is shown, itself included, drawn evenly.

    Args:
        part: The training utterances.
        weights: Factor of each in the loss, (utterances,).
        normaliser: Applied before the augmentation.
        augmentation: What is done to them.
        batch_size: Utterances a batch; the last one of an epoch may be smaller.
        seed: With epoch and place it determines a batch.
        spec: The front end of the features, which ``augmentation.gain_db`` has to know.

    Raises:
        ValueError: ``augmentation.gain_db`` is set and ``spec`` is not.
    """

    def __init__(
        self,
        part: Part,
        weights: Array,
        normaliser: Normaliser,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        spec: FrontEndSpec | None = None,
    ) -> None:
        if augmentation.gain_db is not None and spec is None:
            raise ValueError("augmentation.gain_db needs the front end of the features")
        self._part = part
        self._weights = weights
        self._normaliser = normaliser
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._seed = seed
        self._level = None if spec is None else Level(spec)
        self._drawn: tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return -(-len(self._order(0)) // self._batch_size)

    def indices(self, epoch: int, place: int) -> npt.NDArray[np.int64]:
        """Which utterances batch ``place`` of ``epoch`` (both from 0) holds."""
        return self._epoch(epoch)[0][self._slice(place)]

    def copies(self, epoch: int, place: int) -> npt.NDArray[np.int64]:
        """Which copy of each utterance batch ``place`` of ``epoch`` takes; 0 is itself."""
        return self._epoch(epoch)[1][self._slice(place)]

    def _epoch(self, epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All that an epoch shows, and which copy of each; the last epoch's is remembered."""
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            order = self._order(epoch)
            rng = np.random.default_rng([self._seed, epoch, 0, _COPIES])
            drawn = (epoch, order, rng.integers(self._part.copies + 1, size=len(order)))
            self._drawn = drawn
        return drawn[1], drawn[2]

    def _slice(self, place: int) -> slice:
        return slice(place * self._batch_size, (place + 1) * self._batch_size)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """All that an epoch shows; every epoch shows as many."""
        rng = np.random.default_rng([self._seed, epoch, 0, _ORDER])
        repeats = self._part.repeats
        if repeats is None:
            return rng.permutation(len(self._part))
        shown = []
        for times in np.unique(repeats):
            members = np.flatnonzero(repeats == times)
            whole = int(times)
            rest = round(len(members) * (float(times) - whole))
            shown += [np.repeat(members, whole), rng.permutation(members)[:rest]]
        return rng.permutation(np.concatenate(shown))

    def batch(self, epoch: int, place: int) -> Batch:
        """Features, targets and weights of batch ``place`` of ``epoch`` (both from 0)."""
        indices = self.indices(epoch, place)
        features = self._part.rows(indices, self.copies(epoch, place))
        gain_db = self._augmentation.gain_db
        if gain_db is not None and self._level is not None:
            rng = np.random.default_rng([self._seed, epoch, place, _LEVEL])
            features = self._level.change(features, gain_db, rng)
        return augment(
            self._normaliser(features),
            self._part.targets(indices),
            self._weights[indices],
            self._augmentation,
            np.random.default_rng([self._seed, epoch, place, _AUGMENTATION]),
            self._part.classes,
        )


class PlainBatches:
    """A part's utterances in their own order, normalised and nothing else. Threads may share it."""

    def __init__(self, part: Part, weights: Array, normaliser: Normaliser, batch_size: int) -> None:
        self._part = part
        self._weights = weights
        self._normaliser = normaliser
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self._part) // self._batch_size)

    def batch(self, place: int) -> Batch:
        """Features, targets and weights of batch ``place``, from 0."""
        indices = np.arange(len(self._part))[
            place * self._batch_size : (place + 1) * self._batch_size
        ]
        features = self._normaliser(self._part.rows(indices))
        return features, self._part.targets(indices), self._weights[indices]
