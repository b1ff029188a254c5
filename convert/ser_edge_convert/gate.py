"""What a converted file may lose on validation clips."""

from __future__ import annotations

from dataclasses import dataclass

_SLACK = 1e-9


@dataclass(frozen=True)
class Gate:
    """The two bounds of a conversion.

    Attributes:
        max_drop: Largest loss of accuracy or UAR, as a share.
        min_agreement: Smallest share of clips that keep their class; a near tie that falls
            the other way is lost.
    """

    max_drop: float
    min_agreement: float = 0.0

    def passed(self, drop: float, agreement: float) -> bool:
        """Whether a file that lost so much, and keeps so many classes, is within both."""
        return drop <= self.max_drop + _SLACK and agreement >= self.min_agreement - _SLACK
