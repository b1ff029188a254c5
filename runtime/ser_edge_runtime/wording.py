"""Words that agree with their numbers, and values in them that are not too long."""

from __future__ import annotations

LONGEST_SHOWN = 100
"""Characters of a value that an error shows."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: ``1 clip``, ``2 clips``; ``plural`` where it takes more than an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def in_points(share: float, digits: int = 2) -> str:
    """A share in points; one too small to be seen is ``0.00`` on either side, never ``-0.00``."""
    text = f"{100 * share:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def shown(value: object) -> str:
    """A value as an error shows it: no novel, and no number that Python does not print."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
