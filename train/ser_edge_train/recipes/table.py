"""What every table of a recipe is: a frozen value that refuses what it does not know."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Range = Annotated[tuple[float, float], Field(strict=False)]
"""The lower and the upper end of what is drawn from, evenly; equal ends draw one value."""


class Table(BaseModel):
    """A table of a recipe. Immutable; threads may share it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def within(
    lowest: float, highest: float, unit: str = ""
) -> Callable[[tuple[float, float]], tuple[float, float]]:
    """A validator of a :data:`Range`: its ends are in order, and neither is out of bounds."""

    def check(ends: tuple[float, float]) -> tuple[float, float]:
        low, high = ends
        # A comparison with NaN is False, so that NaN is refused here too.
        if not lowest <= low <= high <= highest or math.isinf(high - low):
            raise ValueError(
                f"[{low:g}, {high:g}] is no range from {lowest:g} to {highest:g}{unit}, "
                "the lower end first"
            )
        return ends

    return check
