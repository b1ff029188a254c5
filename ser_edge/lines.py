"""How a result of ``ser-edge classify`` is written: a line of text, an object, a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ser_edge_runtime.classifier import UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_edge_runtime import Result

COLUMNS = ("path", "start", "end", "label", "score", "seconds", "error")
"""CSV's columns before those of the classes."""
_WIDEST_PATH = 60


class Lines:
    """Writes results; columns of text stand below each other.

    Args:
        labels: The model's classes.
        longest_path: Characters of the longest path that will be written.
        top: So many classes; None shows two as text and all as values.
        min_score: Below it the answer is "uncertain"; None answers always.
        windowed: Results are of windows, so their times are shown.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        longest_path: int,
        *,
        top: int | None = None,
        min_score: float | None = None,
        windowed: bool = False,
    ) -> None:
        self._path_width = min(longest_path, _WIDEST_PATH)
        self._label_width = max(len(label) for label in labels)
        self._top = top
        self._min_score = min_score
        self._windowed = windowed

    def values(self, path: str, result: Result, *, flat: bool = False) -> dict[str, Any]:
        """The result as plain values; ``flat`` gives each class a value of its own, for CSV."""
        result = self._answer(result)
        best = self._best(result, len(result.scores) if self._top is None else self._top)
        scores = {label: score for label, score in result.scores.items() if label in best}
        values: dict[str, Any] = {"path": path}
        if self._windowed:
            values |= {"start": result.start, "end": result.end}
        values |= {"label": result.label, "score": result.score}
        values |= scores if flat else {"scores": scores}
        return values | {"seconds": result.seconds}

    def text(self, path: str, result: Result) -> str:
        """The result as a line for people."""
        best = self._best(result, 2 if self._top is None else self._top)
        columns = [path.ljust(self._path_width)]
        if self._windowed:
            columns.append(f"{result.start:7.2f} - {result.end:7.2f} s")
        if self._min_score is not None:
            answer = self._answer(result).label
            columns.append((answer if answer == UNCERTAIN else "").ljust(len(UNCERTAIN)))
        columns += [
            f"{label.ljust(self._label_width)} {100 * result.scores[label]:5.1f} %"
            for label in best
        ]
        return "  ".join(columns)

    def fault(self, path: str, fault: str) -> Mapping[str, str]:
        """The values that stand for a result that could not be had."""
        return {"path": path, "error": fault}

    def _answer(self, result: Result) -> Result:
        return result if self._min_score is None else result.or_uncertain(self._min_score)

    @staticmethod
    def _best(result: Result, count: int) -> list[str]:
        # sorted() is stable: equal scores keep the order of the labels.
        return sorted(result.scores, key=lambda label: -result.scores[label])[:count]
