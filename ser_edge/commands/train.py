"""``ser-edge train``: a recipe and recordings in, a run directory out."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.data import open_manifest
from ser_edge.distribution import (
    distribution_options,
    joined,
    read_distribution,
    silence_servers,
)
from ser_edge.extras import need, quiet_tensorflow
from ser_edge.ledger import check_run, enter_report
from ser_edge.options import (
    PROTOCOLS,
    SEXES,
    ledger_option,
    processes_option,
    store_option,
)
from ser_edge.output import Output, Progress, clock_time, output_options
from ser_edge.scores import part_rows, protocol_words, row_line, side_by_side

if TYPE_CHECKING:
    from ser_edge_train.progress import EpochReport
    from ser_edge_train.recipes import Recipe
    from ser_edge_train.run_directory import RunDirectory
    from ser_edge_train.training import Trained


@click.command(
    "train",
    epilog="""\b
Examples:
  ser-edge train --recipe default --no-teacher --data manifest.csv --run runs/first
  ser-edge train --recipe mine.toml --data recordings/ --fold 2 --run runs/fold2
  ser-edge train --recipe mine.toml --data mine.csv --run runs/x --protocol leave-one-speaker-out
  ser-edge train --run runs/first --resume
  ser-edge train --recipe mine.toml --data manifest.csv --run runs/b --tensorboard logs/b
  ser-edge train --recipe mine.toml --data manifest.csv --run runs/t --teacher scores.csv
  ser-edge train --recipe default --data manifest.csv --run runs/h --teacher scores.csv \\
    --hint whisper.npz
  ser-edge train --recipe mine.toml --data manifest.csv --run runs/c --strategy multi-worker \\
    --workers host0:2222,host1:2222 --worker 0    (and on host1: --worker 1)

Speakers of one part stand in no other, unless the protocol is one that leaks (random,
augment-then-split): the report says LEAKY then, and the recipe is trained once more with
speaker-folds, in RUN/clean, to print both scores side by side. A partition of your own that
leaks is refused without --allow-leaks; see: ser-edge leaks.

