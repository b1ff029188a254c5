"""What a recipe's network tells apart: emotions, or the speakers that it trains on."""

from __future__ import annotations

from collections.abc import Iterable

from ser_edge_train.evaluation import allowed_classes
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.recipes.schema import Recipe


def speaker_label(clip: Clip) -> str:
    """The label of a clip's speaker: ``crema-d/1001``."""
    return "/".join(clip.speaker_key)


def speaker_labels(clips: Iterable[Clip]) -> tuple[str, ...]:
    """The labels of the known speakers of some clips, sorted, each once."""
    return tuple(sorted({speaker_label(clip) for clip in clips if clip.speaker_known}))


def label_of(recipe: Recipe, clip: Clip) -> str:
    """A recipe's label of a clip; it may be none of the recipe's labels."""
    if recipe.target == "speaker":
        return speaker_label(clip)
    return recipe.merge.get(clip.emotion, clip.emotion)


def allowed_of(recipe: Recipe, manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """The recipe's labels that each corpus of a manifest has, in the order of the labels.

    Speakers are told apart within their corpus: which corpus it is, a microphone tells.
    """
    if recipe.target != "speaker":
        return allowed_classes(manifest, recipe.labels, recipe.merge)
    labels = {
        corpus: tuple(label for label in recipe.labels if label.startswith(f"{corpus}/"))
        for corpus in manifest.corpora
    }
    return {corpus: names for corpus, names in labels.items() if names}
