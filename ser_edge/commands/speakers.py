"""``ser-edge speakers``: what a speaker embedding is worth on speakers it has never heard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ser_edge.data import open_manifest
from ser_edge.extras import need, quiet_tensorflow
from ser_edge.options import processes_option, store_option
from ser_edge.output import Output, output_options
from ser_edge.steps import StepsAlone

if TYPE_CHECKING:
    from ser_edge_train.speaker_verification import Trials


@click.command(
    "speakers",
    epilog="""\b
Examples:
  ser-edge train --recipe speaker-cremad --data manifest.csv --run runs/speakers
  ser-edge speakers runs/speakers
  ser-edge speakers runs/speakers --json

The equal-error rate is that of a threshold on the cosine of two utterances' embeddings
that rejects as many pairs of one speaker as it accepts pairs of two. 50 % is guessing.""",
)
@click.argument("run")
@click.option("--data", multiple=True, metavar="MANIFEST|FOLDER", help="Recordings, by default "
              "the run's own; may stand several times.")  # fmt: skip
@store_option
@processes_option
@output_options()
def command(
    run: str, data: tuple[str, ...], store: Path, processes: int | None, output: Output
) -> int:
    """Measure a speaker embedding on speakers it has never heard.

    RUN is a finished training of a recipe with target = "speaker", as speaker-cremad. Compared
    are the speakers that its protocol keeps for validation: neither RUN nor an emotion network
    of the same fold has trained on them.
    """
    need("train", "speaker verification")
    quiet_tensorflow()
    from ser_edge_train.run_directory import RunDirectory
    from ser_edge_train.speaker_verification import verify

    directory = RunDirectory.open(run)
    with output.progress("comparing") as progress:
        found = verify(
            directory,
            store_root=store,
            manifest=open_manifest(data, progress, output) if data else None,
            processes=processes,
            progress=StepsAlone(progress),
        )
    output.record(
        {"run": run, **found.to_dict()},
        f"{found.clips} clips of {found.speakers} speakers that were never heard",
    )
    output.text(_line("equal-error rate", found.overall))
    if found.same_sex is not None:
        output.text(_line("  within one sex", found.same_sex))
    for corpus, trials in found.corpora.items():
        output.text(_line(f"  {corpus}", trials))
    return output.exit_code


def _line(what: str, trials: Trials) -> str:
    pairs = f"{trials.same} pairs of one speaker, {trials.different} of two"
    return f"{what:<18} {100 * trials.error_rate:5.1f} %  ({pairs})"
