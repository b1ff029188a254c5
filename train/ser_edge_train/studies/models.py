"""A finished model as the subject of a study: a run, or a model file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.leaks import audit, broken_promises
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.plan import GIVEN
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.studies.planning import Job, StudyPlan, Subject
from ser_edge_train.studies.scoring import merges_of
from ser_edge_train.studies.study import MODEL, Study, StudyError, StudyRefused, Variant


def plan_of_model(study: Study, subject: Subject, out: Path, *, recordings: str = "") -> StudyPlan:
    """The one run of a study of a finished model, which is only scored.

    Args:
        study: The study.
        subject: As :func:`model_subject` gives it.
        out: The study's folder.
        recordings: Folder of recorded noise.

    Raises:
        StudyRefused: The study compares trainings.
    """
    if not study.takes_model:
        raise StudyRefused(
            f"{study.name} compares trainings: name a recipe; finished models are for the studies "
            "clip-length and noise"
        )
    job = Job(Variant(MODEL, subject.name), out / MODEL)
    conditions = study.conditions(subject.manifest.corpora, recordings)
    return StudyPlan(study, subject, out, (job,), (job,), conditions)


def model_subject(
    model: Path, manifest: Manifest | None = None, partition: Partition | None = None
) -> Subject:
    """What a study of a finished model scores: the validation clips that it is for.

    Args:
        model: A run, which has recordings and partition of its own, or a model file.
        manifest: The recordings; None: the run's.
        partition: Which of them validate; None: the run's.

    Raises:
        StudyRefused: A model file without recordings or partition; or nobody validates.
        StudyError: The run is not finished, or training has heard who validates.
        SerEdgeError: A file cannot be read.
    """
    if model.is_dir():
        return _of_run(model, manifest, partition)
    if manifest is None or partition is None:
        raise StudyRefused(
            f"{model}: a model file does not say which clips validate; name its run's "
            "partition.csv with --partition, and the recordings with --data"
        )
    metadata = read_model_file(model).metadata
    merge = merges_of(metadata.labels)
    notes: tuple[str, ...] = ()
    if metadata.provenance.get("partition") != partition.digest:
        notes = (
            "the model was not trained with this partition: its validation speakers may be "
            "speakers that the model knows",
        )
    return _subject(model, model, manifest, partition, metadata.labels, merge, notes)


def _of_run(model: Path, manifest: Manifest | None, partition: Partition | None) -> Subject:
    run = RunDirectory.open(model)
    if partition is not None:
        raise StudyRefused(f"{model}: a run has a partition of its own; leave out --partition")
    for path, what in ((run.model, "model"), (run.normaliser, "normaliser")):
        if not path.is_file():
            fault = f"holds no finished {what} ({path.name} is missing)"
            raise StudyError(model, fault, "finish it: ser-edge train --resume")
    recipe = run.read_recipe()
    if recipe.target == "speaker":
        raise StudyRefused(f"{model}: its classes are speakers; name a run that tells emotions")
    manifest = manifest or Manifest.read(run.manifest)
    found = Partition.read(run.partition)
    # Not what its own protocol promises: one that leaks promises nothing.
    broken = broken_promises(audit(manifest, found).leaks, GIVEN)
    if broken:
        raise StudyError(
            model,
            f"its partition leaks ({broken[0].text})",
            "name a run whose validation speakers are new to it",
        )
    return _subject(model, run.model, manifest, found, recipe.labels, dict(recipe.merge))


def _subject(
    model: Path,
    weights: Path,
    manifest: Manifest,
    partition: Partition,
    labels: tuple[str, ...],
    merge: dict[str, str],
    notes: tuple[str, ...] = (),
) -> Subject:
    everyone = partition.clips(manifest, "validation")
    clips = tuple(clip for clip in everyone if merge.get(clip.emotion, clip.emotion) in labels)
    if len(clips) < len(everyone):
        left_out = len(everyone) - len(clips)
        notes = (*notes, f"left out: {left_out} clips of classes that the model does not have")
    if not clips:
        raise StudyRefused(
            f"{model}: no validation clip of its classes is among the recordings, and the test "
            "part is not looked at; name a model whose partition has validation speakers"
        )
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    name = model.resolve().name
    return Subject(name, digest, manifest, partition, clips, model, notes=notes)
