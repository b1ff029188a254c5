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
from ser_edge_train.recipes.teacher import Hint, Teacher


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
    if recipe.teacher is None or recipe.teacher.hint is None:
        return recipe, None
    hint = recipe.teacher.hint
    path = Path(hint.embeddings)
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
    hint: Hint, known: Embeddings | None, clips: Sequence[Clip]
) -> npt.NDArray[np.float32]:
    """What the second head is to give for each clip.

    Args:
        hint: How many values, and over what they are standardised.
        known: The embeddings; None: of no clip.
        clips: Training utterances; a recording may stand several times.

    Returns:
        float32 (clips, components); NaN for a clip that has no embedding.
    """
    found = np.full((len(clips), hint.components), np.nan, np.float32)
    if known is None:
        return found
    rows = known.rows(clips)
    there = rows >= 0
    values = known.values[rows[there], : hint.components].astype(np.float64)
    voices = (clip.speaker_key if hint.by_speaker else "" for clip in clips)
    groups = [voice for voice, kept in zip(voices, there, strict=True) if kept]
    found[there] = standardised(values, groups)
    return found


def hint_words(teacher: Teacher, known: Embeddings, clips: Sequence[Clip]) -> str:
    """A line for people: what is learnt, and of how many training recordings."""
    hint = teacher.hint
    assert hint is not None
    count = int((known.rows(clips) >= 0).sum())
    return (
        f"hint: {hint.components} values of {hint.embeddings}, {count} of {len(clips)} training "
        f"clips, weight {hint.weight:g}"
    )
