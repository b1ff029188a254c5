"""Answers to the same clips before and after a conversion, and all that differs in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_train import metrics
from ser_edge_train.evaluation import Allowed, allowed_mask
from ser_edge_train.predictions import ClipRow, Predictions

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

TINY = 1e-300
# Kernels of floats add up in different orders.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Pair:
    """One reference's answers, and those of the file that was made from it.

    Attributes:
        run: Name of the reference.
        before: Its answers.
        after: The file's, to the same clips in the same order.
        quantum: Step of the file's output, in logits divided by the temperature; 0 for floats.
    """

    run: str
    before: Predictions
    after: Predictions
    quantum: float

    def __post_init__(self) -> None:
        if self.before.labels != self.after.labels or self.before.rows != self.after.rows:
            raise ValueError("a pair must answer the same clips, in one order")


def differences(
    pairs: Sequence[Pair], allowed: Allowed, *, confidence: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """All that a variant's answers differ in, over all pairs together.

    Answers are chosen among the classes that a clip's corpus has, as in every
    score; a clip that several references test counts with each. Intervals are
    paired percentile bootstraps over whole speakers
    (:func:`ser_edge_train.metrics.paired_bootstrap_interval`).

    Args:
        pairs: At least one; all with the same classes.
        allowed: The classes of each corpus.
        confidence: Coverage of the intervals.
        seed: Of the bootstrap.

    Returns:
        Plain values: ``drops`` of ``uar``, ``accuracy`` and ``macro_f1`` (``value``,
        before minus after, and ``interval``), ``classes`` and ``corpora`` (``clips``,
        ``before``, ``after``, ``drop``, ``interval``), ``agreement`` (``clips``,
        ``same``, ``share``, ``near_ties``: of those that differ, how many lie within
        two quanta; ``share_all_classes``: the same of answers among all classes),
        ``probabilities`` (``max_difference``, ``mean_difference``) and ``flips``,
        the surest first.
    """
    both = _Both.of(pairs, allowed)
    interval = _intervals(confidence, seed)
    matrices = both.matrices(np.ones(len(both.rows), dtype=np.bool_))
    present = [i for i in range(len(both.labels)) if both.mask[:, i].any()]
    return {
        "drops": {
            name: _drop(matrices, statistic, interval)
            for name, statistic in (
                ("uar", metrics.uar),
                ("accuracy", metrics.accuracy),
                ("macro_f1", metrics.macro_f1),
            )
        },
        "classes": {both.labels[i]: _of_class(matrices, i, interval) for i in present},
        "corpora": {
            corpus: _of_corpus(both, corpus, interval)
            for corpus in sorted({row.corpus for row in both.rows})
        },
        "agreement": _agreement(both),
        "probabilities": {
            "max_difference": float(np.abs(both.p - both.q).max()),
            "mean_difference": float(np.abs(both.p - both.q).mean()),
        },
        "flips": _flips(both),
    }


Matrices = tuple[Floats, Floats]
Interval = Callable[[Matrices, metrics.Statistic], list[float] | None]


@dataclass(frozen=True)
class _Both:
    """All pairs as one table: probabilities p before and q after, answers, who said what."""

    labels: tuple[str, ...]
    rows: tuple[ClipRow, ...]
    runs: tuple[str, ...]
    truth: Integers
    mask: Booleans
    p: Floats
    q: Floats
    first: Integers
    second: Integers
    near: Booleans

    @classmethod
    def of(cls, pairs: Sequence[Pair], allowed: Allowed) -> _Both:
        labels = pairs[0].before.labels
        if any(pair.before.labels != labels for pair in pairs):
            raise ValueError("the pairs' classes differ")
        rows = tuple(row for pair in pairs for row in pair.before.rows)
        mask = allowed_mask((row.corpus for row in rows), labels, allowed)
        p = np.concatenate([pair.before.probabilities for pair in pairs])
        q = np.concatenate([pair.after.probabilities for pair in pairs])
        first, second = (
            metrics.masked_argmax(metrics.masked_probabilities(values, mask), mask)
            for values in (p, q)
        )
        quanta = np.concatenate([np.full(len(pair.before), pair.quantum) for pair in pairs])
        return cls(
            labels,
            rows,
            tuple(pair.run for pair in pairs for _ in pair.before.rows),
            np.concatenate([pair.before.truth for pair in pairs]),
            mask,
            p,
            q,
            first,
            second,
            (first != second) & (_gaps(p, q, first, second) <= 2 * quanta + ROUNDING),
        )

    def matrices(self, keep: Booleans) -> Matrices:
        """Confusion matrices of the speakers of some clips, before and after."""
        members: dict[tuple[str, str], list[int]] = {}
        for index in np.flatnonzero(keep):
            members.setdefault(self.rows[index].speaker_key, []).append(int(index))
        ordered = [clips for _, clips in sorted(members.items())]

        def of(answers: Integers) -> Floats:
            counts = [
                metrics.confusion(self.truth[clips], answers[clips], len(self.labels))
                for clips in ordered
            ]
            return np.stack(counts).astype(np.float64)

        return of(self.first), of(self.second)


def _gaps(p: Floats, q: Floats, first: Integers, second: Integers) -> Floats:
    """How far apart the two answers lie, in logits over the temperature; the nearer of the two."""
    places = np.arange(len(p))

    def gap(values: Floats) -> Floats:
        logs = np.log(np.maximum(values, TINY))
        return np.asarray(np.abs(logs[places, first] - logs[places, second]))

    return np.minimum(gap(p), gap(q))


def _intervals(confidence: float, seed: int) -> Interval:
    def interval(matrices: Matrices, statistic: metrics.Statistic) -> list[float] | None:
        ends = metrics.paired_bootstrap_interval(*matrices, statistic, level=confidence, seed=seed)
        return None if ends is None else [ends.low, ends.high]

    return interval


def _drop(matrices: Matrices, statistic: metrics.Statistic, interval: Interval) -> dict[str, Any]:
    before, after = (float(statistic(matrix.sum(axis=0))) for matrix in matrices)
    return {"value": before - after, "interval": interval(matrices, statistic)}


def _of_class(matrices: Matrices, place: int, interval: Interval) -> dict[str, Any]:
    clips = int(matrices[0].sum(axis=0)[place].sum())
    if not clips:
        return {"clips": 0, "before": None, "after": None, "drop": None, "interval": None}

    def recall(counts: Any) -> Any:
        return metrics.recalls(counts)[..., place]

    before, after = (float(recall(matrix.sum(axis=0))) for matrix in matrices)
    return {
        "clips": clips,
        "before": before,
        "after": after,
        "drop": before - after,
        "interval": interval(matrices, recall),
    }


def _of_corpus(both: _Both, corpus: str, interval: Interval) -> dict[str, Any]:
    keep = np.array([row.corpus == corpus for row in both.rows])
    matrices = both.matrices(keep)
    before, after = (float(metrics.uar(matrix.sum(axis=0))) for matrix in matrices)
    return {
        "clips": int(keep.sum()),
        "speakers": len(matrices[0]),
        "before": before,
        "after": after,
        "drop": before - after,
        "interval": interval(matrices, metrics.uar),
    }


def _agreement(both: _Both) -> dict[str, Any]:
    same = both.first == both.second
    every = both.p.argmax(axis=1) == both.q.argmax(axis=1)
    return {
        "clips": len(same),
        "same": int(same.sum()),
        "share": float(same.mean()),
        "near_ties": int(both.near.sum()),
        "share_all_classes": float(every.mean()),
    }


def _flips(both: _Both) -> list[dict[str, Any]]:
    """The clips that are answered otherwise, those first of which the file is surest."""
    before = metrics.masked_probabilities(both.p, both.mask)
    after = metrics.masked_probabilities(both.q, both.mask)
    found = []
    for place in np.flatnonzero(both.first != both.second).tolist():
        row, one, other = both.rows[place], both.first[place], both.second[place]
        right = (one == both.truth[place], other == both.truth[place])
        found.append(
            {
                "run": both.runs[place],
                "corpus": row.corpus,
                "stem": row.stem,
                "speaker": row.speaker,
                "label": row.label,
                "before": both.labels[one],
                "after": both.labels[other],
                "change": "lost" if right[0] else "won" if right[1] else "wrong both times",
                "margin_before": float(before[place, one] - before[place, other]),
                "margin_after": float(after[place, other] - after[place, one]),
                "near_tie": bool(both.near[place]),
            }
        )
    return sorted(found, key=lambda flip: (-flip["margin_after"], flip["corpus"], flip["stem"]))