Epoch and temperature are chosen on validation clips; the test part is not looked at without
--score-test. Ctrl-C keeps the epochs done, and --resume goes on to the weights that an
unbroken training ends with.""",
)
@click.option("--recipe", metavar="NAME|FILE", help="Recipe: a name of `ser-edge recipes`, or a "
              ".toml file. With --resume, by default the run's own.")  # fmt: skip
@click.option("--data", multiple=True, metavar="MANIFEST|FOLDER", help="Recordings: a manifest "
              "that `ser-edge scan` wrote, or folders to scan; may stand several times. "
              "With --resume, by default the run's own.")  # fmt: skip
@click.option("--run", required=True, metavar="FOLDER", help="Run directory to write.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), metavar="NAME", help="How the clips are "
              "divided, instead of the recipe's way: " + ", ".join(PROTOCOLS) + ".")  # fmt: skip
@click.option("--test-corpus", "test_corpora", multiple=True, metavar="NAME", help="Corpus that "
              "cross-corpus tests; may stand several times.")  # fmt: skip
@click.option("--partition", metavar="FILE", help="Divide the clips as this file says, as "
              "partition.csv of a run, instead of by a protocol.")  # fmt: skip
@click.option("--allow-leaks", is_flag=True, help="Train on a partition that leaks, too; the "
              "report says so on its first line.")  # fmt: skip
@click.option("--clean/--no-clean", default=True, help="Whether a protocol that leaks gets the "
              "clean figure beside it, from a second training; by default it does.")  # fmt: skip
@click.option("--sex", type=click.Choice(SEXES), help="Train and score speakers of one sex only, "
              "instead of the recipe's choice.")  # fmt: skip
@click.option("--fold", type=click.IntRange(1), help="Fold of the protocol, instead of the "
              "recipe's.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed, instead of the recipe's.")
@click.option("--epochs", type=click.IntRange(1), help="Most epochs, instead of the recipe's.")
@click.option("--speaker-embedding", metavar="RUN", help="Join the speaker embedding of this run, "
              "frozen, to the network; see ser-edge recipes rnn-cremad.")  # fmt: skip
@click.option("--teacher", metavar="SCORES", help="Blend the soft labels of this table into "
              "the labels of training clips; see: ser-edge teach.")  # fmt: skip
@click.option("--hint", metavar="EMBEDDINGS", help="With a teacher: let a second head, which is "
              "not kept, learn these embeddings beside the labels.")  # fmt: skip
@click.option("--no-teacher", is_flag=True, help="Learn from the labels alone, whatever the "
              "recipe says.")  # fmt: skip
@click.option("--score-test", is_flag=True, help="Score the test part too: once, when all is "
              "chosen.")  # fmt: skip
@click.option("--tensorboard", metavar="FOLDER", help="Log losses, UAR and learning rate of each "
              "epoch for TensorBoard, in this folder.")  # fmt: skip
@distribution_options
@ledger_option
@store_option
@processes_option
@output_options()
def command(
    recipe: str | None,
    data: tuple[str, ...],
    run: str,
    resume: bool,
    protocol: str | None,
    test_corpora: tuple[str, ...],
    partition: str | None,
    allow_leaks: bool,
    clean: bool,
    sex: str | None,
    fold: int | None,
    seed: int | None,
    epochs: int | None,
    speaker_embedding: str | None,
    teacher: str | None,
    hint: str | None,
    no_teacher: bool,
    score_test: bool,
    tensorboard: str | None,
    strategy: str,
    workers: str | None,
    worker: int | None,
    ledger: Path | None,
    store: Path,
    processes: int | None,
    output: Output,
) -> int:
    """Train a recipe into a run directory.

    The run directory holds the network, its front end, the manifest, the partition, every
    prediction and a report.
    """
    if not resume and (recipe is None or not data):
        raise click.UsageError("--recipe and --data are needed, unless --resume goes on with a run")
    if ledger is not None and not score_test:
        raise click.UsageError("--ledger needs --score-test")
    if no_teacher and (teacher is not None or hint is not None):
        raise click.UsageError("--no-teacher learns from labels alone: no --teacher, no --hint")
    if partition is not None and (protocol is not None or fold is not None):
        raise click.UsageError("--partition divides by itself: no --protocol, no --fold")
    need("train", "training")
    quiet_tensorflow()
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.partitions import Partition
    from ser_edge_train.run_directory import RunDirectory
    from ser_edge_train.training import train

    distribution = read_distribution(strategy, workers, worker)
    silence_servers(distribution)
    chief = distribution.chief
    # Another worker's machine need not see the run: worker 0 alone reads and writes it.
    seen = resume and (chief or recipe is None or not data)
    directory = RunDirectory.open(run) if seen else RunDirectory(run)
    chosen = _recipe(recipe, directory)
    if no_teacher:
        chosen = chosen.model_copy(update={"teacher": None})
    chosen = chosen.with_changes(
        protocol=protocol,
        test_corpora=list(test_corpora) or None,
        sex=sex,
        fold=fold,
        seed=seed,
        epochs=epochs,
        speaker_embedding=speaker_embedding,
        teacher=teacher,
        hint=hint,
    )
    with output.progress("training") as progress, ExitStack() as stack:
        manifest = (
            open_manifest(data, progress, output) if data else Manifest.read(directory.manifest)
        )
        replicas, directory = stack.enter_context(joined(distribution, directory, store, output))
        again = partial(
            train,
            chosen,
            manifest,
            directory,
            store_root=store,
            processes=processes,
            partition=None if partition is None else Partition.read(partition),
            allow_leaks=allow_leaks,
            clean=clean,
        )
        printed = Listener(output, progress)
        trained = again(
            resume=resume and chief,
            progress=_listeners(printed, tensorboard if chief else None, directory, resume=resume),
            clean_progress=printed,
            score_test=score_test and chief and ledger is None,
            replicas=replicas,
        )
        if not chief:
            output.record(
                {"worker": distribution.worker, "clips": dict(trained.clips)},
                f"worker {distribution.worker} is done; the run is worker 0's",
            )
            return output.exit_code
        if ledger is not None:
            # The test part is looked at only after the ledger has agreed.
            for each in _all(trained):
                check_run(ledger, each.run)
            trained = again(resume=True, score_test=True)
    if ledger is not None:
        added = sum(enter_report(ledger, each.report or {}) for each in _all(trained))
        output.text(f"{ledger}: {added} rows added")
    print_trained(trained, output)
    return output.exit_code


def _recipe(recipe: str | None, directory: Any) -> Recipe:
    from ser_edge_train.recipes import load_recipe

    return directory.read_recipe() if recipe is None else load_recipe(recipe)


def _listeners(printed: Listener, log: str | None, run: RunDirectory, *, resume: bool) -> Any:
    if log is None:
        return printed
    from ser_edge_train.progress import Several
    from ser_edge_train.tensorboard_log import TensorBoardLog

    return Several(printed, TensorBoardLog.open(log, run, resume=resume))


class Listener:
    """What a training tells, printed."""

    def __init__(self, output: Output, progress: Progress) -> None:
        self._output = output
        self._progress = progress

    def step(self, stage: str, done: int, total: int) -> None:
        """Draws how far a stage is."""
        self._progress.stage(stage, done, total)

    def epoch(self, report: EpochReport) -> None:
        """Prints the epoch's row."""
        values = report.metrics
        line = f"epoch {report.epoch}/{report.epochs}  loss {values['loss']:.4f}"
        if "val_uar" in values:
            line += f"  validation loss {values['val_loss']:.4f}"
            line += f", UAR {100 * values['val_uar']:.2f} % (best: epoch {report.best_epoch})"
        line += f"  {report.seconds:.1f} s"
        if report.epoch < report.epochs:
            line += f", {clock_time(report.remaining_seconds)} left"
        self._output.record(
            {"epoch": report.epoch, "best_epoch": report.best_epoch, **values}, line
        )

    def note(self, line: str) -> None:
        """Prints the line."""
        self._output.text(line)


def _all(trained: Trained) -> list[Trained]:
    """The training, and the clean one beside it."""
    return [trained] if trained.clean is None else [trained, trained.clean]


def print_trained(trained: Trained, output: Output) -> None:
    """Prints the scores of a training that has ended, and its record."""
    report = trained.report
    if report is not None and report["protocol"]["leaky"]:
        output.text(protocol_words(report))
    for each in _all(trained):
        if each is not trained:
            output.text(f"without the leak, in {each.run.path}:")
        scores = {} if each.report is None else each.report["scores"]
        for part in ("validation", "test"):
            for row in part_rows(part, scores.get(part, {})):
                output.text(row_line(row))
    for line in side_by_side(report or {}):
        output.text(line)
    if report is not None:
        output.text(f"wrote {trained.run.report_html}")
    output.record(
        {
            "run": str(trained.run.path),
            "clips": dict(trained.clips),
            "left_out": dict(trained.left_out),
            "report": report,
        }
    )
