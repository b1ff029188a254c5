"""From the numbers of a report to its page: texts are made here, the template only places them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from ser_edge_runtime.errors import MissingExtra
from ser_edge_train.manifest import Key

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


def render(
    report: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    players: Mapping[Key, str] | None = None,
) -> str:
    """The page; see :func:`ser_edge_train.report.render_page`."""
    part = shown_part(report["scores"])
    scores = report["scores"][part]
    heard = dict(players or {})
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            policy=policy(heard),
            protocol=_protocol(report["protocol"], report["seed"]),
            leaky=is_leaky(report["protocol"]),
            clean=_clean(report, part),
            part=part,
            part_names=PART_NAMES,
            curves=_curves(history, report["model"]["best_epoch"]),
            monitor=MONITORS.get(report["model"]["monitor"], report["model"]["monitor"]),
            coverage=report.get("coverage", {}).get(part),
            mistakes=report.get("mistakes", {}).get(part),
            players=heard,
            **part_values(scores, part),
        )
    )


def part_values(scores: Mapping[str, Any], part: str) -> dict[str, Any]:
    """What the pages of a run and of pooled runs both show of a part's scores."""
    by_corpus: dict[str, dict[str, float]] = {}
    for name, group in scores["speakers"].items():
        corpus = name.partition("/")[0]
        by_corpus.setdefault(corpus, {})[name] = group["uar"]
    return {
        "part_name": PART_NAMES[part],
        "scores": scores,
        "overall": scores["overall"],
        "confusions": _confusions(scores),
        "reliability": Markup(plots.reliability(scores["overall"]["reliability"])),
        "speakers": Markup(plots.speakers(by_corpus)),
    }


def shown_part(scores: Mapping[str, Any]) -> str:
    """The part that a page shows: the test part if it was scored."""
    return next(name for name in ("test", "validation", "train") if name in scores)


def is_leaky(protocol: Mapping[str, Any]) -> bool:
    """Whether scores do not hold for unseen speakers; early reports tell it by their leaks."""
    return bool(protocol.get("leaky", protocol["leaks"]))


def policy(players: Mapping[Any, str]) -> str:
    """The page's Content-Security-Policy: nothing is loaded, but recordings from its own disk."""
    rules = ["default-src 'none'", "style-src 'unsafe-inline'", "img-src data:"]
    if players:
        rules.append("media-src 'self' file:")
    return "; ".join(rules)


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


def _protocol(protocol: Mapping[str, Any], seed: int | None = None) -> str:
    words = [protocol["name"]]
    if protocol.get("fold") is not None:
        words.append(f"fold {protocol['fold']}")
    if seed is not None:
        words.append(f"seed {seed}")
    return ", ".join(words)


def _clean(report: Mapping[str, Any], part: str) -> dict[str, Any] | None:
    """The figure without the leak, where the report has one, of the same part if it can be."""
    clean = report.get("clean")
    if not clean or not clean.get("scores"):
        return None
    known = part if part in clean["scores"] else shown_part(clean["scores"])
    overall = clean["scores"][known]["overall"]
    return {
        "words": _protocol(clean["protocol"]),
        "part_name": PART_NAMES[known],
        "uar": overall["uar"],
        "interval": overall["uar_interval"],
        "speakers": overall["speakers"],
    }


def _curves(history: Sequence[Mapping[str, float]], best: int) -> list[tuple[str, Markup]]:
    """The pictures of a fit with their captions; a rate that never changed has none."""
    drawn = [
        ("UAR, %", plots.curve(history, "uar", best, percent=True)),
        ("Loss", plots.curve(history, "loss", best, percent=False)),
        ("Learning rate", plots.learning_rate(history, best)),
    ]
    return [(caption, Markup(picture)) for caption, picture in drawn if picture is not None]


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
def environment() -> Environment:
    """Reads the templates beside this module; everything that they place is escaped."""
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
