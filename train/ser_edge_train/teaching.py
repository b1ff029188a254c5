"""A teacher from embeddings: a linear head a fold, whose scores leak nothing.

The head is a softmax regression, over the classes that an utterance's corpus has, on
embeddings that are standardised by speaker if asked for (whose voice a training
utterance is, is known). Its scores of training utterances are cross-fitted: each speaker
is scored by a head that has heard the other training speakers alone, so that they say
what the teacher makes of a stranger. Validation speakers choose how far the head's weights
are held back; test speakers are not looked at.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train import metrics
from ser_edge_train.embeddings import Embeddings, standardised
from ser_edge_train.manifest import Clip, Key, Manifest
from ser_edge_train.plan import Plan, make_plan
from ser_edge_train.progress import Progress, Silence
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.teacher_scores import TeacherScores

Values = npt.NDArray[np.float64]

GROUPS = 5
"""Into how many the training speakers of a corpus are divided for cross-fitting."""
STRENGTHS = (0.003, 0.01, 0.03, 0.1)
"""Weights of the squared head that are tried, an utterance."""


class NothingToTeach(SerEdgeError):
    """The embeddings do not cover what the recipe trains on."""


@dataclass(frozen=True)
class Lesson:
    """Scores for a pupil, and how good their teacher is.

    Attributes:
        scores: Of training recordings.
        strength: What the validation speakers chose.
        crossfitted: UAR on the training speakers of each corpus, each scored by a head
            that never heard them.
        validation: UAR on the validation speakers of each corpus, by the head of all
            training speakers.
        left_out: Corpora with too few training speakers to cross-fit; their utterances
            are not in the table.
    """

    scores: TeacherScores
    strength: float
    crossfitted: dict[str, float]
    validation: dict[str, float]
    left_out: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Heard:
    clips: tuple[Clip, ...]
    values: Values
    labels: npt.NDArray[np.int64]
    allowed: npt.NDArray[np.bool_]

    def where(self, keep: npt.NDArray[np.bool_]) -> _Heard:
        clips = tuple(clip for clip, kept in zip(self.clips, keep, strict=True) if kept)
        return _Heard(clips, self.values[keep], self.labels[keep], self.allowed[keep])


def teach(
    recipe: Recipe,
    manifest: Manifest,
    embeddings: Embeddings,
    *,
    by_speaker: bool = True,
    progress: Progress | None = None,
) -> Lesson:
    """Fits a teacher on a recipe's training speakers and scores them, cross-fitted.

    Args:
        recipe: Whose partition and labels count; its own teacher does not.
        manifest: The recordings.
        embeddings: Of them.
        by_speaker: Whether embeddings are standardised by speaker.
        progress: Told of the fits.

    Raises:
        NothingToTeach: No training or no validation recording has an embedding, or no
            corpus has enough training speakers.
        SerEdgeError: The recipe's protocol cannot divide the recordings.
    """
    tell = progress or Silence()
    plan = make_plan(recipe.model_copy(update={"teacher": None}), manifest)
    train = _heard(plan, embeddings, "train", by_speaker)
    validation = _heard(plan, embeddings, "validation", by_speaker)
    groups = _groups([clip.speaker_key for clip in train.clips], plan.recipe.partition_seed)
    taught = {key for group in groups for key in group}
    left_out = tuple(sorted({c.corpus for c in train.clips if c.speaker_key not in taught}))
    if not taught:
        raise NothingToTeach(
            f"{plan.recipe.name}: no corpus has {GROUPS} training speakers, so none can be scored "
            "by a head that never heard them; take more recordings"
        )
    total = len(STRENGTHS) + len(groups)
    tried: dict[float, dict[str, float]] = {}
    for number, strength in enumerate(STRENGTHS):
        tell.step("fitting heads", number, total)
        head = fit_head(train.values, train.labels, train.allowed, strength)
        tried[strength] = _uar(validation, _probabilities(head, validation))
    chosen = max(STRENGTHS, key=lambda strength: np.mean(list(tried[strength].values())))
    probabilities = np.zeros(train.allowed.shape)
    speakers = [clip.speaker_key for clip in train.clips]
    for number, group in enumerate(groups):
        tell.step("fitting heads", len(STRENGTHS) + number, total)
        scored = np.array([key in group for key in speakers])
        known = train.where(~scored)
        head = fit_head(known.values, known.labels, known.allowed, chosen)
        probabilities[scored] = _probabilities(head, train.where(scored))
    tell.step("fitting heads", total, total)
    covered = np.array([key in taught for key in speakers])
    answered = train.where(covered)
    scores = _table(plan, answered.clips, probabilities[covered])
    return Lesson(scores, chosen, _uar(answered, probabilities[covered]), tried[chosen], left_out)


def fit_head(
    values: Values,
    labels: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.bool_],
    strength: float,
) -> Values:
    """Softmax regression with a mask of classes, by L-BFGS; its loss is convex.

    Args:
        values: (utterances, values).
        labels: (utterances,), each among its allowed classes.
        allowed: (utterances, classes).
        strength: Half of it times the squared weights, without the biases, is added to
            the mean cross-entropy.

    Returns:
        (values + 1, classes): the weights, the biases last.
    """
    from scipy.optimize import minimize

    count, classes = allowed.shape
    inputs = np.hstack([values, np.ones((count, 1))])
    one_hot = np.eye(classes)[labels]
    held = np.full((inputs.shape[1], 1), strength)
    held[-1] = 0

    def loss(flat: Values) -> tuple[float, Values]:
        head = flat.reshape(inputs.shape[1], classes)
        logs = metrics.masked_log_softmax(inputs @ head, allowed)
        powers = np.exp(logs)
        value = -np.where(one_hot > 0, logs, 0).sum() / count + 0.5 * (held * head**2).sum()
        slope = inputs.T @ (powers - one_hot) / count + held * head
        return float(value), slope.ravel()

    start = np.zeros(inputs.shape[1] * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x).reshape(inputs.shape[1], classes)


def _heard(plan: Plan, embeddings: Embeddings, part: str, by_speaker: bool) -> _Heard:
    clips = plan.clips(part)
    rows = embeddings.rows(clips)
    known = tuple(clip for clip, row in zip(clips, rows, strict=True) if row >= 0)
    if not known:
        raise NothingToTeach(
            f"{plan.recipe.name}: none of the {len(clips)} {part} recordings has an embedding; "
            "are they of other recordings, or of another root?"
        )
    values = embeddings.values[rows[rows >= 0]].astype(np.float64)
    values = standardised(values, [clip.speaker_key if by_speaker else "" for clip in known])
    return _Heard(known, values, plan.labels(known), plan.allowed(known))


def _groups(keys: Sequence[Key], seed: int) -> list[set[Key]]:
    """The speakers in groups, those of each corpus evenly; small corpora in none."""
    groups: list[set[Key]] = [set() for _ in range(GROUPS)]
    by_corpus: dict[str, set[Key]] = defaultdict(set)
    for key in keys:
        by_corpus[key[0]].add(key)
    for speakers in by_corpus.values():
        if len(speakers) < GROUPS:
            continue
        ordered = sorted(
            speakers, key=lambda key: hashlib.sha256("\0".join([str(seed), *key]).encode()).digest()
        )
        for place, group in enumerate(groups):
            group.update(ordered[place::GROUPS])
    return groups


def _probabilities(head: Values, of: _Heard) -> Values:
    logits = of.values @ head[:-1] + head[-1]
    return np.asarray(np.exp(metrics.masked_log_softmax(logits, of.allowed)))


def _uar(of: _Heard, probabilities: Values) -> dict[str, float]:
    answers = metrics.masked_argmax(probabilities, of.allowed)
    found = {}
    for corpus in sorted({clip.corpus for clip in of.clips}):
        own = np.array([clip.corpus == corpus for clip in of.clips])
        counts = metrics.confusion(of.labels[own], answers[own], of.allowed.shape[1])
        found[corpus] = float(metrics.uar(counts))
    return found


def _table(plan: Plan, clips: Sequence[Clip], probabilities: Values) -> TeacherScores:
    """One row a sound; of recordings that sound the same the first."""
    first: dict[str, int] = {}
    for row, clip in enumerate(clips):
        first.setdefault(clip.audio_sha256, row)
    kept = probabilities[list(first.values())]
    return TeacherScores(plan.recipe.labels, tuple(first), kept, plan.partition.digest)
