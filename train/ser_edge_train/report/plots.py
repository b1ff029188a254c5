"""The report's pictures, as SVG that stands inside the page and takes its colours and its type.

Colours leave matplotlib as marks that become CSS variables, so that one picture
serves light and dark; text stays text. Identifiers are made from the content.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Colours that nothing else has, and the variable of the page that each stands for.
INK, MUTED, RULE, FIRST, SECOND = "#010203", "#020304", "#030405", "#040506", "#050607"
VARIABLES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
}
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": MUTED,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelsize": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


def curve(
    history: Sequence[Mapping[str, float]], measure: str, best: int, *, percent: bool
) -> str | None:
    """Training and validation curve of one measure over the epochs.

    Args:
        history: Rows of ``history.csv``.
        measure: "loss" or "uar"; its validation is ``val_`` and the name.
        best: The epoch that was kept, from 1; marked.
        percent: Whether values are shares, shown in per cent.

    Returns:
        SVG, or None if the history has no such measure.
    """
    lines = [
        (name, label, colour)
        for name, label, colour in (
            (measure, "training", SECOND),
            (f"val_{measure}", "validation", FIRST),
        )
        if name in history[0]
    ]
    if not lines:
        return None
    factor = 100.0 if percent else 1.0
    epochs = [row["epoch"] for row in history]
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"curve-{measure}"}):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        axes = figure.add_subplot()
        kept = history[best - 1]
        axes.axvline(best, color=MUTED, linewidth=0.8, dashes=(2, 2))
        ends = _apart([factor * history[-1][name] for name, _, _ in lines], history, lines, factor)
        for (name, label, colour), end in zip(lines, ends, strict=True):
            values = [factor * row[name] for row in history]
            axes.plot(epochs, values, color=colour, marker="o" if len(epochs) == 1 else "")
            axes.annotate(
                label, (epochs[-1], end), xytext=(6, 0), textcoords="offset points",
                color=colour, va="center", annotation_clip=False,
            )  # fmt: skip
        chosen = lines[-1]
        axes.plot([best], [factor * kept[chosen[0]]], "o", color=chosen[2], markersize=5, zorder=4)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.01)
        name = {"loss": "Loss", "uar": "UAR, %"}.get(measure, measure)
        title = f"{name} by epoch, training and validation; epoch {best} was kept"
        return as_svg(figure, f"curve-{measure}", title)


def learning_rate(history: Sequence[Mapping[str, float]], best: int) -> str | None:
    """The learning rate over the epochs.

    Args:
        history: Rows of ``history.csv``.
        best: The epoch that was kept, from 1; marked.

    Returns:
        SVG, or None if the rate is not known or never changed.
    """
    rates = [row["learning_rate"] for row in history if "learning_rate" in row]
    if len(rates) < len(history) or len(set(rates)) < 2:
        return None
    with mpl.rc_context({**STYLE, "svg.hashsalt": "learning-rate"}):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(best, color=MUTED, linewidth=0.8, dashes=(2, 2))
        # The rate at which an epoch began; schedules that change it in between are a line too.
        axes.plot([row["epoch"] for row in history], rates, color=SECOND)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        return as_svg(figure, "learning-rate", "Learning rate by epoch")


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """Reliability diagram: accuracy over confidence, and below it where the clips lie.

    Args:
        bins: ``reliability`` of a report's overall scores.
    """
    width = 1.0 / len(bins)
    there = [one for one in bins if one["clips"]]
    total = sum(one["clips"] for one in bins)
    with mpl.rc_context({**STYLE, "svg.hashsalt": "reliability"}):
        figure = Figure(figsize=(4.2, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, dashes=(3, 3))
        upper.text(0.98, 0.03, "dashed: right as often as sure", ha="right", fontsize=8)
        sure = [one["confidence"] for one in there]
        right = [one["accuracy"] for one in there]
        upper.vlines(sure, sure, right, color=FIRST, linewidth=1, alpha=0.55)
        upper.plot(sure, right, color=FIRST, marker="o", markersize=4.5, linewidth=1.2)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        places = [(index + 0.5) * width for index in range(len(bins))]
        shares = [100.0 * one["clips"] / total for one in bins]
        lower.bar(places, shares, width=0.86 * width, color=FIRST, alpha=0.55)
        lower.set(xlabel="confidence of the answer", ylabel="% of clips")
        lower.yaxis.set_major_locator(MaxNLocator(2))
        ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
        for axis in (upper.xaxis, lower.xaxis, upper.yaxis):
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        title = "Reliability diagram: accuracy of the answers over their confidence"
        return as_svg(figure, "reliability", title)


def speakers(groups: Mapping[str, Mapping[str, float]]) -> str:
    """UAR of every speaker, a row of marks a corpus, the corpus's median marked.

    Args:
        groups: UAR (0 to 1) by speaker, by corpus.
    """
    names = sorted(groups, reverse=True)
    with mpl.rc_context({**STYLE, "svg.hashsalt": "speakers"}):
        figure = Figure(figsize=(7.2, 0.75 + 0.42 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for height, name in enumerate(names):
            values = sorted(100.0 * value for value in groups[name].values())
            middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
            axes.vlines(values, height - 0.26, height + 0.26, color=FIRST, linewidth=1.6, alpha=0.5)
            axes.plot([middle], [height], marker="D", color=INK, markersize=4.5)
        axes.set(xlim=(0, 100), ylim=(-0.6, len(names) - 0.4), xlabel="UAR of a speaker, %")
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="y", visible=False)
        return as_svg(figure, "speakers", "UAR of every speaker by corpus; diamonds are medians")


def _apart(
    ends: list[float],
    history: Sequence[Mapping[str, float]],
    lines: Sequence[tuple[str, str, str]],
    factor: float,
) -> list[float]:
    """Heights of the labels at the lines' ends, moved apart where they would overlap."""
    if len(ends) < 2:
        return ends
    values = [factor * row[name] for row in history for name, _, _ in lines]
    least = 0.08 * (max(values) - min(values))
    gap = abs(ends[0] - ends[1])
    if gap >= least:
        return ends
    push = (least - gap) / 2
    up = 0 if ends[0] >= ends[1] else 1
    return [end + (push if place == up else -push) for place, end in enumerate(ends)]


def as_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an ``svg`` element for a page, without anything that names a time or a site.

    Args:
        figure: Drawn in the marks of :data:`VARIABLES`, which become the page's colours.
        name: Begins all its identifiers; another for each picture of a page.
        title: What it shows, for those who do not see it.
    """
    FigureCanvasSVG(figure)
    stream = io.StringIO()
    figure.savefig(stream, format="svg")
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    # Identifiers of several pictures share the page.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    # The page's own type face; sizes stay.
    text = re.sub(r"\s*font-family: [^;\"]+;?", "", text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    for mark, variable in VARIABLES.items():
        text = text.replace(mark, variable)
    head = f'role="img" aria-labelledby="{name}-title"'
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" {head}>', text, count=1
    )
    start = text.index(">") + 1
    described = f'<title id="{name}-title">{escape(title)}</title>'
    return re.sub(r"\n\s*", "\n", text[:start] + described + text[start:]).strip()
