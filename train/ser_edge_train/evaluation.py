"""What a model's answers are worth: scores of a part, over all and by corpus, sex and speaker."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.delegates import Delegate
from ser_edge_train import metrics
from ser_edge_train.errors import quoted
from ser_edge_train.feature_store import read_clip
from ser_edge_train.manifest import Clip, Manifest, clip_name
from ser_edge_train.predictions import ClipRow, Predictions, UnknownLabel
from ser_edge_train.workers import Progress, chunks, cores, work

Allowed = Mapping[str, Collection[str]]
"""The classes of each corpus, by its name."""

PARALLEL_FROM = 64
WORST = 12


def allowed_classes(
    manifest: Manifest, labels: Sequence[str], merge: Mapping[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """The model's classes that each corpus of a manifest has, after a recipe's merges.

    Args:
        manifest: The recordings; all of them, not one part's.
        labels: The model's classes.
        merge: Emotions that the recipe renames.

    Returns:
        Classes by corpus, in the order of ``labels``; corpora that have none are left out.
    """
    renamed = dict(merge or {})
    allowed = {}
    for corpus in manifest.corpora:
        has = {renamed.get(emotion, emotion) for emotion in manifest.labels_of(corpus)}
        classes = tuple(label for label in labels if label in has)
        if classes:
            allowed[corpus] = classes
    return allowed


def allowed_mask(
    corpora: Iterable[str], labels: Sequence[str], allowed: Allowed
) -> npt.NDArray[np.bool_]:
    """The mask of each clip, bool (clips, classes), from the name of its corpus.

    Raises:
        KeyError: A corpus is not in ``allowed``.
    """
    rows = {name: [label in classes for label in labels] for name, classes in allowed.items()}
    return np.array([rows[name] for name in corpora], dtype=np.bool_).reshape(-1, len(labels))


def score(predictions: Predictions, allowed: Allowed, *, seed: int = 0) -> dict[str, Any]:
    """Scores of one part's predictions, as plain values for ``report.json``.

    A clip is answered with the most probable of the classes that its corpus has,
    and its confidence is that class's share among them.

    Args:
        predictions: The clips of one part.
        allowed: The classes of each corpus, as :func:`allowed_classes` gives them.
        seed: Of the bootstrap.

    Returns:
        ``overall`` (with ``reliability``, and intervals of accuracy, macro F1 and each
        class's recall), ``corpora`` and ``sexes`` by name, and ``speakers`` by
        "corpus/speaker". Each holds ``clips``, ``speakers``, ``accuracy``, ``uar``,
        ``uar_interval`` (95 %, over speakers; None for one speaker), ``macro_f1``,
        ``ece``, then by class ``support``, ``recalls``, ``precisions`` and ``f1s``, and
        ``confusion`` (``labels``, ``counts``: a row for each true class). What is not
        defined is None.

    Raises:
        ValueError: There is no clip, or one has a label that its corpus does not.
    """
    return score_together([predictions], allowed, seed=seed)


def score_together(
    tables: Sequence[Predictions], allowed: Allowed, *, seed: int = 0
) -> dict[str, Any]:
    """Scores of several models' predictions as those of one, as for the folds of a protocol.

    A clip that stands in several tables counts as often; an interval draws a speaker
    with the answers of all of them.

    Args:
        tables: At least one; all with the same classes.
        allowed: As for :func:`score`.
        seed: As for :func:`score`.

    Returns:
        As :func:`score`.

    Raises:
        ValueError: As :func:`score`, or the classes differ.
    """
    answers = [_answered(table, allowed) for table in tables]
    rows = [row for table in tables for row in table.rows]
    if not rows:
        raise ValueError("there is no clip to score")
    labels = tables[0].labels
    if any(table.labels != labels for table in tables):
        raise ValueError("the tables' classes differ")
    scorer = _Scorer(
        labels,
        rows,
        np.concatenate([table.truth for table in tables]),
        np.concatenate([one.answers for one in answers]),
        np.concatenate([one.shares.max(axis=1) for one in answers]),
        np.concatenate([one.mask for one in answers]),
        seed,
    )
    return {
        "overall": scorer.group(range(len(rows)), whole=True),
        "corpora": scorer.groups([row.corpus for row in rows]),
        "sexes": scorer.groups([row.sex for row in rows]),
        "speakers": scorer.groups(["/".join(row.speaker_key) for row in rows]),
    }


def worst_mistakes(
    predictions: Predictions, allowed: Allowed, count: int = WORST
) -> list[dict[str, Any]]:
    """The wrong answers that a model was surest of, surest first, as plain values.

    Args:
        predictions: The clips of one part.
        allowed: The classes of each corpus, as :func:`allowed_classes` gives them.
        count: At most so many.

    Returns:
        For each ``corpus``, ``stem``, ``copy`` (only of an augmented one),
        ``speaker``, ``label``, ``answer``,
        ``confidence`` (the answer's share among the classes that the corpus has) and
        ``truth`` (the true class's share).

    Raises:
        ValueError: A clip has a label that its corpus does not.
    """
    if not len(predictions):
        return []
    answered = _answered(predictions, allowed)
    truth, places = predictions.truth, np.arange(len(predictions))
    sure = answered.shares[places, answered.answers]
    wrong = np.flatnonzero(answered.answers != truth)
    # Equal confidences in the order of the table, whatever numpy's sort is.
    ordered = sorted(wrong.tolist(), key=lambda place: (-sure[place], place))
    found = []
    for place in ordered[:count]:
        row = predictions.rows[place]
        found.append(
            {
                "corpus": row.corpus,
                "stem": row.stem,
                **({"copy": row.copy} if row.copy else {}),
                "speaker": row.speaker,
                "label": row.label,
                "answer": predictions.labels[answered.answers[place]],
                "confidence": float(sure[place]),
                "truth": float(answered.shares[place, truth[place]]),
            }
        )
    return found


@dataclass(frozen=True)
class _Answered:
    """A table's answers among the classes that each clip's corpus has."""

    shares: npt.NDArray[np.float64]
    answers: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_]


def _answered(predictions: Predictions, allowed: Allowed) -> _Answered:
    mask = allowed_mask((row.corpus for row in predictions), predictions.labels, allowed)
    truth = predictions.truth
    fits = mask[np.arange(len(truth)), truth]
    if not fits.all():
        row = predictions.rows[int(np.argmin(fits))]
        raise ValueError(f"{row.corpus} {row.stem}: {row.label} is none of the corpus's classes")
    shares = metrics.masked_probabilities(predictions.probabilities, mask)
    return _Answered(shares, metrics.masked_argmax(shares, mask), mask)


@dataclass(frozen=True)
class _Scorer:
    labels: tuple[str, ...]
    rows: Sequence[ClipRow]
    truth: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    mask: npt.NDArray[np.bool_]
    seed: int

    def groups(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Scores by name; clips without a name are in no group."""
        places: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            if name:
                places.setdefault(name, []).append(index)
        return {name: self.group(places[name]) for name in sorted(places)}

    def group(self, members: Sequence[int], *, whole: bool = False) -> dict[str, Any]:
        """Scores of some clips; of the whole part with more intervals and the reliability."""
        place = np.asarray(members, dtype=np.int64)
        by_speaker = self._by_speaker(place)
        counts = by_speaker.sum(axis=0)
        confidence, right = self.confidence[place], self.answers[place] == self.truth[place]
        used = np.flatnonzero(self.mask[place].any(axis=0))
        names = [self.labels[index] for index in used]

        def by_class(values: npt.NDArray[Any]) -> dict[str, Any]:
            return {name: _plain(values[index]) for name, index in zip(names, used, strict=True)}

        scores: dict[str, Any] = {
            "clips": len(place),
            "speakers": len(by_speaker),
            "accuracy": _plain(metrics.accuracy(counts)),
            "uar": _plain(metrics.uar(counts)),
            "uar_interval": self._interval(by_speaker, metrics.uar),
            "macro_f1": _plain(metrics.macro_f1(counts)),
            "ece": _plain(metrics.expected_calibration_error(confidence, right)),
            "support": by_class(counts.sum(axis=1)),
            "recalls": by_class(metrics.recalls(counts)),
            "precisions": by_class(metrics.precisions(counts)),
            "f1s": by_class(metrics.f1s(counts)),
            "confusion": {"labels": names, "counts": counts[np.ix_(used, used)].tolist()},
        }
        if whole:
            scores["accuracy_interval"] = self._interval(by_speaker, metrics.accuracy)
            scores["macro_f1_interval"] = self._interval(by_speaker, metrics.macro_f1)
            ends = metrics.bootstrap_intervals(by_speaker, seed=self.seed)
            scores["recall_intervals"] = {
                name: None if ends is None else _ends(ends[index])
                for name, index in zip(names, used, strict=True)
            }
            binned = metrics.reliability(confidence, right)
            scores["reliability"] = [
                {"clips": int(count), "confidence": _plain(sure), "accuracy": _plain(share)}
                for count, sure, share in zip(*binned, strict=True)
            ]
        return scores

    def _interval(
        self, by_speaker: npt.NDArray[np.int64], statistic: metrics.Statistic
    ) -> list[int | float | None] | None:
        return _ends(metrics.bootstrap_interval(by_speaker, statistic, seed=self.seed))

    def _by_speaker(self, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Confusion matrices of the speakers of some clips, (speakers, classes, classes)."""
        classes = len(self.labels)
        members: dict[tuple[str, str], list[int]] = {}
        for index in place:
            members.setdefault(self.rows[index].speaker_key, []).append(int(index))
        return np.stack(
            [
                metrics.confusion(self.truth[clips], self.answers[clips], classes)
                for _, clips in sorted(members.items())
            ]
        )


def evaluate_model(
    model: str | PathLike[str] | None,
    manifest: Manifest,
    parts: Mapping[tuple[str, str], str],
    *,
    merge: Mapping[str, str] | None = None,
    processes: int | None = None,
    interpreter: str | None = None,
    delegate: str | Delegate | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Runs a finished model file over recordings, as a device would.

    Args:
        model: The model file; None takes the default model.
        manifest: The recordings.
        parts: Which clips, by (corpus, stem), and the part that each is of.
        merge: Emotions that are renamed to the model's classes, as {"calm": "neutral"}.
        processes: Worker processes; None takes as many as there are cores.
        interpreter: The package whose interpreter is used; None: the first there is.
        delegate: As in :class:`~ser_edge_runtime.classifier.Classifier`.
        progress: Called with (clips done, clips in all).

    Returns:
        The probabilities, in the manifest's order.

    Raises:
        UnknownLabel: A clip's emotion is no class of the model.
        KeyError: ``parts`` names a clip that the manifest has not.
        SerEdgeError: The model or a recording cannot be used; names it.
    """
    job = _Job(None if model is None else fspath(model), manifest.root, interpreter, delegate)
    classifier = _classifier(job).classifier
    clips = sorted((manifest.by_key[key] for key in parts), key=lambda clip: clip.key)
    renamed = dict(merge or {})
    for clip in clips:
        label = renamed.get(clip.emotion, clip.emotion)
        if label not in classifier.labels:
            raise UnknownLabel(
                f"{clip_name(clip)}: the model has no class {quoted(label)}, "
                f"only {', '.join(classifier.labels)}; leave the clip out or merge its label"
            )
    if processes is None:
        processes = cores() if len(clips) >= PARALLEL_FROM else 1
    rows: list[list[float]] = []
    for answers in work(_classify, _classifier, job, chunks(clips), processes):
        rows.extend(answers)
        if progress is not None:
            progress(len(rows), len(clips))
    probabilities = np.array(rows, dtype=np.float64).reshape(-1, len(classifier.labels))
    return Predictions.of_clips(
        clips, [parts[clip.key] for clip in clips], classifier.labels, probabilities, merge
    )


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know."""

    model: str | None
    recordings: Path
    interpreter: str | None
    delegate: str | Delegate | None


@dataclass(frozen=True)
class _Worker:
    classifier: Classifier
    recordings: Path


def _classifier(job: _Job) -> _Worker:
    loaded = Classifier.load(job.model, interpreter=job.interpreter, delegate=job.delegate)
    return _Worker(loaded, job.recordings)


def _classify(worker: _Worker, clips: Sequence[Clip]) -> list[list[float]]:
    answers = []
    for clip in clips:
        result = worker.classifier.classify(*read_clip(worker.recordings, clip))
        answers.append(list(result.scores.values()))
    return answers


def _ends(interval: metrics.Interval | None) -> list[int | float | None] | None:
    return None if interval is None else [_plain(end) for end in interval]


def _plain(value: Any) -> int | float | None:
    """A number that JSON has; None for what is not defined."""
    if isinstance(value, np.integer):
        return int(value)
    return float(value) if math.isfinite(value) else None
