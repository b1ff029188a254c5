"""Several runs of one recipe as one result: the folds of a protocol, and its seeds."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from ser_edge_runtime.errors import FileError, SerEdgeError
from ser_edge_train.evaluation import WORST, score, score_together, worst_mistakes
from ser_edge_train.predictions import Predictions
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.report.content import read_report
from ser_edge_train.run_directory import RunDirectory, first_difference

SCHEMA_VERSION: Final = 1
PARTS: Final = ("test", "validation")
MEASURES: Final = ("uar", "accuracy", "macro_f1", "ece")

Repetition = tuple[int, int | None]


class PoolError(FileError):
    """A run that cannot be pooled, or does not belong to the others."""


class NoRuns(SerEdgeError):
    """Nothing to pool was named."""

    exit_code = 2


@dataclass(frozen=True)
class _Run:
    directory: RunDirectory
    recipe: Recipe
    report: Mapping[str, Any]
    predictions: Predictions
    scores: Mapping[str, Any]

    @property
    def fold(self) -> int:
        return self.recipe.protocol.fold

    @property
    def repetition(self) -> Repetition:
        """What tells apart runs that test the same clips again."""
        return self.recipe.seed, getattr(self.recipe.protocol, "seed", None)


def _place(run: _Run) -> tuple[int, int, int]:
    """By seeds and fold; a partition's seed that is the recipe's own stands first."""
    seed, of_partition = run.repetition
    return seed, -1 if of_partition is None else of_partition, run.fold


def pool(runs: Iterable[str | PathLike[str]], part: str = "test") -> dict[str, Any]:
    """Pools the predictions of several runs of one recipe.

    The folds of a seed test other clips each, so together they are one test of them
    all. A further seed answers the same clips again: a speaker is then resampled with
    the answers of every seed.

    Args:
        runs: Run directories with a report, of one recipe but for fold and seeds.
        part: "test" or "validation"; every run's predictions must hold it. Only test
            parts are certain to have no clip in common.

    Returns:
        Plain values, as ``pooled.json`` holds them. ``scores`` are those of all
        predictions together, as :func:`~ser_edge_train.evaluation.score` gives them.
        ``spread`` has mean and standard deviation (of a sample: n - 1; None for one)
        over ``folds``, each the mean of its seeds, and over ``seeds``, each pooled
        over its folds: overall and by corpus. ``runs`` is a row a run.

    Raises:
        NoRuns: ``runs`` is empty.
        PoolError: A run does not belong to the others, or lacks the part; says which.
        SerEdgeError: A run cannot be read; names the file.
    """
    found = sorted((_read(run, part) for run in runs), key=_place)
    if not found:
        raise NoRuns("no run to pool; name the folders that ser-edge train wrote")
    _check_recipes(found)
    _check_folds(found)
    if part == "test":
        _check_clips(found)
    first = found[0]
    allowed = first.report["recipe"]["allowed"]
    tables = [run.predictions for run in found]
    answered = {row.copy_key for table in tables for row in table}
    return {
        "schema_version": SCHEMA_VERSION,
        "part": part,
        "protocol": _protocol(found),
        "recipe": dict(first.report["recipe"]),
        "digests": {
            "recipe": _recipe_digest(first.recipe),
            "manifest": first.report["digests"]["manifest"],
            "front_end": first.report["digests"]["front_end"],
        },
        "model": {key: first.report["model"][key] for key in ("network", "parameters", "features")},
        "clips": len(answered),
        "answers": sum(map(len, tables)),
        "runs": [_row(run) for run in found],
        "spread": _spread(found, allowed),
        "scores": score_together(tables, allowed),
        "mistakes": _mistakes(tables, allowed),
    }


def _read(path: str | PathLike[str], part: str) -> _Run:
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {part!r}")
    directory = RunDirectory.open(path)
    recipe = directory.read_recipe()
    report = read_report(directory.report_json)
    predictions = Predictions.read(directory.predictions)
    digest = hashlib.sha256(directory.predictions.read_bytes()).hexdigest()
    if report["digests"]["predictions"] != digest:
        raise PoolError(
            path, "its report is not of its predictions", "write it anew: ser-edge evaluate RUN"
        )
    if part not in predictions.parts:
        hint = f"score it with: ser-edge evaluate RUN --part {part}"
        raise PoolError(path, f"its predictions hold no {part} part", hint)
    chosen = predictions.of_part(part)
    scores = score(chosen, report["recipe"]["allowed"], seed=recipe.seed)
    return _Run(directory, recipe, report, chosen, scores)


def _check_recipes(runs: Sequence[_Run]) -> None:
    """All runs are of one recipe, fold and seeds apart, and of the same recordings."""
    hint = "pool runs of one recipe that differ in fold and seed alone"
    first = runs[0]
    for run in runs[1:]:
        field = first_difference(first.recipe.common, run.recipe.common)
        if field is not None:
            fault = f"is of another recipe than {first.directory.path} ({field} differs)"
            raise PoolError(run.directory.path, fault, hint)
        if run.report["digests"]["manifest"] != first.report["digests"]["manifest"]:
            fault = f"was made from other recordings than {first.directory.path}"
            raise PoolError(run.directory.path, fault, "train both on one manifest")
        if run.report["recipe"]["allowed"] != first.report["recipe"]["allowed"]:
            fault = f"tells other classes apart than {first.directory.path}"
            raise PoolError(run.directory.path, fault, hint)


def _check_folds(runs: Sequence[_Run]) -> None:
    """No fold stands twice, and every seed has the same folds."""
    seen: dict[tuple[Repetition, int], _Run] = {}
    folds: dict[Repetition, set[int]] = {}
    for run in runs:
        place = run.repetition, run.fold
        if place in seen:
            fault = f"is fold {run.fold} of seed {run.recipe.seed}, as {seen[place].directory.path}"
            raise PoolError(run.directory.path, fault, "name each fold of a seed once")
        seen[place] = run
        folds.setdefault(run.repetition, set()).add(run.fold)
    every = set().union(*folds.values())
    for run in runs:
        missing = every - folds[run.repetition]
        if missing:
            raise PoolError(
                run.directory.path,
                f"its seed {run.recipe.seed} lacks fold {min(missing)}, which another seed has",
                "train that fold too, or pool fewer",
            )


def _check_clips(runs: Sequence[_Run]) -> None:
    """Within a seed no clip is tested twice."""
    seen: dict[tuple[Any, ...], _Run] = {}
    for run in runs:
        for row in run.predictions:
            place = (run.repetition, row.copy_key)
            if place in seen:
                fault = (
                    f"tests {row.corpus} {row.stem}, as {seen[place].directory.path} does, "
                    f"with the same seed {run.recipe.seed}"
                )
                raise PoolError(run.directory.path, fault, "pool folds of one partition")
            seen[place] = run


def _recipe_digest(recipe: Recipe) -> str:
    text = json.dumps(recipe.common, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _protocol(runs: Sequence[_Run]) -> dict[str, Any]:
    """The runs' protocol; it leaks if that of any run does."""
    tables = [run.report["protocol"] for run in runs]
    leaks = dict.fromkeys(leak for table in tables for leak in table["leaks"])
    return {
        "name": runs[0].recipe.protocol.name,
        "folds": sorted({run.fold for run in runs}),
        "seeds": list(dict.fromkeys(run.recipe.seed for run in runs)),
        "speaker_disjoint": all(table["speaker_disjoint"] for table in tables),
        "unnamed_speakers": max(table.get("unnamed_speakers", 0) for table in tables),
        "leaky": any(table.get("leaky", table["leaks"]) for table in tables),
        "leaks": list(leaks),
    }


