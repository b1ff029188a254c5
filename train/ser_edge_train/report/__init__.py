"""The report of a training: ``report.json`` for programs, ``report.html`` for people.

Both are made from the run directory's files alone, and the same files give the
same bytes. The page needs nothing else: no script, no font, no request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.manifest import Manifest
from ser_edge_train.report.content import SCHEMA_VERSION, ReportError, build_report, read_report
from ser_edge_train.report.history import read_history
from ser_edge_train.report.players import find_players
from ser_edge_train.run_directory import RunDirectory

__all__ = ["SCHEMA_VERSION", "ReportError", "read_report", "render_page", "write_report"]


def write_report(
    run: RunDirectory | str | PathLike[str],
    *,
    temperature: float | None = None,
    parameters: int | None = None,
    leaks: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    clean: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes ``report.json`` and ``report.html`` of a run from its other files.

    Args:
        run: The run directory: recipe, manifest, partition, front end, normaliser,
            history and predictions must be there.
        temperature: What the logits were divided by; None keeps the last report's.
        parameters: Trainable and other weights of the network; None keeps the last report's.
        leaks: What is known to make the scores too good, a line each; what the
            partition itself shows is found without.
        versions: Of the libraries that trained; None keeps the last report's, or
            takes those installed here.
        clean: Where the protocol leaks, what the recipe scores without the leak: the
            tables ``protocol`` and ``scores`` of that training's report. None keeps
            the last report's.

    Returns:
        What ``report.json`` holds.

    Raises:
        ReportError: A file is missing, or the files do not belong together.
        SerEdgeError: One of the files cannot be read; names it.
    """
    if not isinstance(run, RunDirectory):
        run = RunDirectory.open(run)
    manifest = Manifest.read(run.manifest)
    report = build_report(
        run,
        manifest,
        temperature=temperature,
        parameters=parameters,
        leaks=leaks,
        versions=versions,
        clean=clean,
    )
    shown = [(one["corpus"], one["stem"]) for part in report["mistakes"].values() for one in part]
    page = render_page(report, read_history(run.history), find_players(manifest, shown, run.path))
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomically(run.report_json, text + "\n")
    write_text_atomically(run.report_html, page)
    return report


def render_page(
    report: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    players: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """The page of a report as HTML.

    Args:
        report: What ``report.json`` holds.
        history: Rows of ``history.csv``, an epoch each.
        players: Address of the recording of a clip, by (corpus, stem), as
            :func:`ser_edge_train.report.players.find_players` finds them.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
    """
    from ser_edge_train.report.page import render

    return render(report, history, players)
