"""``ser-edge evaluate``: what a model is worth on labelled recordings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.data import open_manifest
from ser_edge.extras import need, quiet_tensorflow
from ser_edge.ledger import Scored, check_run, check_scored, enter, enter_report, scored_by
from ser_edge.options import (
    OutFile,
    delegate_options,
    interpreter_option,
    ledger_option,
    processes_option,
    store_option,
)
from ser_edge.output import Output, output_options
from ser_edge.scores import part_rows, row_line, side_by_side
from ser_edge.steps import StepsAlone
from ser_edge_runtime.errors import MetadataInvalid, MissingFile

if TYPE_CHECKING:
    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.model_file import Metadata
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.partitions import Partition
    from ser_edge_train.run_directory import RunDirectory

PARTS = ("train", "validation", "test")


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  ser-edge evaluate runs/first
  ser-edge evaluate runs/first --part test --ledger docs/test-scorings.csv
  ser-edge evaluate model.tflite --data manifest.csv --partition runs/first/partition.csv
  ser-edge evaluate model.tflite --data recordings/ --out predictions.csv

A run is scored with its trained network, on its own recordings and partition; without
--part its report is written anew from the predictions it holds. A model file is run as on
a device, on the recordings of --data: those of one part of a partition, or all of them.""",
)
@click.argument("model", metavar="MODEL|RUN")
@click.option("--data", multiple=True, metavar="MANIFEST|FOLDER", help="Recordings: a manifest "
              "that `ser-edge scan` wrote, or folders to scan; may stand several times. A run "
              "has its own.")  # fmt: skip
@click.option("--partition", metavar="FILE", help="Partition that says which clips are scored, as "
              "partition.csv of a run. Without it, all recordings of --data are.")  # fmt: skip
@click.option("--part", type=click.Choice(PARTS), help="Part to score; by default test for a "
              "model file with a partition.")  # fmt: skip
@click.option("--merge", multiple=True, metavar="EMOTION=LABEL", help="Emotion that counts as "
              "another label; may stand several times. By default calm=neutral for a model "
              "file without calm.")  # fmt: skip
@click.option("--out", type=OutFile(), metavar="FILE", help="Predictions to write, CSV, a row a "
              "clip.")  # fmt: skip
@interpreter_option
@delegate_options
@ledger_option
@store_option
@processes_option
@output_options()
def command(
    model: str,
    data: tuple[str, ...],
    partition: str | None,
    part: str | None,
    merge: tuple[str, ...],
    out: Path | None,
    interpreter: str | None,
    delegate: Delegate | None,
    ledger: Path | None,
    store: Path,
    processes: int | None,
    output: Output,
) -> int:
    """Score a model or a run on labelled recordings.

    Accuracy, UAR (the mean recall of the classes) and F1, over all, by corpus, sex and
    speaker. An answer is chosen among the classes that the clip's corpus has.
    """
    merges = _merges(merge)
    if Path(model).is_dir():
        of_model_files = {
            "--partition": partition,
            "--merge": merge,
            "--out": out,
            "--delegate": delegate,
        }
        for option, given in of_model_files.items():
            if given:
                raise click.UsageError(f"{option} is for model files, and {model} is a run")
        return _evaluate_run(model, data, part, ledger, store, processes, output)
    if not Path(model).exists():
        raise MissingFile(model, "no such file or folder", "name a model file or a run")
    if not data:
        raise click.UsageError("--data is needed: the recordings to score the model file on")
    if part is not None and partition is None:
        raise click.UsageError("--part needs --partition, which says what the parts are")
    if ledger is not None and (partition is None or part not in (None, "test")):
        raise click.UsageError("--ledger needs --partition, and is for its test part alone")
    from ser_edge_runtime.model_file import read_model_file
    from ser_edge_train.evaluation import allowed_classes, evaluate_model, score
    from ser_edge_train.partitions import Partition

    metadata = read_model_file(model).metadata
    if not merges and "calm" not in metadata.labels and "neutral" in metadata.labels:
        merges = {"calm": "neutral"}
    chosen = part or "test"
    with output.progress("scanning") as progress:
        manifest = open_manifest(data, progress, output)
        division = None if partition is None else Partition.read(partition)
        parts = _parts(manifest, division, chosen, metadata.labels, merges, output)
        _warn(metadata, manifest, division, output)
        scored = None
        if ledger is not None and division is not None:
            scored = _may_be_scored(ledger, model, metadata, manifest, division)
        predictions = evaluate_model(
            model,
            manifest,
            parts,
            merge=merges,
            processes=processes,
            interpreter=interpreter,
            delegate=delegate,
            progress=lambda done, total: progress.stage("evaluating", done, total),
        )
    scores = score(predictions, allowed_classes(manifest, metadata.labels, merges))
    if out is not None:
        predictions.write(out)
    if ledger is not None and scored is not None:
        output.text(f"{ledger}: {enter(ledger, scored, scores)} rows added")
    _print(model, chosen, scores, output)
    if out is not None:
        output.text(f"wrote {out}: {len(predictions)} clips")
    return output.exit_code


