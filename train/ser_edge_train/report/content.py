"""What a report says: everything in ``report.json``, gathered from a run's files."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any, Final

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.front_end import FrontEndSpec
from ser_edge_train.classes import allowed_of
from ser_edge_train.coverage import coverage_of
from ser_edge_train.evaluation import score, worst_mistakes
from ser_edge_train.leaks import find_leaks, forbidden
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import PARTS, Partition
from ser_edge_train.predictions import Predictions
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.report.history import best_epoch, read_history
from ser_edge_train.run_directory import RunDirectory

SCHEMA_VERSION: Final = 1
LIBRARIES: Final = ("ser-edge", "numpy", "keras", "tensorflow", "tensorflow-cpu", "soundfile")
REPAIR: Final = "train again in another folder"


class ReportError(FileError):
    """A run that cannot be reported: a file is missing, or its files do not belong together."""


def build_report(
    run: RunDirectory,
    manifest: Manifest,
    *,
    temperature: float | None = None,
    parameters: int | None = None,
    leaks: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    clean: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Gathers the report of a run; see :func:`ser_edge_train.report.write_report`.

    Raises:
        ReportError: A file is missing, or the files do not belong together.
        SerEdgeError: One of the files cannot be read; names it.
    """
    recipe = run.read_recipe()
    partition = Partition.read(run.partition)
    predictions = Predictions.read(run.predictions)
    history = read_history(run.history)
    front_end = FrontEndSpec.from_json(_read(run.front_end).decode("utf-8", "replace"))
    last = read_report(run.report_json) if run.report_json.exists() else {}
    kept = last.get("model", {})
    temperature = kept.get("temperature") if temperature is None else temperature
    parameters = kept.get("parameters") if parameters is None else parameters
    if temperature is None or parameters is None:
        raise ReportError(
            run.report_json, "is missing, and with it the model's temperature", REPAIR
        )
    allowed = allowed_of(recipe, manifest)
    _check(run, recipe, manifest, partition, predictions)
    parts = {part: predictions.of_part(part) for part in predictions.parts}
    report = {
        "schema_version": SCHEMA_VERSION,
        "protocol": _protocol(recipe, manifest, partition, leaks),
        "recipe": {
            "name": recipe.name,
            "summary": recipe.summary,
            "corpora": list(recipe.corpora) or sorted({row.corpus for row in partition.rows}),
            "labels": list(recipe.labels),
            "merge": dict(sorted(recipe.merge.items())),
            "sex": recipe.sex,
            "allowed": {corpus: list(classes) for corpus, classes in allowed.items()},
        },
        "digests": {
            "recipe": recipe.digest,
            "manifest": manifest.digest,
            "partition": partition.digest,
            "front_end": front_end.digest,
            "normaliser": _sha256(run.normaliser),
            "model": _sha256(run.model),
            "predictions": _sha256(run.predictions),
        },
        "teacher": None if recipe.teacher is None else recipe.teacher.model_dump(mode="json"),
        "seed": recipe.seed,
        "versions": dict(sorted((versions or last.get("versions") or library_versions()).items())),
        "model": {
            "network": recipe.network.name,
            "parameters": int(parameters),
            "temperature": float(temperature),
            "features": list(front_end.output_shape),
            "epochs": len(history),
            "best_epoch": best_epoch(history, recipe.fit.monitor),
            "monitor": recipe.fit.monitor,
        },
        "scores": {part: score(table, allowed, seed=recipe.seed) for part, table in parts.items()},
        "coverage": {part: coverage_of(table) for part, table in parts.items()},
        "mistakes": {part: worst_mistakes(table, allowed) for part, table in parts.items()},
    }
    clean = clean or last.get("clean")
    return report if clean is None else {**report, "clean": dict(clean)}


def read_report(path: str | PathLike[str]) -> dict[str, Any]:
    """Reads a ``report.json``.

    Raises:
        ReportError: It is missing, not JSON, or of another schema version.
    """
    repair = "write it anew with: ser-edge evaluate RUN"
    try:
        report = json.loads(_read(Path(path)))
    except (ValueError, RecursionError):
        raise ReportError(path, "is not JSON", repair) from None
    version = report.get("schema_version") if isinstance(report, dict) else None
    if version != SCHEMA_VERSION:
        fault = f"has the schema version {version!r}, not {SCHEMA_VERSION}"
        raise ReportError(path, fault, repair)
    return dict(report)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that take part in a training and are installed."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _protocol(
    recipe: Recipe, manifest: Manifest, partition: Partition, leaks: Sequence[str]
) -> dict[str, Any]:
    """The protocol, the size of its parts, and whether speakers are apart: found, not believed."""
    speakers: dict[str, set[tuple[str, str]]] = {part: set() for part in PARTS}
    clips: Counter[str] = Counter()
    unnamed = 0
    for row in partition.rows:
        clip = manifest.by_key[row.corpus, row.stem]
        speakers[row.part].add(clip.speaker_key)
        clips[row.part] += 1
        unnamed += not clip.speaker_known
    found = find_leaks(manifest, partition)
    faults = forbidden(found, recipe.protocol.name)
    if recipe.target == "speaker":
        # To know a speaker again, other utterances of theirs must have been heard.
        faults = tuple(leak for leak in faults if leak.kind != "speaker")
    others = [leak for leak in found if leak not in faults]
    return {
        "name": recipe.protocol.name,
        "fold": recipe.protocol.fold,
        "speaker_disjoint": not unnamed and not any(leak.kind == "speaker" for leak in found),
        "unnamed_speakers": unnamed,
        "leaky": bool(faults or leaks),
        "leaks": [*(leak.text for leak in faults), *leaks, *(leak.text for leak in others)],
        "parts": {
            part: {"clips": clips[part], "speakers": len(speakers[part])}
            for part in PARTS
            if clips[part]
        },
    }


def _check(
    run: RunDirectory,
    recipe: Recipe,
    manifest: Manifest,
    partition: Partition,
    predictions: Predictions,
) -> None:
    """Makes sure that the files of a run belong together."""
    parts = {row.copy_key: row.part for row in partition.rows}
    for row in partition.rows:
        if row.key not in manifest.by_key:
            raise ReportError(run.partition, f"{row.name} is not in the run's manifest", REPAIR)
    repair = "write it anew with: ser-edge evaluate RUN"
    if predictions.labels != recipe.labels:
        raise ReportError(run.predictions, "its labels are not the recipe's", repair)
    if not len(predictions):
        raise ReportError(run.predictions, "holds no clip", repair)
    for answer in predictions:
        if parts.get(answer.copy_key) != answer.part:
            name = " ".join(answer.key)
            raise ReportError(
                run.predictions, f"{name} is not in the part {answer.part} of the run", repair
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ReportError(path, f"cannot be read ({fault.strerror})", REPAIR) from None


def _sha256(path: Path) -> str:
    return hashlib.sha256(_read(path)).hexdigest()
