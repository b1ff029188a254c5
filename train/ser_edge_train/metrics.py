"""Scores of a classifier, in numpy alone.

Everything here starts from *counts*: a confusion matrix (..., classes, classes)
of true class by predicted class. Leading axes are kept, so that the same
functions score one matrix, one a speaker, or thousands of bootstrap draws. A
score that is not defined (the recall of a class without clips) is NaN, and
averages leave it out. All functions are pure: threads may share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Statistic = Callable[[Any], Any]

RELIABILITY_BINS = 15
BOOTSTRAP_DRAWS = 2000
TEMPERATURE_RANGE = (0.05, 20.0)


class Interval(NamedTuple):
    """Both ends of an interval, in the statistic's own unit."""

    low: float
    high: float


class Reliability(NamedTuple):
    """Clips binned by confidence, ``bins`` of equal width over (0, 1].

    Attributes:
        counts: Clips of each bin, (bins,).
        confidence: Mean confidence of each bin, (bins,); NaN where it is empty.
        accuracy: Share of right answers of each bin, (bins,); NaN where it is empty.
    """

    counts: Integers
    confidence: Floats
    accuracy: Floats


def masked_argmax(scores: npt.ArrayLike, allowed: npt.ArrayLike) -> Integers:
    """The best class among those a clip may have.

    A corpus that lacks a class (CREMA-D has no surprise) is scored among the
    classes it has; ties go to the first class.

    Args:
        scores: Logits or probabilities (clips, classes).
        allowed: Booleans (clips, classes) or (classes,), at least one True a clip.

    Returns:
        Indices (clips,).

    Raises:
        ValueError: A clip may have no class at all.
    """
    values = np.asarray(scores, dtype=np.float64)
    mask = _mask(allowed, values.shape)
    return np.asarray(np.where(mask, values, -np.inf).argmax(axis=-1), dtype=np.int64)


