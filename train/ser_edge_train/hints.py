"""Hints: values of a large encoder that a network learns beside its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge_train.embeddings import Embeddings, EmbeddingsError, standardised
from ser_edge_train.manifest import Clip
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.recipes.teacher import Hint

_LEAST_SHARE = 1e-12


def pinned_hint(recipe: Recipe, train: Sequence[Clip]) -> tuple[Recipe, Embeddings | None]:
    """The recipe with the digest of its hint's embeddings, and these; none if it has no hint.

    Args:
        recipe: An emotion recipe.
        train: Its training recordings.

    Raises:
        EmbeddingsError: The file cannot be used, is another than the recipe's digest says,
            has fewer values a recording than are to be learnt, or none of a training
            recording.
    """
    hint = recipe.hint
    if hint is None:
        return recipe, None
    path = Path(hint.embeddings)
    if not path.exists():
        remedy = (
            "name the encoder's embeddings with --hint, or learn from labels alone: --no-teacher"
        )
        raise EmbeddingsError(path, "no such file", remedy)
    known = Embeddings.read(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if hint.embeddings_sha256 not in (None, digest):
        fault = "not the embeddings that this training began with"
        raise EmbeddingsError(path, fault, "train anew in another folder")
    if known.values.shape[1] < hint.components:
        raise EmbeddingsError(
            path,
            f"{known.values.shape[1]} values a recording, {hint.components} are to be learnt",
            "set teacher.hint.components to fewer",
        )
    if not (known.rows(train) >= 0).any():
        fault = "knows none of the training recordings"
        raise EmbeddingsError(path, fault, "make embeddings of these recordings")
    pinned = hint.model_copy(update={"embeddings_sha256": digest})
    return recipe.resolved(teacher={"hint": pinned}), known


def hint_values(
    hint: Hint, known: Embeddings | None, clips: Sequence[Clip], labels: Sequence[str]
) -> npt.NDArray[np.float32]:
    """What the second head is to give for each clip.

    Args:
        hint: How many values, over what they are standardised, and what counts of them.
        known: The embeddings; None: of no clip.
        clips: Training utterances; a recording may stand several times.
        labels: Of each.

    Returns:
        float32 (clips, components), each value times the root of its weight, so that the
        mean squared error is the weighted one; NaN for a clip that has no embedding.
    """
    found = np.full((len(clips), hint.components), np.nan, np.float32)
    if known is None:
        return found
    rows = known.rows(clips)
    there = rows >= 0
    values = known.values[rows[there], : hint.components].astype(np.float64)
    voices = (clip.speaker_key if hint.by_speaker else "" for clip in clips)
    groups = [voice for voice, kept in zip(voices, there, strict=True) if kept]
    values = standardised(values, groups)
    if hint.by_label:
        kinds = ((clip.corpus, label) for clip, label in zip(clips, labels, strict=True))
        share = between(values, [kind for kind, kept in zip(kinds, there, strict=True) if kept])
        values *= np.sqrt(share / max(share.mean(), _LEAST_SHARE))
    found[there] = values
    return found


def between(
    values: npt.NDArray[np.float64], kinds: Sequence[tuple[str, str]]
) -> npt.NDArray[np.float64]:
    """The share of each value's variance that lies between the labels of a corpus.

    Eta squared (Fisher's correlation ratio), the mean over the corpora, each corpus by how
    many rows it has: corpora that sound different say nothing of emotions.

    Args:
        values: (rows, values).
        kinds: Corpus and label of each row.

    Returns:
        (values,), each from 0 to 1.
    """
    found = np.zeros(values.shape[1])
    for corpus in sorted({corpus for corpus, _ in kinds}):
        rows = [row for row, (own, _) in enumerate(kinds) if own == corpus]
        own = values[rows] - values[rows].mean(axis=0)
        labels = np.array([kinds[row][1] for row in rows])
        explained = np.zeros(values.shape[1])
        for label in sorted(set(labels.tolist())):
            members = own[labels == label]
            explained += len(members) * members.mean(axis=0) ** 2
        whole = np.maximum((own**2).sum(axis=0), _LEAST_SHARE)
        found += len(rows) / len(kinds) * explained / whole
    return found


def hint_words(hint: Hint, known: Embeddings, clips: Sequence[Clip]) -> str:
    """A line for people: what is learnt, and of how many training recordings."""
    count = int((known.rows(clips) >= 0).sum())
    return (
        f"hint: {hint.components} values of {hint.embeddings}, {count} of {len(clips)} training "
        f"clips, weight {hint.weight:g}"
    )
