"""What a model file answers, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.audit.subjects import Subject
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.front_end import FrontEnd
from ser_edge_runtime.model_file import ModelFile
from ser_edge_runtime.resampling import resample
from ser_edge_train.feature_store import FeatureStore, read_clip
from ser_edge_train.predictions import Predictions
from ser_edge_train.workers import chunks, cores, work

Features = npt.NDArray[np.float32]
Tell = Callable[[int, int], None]

PARALLEL_FROM = 256
WARM_UP = 3
# Some systems count processor time in steps of 16 ms.
LEAST_SECONDS = 0.2
MOST_ROUNDS = 50


def write_features(
    reference: Reference, store: Path, path: Path, processes: int | None, tell: Tell
) -> None:
    """Writes the features of a reference's clips, not normalised, float32 (clips, ...).

    They are those that the network was scored on: a clip is one segment, whatever
    its length.

    Raises:
        SerEdgeError: A recording is missing, changed or not readable.
        OSError: The disk is full.
    """
    features = FeatureStore(store, reference.inputs.front_end)
    features.fill(reference.recordings, reference.clips, processes, tell)
    features.matrix(reference.clips, path, processes)


def answers(
    subject: Subject,
    features: Path,
    *,
    interpreter: str | None = None,
    processes: int | None = None,
    tell: Tell,
) -> Predictions:
    """A model file's answers to the clips of its reference.

    Args:
        subject: The file.
        features: What :func:`write_features` wrote for its reference.
        interpreter: The package that runs it; None: the first that there is.
        processes: Worker processes; None takes as many as there are cores.
        tell: Called with (clips done, clips in all).

    Raises:
        InterpreterError: No interpreter can be used, or it refuses the graph.
    """
    table = subject.reference.answers
    if processes is None:
        processes = cores() if len(table) >= PARALLEL_FROM else 1
    job = _Job(subject.model, features, interpreter)
    rows: list[npt.NDArray[np.float64]] = []
    done = 0
    for piece in work(_answer, _classifier, job, chunks(range(len(table))), processes):
        rows.append(piece)
        done += len(piece)
        tell(done, len(table))
    return Predictions(table.labels, table.rows, np.concatenate(rows))


@dataclass(frozen=True)
class _Job:
    model: ModelFile
    features: Path
    interpreter: str | None


@dataclass(frozen=True)
class _Worker:
    classifier: Classifier
    features: Features


def _classifier(job: _Job) -> _Worker:
    classifier = Classifier(job.model, interpreter=job.interpreter)
    return _Worker(classifier, np.load(job.features, mmap_mode="r"))


def _answer(worker: _Worker, places: Sequence[int]) -> npt.NDArray[np.float64]:
    rows = [worker.classifier.probabilities(np.asarray(worker.features[i])) for i in places]
    return np.array(rows, dtype=np.float64)


def spread_evenly(count: int, wanted: int) -> list[int]:
    """``wanted`` places of ``count``, evenly; all if there are fewer."""
    number = min(count, wanted)
    return [index * count // number for index in range(number)]


def time_features(reference: Reference, clips: int) -> float:
    """Milliseconds of processor time from a recording's samples to its features, resampled first.

    Args:
        reference: Whose clips are taken, evenly.
        clips: How many.

    Raises:
        SerEdgeError: A recording is missing, changed or not readable.
    """
    spec = reference.inputs.front_end
    front_end = FrontEnd(spec)
    heard = [
        read_clip(reference.recordings.root, reference.clips[place])
        for place in spread_evenly(len(reference.clips), clips)
    ]

    def once(place: int) -> Any:
        samples, rate = heard[place]
        return front_end(resample(samples, rate, spec.sample_rate))

    return _mean_ms(once, len(heard))


def time_model(subject: Subject, features: Path, clips: int, interpreter: str | None) -> float:
    """Milliseconds of processor time from features to probabilities, one clip at a time.

    Args:
        subject: The file.
        features: What :func:`write_features` wrote for its reference.
        clips: How many clips, taken evenly.
        interpreter: As for :func:`answers`.
    """
    classifier = Classifier(subject.model, interpreter=interpreter)
    rows = np.load(features, mmap_mode="r")
    chosen = [np.array(rows[place]) for place in spread_evenly(len(rows), clips)]
    return _mean_ms(lambda place: classifier.probabilities(chosen[place]), len(chosen))


def _mean_ms(once: Callable[[int], Any], count: int) -> float:
    """Processor time of a call: what a clock on the wall shows when nothing else runs."""
    for place in range(min(WARM_UP, count)):
        once(place)
    start, calls = time.process_time(), 0
    for _ in range(MOST_ROUNDS):
        for place in range(count):
            once(place)
        calls += count
        if time.process_time() - start >= LEAST_SECONDS:
            break
    return 1000 * (time.process_time() - start) / calls
