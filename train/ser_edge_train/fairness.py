"""How evenly a model hears: recalls of groups of speakers, and the gaps between them.

A gap is what one group scores more than all other speakers of the same corpus. Corpora are
kept apart: TESS has women alone and SAVEE men alone, so over all corpora a gap between the
sexes would be one between the corpora.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_train import metrics
from ser_edge_train.corpora import crema_d
from ser_edge_train.errors import TableError, quoted
from ser_edge_train.evaluation import Allowed, allowed_mask
from ser_edge_train.predictions import ClipRow, Predictions
from ser_edge_train.rows import read_rows

LEAST_SPEAKERS: Final = 3
"""Groups of fewer speakers tell of those speakers, not of a group."""

AGES: Final = ((0, 29), (30, 44), (45, 59), (60, 200))
_REPAIR: Final = "take upstream's file"

Floats = npt.NDArray[np.float64]
GroupOf = Callable[[ClipRow], str]


def sex_of(row: ClipRow) -> str:
    """A clip's group by sex."""
    return row.sex


def age_group_of(ages: Mapping[tuple[str, str], int]) -> GroupOf:
    """Groups by age, of the speakers whose age is known.

    Args:
        ages: Years by (corpus, speaker).
    """

    def group(row: ClipRow) -> str:
        years = ages.get(row.speaker_key)
        return "" if years is None else age_group(years)

    return group


def age_group(years: int) -> str:
    """The name of the group of an age."""
    low, high = next(ends for ends in AGES if ends[0] <= years <= ends[1])
    if not low:
        return f"under {high + 1}"
    return f"{low} and over" if high == AGES[-1][1] else f"{low} to {high}"


def read_ages(path: str | PathLike[str]) -> dict[tuple[str, str], int]:
    """Ages of CREMA-D's speakers, from upstream's ``VideoDemographics.csv``.

    Raises:
        TableError: It is missing or not such a table; names the line.
    """
    rows = read_rows(path, TableError, _REPAIR)
    line, header = next(rows, (1, []))
    if "ActorID" not in header or "Age" not in header:
        raise TableError(path, line, "no columns ActorID and Age", _REPAIR)
    ages = {}
    for line, values in rows:
        row = dict(zip(header, values, strict=False))
        years = row.get("Age", "").strip()
        if not (years.isascii() and years.isdigit() and int(years) <= AGES[-1][1]):
            raise TableError(path, line, f"Age {quoted(years)} is no age", _REPAIR)
        actor = row.get("ActorID", "").strip()
        if not actor:
            raise TableError(path, line, "no ActorID", _REPAIR)
        ages[crema_d.NAME, actor] = int(years)
    return ages


def find_ages(root: Path) -> Path | None:
    """``VideoDemographics.csv`` in a folder of corpora, where it lies; None where it does not."""
    return next(iter(sorted(root.glob(f"*/{crema_d.DEMOGRAPHICS}"))), None)


