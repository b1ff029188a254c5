"""``ser-edge teach``: soft labels from a large encoder's embeddings, cross-fitted by speaker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ser_edge.data import open_manifest
from ser_edge.extras import need
from ser_edge.options import PROTOCOLS, OutFile
from ser_edge.output import Output, output_options
from ser_edge.steps import StepsAlone

if TYPE_CHECKING:
    from ser_edge_train.teaching import Lesson


@click.command(
    "teach",
    epilog="""\b
Examples:
  ser-edge teach whisper.npz --recipe default --data manifest.csv --out scores.csv
  ser-edge train --recipe default --data manifest.csv --teacher scores.csv --hint whisper.npz \\
    --run runs/taught
  ser-edge teach whisper.npz --recipe default --fold 2 --data manifest.csv --out scores-2.csv

EMBEDDINGS is an .npz file with the arrays embedding (a row a recording) and path (below the
manifest's root) or audio_sha256. The table names the partition that it was made by;
`ser-edge train` refuses it for any other.""",
)
@click.argument("embeddings")
@click.option("--recipe", required=True, metavar="NAME|FILE", help="Recipe whose labels and "
              "partition count.")  # fmt: skip
@click.option("--data", multiple=True, required=True, metavar="MANIFEST|FOLDER", help="Recordings: "
              "a manifest that `ser-edge scan` wrote, or folders to scan.")  # fmt: skip
@click.option("--out", type=OutFile(), required=True, metavar="FILE", help="Table to write, .csv.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), metavar="NAME", help="Protocol, instead "
              "of the recipe's.")  # fmt: skip
@click.option("--test-corpus", "test_corpora", multiple=True, metavar="NAME", help="Corpus that "
              "cross-corpus tests; may stand several times.")  # fmt: skip
@click.option("--fold", type=click.IntRange(1), help="Fold of the protocol, instead of the "
              "recipe's.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed, instead of the recipe's.")
@click.option("--by-speaker/--no-by-speaker", default=True, help="Whether embeddings are "
              "standardised by speaker; by default they are.")  # fmt: skip
@output_options()
def command(
    embeddings: str,
    recipe: str,
    data: tuple[str, ...],
    out: Path,
    protocol: str | None,
    test_corpora: tuple[str, ...],
    fold: int | None,
    seed: int | None,
    by_speaker: bool,
    output: Output,
) -> int:
    """Make soft labels for `ser-edge train --teacher`.

    A linear head is fitted on the embeddings of the training speakers. Each of them is
    scored by a head that has heard the others alone. Test speakers are not looked at.
    """
    need("train", "teaching")
    from ser_edge_train.embeddings import Embeddings
    from ser_edge_train.recipes import load_recipe
    from ser_edge_train.teaching import teach

    known = Embeddings.read(embeddings)
    chosen = load_recipe(recipe).with_changes(
        protocol=protocol, test_corpora=list(test_corpora) or None, fold=fold, seed=seed
    )
    with output.progress("teaching") as progress:
        manifest = open_manifest(data, progress, output)
        lesson = teach(
            chosen, manifest, known, by_speaker=by_speaker, progress=StepsAlone(progress)
        )
    lesson.scores.write(out)
    _print(lesson, out, output)
    return output.exit_code


def _print(lesson: Lesson, out: Path, output: Output) -> None:
    for what, found in (
        ("training speakers, cross-fitted", lesson.crossfitted),
        ("validation speakers", lesson.validation),
    ):
        for corpus, uar in found.items():
            output.text(f"{what:<31}  {corpus:<10}  UAR {100 * uar:.1f} %")
    if lesson.left_out:
        output.text(f"too few training speakers to cross-fit: {', '.join(lesson.left_out)}")
    output.record(
        {
            "path": str(out),
            "clips": len(lesson.scores.digests),
            "partition": lesson.scores.partition,
            "strength": lesson.strength,
            "crossfitted": lesson.crossfitted,
            "validation": lesson.validation,
            "left_out": list(lesson.left_out),
        },
        f"wrote {out}: {len(lesson.scores.digests)} recordings",
    )
