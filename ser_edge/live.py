"""The live line of ``ser-edge listen``: time, answer, and a bar for each label."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHORTEST_NAME = 3
_LONGEST_BAR = 12


def bar(share: float, width: int, *, fine: bool) -> str:
    """A bar of ``share`` of ``width`` characters, in eighths of a character if ``fine``."""
    if not fine:
        return ("#" * round(share * width)).ljust(width)
    whole, eighths = divmod(round(share * width * 8), 8)
    return ("█" * whole + (_EIGHTHS[eighths] if eighths else "")).ljust(width)


def live_line(
    seconds: float, label: str, scores: Mapping[str, float], columns: int, *, fine: bool
) -> str:
    """One line of at most ``columns`` characters.

    Args:
        seconds: How much was heard.
        label: The answer, or words that stand for it.
        scores: The probability of each label; all zero draws no bar.
        columns: Of the terminal.
        fine: Whether it can draw eighths of blocks.
    """
    longest = max(map(len, scores))
    percent = f" {100 * scores[label]:3.0f} %" if label in scores else " " * 6
    line = f"{seconds:8.1f} s  {label.ljust(longest)}{percent}"
    for width, cut in _layouts(longest):
        names = [name[:cut] for name in scores]
        # A separator, the name, a blank and the bar for each.
        free = columns - len(line) - sum(len(name) + 2 + width for name in names)
        if free >= 0:
            width = min(width + free // len(names), _LONGEST_BAR)
            for name, score in zip(names, scores.values(), strict=True):
                line += f" {name} {bar(score, width, fine=fine)}"
            break
    return line[:columns]


def _layouts(longest: int) -> Iterator[tuple[int, int]]:
    """Characters of a bar and of a name, the best first."""
    for width in (2, 1):
        for cut in range(longest, _SHORTEST_NAME - 1, -1):
            yield width, cut


class LiveLine:
    """Draws the line again and again in one place of a terminal.

    Args:
        stream: The terminal; None takes standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._drawn = ""
        try:
            _EIGHTHS.encode(self._stream.encoding or "ascii")
            self._fine = True
        except UnicodeEncodeError:
            self._fine = False

    def draw(self, seconds: float, label: str, scores: Mapping[str, float]) -> None:
        """Replaces the line."""
        # The last column stays free: some terminals begin a new line after it.
        columns = shutil.get_terminal_size().columns - 1
        line = live_line(seconds, label, scores, columns, fine=self._fine)
        self._stream.write("\r" + line.ljust(min(len(self._drawn), columns)))
        self._stream.flush()
        self._drawn = line

    def leave(self) -> None:
        """Leaves the line as it stands and goes on below it."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
            self._drawn = ""
