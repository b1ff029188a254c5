"""The figures of a model's card, gathered from its runs: an entry of ``docs/cards.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_convert.errors import AuditRefused
from ser_edge_runtime.model_file import parse_model_file, read_model_bytes
from ser_edge_train.coverage import coverage
from ser_edge_train.evaluation import score, score_together
from ser_edge_train.fairness import age_group_of, groups, read_ages, sex_of
from ser_edge_train.manifest import Manifest
from ser_edge_train.predictions import Predictions
from ser_edge_train.recipes import load_recipe, recipe_names
from ser_edge_train.report.content import read_report
from ser_edge_train.run_directory import RunDirectory, first_difference

SCHEMA_VERSION: Final = 1
MAIN_PROTOCOL: Final = "speaker-folds"
CONFUSIONS: Final = 3
"""How many mistakes of a corpus are named, the most frequent."""
MANY_SPEAKERS: Final = 10
CURVE_POINTS: Final = 50

Floats = npt.NDArray[np.float64]


def card_content(
    model: str | PathLike[str],
    runs: Sequence[RunDirectory],
    *,
    part: str = "test",
    ages: Path | None = None,
) -> dict[str, Any]:
    """All that a card says in numbers, but for conversion and robustness.

    Args:
        model: The model file.
        runs: Runs of its recipe, the one that it was made from among them; those of several
            protocols are told apart.
        part: "test", or "validation" as long as the recipe is being chosen; every run must
            have been scored on it. Nothing is scored here.
        ages: CREMA-D's ``VideoDemographics.csv``; None: the card says that ages are not known.

    Raises:
        AuditRefused: The model was made from none of the runs.
        SerEdgeError: A file cannot be read, or the runs do not belong together; says which.
    """
    data = read_model_bytes(model)
    metadata = parse_model_file(data, str(model)).metadata
    network = metadata.provenance.get("network")
    shipped = next((run for run in runs if _sha256(run.model) == network), None)
    if shipped is None:
        fault = "was made from none of the runs (its network's digest is not theirs)"
        raise AuditRefused(model, fault, "name the run that it was converted from, too")
    by_protocol: dict[str, list[RunDirectory]] = {}
    for run in runs:
        by_protocol.setdefault(run.read_recipe().protocol.name, []).append(run)
    for of in by_protocol.values():
        _check_alike(of)
    ordered = sorted(by_protocol.items(), key=_main_first)
    pooled = {name: _Pooled.of(mine, part) for name, mine in ordered}
    main = pooled[ordered[0][0]]
    report = read_report(shipped.report_json)
    allowed, tables = report["recipe"]["allowed"], main.tables
    own = [_answers(shipped, part)]
    known = None if ages is None else read_ages(ages)
    return {
        "schema_version": SCHEMA_VERSION,
        "file": Path(model).name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "network": {key: report["model"][key] for key in ("network", "parameters")},
        "sha256_of_network": network,
        "recipe": shipped.read_recipe().name,
        "part": part,
        "teacher": _teacher(report.get("teacher"), shipped.read_recipe().name),
        "data": _data(shipped),
        "protocols": [_protocol(name, of) for name, of in pooled.items()],
        "groups": {
            "sex": groups(tables, allowed, sex_of),
            "age": None if known is None else groups(tables, allowed, age_group_of(known)),
        },
        "calibration": {
            "recipe": _calibration(main.scores),
            "shipped": _calibration(report["scores"][part]),
        },
        "coverage": {
            "recipe": _coverage(tables),
            "shipped": _coverage(own),
        },
        "curves": {
            "recipe": curve(tables),
            "shipped": curve(own),
        },
        "failures": failures(main.scores),
    }


def curve(tables: Sequence[Predictions], points: int = CURVE_POINTS) -> list[list[float]]:
    """Accuracy of the surest answers, for rising shares of all answers: [share, accuracy] each.

    Answers are among all classes, as on a device; equal scores stand in the tables' order.
    """
    sure, right = _surest(tables)
    order = np.argsort(-sure, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    counts = sorted({max(1, round(len(order) * step / points)) for step in range(1, points + 1)})
    return [[round(count / len(order), 4), round(float(shares[count - 1]), 4)] for count in counts]


def failures(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The most frequent mistakes of each corpus, and how far speakers are apart.

    Args:
        scores: As :func:`~ser_edge_train.evaluation.score` gives them.

    Returns:
        ``confusions``: ``corpus``, ``label``, ``answer`` and ``share`` of the label's clips;
        ``speakers``: of corpora with many, how many, and the lowest, tenth-lowest share,
        middle and highest UAR among them.
    """
    confusions: list[dict[str, Any]] = []
    speakers = []
    for corpus, of in scores["corpora"].items():
        labels, counts = of["confusion"]["labels"], np.array(of["confusion"]["counts"], float)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        np.fill_diagonal(shares, 0)
        places = sorted(np.ndindex(*shares.shape), key=lambda at: (-shares[at], at))
        confusions += [
            {
                "corpus": corpus,
                "label": labels[place[0]],
                "answer": labels[place[1]],
                "share": round(float(shares[place]), 4),
            }
            for place in places[:CONFUSIONS]
            if shares[place] > 0
        ]
        mine = [
            one["uar"] for name, one in scores["speakers"].items() if name.split("/")[0] == corpus
        ]
        if len(mine) >= MANY_SPEAKERS:
            ends = np.quantile(mine, [0, 0.1, 0.5, 1]).round(4).tolist()
            names = ("lowest", "tenth", "middle", "highest")
            speakers.append(
                {"corpus": corpus, "speakers": len(mine), **dict(zip(names, ends, strict=True))}
            )
    return {"confusions": confusions, "speakers": speakers}


