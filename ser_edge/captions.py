"""Subtitles: the windows of a recording as an SRT file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge_runtime.files import write_text_atomically

if TYPE_CHECKING:
    from ser_edge_runtime import Result


class Captions:
    """Makes subtitles of results, in their order.

    Windows that overlap are shown until the next begins; those that follow each
    other with the same label become one caption, with the mean of their scores.

    Args:
        write: Takes each caption's text when it is complete.
        path: The file that gets all of them at the end, if there is no ``write``.
    """

    def __init__(
        self, write: Callable[[str], object] | None = None, *, path: str | None = None
    ) -> None:
        self._texts: list[str] = []
        self._write = write or self._texts.append
        self._path = path
        self._number = 0
        self._label = ""
        self._scores: list[float] = []
        self._start = self._end = 0.0

    def push(self, result: Result) -> None:
        """Takes the next window."""
        if self._scores and result.label == self._label and result.start <= self._end:
            self._end = result.end
            self._scores.append(result.score)
            return
        self._finish(result.start)
        self._label, self._scores = result.label, [result.score]
        self._start, self._end = result.start, result.end

    def close(self) -> None:
        """Ends the last caption and writes the file.

        Raises:
            OSError: It cannot be written.
        """
        self._finish(self._end)
        if self._path is not None:
            write_text_atomically(Path(self._path), "".join(self._texts))

    def _finish(self, most: float) -> None:
        if not self._scores:
            return
        self._number += 1
        score = sum(self._scores) / len(self._scores)
        times = f"{_clock(self._start)} --> {_clock(min(self._end, most))}"
        self._write(f"{self._number}\n{times}\n{self._label} {100 * score:.0f} %\n\n")
        self._scores = []


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(1000 * seconds), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02},{thousandths:03}"
