"""Accuracy against coverage as a small SVG of its own: for light and for dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

WIDTH, HEIGHT = 520, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 14, 40
INK: Final = "#808080"
COLOURS: Final = {"recipe": "#2f7ed8", "shipped": "#d8742f"}
NAMES: Final = {"recipe": "the recipe, all folds", "shipped": "the weights that ship"}

Curve = Sequence[Sequence[float]]


def coverage_svg(curves: Mapping[str, Curve]) -> str:
    """The picture's text.

    Args:
        curves: "recipe" and "shipped": points of [share of all answers, accuracy of these].
    """
    lowest = min(point[1] for curve in curves.values() for point in curve)
    floor = int(10 * lowest) / 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="sans-serif" font-size="11" fill="{INK}">',
        "<title>Accuracy of the surest answers against their share of all answers</title>",
    ]
    for step in range(round(10 * floor), 11):
        y = _y(step / 10, floor)
        parts.append(
            f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="{INK}" '
            'stroke-opacity="0.25"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{10 * step} %</text>'
        )
    parts += [
        f'<text x="{_x(share)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
        f"{100 * share:.0f} %</text>"
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:g}" y="{HEIGHT - 6}" text-anchor="middle">share of all answers, the '
        "surest first</text>"
    )
    for number, (name, curve) in enumerate(curves.items()):
        dots = " ".join(f"{_x(share)},{_y(right, floor)}" for share, right in curve)
        parts.append(
            f'<polyline fill="none" stroke="{COLOURS[name]}" stroke-width="2" points="{dots}"/>'
            f'<text x="{WIDTH - RIGHT - 6}" y="{TOP + 12 + 15 * number}" text-anchor="end" '
            f'fill="{COLOURS[name]}">{NAMES[name]}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(share: float) -> str:
    return f"{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}"


def _y(value: float, floor: float) -> float:
    height = HEIGHT - TOP - BOTTOM
    return round(TOP + (1 - value) / (1 - floor) * height, 1) if floor < 1 else TOP