def masked_probabilities(probabilities: npt.ArrayLike, allowed: npt.ArrayLike) -> Floats:
    """Probabilities over the classes a clip may have, rescaled to a sum of 1.

    A clip whose whole mass lies on other classes gets equal shares.

    Args:
        probabilities: (clips, classes), not negative.
        allowed: As for :func:`masked_argmax`.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    mask = _mask(allowed, values.shape)
    kept = np.where(mask, values, 0.0)
    total = kept.sum(axis=-1, keepdims=True)
    shares = mask / mask.sum(axis=-1, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1.0), shares)


def masked_log_softmax(logits: npt.ArrayLike, allowed: npt.ArrayLike) -> Floats:
    """Log of the softmax over the classes a clip may have; -inf for the others."""
    values = np.asarray(logits, dtype=np.float64)
    values = np.where(_mask(allowed, values.shape), values, -np.inf)
    values = values - values.max(axis=-1, keepdims=True)
    return np.asarray(values - np.log(np.exp(values).sum(axis=-1, keepdims=True)))


def confusion(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Integers:
    """Counts of (true class, predicted class), (classes, classes).

    Raises:
        ValueError: The two differ in length or hold what is no class.
    """
    true, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ValueError(f"labels {true.shape} and predictions {predicted.shape} must be one list")
    for values in (true, predicted):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise ValueError(f"classes must be 0 to {classes - 1}")
    counts = np.bincount(true * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def accuracy(counts: npt.ArrayLike) -> Any:
    """Share of right answers: trace over total. NaN without clips."""
    matrix = np.asarray(counts, dtype=np.float64)
    return _divide(_diagonal(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)))[()]


def recalls(counts: npt.ArrayLike) -> Floats:
    """Share of each class that was recognised, (..., classes): TP / (TP + FN)."""
    matrix = np.asarray(counts, dtype=np.float64)
    return _divide(_diagonal(matrix), matrix.sum(axis=-1))


def precisions(counts: npt.ArrayLike) -> Floats:
    """Share of each answer that was right, (..., classes): TP / (TP + FP)."""
    matrix = np.asarray(counts, dtype=np.float64)
    return _divide(_diagonal(matrix), matrix.sum(axis=-2))


def f1s(counts: npt.ArrayLike) -> Floats:
    """Harmonic mean of precision and recall of each class: 2 TP / (2 TP + FP + FN).

    van Rijsbergen, Information Retrieval (1979), with equal weights. A class that
    neither occurs nor was answered has NaN.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    return _divide(2 * _diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def uar(counts: npt.ArrayLike) -> Any:
    """Unweighted average recall: the mean of :func:`recalls` over the classes that occur.

    The field's first measure since Schuller, Steidl and Batliner, "The INTERSPEECH
    2009 Emotion Challenge"; the same as balanced accuracy. NaN without clips.
    """
    return _nan_mean(recalls(counts))


def macro_f1(counts: npt.ArrayLike) -> Any:
    """Mean of :func:`f1s` over the classes that occur or were answered. NaN without clips."""
    return _nan_mean(f1s(counts))


def reliability(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = RELIABILITY_BINS
) -> Reliability:
    """Bins clips by confidence: bin m holds ((m - 1) / bins, m / bins].

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks"
    (ICML 2017), section 2.

    Args:
        confidence: Probability of the answer, (clips,), 0 to 1.
        correct: Whether the answer was right, (clips,).
        bins: Number of bins.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins).astype(np.int64)
    return Reliability(
        counts,
        _divide(np.bincount(place, weights=sure, minlength=bins), counts),
        _divide(np.bincount(place, weights=right, minlength=bins), counts),
    )


def expected_calibration_error(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = RELIABILITY_BINS
) -> float:
    """Mean distance of confidence and accuracy over the bins, weighted by their clips.

    Naeini, Cooper and Hauskrecht (AAAI 2015); Guo et al. (2017), equation 3.
    NaN without clips.
    """
    binned = reliability(confidence, correct, bins)
    gaps = np.where(binned.counts > 0, np.abs(binned.confidence - binned.accuracy), 0.0)
    return float(_divide((gaps * binned.counts).sum(), binned.counts.sum()))


def negative_log_likelihood(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    allowed: npt.ArrayLike,
    temperature: float = 1.0,
) -> float:
    """Mean of -log softmax(logits / temperature)[label] over the classes a clip may have."""
    logs = masked_log_softmax(np.asarray(logits, dtype=np.float64) / temperature, allowed)
    return float(-logs[np.arange(len(logs)), np.asarray(labels, dtype=np.int64)].mean())


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike, allowed: npt.ArrayLike) -> float:
    """The temperature by which logits are divided so that confidence means something.

    Guo et al. (2017), section 4.2: it minimises the negative log-likelihood and
    changes no answer. The likelihood is convex in 1 / T, so has one minimum in
    log T, which a golden-section search (Kiefer 1953) brackets to a relative 1e-6.

    Args:
        logits: (clips, classes), of clips that were not trained on.
        labels: True classes (clips,), each among the allowed.
        allowed: As for :func:`masked_argmax`; the softmax runs over these alone.

    Returns:
        0.05 to 20; an end of that range where all (or nearly no) answers are right.

    Raises:
        ValueError: There is no clip, or a label is not among the allowed.
    """
    values = np.asarray(logits, dtype=np.float64)
    true = np.asarray(labels, dtype=np.int64)
    mask = _mask(allowed, values.shape)
    if not len(true):
        raise ValueError("a temperature cannot be fitted without clips")
    if not mask[np.arange(len(true)), true].all():
        raise ValueError("a label is not among the classes that its clip may have")

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(values, true, mask, math.exp(log_temperature))

    low, high = (math.log(end) for end in TEMPERATURE_RANGE)
    shrink = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - shrink * (high - low), low + shrink * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-6:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - shrink * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + shrink * (high - low)
            at_right = loss(right)
    return math.exp((low + high) / 2.0)


def bootstrap_interval(
    counts: npt.ArrayLike,
    statistic: Statistic = uar,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of ``statistic``, whole speakers being drawn with replacement.

    A speaker's clips resemble one another, so clips drawn one by one would make
    the interval too narrow. Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), chapter 13; Davison and Hinkley (1997), section 3.8 for clusters.

    Args:
        counts: One confusion matrix a speaker, (speakers, classes, classes).
        statistic: Of a confusion matrix with leading axes, as :func:`uar`.
        draws: Bootstrap draws.
        level: Coverage, 0.95 for the 95 % interval.
        seed: The same seed gives the same interval.

    Returns:
        None where there are fewer than two speakers: nothing varies.
    """
    matrices = np.asarray(counts, dtype=np.float64)
    if len(matrices) < 2:
        return None
    return _percentiles(statistic(_drawn(matrices, draws, seed)), level)


def bootstrap_intervals(
    counts: npt.ArrayLike,
    statistic: Statistic = recalls,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval | None] | None:
    """Percentile intervals of a statistic that has a value for each class, as :func:`recalls`.

    Args:
        counts: One confusion matrix a speaker, (speakers, classes, classes).
        statistic: Of a confusion matrix with leading axes, (..., classes).
        draws: As for :func:`bootstrap_interval`.
        level: As for :func:`bootstrap_interval`.
        seed: As for :func:`bootstrap_interval`.

    Returns:
        An interval for each class, None where no draw defines it; None instead of
        the list where there are fewer than two speakers.
    """
    matrices = np.asarray(counts, dtype=np.float64)
    if len(matrices) < 2:
        return None
    values = np.asarray(statistic(_drawn(matrices, draws, seed)), dtype=np.float64)
    return [None if np.isnan(column).all() else _percentiles(column, level) for column in values.T]


def paired_bootstrap_interval(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    statistic: Statistic = uar,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of the drop ``statistic(before) - statistic(after)``.

    Both models answered the same clips, so every draw takes the same speakers of
    both: what the speakers have in common cancels out.

    Args:
        before: One confusion matrix a speaker, (speakers, classes, classes).
        after: The other model's, the same speakers in the same order.
        statistic: As for :func:`bootstrap_interval`.
        draws: As for :func:`bootstrap_interval`.
        level: As for :func:`bootstrap_interval`.
        seed: As for :func:`bootstrap_interval`.

    Raises:
        ValueError: The two do not hold the same clips of the same speakers.
    """
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if first.shape != second.shape or not np.array_equal(first.sum(axis=-1), second.sum(axis=-1)):
        raise ValueError("paired scores need the same clips of the same speakers in one order")
    if len(first) < 2:
        return None
    drops = statistic(_drawn(first, draws, seed)) - statistic(_drawn(second, draws, seed))
    return _percentiles(drops, level)


def unpaired_bootstrap_interval(
    first: npt.ArrayLike, second: npt.ArrayLike, statistic: Statistic = uar, *, seed: int = 0
) -> Interval | None:
    """95 % interval of ``statistic(first) - statistic(second)``, of two groups of speakers.

    Args:
        first: One confusion matrix a speaker, (speakers, classes, classes).
        second: Other speakers' of the same classes.
        statistic: As for :func:`bootstrap_interval`.
        seed: As for :func:`bootstrap_interval`.

    Returns:
        None where a group has fewer than two speakers.
    """
    groups = [np.asarray(group, np.float64) for group in (first, second)]
    if min(map(len, groups)) < 2:
        return None
    # Two streams: with one seed, groups of one size would be drawn alike.
    drawn = [_drawn(of, BOOTSTRAP_DRAWS, 2 * seed + place) for place, of in enumerate(groups)]
    return _percentiles(statistic(drawn[0]) - statistic(drawn[1]), 0.95)


def _drawn(matrices: Floats, draws: int, seed: int) -> Floats:
    """Summed confusion matrices of ``draws`` samples of speakers, (draws, classes, classes)."""
    speakers = len(matrices)
    generator = np.random.default_rng(seed)
    times = generator.multinomial(speakers, np.full(speakers, 1.0 / speakers), size=draws)
    # einsum, not a BLAS product: its sums do not depend on the machine's threads.
    return np.asarray(np.einsum("ds,sij->dij", times.astype(np.float64), matrices))


def _percentiles(values: Any, level: float) -> Interval:
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(np.asarray(values, np.float64), [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def _mask(allowed: npt.ArrayLike, shape: tuple[int, ...]) -> Booleans:
    mask = np.broadcast_to(np.asarray(allowed, dtype=np.bool_), shape)
    if not mask.any(axis=-1).all():
        raise ValueError("a clip must be allowed at least one class")
    return mask


def _diagonal(matrix: Floats) -> Floats:
    return np.asarray(np.diagonal(matrix, axis1=-2, axis2=-1))


def _divide(above: Any, below: Any) -> Floats:
    """Quotient, NaN where ``below`` is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    nothing = np.full(below.shape, np.nan)
    return np.asarray(np.divide(above, below, out=nothing, where=below != 0))


def _nan_mean(values: Floats) -> Any:
    """Mean over the last axis without the NaNs; NaN where nothing is left."""
    there = ~np.isnan(values)
    return _divide(np.where(there, values, 0.0).sum(axis=-1), there.sum(axis=-1))[()]
