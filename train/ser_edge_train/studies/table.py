"""From the runs of a study to its table: means and standard deviations over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ser_edge_train.rows import format_rows
from ser_edge_train.studies.folder import SCHEMA_VERSION, Result, StudyFolder
from ser_edge_train.studies.planning import StudyPlan
from ser_edge_train.studies.scoring import MEASURES

COUNTS: Final = ("clips", "speakers", "classes")
COLUMNS: Final = (
    "variant", "condition", "corpus", "runs", *COUNTS, "uar", "uar_sd", "difference",
    "difference_sd", "accuracy", "accuracy_sd", "macro_f1", "macro_f1_sd",
)  # fmt: skip
"""Of study.csv. Shares, not per cent; empty where a value is not defined."""

Place = tuple[str, str, str]
"""Variant, condition, corpus."""


def study_values(folder: StudyFolder) -> dict[str, Any]:
    """What ``study.json`` holds: the study, its runs so far, and its table."""
    plan, subject = folder.plan, folder.plan.subject
    results = folder.results()
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": folder.identity(),
        "study": {
            "name": plan.study.name,
            "question": plan.study.question,
            "method": plan.study.method,
            "axis": None if plan.study.axis is None else plan.study.axis.name,
            "baseline": plan.study.baseline,
        },
        "part": "validation",
        "subject": {
            "name": subject.name,
            "kind": "recipe" if subject.model is None else "model",
            "digest": subject.digest,
            "protocol": _protocol(plan),
            "clips": len(subject.clips),
            "speakers": len({clip.speaker_key for clip in subject.clips}),
        },
        "runs_planned": len(planned(plan, results)),
        "runs_finished": len(results),
        "variants": _variants(plan, results),
        "conditions": [condition.to_json() for condition in plan.conditions],
        "left_out": [{"variant": name, "reason": reason} for name, reason in plan.left_out],
        "table": table_rows(plan, results),
        "runs": [_run(folder, result) for result in results],
    }


def planned(plan: StudyPlan, results: Iterable[Result]) -> set[str]:
    """Names of the runs that were asked for, now or by the calls that made the results."""
    return {job.name for job in plan.jobs} | {result.job.name for result in results}


def table_rows(plan: StudyPlan, results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each variant, condition and corpus, in the order of the study.

    A difference is that of the UAR to the baseline's of the same seed, so that what
    makes a seed good or bad for both cancels out.
    """
    found: dict[Place, dict[int | None, Mapping[str, Any]]] = {}
    for result in results:
        for condition in plan.conditions:
            for corpus, figures in result.values["scores"].get(condition.name, {}).items():
                place = (result.job.variant.name, condition.name, corpus)
                found.setdefault(place, {})[result.job.seed] = figures
    return [
        {**dict(zip(("variant", "condition", "corpus"), place, strict=True)), **_row(figures),
         **_difference(figures, found.get(_baseline(plan, place)))}
        for place, figures in found.items()
    ]  # fmt: skip


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of ``study.csv``: the same rows give the same bytes."""
    return format_rows(COLUMNS, ([_cell(row[name]) for name in COLUMNS] for row in rows))


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The mean and, of two values or more, their sample standard deviation."""
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _row(figures: Mapping[int | None, Mapping[str, Any]]) -> dict[str, Any]:
    runs = list(figures.values())
    row: dict[str, Any] = {"runs": len(runs), **{name: runs[0][name] for name in COUNTS}}
    for name in MEASURES:
        known = [run[name] for run in runs if run[name] is not None]
        row[name], row[f"{name}_sd"] = mean_and_sd(known)
    return row


def _baseline(plan: StudyPlan, place: Place) -> Place:
    """Where the figures stand that those of ``place`` are compared with."""
    variant, condition, corpus = place
    baseline = plan.study.baseline
    if any(each.name == baseline for each in plan.conditions):
        return variant, baseline, corpus
    return baseline, condition, corpus


def _difference(
    figures: Mapping[int | None, Mapping[str, Any]],
    others: Mapping[int | None, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    if others is None or others is figures:
        return {"difference": None, "difference_sd": None}
    pairs = [(run["uar"], others[seed]["uar"]) for seed, run in figures.items() if seed in others]
    known = [one - other for one, other in pairs if None not in (one, other)]
    mean, deviation = mean_and_sd(known)
    return {"difference": mean, "difference_sd": deviation}


def _protocol(plan: StudyPlan) -> str:
    recipe = plan.subject.recipe
    if recipe is None:
        return "as the model's partition says"
    return f"{recipe.protocol.name}, fold {recipe.protocol.fold}"


def _variants(plan: StudyPlan, results: Sequence[Result]) -> list[dict[str, Any]]:
    names = {job.variant.name for job in plan.jobs} | {each.job.variant.name for each in results}
    variants = {job.variant.name: job.variant for job in plan.all_jobs}
    return [
        {"name": name, "summary": each.summary, "value": each.value, "changes": dict(each.changes)}
        for name, each in variants.items()
        if name in names
    ]


def _run(folder: StudyFolder, result: Result) -> dict[str, Any]:
    values = {key: value for key, value in result.values.items() if key != "of"}
    return {
        "variant": result.job.variant.name,
        "seed": result.job.seed,
        "run": result.job.place.relative_to(folder.path).as_posix(),
        **values,
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)
