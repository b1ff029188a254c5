"""``ser-edge study``: one question, a recipe in several variants, validation speakers alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.data import open_manifest
from ser_edge.extras import need, quiet_tensorflow
from ser_edge.options import processes_option, store_option
from ser_edge.output import Output, Progress, clock_time, output_options
from ser_edge_runtime.wording import counted

if TYPE_CHECKING:
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.partitions import Partition
    from ser_edge_train.recipes import Recipe
    from ser_edge_train.studies.folder import Result, StudyFolder
    from ser_edge_train.studies.planning import Job, StudyPlan
    from ser_edge_train.studies.study import Study

NAMES = ("augmentation", "features", "context", "clip-length", "noise", "corpora", "own")
PROTOCOLS = ("speaker-disjoint", "speaker-folds", "leave-one-speaker-out", "sentence-disjoint")


@click.command(
    "study",
    epilog="""\b
Examples:
  ser-edge study --list
  ser-edge study augmentation --list --recipe default
  ser-edge study augmentation --data manifest.csv --recipe cnn1d-quick --out studies/augmentation
  ser-edge study context --data manifest.csv --out studies/context --seeds 5 --dry-run
  ser-edge study augmentation --data manifest.csv --out studies/off --variants none,'without-*'
  ser-edge study noise --model runs/first --out studies/noise
  ser-edge study own --trials trials.toml --data manifest.csv --out studies/own --seeds 1

