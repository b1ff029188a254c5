"""The whole audit: model files and runs in, a document of plain values out."""

from __future__ import annotations

import math
import platform
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ser_edge_convert.audit.arena import arena_bytes
from ser_edge_convert.audit.differences import Pair, differences
from ser_edge_convert.audit.limits import Limits, check
from ser_edge_convert.audit.measuring import answers, time_features, time_model, write_features
from ser_edge_convert.audit.reference import Reference, check_alike
from ser_edge_convert.audit.separation import check_calibration, check_speakers
from ser_edge_convert.audit.subjects import Group, Subject, grouped, read_subjects
from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.graph import read_graph
from ser_edge_convert.inputs import Progress
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train.evaluation import score_together
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory

SCHEMA_VERSION = 1
TIMED_CLIPS = 20
SCORES = ("accuracy", "accuracy_interval", "uar", "uar_interval", "macro_f1", "ece")
BY_CLASS = ("support", "recalls", "precisions", "f1s")


def audit(
    models: Iterable[str | PathLike[str]],
    runs: Iterable[str | PathLike[str]],
    *,
    store: Path,
    limits: Limits | None = None,
    part: str = "test",
    recordings: Manifest | None = None,
    corpora: Collection[str] = (),
    timed_clips: int = TIMED_CLIPS,
    interpreter: str | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compares model files with the runs they were made from, on the same clips.

    Files of one target and variant are one variant, whose clips are those of all
    references together: of the folds of a protocol, every clip out of its fold.

    Args:
        models: Model files; of each variant one a run.
        runs: The runs, of one recipe, each with the part scored.
        store: Folder of the feature store.
        limits: The gate; None takes the limits' defaults.
        part: "test" or "validation".
        recordings: Where the recordings lie now; None takes each run's own manifest.
        corpora: Only clips of these corpora; all if it is empty.
        timed_clips: Clips to measure times on; 0 for none, and then the same inputs give
            the same document on one machine.
        interpreter: The package that runs the files; None: the first that there is.
        processes: Worker processes; None takes as many as there are cores.
        progress: Called with (stage, done, total).

    Returns:
        Plain values, as ``audit.json`` holds them; ``passed`` says whether every variant did.

    Raises:
        ConversionRefused: No model or no run was named.
        AuditRefused: The comparison would prove nothing; says why.
        SerEdgeError: A file, a recording or a run cannot be read; names it.
        OSError: The disk is full.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    gate = limits or Limits()
    references = [Reference.read(RunDirectory.open(run), part, recordings, corpora) for run in runs]
    if not references:
        raise ConversionRefused("no run to compare with; name one with --reference")
    check_alike(references)
    subjects = read_subjects(models, references)
    if not subjects:
        raise ConversionRefused("no model file to audit; name one")
    groups = grouped(subjects, references)
    separation = _separation(references, subjects)
    with tempfile.TemporaryDirectory(prefix="ser-edge-audit-") as folder:
        features = {
            reference.network: Path(folder) / f"{number}.npy"
            for number, reference in enumerate(references)
        }
        for reference in references:
            write_features(
                reference,
                store,
                features[reference.network],
                processes,
                lambda done, total: tell("features", done, total),
            )
        variants = []
        front_end_ms = time_features(references[0], timed_clips) if timed_clips else None
        for group in groups:
            pairs = [
                _pair(subject, features[subject.reference.network], interpreter, processes, tell)
                for subject in group.subjects
            ]
            found = _variant(group, pairs, references, gate)
            if front_end_ms is not None:
                first = group.subjects[0]
                path = features[first.reference.network]
                found["latency"] = {
                    "clips": min(timed_clips, len(first.reference.clips)),
                    "features_ms": front_end_ms,
                    "model_ms": time_model(first, path, timed_clips, interpreter),
                }
            variants.append(found)
    return {
        "schema_version": SCHEMA_VERSION,
        "part": part,
        "passed": all(variant["passed"] for variant in variants),
        "limits": gate.to_dict(),
        "recipe": {
            "name": references[0].inputs.recipe.name,
            "labels": list(references[0].inputs.recipe.labels),
            "protocol": references[0].inputs.recipe.protocol.name,
        },
        "corpora": sorted({row.corpus for r in references for row in r.answers}),
        "clips": len({row.key for r in references for row in r.answers}),
        "answers": sum(len(r.answers) for r in references),
        "speakers": len({row.speaker_key for r in references for row in r.answers}),
        "separation": separation,
        "references": [reference.facts() for reference in references],
        "reference": _scores([r.answers for r in references], references),
        "machine": _machine(subjects[0], interpreter),
        "variants": variants,
    }


def _separation(references: Sequence[Reference], subjects: Sequence[Subject]) -> dict[str, Any]:
    unnamed = sum(check_speakers(reference) for reference in references)
    proofs = {
        check_calibration(
            subject.model,
            subject.reference,
            calibrated=_calibrated(subject.model.metadata.variant),
        )
        for subject in subjects
    }
    return {
        "speaker_disjoint": not unnamed,
        "unnamed_clips": unnamed,
        "calibration": sorted(proofs),
    }


def _calibrated(variant: str) -> bool:
    return variant not in VARIANTS or VARIANTS[variant].calibrated


def _pair(
    subject: Subject,
    features: Path,
    interpreter: str | None,
    processes: int | None,
    tell: Progress,
) -> Pair:
    metadata = subject.model.metadata
    after = answers(
        subject,
        features,
        interpreter=interpreter,
        processes=processes,
        tell=lambda done, total: tell(f"{metadata.variant} answers", done, total),
    )
    quantum = read_graph(subject.model.flatbuffer).output_quantum / metadata.temperature
    return Pair(subject.reference.name, subject.reference.answers, after, quantum)


def _variant(
    group: Group, pairs: Sequence[Pair], references: Sequence[Reference], gate: Limits
) -> dict[str, Any]:
    allowed = references[0].allowed
    found = differences(pairs, allowed, confidence=gate.confidence)
    checks = check(found, gate)
    known = VARIANTS.get(group.variant)
    return {
        "name": group.name,
        "target": group.target,
        "variant": group.variant,
        "repaired": group.repaired,
        "meaning": known.meaning if known else "",
        "passed": all(row["passed"] for row in checks),
        "checks": checks,
        "scores": _scores([pair.after for pair in pairs], references),
        **found,
        "files": [_file(subject) for subject in group.subjects],
        "latency": None,
    }


def _scores(tables: Sequence[Any], references: Sequence[Reference]) -> dict[str, Any]:
    overall = score_together(tables, references[0].allowed)["overall"]
    return {name: overall[name] for name in (*SCORES, *BY_CLASS)}


def _file(subject: Subject) -> dict[str, Any]:
    graph = read_graph(subject.model.flatbuffer)
    provenance = subject.model.metadata.provenance
    return {
        "file": Path(subject.path).name,
        "run": subject.reference.name,
        "fold": subject.reference.inputs.recipe.protocol.fold,
        "sha256": subject.data_sha256,
        "bytes": subject.bytes,
        "graph_bytes": len(subject.model.flatbuffer),
        "operators": graph.counts,
        "arena_bytes": arena_bytes(graph),
        "calibration": _digest(provenance.get("calibration")),
        "float_layers": list(provenance.get("float_layers") or []),
    }


def _digest(calibration: Any) -> str | None:
    return str(calibration["digest"]) if isinstance(calibration, Mapping) else None


def _machine(subject: Subject, interpreter: str | None) -> dict[str, Any]:
    backend = Interpreter(subject.model.flatbuffer, backend=interpreter).backend
    return {
        "interpreter": backend,
        "threads": 1,
        "processor": platform.machine(),
        "system": platform.system(),
    }


def largest(variant: Mapping[str, Any], name: str) -> int | None:
    """The largest of a figure of a variant's files, as "bytes"; None where one is not known."""
    values = [file[name] for file in variant["files"]]
    return None if any(value is None for value in values) else int(max(values))


def worst_class(variant: Mapping[str, Any]) -> tuple[str, float] | None:
    """The class whose recall falls most, and by how much; None without a class."""
    falls = {
        label: found["drop"]
        for label, found in variant["classes"].items()
        if found["drop"] is not None and math.isfinite(found["drop"])
    }
    if not falls:
        return None
    label = max(falls, key=lambda one: falls[one])
    return label, falls[label]
