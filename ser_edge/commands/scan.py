"""``ser-edge scan``: corpus folders in, a manifest and its faults out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.options import OutFile, workers_option
from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    from ser_edge_train.scan import Survey


@click.command(
    "scan",
    epilog="""\b
Examples:
  ser-edge scan ravdess/ crema-d/ tess/ savee/ --out manifest.csv
  ser-edge scan recordings/ --out mine.csv      (recordings/LABEL/SPEAKER/file.wav)
  ser-edge scan table.csv --out mine.csv        (columns path, label, speaker, ...)

Layouts: RAVDESS, CREMA-D, TESS and SAVEE are known by their file names, in whatever
folders they lie. Anything else is read as LABEL/SPEAKER/file or LABEL/file, where LABEL is
a word for an emotion, as angry or fearful, or from a CSV table with the columns path,
label and speaker, with labels of any name. Faults keep a clip in the manifest and out of
training.

Exit code 1 when a recording or folder could not be read.""",
)
@click.argument("sources", nargs=-1, required=True, metavar="FOLDERS...")
@click.option(
    "--out", type=OutFile(), metavar="FILE", help="Manifest to write, CSV; by default none."
)
@workers_option
@output_options()
def command(sources: tuple[str, ...], out: Path | None, workers: int | None, output: Output) -> int:
    """List the recordings of corpus folders and their faults.

    Every recording is decoded once. Named are silent, duplicate, unreadable and too short
    ones, and equal audio under different labels.
    """
    from ser_edge_train.scan import survey

    with output.progress("scanning") as progress:
        result = survey(sources, workers=workers, progress=progress)
    if out is not None:
        result.manifest.write(out)
    for line in result.summary.lines():
        output.text(line)
    if out is not None:
        clips, digest = len(result.manifest.clips), result.manifest.digest
        output.text(f"wrote {out}: {clips} clips, digest {digest}")
    output.record(_values(result, out))
    if not result.summary.complete:
        output.error(
            "some recordings could not be read; they are named above "
            "under 'unreadable' and 'not read'"
        )
    return output.exit_code


def _values(result: Survey, out: Path | None) -> dict[str, Any]:
    return {
        **asdict(result.summary),
        "clips": len(result.manifest.clips),
        "digest": result.manifest.digest,
        "manifest": None if out is None else str(out),
    }
