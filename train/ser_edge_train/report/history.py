"""Reading ``history.csv``: what every epoch of a fit measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Final

from ser_edge_train.errors import RowError, quoted
from ser_edge_train.rows import read_rows

REPAIR: Final = "train again, or go on with ser-edge train --resume"
RISING: Final = ("val_uar", "uar")


class HistoryError(RowError):
    """A history that is not what a fit writes."""


def read_history(path: str | PathLike[str]) -> list[dict[str, float]]:
    """The rows of a history, strictly: ``epoch`` counted from 1, then measures.

    Raises:
        HistoryError: The file is missing, empty or out of order; names the line.
    """
    lines = read_rows(path, HistoryError, REPAIR)
    line, header = next(lines, (1, []))
    if header[:1] != ["epoch"] or len(set(header)) != len(header) or len(header) < 2:
        raise HistoryError(path, line, "the first line is not epoch,loss,...", REPAIR)
    rows: list[dict[str, float]] = []
    for line, cells in lines:
        if len(cells) != len(header):
            fault = f"{len(cells)} fields instead of {len(header)}"
            raise HistoryError(path, line, fault, REPAIR)
        values = [_number(cell) for cell in cells]
        for cell, value in zip(cells, values, strict=True):
            if not math.isfinite(value):
                raise HistoryError(path, line, f"{quoted(cell)} is no number", REPAIR)
        if values[0] != len(rows) + 1:
            fault = f"epoch {quoted(cells[0])} where {len(rows) + 1} is due"
            raise HistoryError(path, line, fault, REPAIR)
        rows.append(dict(zip(header, values, strict=True)))
    if not rows:
        raise HistoryError(path, None, "no epoch has ended", REPAIR)
    return rows


def best_epoch(history: Sequence[Mapping[str, float]], monitor: str) -> int:
    """The epoch, from 1, whose weights a fit keeps: the first best by ``monitor``, else the last.

    Args:
        history: At least one row.
        monitor: Name of a column: "val_uar" (highest) or a loss (lowest).
    """
    if monitor not in history[0]:
        return len(history)
    sign = 1.0 if monitor in RISING else -1.0
    scores = [sign * row[monitor] for row in history]
    return scores.index(max(scores)) + 1


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
