"""Writes into the default model's card how accuracy rises with coverage.

``python docs/make_coverage.py RUN``: RUN is the run directory that the default model was
converted from; its predictions are read, nothing is scored anew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_edge_runtime.model_file import default_model_path, read_model_file
from ser_edge_train.coverage import coverage_of
from ser_edge_train.predictions import Predictions
from ser_edge_train.run_directory import RunDirectory

CARD = default_model_path().with_name("README.md")
BEGIN = "<!-- coverage of the default model, written by docs/make_coverage.py -->\n"
END = "<!-- end of coverage -->\n"
PARTS = ("validation", "test")


def table(parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A row a least score: what each part has left, and how much of it is right."""
    names = [part for part in PARTS if part in parts]
    head = [f"{part} speakers: answered | of those right" for part in names]
    lines = [f"| `--min-score` | {' | '.join(head)} |", "|---" * (1 + 2 * len(names)) + "|"]
    for rows in zip(*(parts[part] for part in names), strict=True):
        cells = [f"{rows[0]['min_score']:g}"]
        for row in rows:
            right = "none" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %"
            cells += [f"{100 * row['coverage']:.1f} %", right]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def updated(page: str, parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table(parts) + END + after


def main(run: RunDirectory) -> None:
    made_of = read_model_file(default_model_path()).metadata.provenance
    recipe = run.read_recipe().digest
    if recipe not in str(made_of):
        raise SystemExit(f"{run.path}: the default model was not made from this run's recipe")
    predictions = Predictions.read(run.predictions)
    parts = {part: coverage_of(predictions.of_part(part)) for part in predictions.parts}
    CARD.write_text(updated(CARD.read_text("utf-8"), parts), encoding="utf-8")
    sys.stdout.write(f"{CARD}\n")


if __name__ == "__main__":
    main(RunDirectory.open(sys.argv[1]))
