"""What a training is made of: which clips a recipe uses, in which part, under which label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.dataset import Part
from ser_edge_train.evaluation import allowed_classes, allowed_mask
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import PROTOCOLS, Partition
from ser_edge_train.recipes.schema import Recipe, RecipeError


class NothingToTrain(SerEdgeError):
    """No clip of the manifest is of use to the recipe."""


@dataclass(frozen=True)
class Plan:
    """What a recipe makes of a manifest. Immutable; threads may share it.

    Attributes:
        recipe: The recipe.
        manifest: Its corpora's clips, those without a part too.
        partition: Which clip is train, validation or test.
        left_out: How many clips have no part, by the reason: a fault of the
            recording, or "label NAME" for an emotion that the recipe does not have.
    """

    recipe: Recipe
    manifest: Manifest
    partition: Partition
    left_out: Mapping[str, int]

    def label_of(self, clip: Clip) -> str:
        """The recipe's label of a clip."""
        return self.recipe.merge.get(clip.emotion, clip.emotion)

    def clips(self, part: str) -> list[Clip]:
        """The clips of a part, in the manifest's order."""
        return self.partition.clips(self.manifest, part)

    def labels(self, clips: Sequence[Clip]) -> npt.NDArray[np.int64]:
        """Index of each clip's label among the recipe's, (clips,)."""
        place = {label: index for index, label in enumerate(self.recipe.labels)}
        return np.array([place[self.label_of(clip)] for clip in clips], dtype=np.int64)

    def allowed(self, clips: Sequence[Clip]) -> npt.NDArray[np.bool_]:
        """Which of the recipe's labels each clip's corpus has, (clips, labels)."""
        has = allowed_classes(self.manifest, self.recipe.labels, self.recipe.merge)
        return allowed_mask((clip.corpus for clip in clips), self.recipe.labels, has)

    def part(self, clips: Sequence[Clip], features: npt.NDArray[Any], copies: int = 0) -> Part:
        """What the fit needs of clips whose features are given, in the same order.

        Args:
            clips: The utterances.
            features: Of each the features and those of its ``copies``, before the normaliser.
            copies: How many stand behind each, for an epoch to choose from.
        """
        factors = self.recipe.fit.corpus_weights
        weights = np.array([factors.get(clip.corpus, 1.0) for clip in clips], dtype=np.float32)
        return Part(features, self.labels(clips), self.allowed(clips), weights, copies)

    def notes(self) -> Iterator[str]:
        """Lines for people: what is left out, and how large each part is."""
        if self.left_out:
            counted = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            yield f"left out: {counted}"
        for part in ("train", "validation", "test"):
            clips = self.clips(part)
            speakers = len({clip.speaker_key for clip in clips})
            yield f"{part}: {len(clips)} clips of {speakers} speakers"


def make_plan(recipe: Recipe, manifest: Manifest) -> Plan:
    """Chooses the clips that a recipe can use, and divides them by its protocol.

    Raises:
        RecipeError: The protocol is unknown.
        NothingToTrain: No clip of the manifest is of use to the recipe.
        PartitionError: The protocol cannot divide these clips.
    """
    protocol = PROTOCOLS.get(recipe.protocol.name)
    if protocol is None:
        raise RecipeError(
            recipe.name,
            f"protocol.name: {recipe.protocol.name!r} is unknown",
            f"known are {', '.join(sorted(PROTOCOLS))}",
        )
    chosen = manifest.select(recipe.corpora) if recipe.corpora else manifest
    left_out: Counter[str] = Counter()
    used = []
    for clip in chosen.clips:
        label = recipe.merge.get(clip.emotion, clip.emotion)
        if clip.fault:
            left_out[clip.fault] += 1
        elif label not in recipe.labels:
            left_out[f"label {label}"] += 1
        else:
            used.append(clip)
    if not used:
        raise NothingToTrain(
            f"{manifest.root}: no usable clip has one of the labels of {recipe.name} "
            f"({', '.join(recipe.labels)}); see the manifest's columns emotion and fault"
        )
    partition = protocol(
        Manifest(chosen.root, tuple(used)), fold=recipe.protocol.fold, seed=recipe.seed
    )
    return Plan(recipe, chosen, partition, dict(sorted(left_out.items())))
