"""What model files answer to disturbed recordings; only the answers are kept, never a feature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.audit.subjects import Subject
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.model_file import ModelFile
from ser_edge_runtime.resampling import resample
from ser_edge_train.disturbances import Disturbance, Disturber
from ser_edge_train.feature_store import read_clip
from ser_edge_train.manifest import Clip
from ser_edge_train.predictions import Predictions, PredictionsError
from ser_edge_train.workers import Progress, chunks, cores, work

VERSION = 1
PARALLEL_FROM = 128


def answers(
    reference: Reference,
    places: Sequence[int],
    subjects: Sequence[Subject],
    disturbance: Disturbance,
    folder: Path,
    *,
    processes: int | None = None,
    interpreter: str | None = None,
    tell: Progress = lambda done, total: None,
) -> list[Predictions]:
    """The answers of a run's model files to disturbed recordings, as a device would give them.

    A recording that the disturbance makes longer than two of the model's clips is classified
    in segments, as :meth:`~ser_edge_runtime.classifier.Classifier.classify` does.

    Args:
        reference: The run, whose clips they are.
        places: Which of its clips, at least one.
        subjects: Files of the run, of one front end.
        disturbance: What is done to the recordings.
        folder: Finished answers are kept in it and read from it; made if it is missing.
        processes: Worker processes; None takes as many as there are cores.
        interpreter: The package that runs the files; None: the first that there is.
        tell: Called with (clips done, clips in all).

    Returns:
        A table for each of ``subjects``, in their order.

    Raises:
        SerEdgeError: A recording or a model cannot be used; names it.
    """
    table, clips = reference.answers, [reference.clips[place] for place in places]
    rows = tuple(table.rows[place] for place in places)
    files = [_file(folder, each, disturbance, clips) for each in subjects]
    known = [_read(path, table.labels, rows) for path in files]
    missing = [number for number, found in enumerate(known) if found is None]
    if missing:
        if processes is None:
            processes = cores() if len(clips) >= PARALLEL_FROM else 1
        models = tuple(subjects[number].model for number in missing)
        job = _Job(models, disturbance, reference.recordings.root, interpreter)
        found, done = [], 0
        for piece in work(_answer, _worker, job, chunks(clips), processes):
            found.append(piece)
            done += len(piece)
            tell(done, len(clips))
        values = np.concatenate(found)
        folder.mkdir(parents=True, exist_ok=True)
        for column, number in enumerate(missing):
            made = Predictions(table.labels, rows, values[:, column])
            made.write(files[number])
            known[number] = made
    tell(len(clips), len(clips))
    return [found for found in known if found is not None]


@dataclass(frozen=True)
class _Job:
    models: tuple[ModelFile, ...]
    disturbance: Disturbance
    recordings: Path
    interpreter: str | None


@dataclass(frozen=True)
class _Worker:
    classifiers: tuple[Classifier, ...]
    disturb: Disturber
    recordings: Path


def _worker(job: _Job) -> _Worker:
    loaded = tuple(Classifier(model, interpreter=job.interpreter) for model in job.models)
    return _Worker(loaded, Disturber(job.disturbance), job.recordings)


def _answer(worker: _Worker, clips: Sequence[Clip]) -> npt.NDArray[np.float64]:
    """Probabilities (clips, models, classes)."""
    first = worker.classifiers[0]
    rate = first.front_end.spec.sample_rate
    rows = []
    for clip in clips:
        samples, source_rate = read_clip(worker.recordings, clip)
        heard = worker.disturb(resample(samples, source_rate, rate), rate, clip.audio_sha256)
        # One front end for all of them: its features are computed once.
        features = [first.front_end.clip(each.frames) for each in first.segments(heard, rate)]
        rows.append([_mean(classifier, features) for classifier in worker.classifiers])
    return np.array(rows, dtype=np.float64)


def _mean(classifier: Classifier, features: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    rows = [classifier.probabilities(each) for each in features]
    return np.asarray(np.mean(rows, axis=0))


def _file(folder: Path, subject: Subject, disturbance: Disturbance, clips: Sequence[Clip]) -> Path:
    heard = [(clip.corpus, clip.stem, clip.audio_sha256) for clip in clips]
    deciding = [VERSION, subject.data_sha256, Disturber(disturbance).digest, heard]
    name = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()
    return folder / f"{disturbance.name.replace(' ', '-').replace(',', '')}-{name[:20]}.csv"


def _read(path: Path, labels: tuple[str, ...], rows: tuple[Any, ...]) -> Predictions | None:
    """Kept answers; None where there are none or they were spoilt."""
    if not path.is_file():
        return None
    try:
        found = Predictions.read(path)
    except PredictionsError:
        return None
    return found if (found.labels, found.rows) == (labels, rows) else None
