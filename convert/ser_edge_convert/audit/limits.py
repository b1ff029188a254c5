"""What a variant may lose, and which of its losses are too large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ser_edge_convert.errors import ConversionRefused
from ser_edge_runtime.wording import in_points

SLACK = 1e-9


@dataclass(frozen=True)
class Limits:
    """The gate. Shares, not points: 0.005 is half a point.

    Attributes:
        max_drop: Largest fall of UAR.
        max_drop_upper: Largest upper end of its interval.
        max_class_drop: Largest fall of a class's recall.
        min_agreement: Smallest share of clips that get the same answer.
        confidence: Coverage of the intervals, which have two sides.
        class_clips: A class of fewer clips is judged by its interval alone: it fails
            where even the interval's lower end is beyond ``max_class_drop``.
    """

    max_drop: float = 0.005
    max_drop_upper: float = 0.01
    max_class_drop: float = 0.03
    min_agreement: float = 0.98
    confidence: float = 0.95
    class_clips: int = 200

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name not in ("class_clips", "confidence") and not 0 <= value <= 1:
                raise ConversionRefused(f"{name} {value} is no share; choose 0 to 1")
        if not 0.5 <= self.confidence < 1:
            raise ConversionRefused(f"confidence {self.confidence} is not from 0.5 to below 1")
        if self.class_clips < 1:
            raise ConversionRefused(f"class_clips {self.class_clips} is under 1")

    def to_dict(self) -> dict[str, Any]:
        """For a document."""
        return asdict(self)


def check(variant: Mapping[str, Any], limits: Limits) -> list[dict[str, Any]]:
    """Holds a variant's losses against the limits.

    Args:
        variant: ``drops``, ``classes`` and ``agreement``, as
            :func:`ser_edge_convert.audit.differences.differences` gives them.
        limits: The gate.

    Returns:
        A row for each limit, and for each class: ``name``, ``found`` (None where
        nothing could be found), ``limit``, ``passed`` and ``text``, a phrase for people.
    """
    drop = variant["drops"]["uar"]
    rows = [
        _row("uar-drop", drop["value"], limits.max_drop, _falls("UAR", drop["value"])),
        _upper(drop["interval"], limits),
    ]
    for label, found in variant["classes"].items():
        if found["clips"]:
            rows.append(_class(label, found, limits))
    share = variant["agreement"]["share"]
    rows.append(
        {
            "name": "agreement",
            "found": share,
            "limit": limits.min_agreement,
            "passed": share >= limits.min_agreement - SLACK,
            "text": f"{100 * share:.2f} % of the answers are the same, "
            f"{100 * limits.min_agreement:g} % asked",
        }
    )
    return rows


def _upper(interval: list[float] | None, limits: Limits) -> dict[str, Any]:
    level = f"{100 * limits.confidence:g} %"
    if interval is None:
        return {
            "name": "uar-drop-upper",
            "found": None,
            "limit": limits.max_drop_upper,
            "passed": False,
            "text": f"no {level} interval: one speaker only, so nothing bounds the fall of UAR",
        }
    text = f"upper {level} bound of the fall of UAR: {points(interval[1])}"
    return _row("uar-drop-upper", interval[1], limits.max_drop_upper, text)


def _class(label: str, found: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    name, limit = f"class-drop: {label}", limits.max_class_drop
    if found["clips"] >= limits.class_clips:
        return _row(name, found["drop"], limit, _falls(f"recall of {label}", found["drop"]))
    few = f"recall of {label}, {found['clips']} clips"
    if found["interval"] is None:
        text = f"{few}: too few to judge by, and no interval"
        return {"name": name, "found": None, "limit": limit, "passed": True, "text": text}
    low = found["interval"][0]
    return _row(name, low, limit, f"{few}: the interval of its fall begins at {points(low)}")


def _falls(what: str, drop: float) -> str:
    return f"{what} rises by {points(-drop)}" if drop < 0 else f"{what} falls by {points(drop)}"


def _row(name: str, found: float, limit: float, text: str) -> dict[str, Any]:
    passed = found <= limit + SLACK
    allowed = f"{text}, {points(limit)} allowed"
    return {"name": name, "found": found, "limit": limit, "passed": passed, "text": allowed}


def points(share: float) -> str:
    """A share in points: ``0.42 points``."""
    return f"{in_points(share)} points"
