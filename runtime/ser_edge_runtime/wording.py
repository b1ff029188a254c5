"""Words that agree with their numbers."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: ``1 clip``, ``2 clips``; ``plural`` where it takes more than an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