A study is scored on validation speakers only: the test part is never looked at. All variants
and seeds train, and are scored, on the same speakers. Each run is a run directory,
OUT/VARIANT/seed-N; the table and its picture are OUT/study.html, study.csv and study.json,
written anew after each run. Stopped at any time, the same command goes on: finished runs
stay, a begun one is resumed.""",
)
@click.argument("name", type=click.Choice(NAMES), metavar="[NAME]", required=False)
@click.option("--list", "listed", is_flag=True, help="Explain the studies; with NAME, its variants "
              "for the recipe.")  # fmt: skip
@click.option("--data", multiple=True, metavar="MANIFEST|FOLDER", help="Recordings: a manifest "
              "that `ser-edge scan` wrote, or folders to scan; may stand several times. A run "
              "named with --model has its own.")  # fmt: skip
@click.option("--out", metavar="FOLDER", help="Folder of the study.")
@click.option("--recipe", metavar="NAME|FILE", default="default", show_default=True, help="Recipe "
              "to vary: a name of `ser-edge recipes`, or a .toml file.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True,
              help="Trainings of each variant, from the recipe's seed on.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Most epochs, instead of the recipe's.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), metavar="NAME", help="How the clips are "
              "divided, instead of the recipe's way: " + ", ".join(PROTOCOLS) + ".")  # fmt: skip
@click.option("--fold", type=click.IntRange(1), help="Fold of the protocol, instead of the "
              "recipe's.")  # fmt: skip
@click.option("--partition", metavar="FILE", help="Divide the clips as this file says, instead of "
              "by a protocol; needed for a model file.")  # fmt: skip
@click.option("--variants", metavar="NAME,...", help="Variants to run, by name or pattern, "
              "separated by commas; by default the usual ones.")  # fmt: skip
@click.option("--trials", metavar="FILE", help="The variants of the study own: a .toml file of "
              "tables [[trial]] with name, summary and changes.")  # fmt: skip
@click.option("--model", metavar="MODEL|RUN", help="Finished model to score instead of training "
              "(clip-length and noise).")  # fmt: skip
@click.option("--noise", "recordings", metavar="FOLDER", help="Recordings of noise for the study "
              "noise, by default white, and for own, by default none (10 dB).")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say which runs would be made, and make none.")
@store_option
@processes_option
@output_options()
def command(
    name: str | None,
    listed: bool,
    data: tuple[str, ...],
    out: str | None,
    recipe: str,
    seeds: int,
    epochs: int | None,
    protocol: str | None,
    fold: int | None,
    partition: str | None,
    variants: str | None,
    trials: str | None,
    model: str | None,
    recordings: str | None,
    dry_run: bool,
    store: Path,
    processes: int | None,
    output: Output,
) -> int:
    """Compare variants of a recipe on validation speakers.

    NAME is augmentation, features, context, clip-length, noise, corpora or own.

    Trains each variant with several seeds and prints mean and standard deviation of what they
    score on validation speakers; the test part is never looked at.
    """
    need("train", "a study", "pydantic", "tomli_w")
    from ser_edge_train.studies.catalogue import STUDIES

    if (name == "own") != (trials is not None):
        raise click.UsageError("--trials and the study own need each other")
    if name is None:
        if not listed:
            raise click.UsageError("NAME is missing; list the studies with --list")
        return _list(list(STUDIES.values()), output)
    study = STUDIES[name]
    if trials is not None:
        from ser_edge_train.studies.own import own_study

        study = own_study(study, trials)
    if listed:
        return _list_variants(study, _recipe(recipe), output)
    if out is None:
        raise click.UsageError("--out is needed: the folder of the study")
    if not data and (model is None or not Path(model).is_dir()):
        raise click.UsageError("--data is needed: the recordings")
    if partition is not None and (protocol is not None or fold is not None):
        raise click.UsageError("--partition divides by itself: no --protocol, no --fold")
    if recordings is not None and name not in ("noise", "own"):
        raise click.UsageError("--noise is for the studies noise and own")
    of_trainings = {"--epochs": epochs, "--protocol": protocol, "--fold": fold}
    for option, given in {**of_trainings, "--variants": variants}.items():
        if model is not None and given is not None:
            raise click.UsageError(f"{option} is for trainings, and --model is scored as it is")
    changes = {"epochs": epochs, "protocol": protocol, "fold": fold}
    names = [word.strip() for word in (variants or "").split(",") if word.strip()]
    with output.progress("scanning") as progress:
        plan = _plan(
            study,
            None if model is None else Path(model),
            _recipe(recipe, **changes) if model is None else None,
            open_manifest(data, progress, output) if data else None,
            partition,
            Path(out),
            seeds=seeds,
            names=names,
            recordings=recordings or "",
        )
        from ser_edge_train.studies.folder import StudyFolder

        folder = StudyFolder(plan)
        folder.check()
        if dry_run:
            return _dry_run(folder, output)
        need("train", "a study")
        quiet_tensorflow()
        from ser_edge_train.studies.running import run_study

        _say(plan, output)
        values = run_study(
            plan,
            _Printed(output, progress),
            store_root=store,
            processes=processes,
            named=bool(names) or study.strict,
        )
    _print(plan, values, output)
    return output.exit_code


def _recipe(name: str, **changes: Any) -> Recipe:
    from ser_edge_train.recipes import load_recipe

    return load_recipe(name).with_changes(**changes)


def _plan(
    study: Study,
    model: Path | None,
    recipe: Recipe | None,
    manifest: Manifest | None,
    partition: str | None,
    out: Path,
    *,
    seeds: int,
    names: list[str],
    recordings: str,
) -> StudyPlan:
    from ser_edge_train.partitions import Partition

    division: Partition | None = None if partition is None else Partition.read(partition)
    if recordings:
        from ser_edge_train.augmentation.recorded_noise import NoiseRecordings

        NoiseRecordings.of(recordings)  # or it says what is wrong, before hours of training
    if model is not None:
        from ser_edge_train.studies.models import model_subject, plan_of_model

        subject = model_subject(model, manifest, division)
        return plan_of_model(study, subject, out, recordings=recordings)
    from ser_edge_train.studies.planning import plan_of_recipe, recipe_subject

    assert recipe is not None
    assert manifest is not None
    subject = recipe_subject(recipe, manifest, division)
    return plan_of_recipe(study, subject, out, seeds=seeds, names=names, recordings=recordings)


def _list(studies: list[Study], output: Output) -> int:
    width = max(len(study.name) for study in studies)
    for study in studies:
        output.text(f"{study.name.ljust(width)}  {study.question}")
        output.text(f"{'':<{width}}  {study.method}")
        output.record(
            {
                "name": study.name,
                "question": study.question,
                "method": study.method,
                "takes_model": study.takes_model,
            }
        )
    output.text("All are scored on validation speakers only: the test part is never looked at.")
    return output.exit_code


def _list_variants(study: Study, recipe: Recipe, output: Output) -> int:
    from ser_edge_train.studies.study import changed

    variants = study.variants(recipe, recipe.corpora)
    if not variants:
        output.text(f"{study.name} has a variant for each corpus of --data, and one for all")
    width = max((len(variant.name) for variant in variants), default=0)
    for variant in variants:
        changed(recipe, variant)
        output.record(
            {
                "variant": variant.name,
                "summary": variant.summary,
                "usual": variant.usual,
                "changes": dict(variant.changes),
            },
            f"{variant.name.ljust(width)}  {variant.summary}"
            + ("" if variant.usual else " (only when named)"),
        )
    return output.exit_code


def _say(plan: StudyPlan, output: Output) -> None:
    for line in plan.subject.notes:
        output.text(line)
    runs = counted(len(plan.jobs), "run")
    clips = counted(len(plan.subject.clips), "validation clip")
    output.text(f"{plan.study.name}: {runs}, scored on {clips}; the test part is not looked at")


def _dry_run(folder: StudyFolder, output: Output) -> int:
    plan = folder.plan
    _say(plan, output)
    for variant, reason in plan.left_out:
        output.text(f"left out: {variant}: {reason}")
    for job in plan.jobs:
        state = folder.state(job)
        output.record(
            {
                "variant": job.variant.name,
                "seed": job.seed,
                "run": str(job.place),
                "state": state,
                "changes": dict(job.variant.changes),
            },
            f"{state:<9} {job.place}",
        )
    return output.exit_code


class _Printed:
    """What a study tells, printed: a line a run, the rest on a terminal's last line."""

    def __init__(self, output: Output, progress: Progress) -> None:
        self._output = output
        self._progress = progress

    def step(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        remark = "" if seconds_left is None else f"(study: {clock_time(seconds_left)} left)"
        self._progress.stage(stage, done, total, remark)

    def begin(self, job: Job, number: int, total: int, seconds_left: float | None) -> None:
        self._output.text(f"run {number} of {total}: {job.name}{_left(seconds_left)}")

    def guess(self, seconds_left: float) -> None:
        self._output.text(f"  the first epoch is done{_left(seconds_left)}")

    def end(self, result: Result, seconds_left: float | None) -> None:
        scores = result.values["scores"]
        shown = [
            f"{name} {100 * groups['all']['uar']:.1f} %"
            for name, groups in scores.items()
            if groups.get("all", {}).get("uar") is not None
        ]
        self._output.record(
            {
                "variant": result.job.variant.name,
                "seed": result.job.seed,
                "run": str(result.job.place),
                "scores": scores,
                "seconds_left": seconds_left,
            },
            f"  UAR: {', '.join(shown) or 'nobody validates'}",
        )

    def note(self, line: str) -> None:
        self._output.text(line)


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", about {clock_time(seconds)} left"


def _print(plan: StudyPlan, values: Mapping[str, Any], output: Output) -> None:
    rows = [row for row in values["table"] if row["corpus"] == "all"]
    width = max((len(row["variant"]) for row in rows), default=0)
    place = max((len(row["condition"]) for row in rows), default=0)
    for row in rows:
        words = f"{row['variant'].ljust(width)}  {row['condition'].ljust(place)}  "
        words += f"UAR {_spread(row, 'uar')} %"
        if row["difference"] is not None:
            words += f"  {_spread(row, 'difference', '+.1f')} to {plan.study.baseline}"
        output.text(words)
    output.text(f"wrote {plan.out / 'study.html'}")
    output.record(values)


def _spread(row: Mapping[str, Any], measure: str, form: str = "4.1f") -> str:
    mean, deviation = row[measure], row[f"{measure}_sd"]
    if mean is None:
        return "–"
    words = format(100 * mean, form)
    return words if deviation is None else f"{words} ± {100 * deviation:.1f}"