def _evaluate_run(
    run: str,
    data: tuple[str, ...],
    part: str | None,
    ledger: Path | None,
    store: Path,
    processes: int | None,
    output: Output,
) -> int:
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.run_directory import RunDirectory, RunError

    if part == "train":
        raise click.UsageError("a run is scored on its validation or its test part")
    if ledger is not None and part != "test":
        raise click.UsageError("--ledger needs --part test")
    need("train", "evaluation")
    quiet_tensorflow()
    directory = RunDirectory.open(run)
    if not directory.model.is_file():
        raise RunError(run, "holds no trained model (no model.keras)", "finish it: train --resume")
    from ser_edge_train.report import read_report

    report: Mapping[str, Any]
    if part == "test" and "test" not in _predicted_parts(directory):
        from ser_edge_train.training import train

        runs = [directory, directory.clean] if directory.clean.model.is_file() else [directory]
        if ledger is not None:
            for each in runs:
                check_run(ledger, each)
        with output.progress("evaluating") as progress:
            trained = train(
                directory.read_recipe(),
                open_manifest(data, progress, output)
                if data
                else Manifest.read(directory.manifest),
                directory,
                store_root=store,
                resume=True,
                processes=processes,
                progress=StepsAlone(progress),
                score_test=True,
                # It was trained with leave to leak, and nothing is trained now.
                allow_leaks=True,
                clean=len(runs) > 1,
            )
        report = trained.report or {}
    else:
        from ser_edge_train.report import write_report

        report = write_report(directory)
    if part is not None and part not in report["scores"]:
        raise RunError(run, f"has no {part} part to score", "train with a protocol that has one")
    if ledger is not None:
        reports = [report]
        if directory.clean.report_json.is_file():
            reports.append(read_report(directory.clean.report_json))
        added = sum(enter_report(ledger, each) for each in reports if "test" in each["scores"])
        output.text(f"{ledger}: {added} rows added")
    for name, scores in report["scores"].items():
        if part in (None, name):
            _print(run, name, scores, output)
    for line in side_by_side(report):
        output.text(line)
    output.text(f"wrote {directory.report_html}")
    return output.exit_code


def _predicted_parts(directory: RunDirectory) -> tuple[str, ...]:
    from ser_edge_train.predictions import Predictions

    if not directory.predictions.is_file():
        return ()
    return Predictions.read(directory.predictions).parts


def _merges(words: tuple[str, ...]) -> dict[str, str]:
    merges = {}
    for word in words:
        emotion, sign, label = word.partition("=")
        if not (emotion and sign and label):
            raise click.UsageError(f"--merge {word!r} is not EMOTION=LABEL, as calm=neutral")
        merges[emotion] = label
    return merges


def _parts(
    manifest: Manifest,
    partition: Partition | None,
    part: str,
    labels: tuple[str, ...],
    merges: Mapping[str, str],
    output: Output,
) -> dict[tuple[str, str], str]:
    """The clips to score: usable, and of a class that the model has."""
    from ser_edge_train.errors import PartitionError

    clips = list(manifest.usable) if partition is None else partition.clips(manifest, part)
    known = [clip for clip in clips if merges.get(clip.emotion, clip.emotion) in labels]
    if len(known) < len(clips):
        others = sorted({merges.get(c.emotion, c.emotion) for c in clips} - set(labels))
        output.note(
            f"left out: {len(clips) - len(known)} clips of classes that the model does not have "
            f"({', '.join(others)})"
        )
    if not known:
        raise PartitionError(
            f"{manifest.root}: no usable clip to score; see the manifest's columns emotion "
            "and fault, and the partition's column part"
        )
    return {clip.key: part for clip in known}


def _warn(
    metadata: Metadata, manifest: Manifest, partition: Partition | None, output: Output
) -> None:
    """Says so where nothing proves that the speakers are new to the model."""
    made_from = metadata.provenance
    if partition is None and made_from.get("manifest") == manifest.digest:
        output.note(
            "these are the recordings that the model was trained on: the scores are worth "
            "nothing; name its run's partition.csv with --partition"
        )
    elif partition is not None and made_from.get("partition") != partition.digest:
        output.note(
            "the model was not trained with this partition: its test speakers may be "
            "speakers that the model knows"
        )


def _may_be_scored(
    ledger: Path, model: str, metadata: Metadata, manifest: Manifest, partition: Partition
) -> Scored:
    """What will stand in the ledger, before anything looks at the test part."""
    scored = scored_by(metadata, manifest.digest, partition.digest)
    if scored is None:
        raise MetadataInvalid(
            model,
            "its provenance does not name recipe, fold, seed and network",
            "leave out --ledger, or convert it from its run again",
        )
    check_scored(ledger, scored)
    return scored


def _print(model: str, part: str, scores: Mapping[str, Any], output: Output) -> None:
    for row in part_rows(part, scores):
        output.text(row_line(row))
    overall = scores["overall"]
    output.text("recall of each class, over all:")
    for label, recall in overall["recalls"].items():
        share = "not there" if recall is None else f"{100 * recall:.1f} %"
        output.text(f"  {label:<12} {share:>9}  of {overall['support'][label]} clips")
    output.record({"model": model, "part": part, "scores": scores})
