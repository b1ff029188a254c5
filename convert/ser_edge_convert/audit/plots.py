"""The pictures of an audit's page, in the style of the reports'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ser_edge_train.report.plots import MUTED, RULE, SECOND, STYLE, as_svg

# A fall beyond this is drawn at the edge with an arrow: others could not be told apart.
WIDEST = 12.0


def falls(variants: Sequence[Mapping[str, Any]], limits: Mapping[str, Any]) -> str:
    """What UAR falls by, a row a variant, with its interval and both limits.

    Args:
        variants: Of a document.
        limits: The document's gate.
    """
    rows = [(variant["name"], variant["drops"]["uar"]) for variant in variants]
    drawn = [(name, found["value"], found["interval"], SECOND) for name, found in rows]
    marks = (100 * limits["max_drop"], 100 * limits["max_drop_upper"])
    title = "Fall of UAR of every variant with its interval; dashed lines are the limits"
    return _rows("falls", drawn, "fall of UAR, points", marks, title)


def class_falls(place: int, variant: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    """What the recall of each class falls by in one variant, with its interval and the limit.

    Args:
        place: The variant's, to tell its picture from the others'.
        variant: Of a document.
        limits: The document's gate.
    """
    rows = [
        (
            f"{label} ({found['clips']})",
            found["drop"],
            found["interval"],
            SECOND if found["clips"] >= limits["class_clips"] else MUTED,
        )
        for label, found in variant["classes"].items()
        if found["drop"] is not None
    ]
    title = f"{variant['name']}: fall of the recall of each class with its interval"
    marks = (100 * limits["max_class_drop"],)
    return _rows(f"classes-{place}", rows, "fall of recall, points", marks, title)


def _rows(
    name: str,
    rows: Sequence[tuple[str, float, Sequence[float] | None, str]],
    label: str,
    marks: Sequence[float],
    title: str,
) -> str:
    """Points with intervals, a row each, the first on top."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(7.2, 0.8 + 0.32 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=RULE, linewidth=1.2)
        for mark in marks:
            axes.axvline(mark, color=MUTED, linewidth=0.8, dashes=(3, 3))
        ends = [0.0, *marks]
        for place, (_, value, interval, colour) in enumerate(rows):
            height = len(rows) - 1 - place
            if interval is not None:
                low, high = (_within(100 * end) for end in interval)
                axes.hlines(height, low, high, color=colour, linewidth=3.5, alpha=0.45)
                ends += [low, high]
            point = _within(100 * value)
            shape = "o" if abs(100 * value) <= WIDEST else ">" if value > 0 else "<"
            axes.plot([point], [height], marker=shape, color=colour, markersize=5)
            ends.append(point)
        room = 0.06 * (max(ends) - min(ends)) + 0.05
        axes.set(xlim=(min(ends) - room, max(ends) + room), ylim=(-0.6, len(rows) - 0.4))
        axes.set(xlabel=label)
        axes.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        axes.xaxis.set_major_locator(MaxNLocator(7))
        axes.grid(axis="y", visible=False)
        return as_svg(figure, name, title)


def _within(value: float) -> float:
    return max(-WIDEST, min(WIDEST, value))
