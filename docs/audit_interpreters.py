"""A recipe's files in three interpreters: what they answer, and the table of that."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge_convert.audit.measuring import write_features
from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.graph import read_graph
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory

CACHE = "interpreters.json"


def interpreters(
    files: Mapping[RunDirectory, Sequence[Path]],
    python: str | None,
    work: Path,
    store: Path,
    data: Manifest | None,
) -> list[dict[str, Any]]:
    """Each file's answers to its run's test clips in three interpreters, a row a file and one.

    Without ``python`` those of the files that a call before asked.
    """
    from tests.system.three_interpreters import (
        REFERENCE,
        answers_of,
        compare,
        forgets,
        last_error,
        widest_in_quanta,
    )

    cache = work / CACHE
    known = json.loads(cache.read_text("utf-8")) if cache.is_file() else {}
    if not python:
        return _answered(files, known)
    pythons = {REFERENCE: sys.executable, "tensorflow": sys.executable, "tflite-runtime": python}
    for run, models in files.items():
        missing = [model for model in models if sha256(model) not in known]
        if not missing:
            continue
        reference = Reference.read(run, recordings=data)
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "features.npy"
            write_features(reference, store, raw, None, lambda done, total: None)
            features = reference.inputs.normaliser(np.load(raw))
            for path in missing:
                print(f"{path}: three interpreters", flush=True)
                model = read_model_file(path)
                answers, refused = {}, {}
                for name, one in pythons.items():
                    try:
                        answers |= answers_of(model.flatbuffer, features, {name: one})
                    except SystemExit as fault:
                        refused[name] = last_error(str(fault))
                found = compare(model.flatbuffer, answers)
                quanta = widest_in_quanta(answers)
                known[sha256(path)] = {
                    "recipe": reference.inputs.recipe.name,
                    "fold": reference.inputs.recipe.protocol.fold,
                    "clips": len(features),
                    "stateful": read_graph(model.flatbuffer).keeps_state,
                    "forgets": all(forgets(rows) for rows in answers.values()),
                    "others": {
                        name: one.to_dict() | {"widest_in_quanta": round(quanta[name], 6)}
                        for name, one in sorted(found.items())
                    },
                    "refused": refused,
                }
                write_text_atomically(cache, json.dumps(known, indent=1) + "\n")
    return _answered(files, known)


def _answered(
    files: Mapping[RunDirectory, Sequence[Path]], known: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of the files that were asked, in this call or one before it."""
    wanted = {sha256(model): model for models in files.values() for model in models}
    return [
        {**known[digest], **_kind(model)} for digest, model in wanted.items() if digest in known
    ]


def _kind(path: Path) -> dict[str, Any]:
    """What a file's answers are held to: its variant, and whether they have a quantum."""
    model = read_model_file(path)
    repaired = ", repaired" if model.metadata.provenance.get("float_layers") else ""
    return {
        "variant": model.metadata.variant + repaired,
        "float_output": not read_graph(model.flatbuffer).output_quantum,
    }


def interpreter_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row a recipe and variant: answers other than ai-edge-litert's in the other two."""
    if not rows:
        return ["Not run."]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["recipe"], row["variant"]), []).append(row)
    names = sorted({name for row in rows for name in (*row["others"], *row["refused"])})
    head = " | ".join(f"{name}: within two quanta | different" for name in names)
    lines = [
        "Top-1 of all test clips against ai-edge-litert's; a tie within two quanta of the output "
        "is counted apart. A float output has no quantum: of its answers that differ it is said "
        "how far apart the two classes are at most, where the interpreters hold them closer, in "
        "points of probability and in quanta of an output of 8 bits that just holds all answers. "
        "Every first clip is asked again after all others: a file that kept state between clips "
        "would answer it otherwise.",
        "",
        "Files that name the same class on every clip, or one within two quanta: "
        + ", ".join(f"{_within(rows, name)} of {len(rows)} in {name}" for name in names)
        + ".",
        "",
        f"| recipe | variant | files | answers | {head} | forgets |",
        "|---|---|---:|---:|" + "---:|" * (2 * len(names)) + "---|",
    ]
    refusals: dict[str, None] = {}
    for (recipe, variant), found in sorted(groups.items()):
        cells = [recipe, variant, str(len(found)), str(sum(row["clips"] for row in found))]
        for name in names:
            faults = [row["refused"][name] for row in found if name in row["refused"]]
            if faults:
                cells += ["", f"DOES NOT LOAD ({len(faults)} files)"]
                refusals[f"- {variant} of {recipe} in {name}: {faults[0]}"] = None
                continue
            ties = sum(row["others"][name]["near_ties"] for row in found)
            same = sum(row["others"][name]["same"] for row in found)
            other = sum(row["clips"] for row in found) - same - ties
            gap = max(row["others"][name].get("widest_gap", 0.0) for row in found)
            quanta = max(row["others"][name].get("widest_in_quanta", 0.0) for row in found)
            within = f"{other} (by {100 * gap:.1f} points, {quanta:.1f} quanta)"
            cells += [str(ties), within if other else "0"]
        cells.append("yes" if all(row["forgets"] for row in found) else "NO")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *refusals] if refusals else lines


def _within(rows: Sequence[Mapping[str, Any]], name: str) -> int:
    """Of how many files an interpreter's answers all lie within two quanta."""
    answers = [(row, row["others"][name]) for row in rows if name in row["others"]]
    return sum(
        one["same"] + one["near_ties"] == one["clips"]
        # Quanta of 8 bits are for files that have none: those of int16x8 are far smaller.
        or (row["float_output"] and one["widest_in_quanta"] <= 2)
        for row, one in answers
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