def groups(
    tables: Sequence[Predictions], allowed: Allowed, group_of: GroupOf, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Scores of the groups of each corpus that has at least two.

    Args:
        tables: Answers of several folds, or of one model; all with the same classes.
        allowed: The classes of each corpus.
        group_of: A clip's group; "" for none.
        seed: Of the bootstraps.

    Returns:
        For each corpus and group of at least three speakers ``corpus``, ``group``,
        ``speakers``, ``clips``, ``uar`` and ``recalls`` by class, each with ``value``,
        ``interval`` (95 %, over speakers), ``gap`` (to all other grouped speakers of the
        corpus) and ``gap_interval``. Of two groups one's gap is minus the other's.
    """
    found = []
    for corpus in sorted({row.corpus for table in tables for row in table}):
        matrices = _matrices(tables, allowed, corpus, group_of)
        large = {name: of for name, of in matrices.items() if len(of) >= LEAST_SPEAKERS}
        if len(large) < 2:
            continue
        labels = [label for label in tables[0].labels if label in allowed[corpus]]
        places = [tables[0].labels.index(label) for label in labels]
        for name, mine in large.items():
            others = np.concatenate([of for other, of in large.items() if other != name])
            found.append(
                {
                    "corpus": corpus,
                    "group": name,
                    "speakers": len(mine),
                    "clips": int(mine.sum()),
                    "uar": _measure(mine, others, metrics.uar, seed),
                    "recalls": {
                        label: _measure(mine, others, _recall(place), seed)
                        for label, place in zip(labels, places, strict=True)
                    },
                }
            )
    return found


def wide_gaps(
    scored: Sequence[Mapping[str, Any]], bound: float = 0.05
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Gaps over the bound, the widest first: those of UAR, then those of single classes.

    Of two groups only the better one's gap is told, for the other's is the same.

    Args:
        scored: What :func:`groups` gave.
        bound: In shares.

    Returns:
        ``corpus``, ``group``, ``label`` ("" for UAR), ``gap``, ``interval`` and ``sure``:
        whether the interval is on one side of zero.
    """
    sizes: dict[str, int] = {}
    for one in scored:
        sizes[one["corpus"]] = sizes.get(one["corpus"], 0) + 1
    found: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for one in scored:
        for label, measure in {"": one["uar"], **one["recalls"]}.items():
            gap, ends = measure["gap"], measure["gap_interval"]
            if gap is None or abs(gap) <= bound or (sizes[one["corpus"]] == 2 and gap < 0):
                continue
            found[bool(label)].append(
                {
                    "corpus": one["corpus"],
                    "group": one["group"],
                    "label": label,
                    "gap": gap,
                    "interval": ends,
                    "sure": ends is not None and (ends[0] > 0 or ends[1] < 0),
                }
            )
    for gaps in found:
        gaps.sort(key=lambda one: (-abs(one["gap"]), one["corpus"], one["group"], one["label"]))
    return found


def _matrices(
    tables: Sequence[Predictions], allowed: Allowed, corpus: str, group_of: GroupOf
) -> dict[str, Floats]:
    """Confusion matrices of each group's speakers, (speakers, classes, classes)."""
    by_group: dict[str, dict[tuple[str, str], Floats]] = {}
    for table in tables:
        mask = allowed_mask((row.corpus for row in table), table.labels, allowed)
        shares = metrics.masked_probabilities(table.probabilities, mask)
        answers, truth = metrics.masked_argmax(shares, mask), table.truth
        for row, true, answer in zip(table, truth, answers, strict=True):
            name = group_of(row)
            if row.corpus != corpus or not name:
                continue
            of_group = by_group.setdefault(name, {})
            empty = np.zeros((len(table.labels), len(table.labels)))
            of_group.setdefault(row.speaker_key, empty)[true, answer] += 1
    return {
        name: np.stack([of_group[key] for key in sorted(of_group)])
        for name, of_group in sorted(by_group.items(), key=lambda one: _rank(one[0]))
    }


def _rank(name: str) -> tuple[bool, str]:
    # "under 30" stands before "30 to 44".
    return not name.startswith("under"), name


def _recall(place: int) -> metrics.Statistic:
    def statistic(counts: Any) -> Any:
        return metrics.recalls(counts)[..., place]

    return statistic


def _measure(
    mine: Floats, others: Floats, statistic: metrics.Statistic, seed: int
) -> dict[str, Any]:
    value, other = float(statistic(mine.sum(axis=0))), float(statistic(others.sum(axis=0)))
    if np.isnan(value) or np.isnan(other):
        return {"value": None, "interval": None, "gap": None, "gap_interval": None}
    interval = metrics.bootstrap_interval(mine, statistic, seed=seed)
    gap = metrics.unpaired_bootstrap_interval(mine, others, statistic, seed=seed)
    return {
        "value": value,
        "interval": None if interval is None else list(interval),
        "gap": value - other,
        "gap_interval": None if gap is None else list(gap),
    }
