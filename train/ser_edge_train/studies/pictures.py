"""The pictures of a study, in the style and the colours of a report's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ser_edge_train.report.plots import FIRST, INK, MUTED, SECOND, STYLE, as_svg

LINE_COLOURS: Final = (FIRST, SECOND, INK, MUTED)
LEAST_SPAN = 4.0
"""Points of UAR that an axis spans at least: thousandths of one would look like a difference."""


def lines(
    series: Mapping[str, Sequence[tuple[str, float | None, Sequence[float]]]], axis: str
) -> str:
    """UAR over an ordered quantity: a line a series, a dot a run, bars of one sd.

    Args:
        series: By name, in the order of the axis: the name of a place, its value, and
            the UAR (0 to 1) of each run there. Places without a value stand beside the
            others, which are then set at equal steps.
        axis: What the quantity is.
    """
    every = next(iter(series.values()))
    even = any(value is None for _, value, _ in every)
    with mpl.rc_context({**STYLE, "svg.hashsalt": "study-lines"}):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for (name, points), colour in zip(series.items(), LINE_COLOURS * len(series), strict=False):
            shown = [
                (float(place) if even or value is None else value, [100 * each for each in runs])
                for place, (_, value, runs) in enumerate(points)
                if runs
            ]
            places = [place for place, _ in shown]
            means = [sum(runs) / len(runs) for _, runs in shown]
            for place, runs in shown:
                axes.plot([place] * len(runs), runs, "o", color=colour, markersize=3, alpha=0.45)
            axes.errorbar(
                places, means, yerr=[_deviation(runs) for _, runs in shown], color=colour,
                marker="D", markersize=4.5, elinewidth=1, capsize=3, label=name,
            )  # fmt: skip
        ticks = [
            float(place) if even or value is None else value
            for place, (_, value, _) in enumerate(every)
        ]
        axes.set_xticks(ticks, [name for name, _, _ in every])
        axes.set(xlabel=axis, ylabel="UAR, %")
        axes.yaxis.set_major_locator(MaxNLocator(6))
        if len(series) > 1:
            axes.legend(frameon=False, labelcolor="linecolor")
        return as_svg(figure, "study-lines", f"UAR by {axis}; diamonds are means over seeds")


def rows(values: Mapping[str, Sequence[float]], baseline: str) -> str:
    """UAR of variants without an order: a row each, a dot a run, a diamond the mean.

    Args:
        values: UAR (0 to 1) of each run, by variant, from the top.
        baseline: The variant whose mean is drawn through all rows.
    """
    names = list(values)
    with mpl.rc_context({**STYLE, "svg.hashsalt": "study-rows"}):
        figure = Figure(figsize=(7.2, 0.8 + 0.3 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        if values.get(baseline):
            mean = 100 * sum(values[baseline]) / len(values[baseline])
            axes.axvline(mean, color=MUTED, linewidth=0.8, dashes=(2, 2))
        for height, name in enumerate(reversed(names)):
            runs = [100 * value for value in values[name]]
            if not runs:
                continue
            middle = sum(runs) / len(runs)
            axes.errorbar([middle], [height], xerr=[_deviation(runs)], color=FIRST, elinewidth=1,
                          capsize=3)  # fmt: skip
            axes.plot(runs, [height] * len(runs), "o", color=FIRST, markersize=3.5, alpha=0.45)
            axes.plot([middle], [height], marker="D", color=INK, markersize=4.5)
        axes.set(ylim=(-0.6, len(names) - 0.4), xlabel="UAR, %")
        axes.set_yticks(range(len(names)), list(reversed(names)))
        axes.xaxis.set_major_locator(MaxNLocator(8))
        axes.set_xlim(widened(*axes.get_xlim()))
        axes.grid(axis="y", visible=False)
        return as_svg(figure, "study-rows", "UAR of each variant; diamonds are means over seeds")


def widened(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis of points, apart by :data:`LEAST_SPAN` at least, the middle kept."""
    missing = max(LEAST_SPAN - (high - low), 0) / 2
    return low - missing, high + missing


def _deviation(runs: Sequence[float]) -> float:
    """Sample standard deviation; 0, which draws no bar, of a single run."""
    if len(runs) < 2:
        return 0.0
    mean = sum(runs) / len(runs)
    return float((sum((run - mean) ** 2 for run in runs) / (len(runs) - 1)) ** 0.5)


def picture(values: Mapping[str, Any]) -> str | None:
    """The picture of a study's values; None while no run is finished, or for a matrix.

    Args:
        values: What ``study.json`` holds.
    """
    variants = [each["name"] for each in values["variants"]]
    conditions = values["conditions"]
    runs = _by_place(values["runs"])
    if not runs or any(each["corpus"] for each in conditions):
        return None
    axis = values["study"]["axis"]
    if axis is None:
        only = conditions[0]["name"]
        return rows({name: runs.get((name, only), []) for name in variants if (name, only) in runs},
                    values["study"]["baseline"])  # fmt: skip
    if len(conditions) > 1:
        there = [name for name in variants if any(place[0] == name for place in runs)]
        return lines(
            {
                name: [(each["name"], each["value"], runs.get((name, each["name"]), []))
                       for each in conditions]
                for name in there
            },
            axis,
        )  # fmt: skip
    only = conditions[0]["name"]
    points = [(each["name"], each["value"], runs.get((each["name"], only), []))
              for each in values["variants"]]  # fmt: skip
    return lines({"UAR": points}, axis)


def _by_place(runs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """UAR over all clips of each run, by variant and condition."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for condition, groups in run["scores"].items():
            value = groups.get("all", {}).get("uar")
            if value is not None:
                found.setdefault((run["variant"], condition), []).append(value)
    return found
