"""An audit's document as a page for people: one file, no script, no request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ser_edge_runtime.errors import MissingExtra

try:
    from jinja2 import ChoiceLoader, Environment, PackageLoader
    from markupsafe import Markup

    from ser_edge_convert.audit import plots
    from ser_edge_train.report.page import environment, policy
except ImportError:
    raise MissingExtra("the audit's page", "convert") from None

from ser_edge_convert.audit import markdown
from ser_edge_convert.audit.auditing import largest, worst_class

MOST_FLIPS = 25


def render_page(document: Mapping[str, Any]) -> str:
    """The page.

    Args:
        document: What :func:`ser_edge_convert.audit.audit` gave.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
    """
    variants, limits = document["variants"], document["limits"]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            document=document,
            variants=variants,
            worst=sorted(variants, key=lambda one: -one["drops"]["uar"]["value"])[:3],
            limits=limits,
            limits_line=markdown.limits_line(limits),
            policy=policy({}),
            level=f"{100 * limits['confidence']:g} %",
            falls=Markup(plots.falls(variants, limits)),
            pictures=[
                Markup(plots.class_falls(place, variant, limits))
                for place, variant in enumerate(variants)
            ],
            largest=largest,
            worst_class=worst_class,
            operators=[_operators(variant) for variant in variants],
            most_flips=MOST_FLIPS,
        )
    )


def _operators(variant: Mapping[str, Any]) -> str:
    """The operators of a variant's first file: ``CONV_2D 4, MEAN, ...``."""
    counts = variant["files"][0]["operators"]
    return ", ".join(name if count == 1 else f"{name} {count}" for name, count in counts.items())


@cache
def _environment() -> Environment:
    """The reports' environment, with this package's template beside theirs."""
    reports = environment()
    assert reports.loader is not None
    made = reports.overlay(
        loader=ChoiceLoader([PackageLoader("ser_edge_convert.audit", "."), reports.loader])
    )
    made.filters = {
        **reports.filters,
        "points": markdown.in_points,
        "points_interval": markdown.interval,
        "kilobytes": markdown.kilobytes,
    }
    return made
