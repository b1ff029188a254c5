"""Writes the default model's figures into README.md: ``python docs/make_scores.py``.

The scores come out of the model file itself, the first screen's result out of the command
that stands above it. The card (docs/make_card.py) has the same table. Tests hold that what is
committed is what this script writes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser_edge.scores import conversion_loss, score_rows
from ser_edge_runtime.model_file import default_model_path, read_model_file

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- scores of the default model, written by docs/make_scores.py -->\n"
END = "<!-- end of scores -->\n"

UNSCORED = """\
These are validation speakers: the epoch and the temperature were chosen on them, so the figures
flatter. The test part of this model has not been scored."""


def table(scores: Mapping[str, Any]) -> str:
    """Scores on unseen speakers, a row a corpus, and what the conversion cost.

    They are those of the test part; of the validation part, which chose the epoch, as long as
    the test part was not scored, and then the page says so.
    """
    rows = score_rows(scores)
    part = "test" if any(row.part == "test" for row in rows) else "validation"
    lines = [
        f"| corpus | classes | {part} speakers | clips | UAR | 95 % interval | accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.part != part:
            continue
        low, high = row.interval or (None, None)
        interval = "one speaker" if low is None else f"{100 * low:.1f} to {100 * high:.1f} %"
        lines.append(
            f"| {row.corpus} | {row.classes} | {row.speakers} | {row.clips} "
            f"| {100 * row.uar:.1f} % | {interval} | {100 * row.accuracy:.1f} % |"
        )
    if part == "validation":
        lines += ["", UNSCORED]
    loss = conversion_loss(scores)
    if loss is not None:
        lines += [
            "",
            "Scores of the float network. Conversion took UAR from "
            f"{100 * loss.uar[0]:.1f} to {100 * loss.uar[1]:.1f} %\n"
            f"on {loss.clips} clips of {loss.speakers} validation speakers.",
        ]
    return "\n".join(lines) + "\n"


def updated(page: str, scores: Mapping[str, Any]) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table(scores) + END + after


def with_result(readme: str) -> str:
    """The README with what its first command prints now."""
    found = re.search(r"^\$ pip install \. && ser-edge (.*)\n(.*\n)", readme, re.MULTILINE)
    assert found is not None
    command = [sys.executable, "-m", "ser_edge", *found[1].split()]
    printed = subprocess.run(
        command, cwd=README.parent, capture_output=True, text=True, check=True
    ).stdout
    return readme[: found.start(2)] + printed + readme[found.end(2) :]


if __name__ == "__main__":
    metadata = read_model_file(default_model_path()).metadata
    README.write_text(
        with_result(updated(README.read_text("utf-8"), metadata.scores)), encoding="utf-8"
    )
    sys.stdout.write(f"{README}\n")
