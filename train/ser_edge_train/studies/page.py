"""The page of a study, of the same pieces as a report's: one file that asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from ser_edge_train.report.page import NOTHING, environment, percent, policy
from ser_edge_train.studies.pictures import picture
from ser_edge_train.studies.scoring import ALL, MEASURES

ALL_CORPORA = "all-corpora"


def render_study(values: Mapping[str, Any]) -> str:
    """The page of a study, finished or not, as HTML.

    Args:
        values: What ``study.json`` holds.
    """
    identity = values["identity"]
    drawn = picture(values)
    matrix = _matrix(values)
    return (
        _environment()
        .get_template("study.html.j2")
        .render(
            values=values,
            policy=policy({}),
            digests={
                values["subject"]["kind"]: values["subject"]["digest"],
                "recordings": identity["recordings"],
                "partition": identity["partition"],
            },
            trained=values["subject"]["kind"] == "recipe",
            picture=None if drawn is None else Markup(drawn),
            matrix=matrix,
            table=[] if matrix else _table(values),
            corpora=[] if matrix else _corpora(values),
            conditions=len(values["conditions"]),
            nothing=NOTHING,
        )
    )


def spread(row: Mapping[str, Any], measure: str, *, signed: bool = False) -> str:
    """A mean and its standard deviation in per cent: ``62.3 ± 1.2``; a single value alone."""
    mean, deviation = row[measure], row[f"{measure}_sd"]
    if mean is None:
        return NOTHING
    words = f"{100 * mean:+.1f}".replace("-", "\N{MINUS SIGN}") if signed else percent(mean)
    return words if deviation is None else f"{words} ± {percent(deviation)}"


def _table(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of all corpora, each with those of the single ones."""
    rows = []
    for row in values["table"]:
        if row["corpus"] != ALL:
            continue
        place = row["variant"], row["condition"]
        rows.append(
            {
                **{name: row[name] for name in ("variant", "condition", "runs")},
                **{name: spread(row, name) for name in MEASURES},
                "difference": spread(row, "difference", signed=True),
                "corpora": {
                    each["corpus"]: spread(each, "uar")
                    for each in values["table"]
                    if (each["variant"], each["condition"]) == place
                },
            }
        )
    return rows


def _corpora(values: Mapping[str, Any]) -> list[str]:
    return sorted({row["corpus"] for row in values["table"]} - {ALL})


def _matrix(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """A study of corpora as rows that were trained on and columns that were scored on."""
    columns = [each["name"] for each in values["conditions"] if each["corpus"]]
    if not columns or not values["table"]:
        return None
    found = {(row["variant"], row["condition"]): row for row in values["table"]}
    rows = []
    for each in values["variants"]:
        cells = [
            {
                "uar": row["uar"],
                "words": spread(row, "uar"),
                "classes": row["classes"],
                "own": each["name"] in (column, ALL_CORPORA),
            }
            if (row := found.get((each["name"], column)))
            else None
            for column in columns
        ]
        rows.append({"name": each["name"], "cells": cells})
    return {"columns": columns, "rows": rows}


@cache
def _environment() -> Environment:
    """The report's templates, and those of this package before them."""
    reports = environment()
    own = PackageLoader("ser_edge_train.studies", ".")
    assert reports.loader is not None
    return reports.overlay(loader=ChoiceLoader([own, reports.loader]))
