"""How much is answered, and how much of it rightly, when unsure answers are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_train.predictions import Predictions

MIN_SCORES: Final = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Coverage(NamedTuple):
    """What is left at one least score.

    Attributes:
        min_score: Answers of a lower score are left out.
        coverage: Share of the clips that are answered.
        accuracy: Share of those that are answered rightly; None if none is.
    """

    min_score: float
    coverage: float
    accuracy: float | None


def coverage(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, min_scores: Sequence[float] = MIN_SCORES
) -> list[Coverage]:
    """Coverage and accuracy at several least scores.

    El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification"
    (JMLR 2010), call the curve that of risk and coverage; accuracy is one minus risk.

    Args:
        confidence: Score of each clip's answer, (clips,).
        correct: Whether it is right, (clips,).
        min_scores: The least scores.

    Raises:
        ValueError: There is no clip, or the two differ in length.
    """
    scores = np.asarray(confidence, np.float64)
    right = np.asarray(correct, np.bool_)
    if scores.shape != right.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(f"scores {scores.shape} and answers {right.shape} must be one list")
    rows = []
    for least in min_scores:
        answered = scores >= least
        accuracy = float(right[answered].mean()) if answered.any() else None
        rows.append(Coverage(float(least), float(answered.mean()), accuracy))
    return rows


def coverage_of(predictions: Predictions) -> list[dict[str, Any]]:
    """:func:`coverage` of a part's predictions, as plain values for ``report.json``.

    An answer is the most probable of all the model's classes and its score that class's
    probability, as ``ser-edge classify --min-score`` has them: not, as in a report's other
    scores, among the classes of the clip's corpus alone, which a device does not know.
    """
    answers = predictions.probabilities.argmax(axis=1)
    scores = predictions.probabilities.max(axis=1)
    return [row._asdict() for row in coverage(scores, answers == predictions.truth)]
