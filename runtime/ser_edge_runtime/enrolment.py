"""What a few unlabelled clips of one speaker say about a model's answers to that voice.

A model that has never heard a voice leans towards some classes on it. Spread over clips of all
kinds its answers should be spread as well; :func:`lean` is what must be added to the logarithms
of its probabilities for that, held back while there are few clips, and the more the less the
answers vary: whoever only spoke neutrally has not shown how the model leans.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEWEST = 15
"""Clips below which an enrolment gained under three points, by docs/enrolment.md."""

HELD_BACK = 1.0
"""How strongly a correction is held back: the weight of its square beside one clip's answer."""

NONE_BELOW = 2 / 7
"""Variety of the answers up to which nothing is corrected: three of eight classes."""

WHOLE_FROM = 4 / 7
"""Variety from which all is: five of eight."""

_STEPS = 50


def variety(answers: npt.ArrayLike) -> float:
    """How many classes the answers are spread over: 0 for one, 1 for all of them alike.

    The exponential of the entropy of the mean answer (Hill, 1973: the effective number of
    species), less one, as a share of the classes less one.

    Args:
        answers: Logarithms of probabilities, (clips, classes), at least one clip.
    """
    mean = np.exp(_normalised(np.asarray(answers, np.float64))).mean(axis=0)
    there = mean[mean > 0]
    classes = np.exp(-(there * np.log(there)).sum())
    return float((classes - 1) / max(1, len(mean) - 1))


def trust(answers: npt.ArrayLike) -> float:
    """Which share of the correction is applied, 0 to 1: by the :func:`variety` of the answers."""
    return min(1.0, max(0.0, (variety(answers) - NONE_BELOW) / (WHOLE_FROM - NONE_BELOW)))


def lean(answers: npt.ArrayLike) -> Floats:
    """What is added to the logarithms of this voice's probabilities; see :func:`balance`."""
    return trust(answers) * balance(answers)


def balance(answers: npt.ArrayLike, held_back: float = HELD_BACK) -> Floats:
    """The offset of each class that spreads the answers evenly, as far as it is not held back.

    The least, over ``b``, of ``sum_i log(sum_c exp(l_ic + b_c)) - n mean(b) + held_back |b|^2/2``,
    where ``l`` are the logarithms: a logistic regression of nothing but an intercept on a target
    of equal shares, with a Gaussian prior on it. It is strictly convex; Newton's method with
    halved steps finds it. The offsets sum to 0.

    Args:
        answers: Logarithms of probabilities, (clips, classes), finite, at least one clip.
        held_back: Above 0; the larger, the smaller the offsets.

    Returns:
        float64 (classes,).
    """
    logs = np.asarray(answers, np.float64)
    clips, classes = logs.shape
    offset = np.zeros(classes)
    value = _loss(logs, offset, held_back)
    for _ in range(_STEPS):
        shares = np.exp(_normalised(logs + offset))
        slope = shares.sum(axis=0) - clips / classes + held_back * offset
        # einsum, not a BLAS product: the same on every machine.
        bend = np.diag(shares.sum(axis=0)) - np.einsum("ni,nj->ij", shares, shares)
        step = np.linalg.solve(bend + held_back * np.eye(classes), slope)
        while (after := _loss(logs, offset - step, held_back)) > value and abs(step).max() > 1e-9:
            step = step / 2
        if abs(step).max() <= 1e-9:
            break
        offset, value = offset - step, after
    return np.asarray(offset - offset.mean())


def _loss(logs: Floats, offset: Floats, held_back: float) -> float:
    tilted = logs + offset
    sums = _log_sums(tilted).sum() - len(logs) * offset.mean()
    return float(sums + held_back / 2 * np.square(offset).sum())


def _log_sums(logs: Floats) -> Floats:
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))


def _normalised(logs: Floats) -> Floats:
    return logs - _log_sums(logs)[:, None]