@dataclass(frozen=True)
class _Pooled:
    """The runs of one protocol: their answers, scored each alone and all together."""

    folds: list[int]
    tables: list[Predictions]
    apart: list[dict[str, Any]]
    scores: dict[str, Any]
    reports: list[dict[str, Any]]

    @classmethod
    def of(cls, runs: Sequence[RunDirectory], part: str) -> _Pooled:
        reports = [read_report(run.report_json) for run in runs]
        tables = [_answers(run, part) for run in runs]
        allowed = reports[0]["recipe"]["allowed"]
        folds = sorted({run.read_recipe().protocol.fold for run in runs})
        apart = [score(table, allowed) for table in tables]
        return cls(folds, tables, apart, score_together(tables, allowed), reports)


def _answers(run: RunDirectory, part: str) -> Predictions:
    table = Predictions.read(run.predictions).of_part(part)
    if not len(table):
        hint = f"score it: ser-edge evaluate RUN --part {part}"
        raise AuditRefused(run.path, f"its {part} part was not scored", hint)
    return table


def _check_alike(runs: Sequence[RunDirectory]) -> None:
    first = runs[0].read_recipe().common
    for run in runs[1:]:
        field = first_difference(first, run.read_recipe().common)
        if field is not None:
            fault = f"is of another recipe than {runs[0].path} ({field} differs)"
            raise AuditRefused(run.path, fault, "name runs of one recipe")


def _protocol(name: str, pooled: _Pooled) -> dict[str, Any]:
    protocols = [report["protocol"] for report in pooled.reports]
    groups_of = {**pooled.scores["corpora"], "all": pooled.scores["overall"]}
    rows = []
    for corpus, of in groups_of.items():
        alone = [
            each["overall"] if corpus == "all" else each["corpora"].get(corpus)
            for each in pooled.apart
        ]
        uars = [each["uar"] for each in alone if each is not None]
        rows.append(
            {
                "corpus": corpus,
                "classes": len(of["recalls"]),
                "speakers": of["speakers"],
                "answers": of["clips"],
                "folds": len(uars),
                "mean": float(np.mean(uars)),
                "sd": float(np.std(uars, ddof=1)) if len(uars) > 1 else None,
                "uar": of["uar"],
                "uar_interval": of["uar_interval"],
                "accuracy": of["accuracy"],
            }
        )
    return {
        "name": name,
        "folds": pooled.folds,
        "leaky": any(one["leaky"] for one in protocols),
        "speaker_disjoint": all(one["speaker_disjoint"] for one in protocols),
        "rows": rows,
    }


def _main_first(one: tuple[str, Any]) -> tuple[bool, str]:
    return one[0] != MAIN_PROTOCOL, one[0]


def _calibration(scores: Mapping[str, Any]) -> dict[str, float]:
    """Expected calibration error by corpus, and over all."""
    found = {corpus: of["ece"] for corpus, of in scores["corpora"].items()}
    return {**found, "all": scores["overall"]["ece"]}


def _coverage(tables: Sequence[Predictions]) -> list[dict[str, Any]]:
    return [row._asdict() for row in coverage(*_surest(tables))]


def _surest(tables: Sequence[Predictions]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    sure = np.concatenate([table.probabilities.max(axis=1) for table in tables])
    right = [table.probabilities.argmax(axis=1) == table.truth for table in tables]
    return sure, np.concatenate(right)


def _data(run: RunDirectory) -> list[dict[str, Any]]:
    """Speakers and recordings of each corpus that the run used, in any part."""
    report, manifest = read_report(run.report_json), Manifest.read(run.manifest)
    return [
        {
            "corpus": corpus,
            "speakers": len({clip.speaker for clip in manifest.clips if clip.corpus == corpus}),
            "clips": sum(clip.corpus == corpus for clip in manifest.clips),
            "faulty": sum(clip.corpus == corpus and bool(clip.fault) for clip in manifest.clips),
        }
        for corpus in sorted(report["recipe"]["corpora"])
    ]


def _teacher(found: Mapping[str, Any] | None, recipe: str) -> dict[str, Any] | None:
    """The teacher's files by their names, not by the places where they lay.

    A note that the recipe got after it was trained holds for its model too.
    """
    if found is None:
        return None
    known = load_recipe(recipe).teacher if recipe in recipe_names() else None
    note = {} if known is None or known.note is None else {"note": known.note}
    named = {**note, **found, "scores": Path(found["scores"]).name}
    if found.get("hint") is not None:
        embeddings = Path(found["hint"]["embeddings"]).name
        named["hint"] = {**found["hint"], "embeddings": embeddings}
    return named


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
