"""Words that agree with their numbers."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: ``1 clip``, ``2 clips``; ``plural`` where it takes more than an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def in_points(share: float, digits: int = 2) -> str:
    """A share in points; one too small to be seen is ``0.00`` on either side, never ``-0.00``."""
    text = f"{100 * share:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text
