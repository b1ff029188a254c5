"""How long a study will still take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Guesses the time left from what runs have taken so far. Not for several threads.

    Runs that were begun by an earlier call tell nothing: part of them was done before.

    Args:
        runs: How many there are to do.
        now: Seconds, monotonic.
    """

    def __init__(self, runs: int, now: Callable[[], float] = time.monotonic) -> None:
        self._left = runs
        self._now = now
        self._took: list[float] = []
        self._begun = now()
        self._rest_of_fit: float | None = None
        self._told = now()

    def begin(self) -> None:
        """A run begins."""
        self._begun = self._told = self._now()
        self._rest_of_fit = None

    def epoch(self, remaining_seconds: float) -> None:
        """An epoch of the run has ended, which would take so long still."""
        self._rest_of_fit = remaining_seconds
        self._told = self._now()

    def end(self, *, whole: bool) -> None:
        """The run has ended; ``whole`` if none of it was done before."""
        if whole:
            self._took.append(self._now() - self._begun)
        self._left -= 1
        self._rest_of_fit = None

    def seconds_left(self) -> float | None:
        """Seconds that the runs to come will take, and the rest of this one; None: no idea yet."""
        spent = self._now() - self._begun
        if self._took:
            usual = sum(self._took) / len(self._took)
        elif self._rest_of_fit is not None:
            usual = self._told - self._begun + self._rest_of_fit
        else:
            return None
        if self._rest_of_fit is None:
            return usual * self._left
        return max(0.0, usual - spent) + usual * (self._left - 1)
