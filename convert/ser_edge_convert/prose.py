"""Generated Markdown that also reads well as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 100
# A number and its per cent stay on one line.
_PERCENT: Final = "\N{NO-BREAK SPACE}%"


def wrapped(lines: Iterable[str], whole: tuple[str, ...] = ()) -> str:
    """Lines of Markdown as a page; paragraphs and points of lists are cut at 100 columns.

    Args:
        lines: A paragraph, point, heading, or row of a table or of code each.
        whole: Beginnings of lines that are not cut.
    """
    return "\n".join(cut for line in lines for cut in _cut(line, whole)).rstrip("\n") + "\n"


def _cut(line: str, whole: tuple[str, ...]) -> list[str]:
    if line.startswith(("|", "#", " ", "!", "<", *whole)) or len(line) <= WIDTH or "\n" in line:
        return [line]
    cut = textwrap.wrap(
        line.replace(" %", _PERCENT),
        WIDTH,
        subsequent_indent="  " if line.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [one.replace(_PERCENT, " %") for one in cut]
