"""``ser-edge pool``: the folds and seeds of a recipe as one result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ser_edge.extras import need
from ser_edge.output import Output, output_options
from ser_edge.scores import part_rows, row_line


@click.command(
    "pool",
    epilog="""\b
Examples:
  ser-edge pool runs/fold1 runs/fold2 runs/fold3 --out reports/folds
  ser-edge pool runs/fold* --part validation
  ser-edge pool runs/seed* --json

The runs must be of one recipe and the same recordings, and differ in fold and seed alone.
Each fold of a seed tests other clips, so that all folds together test every clip once.
Nothing is predicted: a run whose test part was not scored is refused.""",
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--part", type=click.Choice(("test", "validation")), default="test",
              show_default=True, help="Part to pool.")  # fmt: skip
@click.option("--out", metavar="FOLDER", help="Folder to write pooled.json and pooled.html in.")
@output_options()
def command(runs: tuple[str, ...], part: str, out: str | None, output: Output) -> int:
    """Pool the folds and seeds of a recipe into one report.

    Prints the scores of all predictions together, with intervals resampled over speakers,
    and mean and standard deviation over folds and over seeds.
    """
    need("train", "pooling runs", "pydantic", "tomli_w")
    if out is not None:
        need("train", "the report", "jinja2", "matplotlib")
        if Path(out).is_file():
            raise click.UsageError(f"--out {out} is a file; name a folder")
    from ser_edge_train.pooling import pool, pooled_files

    pooled = pool(runs, part)
    _print(pooled, output)
    if out is not None:
        from ser_edge_train.report.pooled_page import write_pooled_report

        write_pooled_report(pooled, runs, out)
        output.text(f"wrote {pooled_files(out)[1]}")
    output.record(pooled)
    return output.exit_code


def _print(pooled: Mapping[str, Any], output: Output) -> None:
    protocol = pooled["protocol"]
    if protocol["leaky"]:
        output.text(f"LEAKY, not comparable: {'; '.join(protocol['leaks'])}")
    for row in part_rows(pooled["part"], pooled["scores"]):
        output.text(row_line(row))
    for over, count in (("folds", len(protocol["folds"])), ("seeds", _seeds(pooled))):
        if count > 1:
            for name, moments in _spread(pooled["spread"][over]).items():
                mean, deviation = moments["mean"], moments["sd"]
                line = f"{over:<10} {name:<9} UAR {100 * mean:4.1f} %"
                line += "" if deviation is None else f" ± {100 * deviation:.1f}"
                output.text(f"{line}: mean of {moments['count']} {over}")


def _seeds(pooled: Mapping[str, Any]) -> int:
    return int(pooled["spread"]["seeds"]["overall"]["uar"]["count"])


def _spread(moments: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Moments of the UAR by corpus, then of all; without what is not defined."""
    rows = {name: group["uar"] for name, group in moments["corpora"].items()}
    rows["all"] = moments["overall"]["uar"]
    return {name: row for name, row in rows.items() if row["mean"] is not None}
