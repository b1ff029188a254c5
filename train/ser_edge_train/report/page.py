"""From the numbers of a report to its page: texts are made here, the template only places them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from ser_edge_runtime.errors import MissingExtra

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from ser_edge_train.report import plots
except ImportError:
    raise MissingExtra("the report", "train") from None

Group = Mapping[str, Any]

NOTHING: Final = "–"
MONITORS: Final = {"val_uar": "UAR", "val_loss": "loss"}
PART_NAMES: Final = {"train": "training", "validation": "validation", "test": "test"}


def render(report: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> str:
    """The page; see :func:`ser_edge_train.report.render_page`."""
    part = next(name for name in ("test", "validation", "train") if name in report["scores"])
    scores = report["scores"][part]
    best = report["model"]["best_epoch"]
    curves = [
        plots.curve(history, "uar", best, percent=True),
        plots.curve(history, "loss", best, percent=False),
    ]
    by_corpus: dict[str, dict[str, float]] = {}
    for name, group in scores["speakers"].items():
        corpus = name.partition("/")[0]
        by_corpus.setdefault(corpus, {})[name] = group["uar"]
    page = _environment().get_template("page.html.j2")
    return page.render(
        report=report,
        protocol=_protocol(report),
        leaky=bool(report["protocol"]["leaks"]),
        part=part,
        part_name=PART_NAMES[part],
        scores=scores,
        overall=scores["overall"],
        confusions=_confusions(scores),
        curves=[Markup(picture) for picture in curves if picture is not None],
        reliability=Markup(plots.reliability(scores["overall"]["reliability"])),
        speakers=Markup(plots.speakers(by_corpus)),
        part_names=PART_NAMES,
        monitor=MONITORS.get(report["model"]["monitor"], report["model"]["monitor"]),
    )


def percent(value: float | None) -> str:
    """A share in per cent with one decimal, without the sign: ``64.2``."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def interval(ends: Sequence[float] | None) -> str:
    """Both ends of an interval in per cent: ``60.1 – 68.0``."""
    return NOTHING if ends is None else f"{percent(ends[0])} – {percent(ends[1])}"


def number(value: float) -> str:
    """A whole number with thin spaces at the thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(value: int, noun: str) -> str:
    """A number and its noun: ``1 clip``, ``2 clips``."""
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"


def span(ends: Sequence[float] | None) -> str:
    """The CSS of an interval's bar: where it starts and how long it is, in per cent."""
    if ends is None:
        return "left:0;width:0"
    return f"left:{100 * ends[0]:.2f}%;width:{100 * (ends[1] - ends[0]):.2f}%"


def _protocol(report: Mapping[str, Any]) -> str:
    protocol = report["protocol"]
    return f"{protocol['name']}, fold {protocol['fold']}, seed {report['seed']}"


def _confusions(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The confusion matrices to show: over all, and each corpus's where there are several."""
    shown = [{"name": "All corpora", "group": scores["overall"]}]
    corpora = [{"name": name, "group": group} for name, group in scores["corpora"].items()]
    groups = [*shown, *corpora] if len(corpora) > 1 else corpora
    return [{"name": one["name"], **_confusion(one["group"])} for one in groups]


def _confusion(group: Group) -> dict[str, Any]:
    labels, counts = group["confusion"]["labels"], group["confusion"]["counts"]
    rows = []
    for label, row in zip(labels, counts, strict=True):
        total = sum(row)
        cells = [
            {
                "count": count,
                "share": None if not total else count / total,
                "right": answer == label,
            }
            for answer, count in zip(labels, row, strict=True)
        ]
        rows.append({"label": label, "total": total, "cells": cells})
    return {"labels": labels, "rows": rows}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ser_edge_train.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        percent=percent, interval=interval, number=number, counted=counted, span=span
    )
    return environment