def _row(run: _Run) -> dict[str, Any]:
    overall = run.scores["overall"]
    return {
        "run": run.directory.path.resolve().name,
        "fold": run.fold,
        "seed": run.recipe.seed,
        "clips": overall["clips"],
        "speakers": overall["speakers"],
        **{name: overall[name] for name in ("uar", "uar_interval", "accuracy", "macro_f1", "ece")},
        "corpora": {name: group["uar"] for name, group in run.scores["corpora"].items()},
        "epochs": run.report["model"]["epochs"],
        "best_epoch": run.report["model"]["best_epoch"],
        "digests": {
            name: run.report["digests"][name] for name in ("partition", "model", "predictions")
        },
    }


def _spread(runs: Sequence[_Run], allowed: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    of_fold = _grouped(runs, lambda run: run.fold)
    of_seed = _grouped(runs, lambda run: run.repetition)
    folds = [_by_group([run.scores for run in members], _average) for members in of_fold]
    seeds = [
        members[0].scores
        if len(members) == 1
        else score_together([run.predictions for run in members], allowed)
        for members in of_seed
    ]
    return {"folds": _by_group(folds, _moments), "seeds": _by_group(seeds, _moments)}


def _grouped(runs: Sequence[_Run], key: Callable[[_Run], Any]) -> list[list[_Run]]:
    groups: dict[Any, list[_Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return list(groups.values())


def _by_group(
    scored: Sequence[Mapping[str, Any]], combine: Callable[[Sequence[float | None]], Any]
) -> dict[str, Any]:
    """What ``combine`` makes of each measure of several scores, overall and by corpus."""
    return {
        "overall": {name: combine([s["overall"][name] for s in scored]) for name in MEASURES},
        "corpora": {
            corpus: {
                name: combine(
                    [s["corpora"][corpus][name] for s in scored if corpus in s["corpora"]]
                )
                for name in MEASURES
            }
            for corpus in sorted({corpus for scores in scored for corpus in scores["corpora"]})
        },
    }


def _average(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def _moments(values: Sequence[float | None]) -> dict[str, Any]:
    there = [value for value in values if value is not None]
    deviation = float(np.std(there, ddof=1)) if len(there) > 1 else None
    return {"mean": _average(there), "sd": deviation, "count": len(there)}


def _mistakes(
    tables: Sequence[Predictions], allowed: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The surest wrong answers of all runs; a clip that several runs got wrong stands once."""
    found = [one for table in tables for one in worst_mistakes(table, allowed)]
    found.sort(key=lambda one: -one["confidence"])
    surest: dict[tuple[str, str, int], dict[str, Any]] = {}
    for one in found:
        surest.setdefault((one["corpus"], one["stem"], one.get("copy", 0)), one)
    return list(surest.values())[:WORST]


def pooled_files(folder: str | PathLike[str]) -> tuple[Path, Path]:
    """The files of a pooled report in ``folder``: its JSON and its page."""
    return Path(folder) / "pooled.json", Path(folder) / "pooled.html"
