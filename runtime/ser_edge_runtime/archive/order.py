"""In which order answers come out: as they come, or in the order of the recordings."""

from __future__ import annotations

from collections.abc import Iterator

from ser_edge_runtime.archive.answers import Answer

AHEAD = 256
"""Answers that may be held back for the one whose turn it is."""


class AsTheyCome:
    """Lets every answer pass."""

    room = True

    def put(self, number: int, answer: Answer) -> Iterator[Answer]:
        """The answers that are due, now that recording ``number`` has its own."""
        yield answer


class InOrder(AsTheyCome):
    """Holds answers back until all earlier ones are out; bounded, for whoever asks for room.

    Attributes:
        room: Whether more work may be begun: false while as many as :data:`AHEAD` wait.
    """

    def __init__(self) -> None:
        self._held: dict[int, Answer] = {}
        self._next = 0

    @property
    def room(self) -> bool:  # type: ignore[override] # a constant there, a question here
        """Whether more work may be begun."""
        return len(self._held) < AHEAD

    def put(self, number: int, answer: Answer) -> Iterator[Answer]:
        """The answers that are due, now that recording ``number`` has its own."""
        self._held[number] = answer
        while self._next in self._held:
            yield self._held.pop(self._next)
            self._next += 1
