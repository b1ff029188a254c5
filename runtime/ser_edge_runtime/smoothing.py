"""Steadier answers from a stream: probabilities averaged over time, labels with hysteresis."""

from __future__ import annotations

import math
from dataclasses import replace

from ser_edge_runtime.classifier import Result
from ser_edge_runtime.errors import WindowError


class Smoothing:
    """Follows the results of one stream and says what holds longer than a window.

    Probabilities become an exponential average over time, from window end to
    window end. The label changes only if another class leads it by ``margin``
    for ``hold`` seconds: one odd window changes nothing. After ``forget``
    seconds without speech everything begins anew with the next result.

    One object a stream, one thread at a time; it keeps two sets of scores,
    whatever the length of the stream.

    Args:
        half_life: Seconds after which a result weighs half; 0 takes the newest alone.
        margin: How much more probable a class must be to take the label, 0 to 1.
        hold: For how many seconds it must be; 0 takes it at once.
        forget: Seconds from the end of one result to that of the next after which
            the two have nothing to do with each other.

    Raises:
        WindowError: A value is out of its range.
    """

    def __init__(
        self,
        half_life: float = 2.0,
        margin: float = 0.1,
        hold: float = 0.0,
        forget: float = 10.0,
    ) -> None:
        for name, value, high in (
            ("half_life", half_life, 3600.0),
            ("margin", margin, 1.0),
            ("hold", hold, 3600.0),
            ("forget", forget, math.inf),
        ):
            if not 0 <= value <= high:
                raise WindowError(f"smoothing: {name} must be 0 to {high:g}, not {value}")
        self._half_life = half_life
        self._margin = margin
        self._hold = hold
        self._forget = forget
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next result is a stream's first."""
        self._scores: dict[str, float] = {}
        self._label = ""
        self._end = -math.inf
        self._rival = ""
        self._rival_since = math.inf

    def push(self, result: Result) -> Result:
        """Takes the stream's next result.

        Args:
            result: It ends no earlier than the one before.

        Returns:
            The same window with the averaged scores and the label that holds, which
            need not be the most probable one; ``score`` is that label's.

        Raises:
            ValueError: The result is older than the one before.
        """
        if result.end < self._end:
            raise ValueError(f"a result of {result.end} s after one of {self._end} s")
        passed = result.end - self._end
        if not self._label or passed > self._forget:
            self.reset()
            self._scores, self._label = dict(result.scores), result.label
        else:
            old = 0.5 ** (passed / self._half_life) if self._half_life else 0.0
            self._scores = {
                label: old * self._scores[label] + (1 - old) * score
                for label, score in result.scores.items()
            }
        self._end = result.end
        self._settle()
        return replace(
            result,
            label=self._label,
            score=self._scores[self._label],
            scores=dict(self._scores),
        )

    def _settle(self) -> None:
        best = max(self._scores, key=self._scores.__getitem__)
        lead = self._scores[best] - self._scores[self._label]
        if best == self._label or lead < self._margin:
            self._rival, self._rival_since = "", math.inf
            return
        if best != self._rival:
            self._rival, self._rival_since = best, self._end
        if self._end - self._rival_since >= self._hold:
            self._label, self._rival, self._rival_since = best, "", math.inf
