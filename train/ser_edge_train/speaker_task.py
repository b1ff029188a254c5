"""Speakers as classes: who they are, and which of their utterances validate."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Final

from ser_edge_train.classes import speaker_labels
from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes.schema import Recipe, RecipeError

HELD_OUT: Final = 8
"""Of so many utterances of a speaker one validates."""


def held_out(manifest: Manifest, divided: Partition, seed: int) -> Partition:
    """The partition of a speaker recipe: utterances of the training speakers alone.

    Every eighth utterance of each, in an order that only the seed and their names
    decide, validates; there is no test part. Clips whose speaker nobody knows are
    left out, as are all of the speakers that ``divided`` validates or tests on.

    Args:
        manifest: The clips.
        divided: What the recipe's protocol makes of them.
        seed: Of the order.

    Raises:
        PartitionError: Fewer than two speakers, or two utterances of each, are left.
    """
    by_speaker: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in divided.clips(manifest, "train"):
        if clip.speaker_known:
            by_speaker[clip.speaker_key].append(clip)
    if len(by_speaker) < 2 or max(map(len, by_speaker.values())) < HELD_OUT:
        raise PartitionError(
            f"{len(by_speaker)} training speakers, the most talkative with "
            f"{max(map(len, by_speaker.values()), default=0)} clips: too little to tell speakers "
            f"apart; 2 speakers with {HELD_OUT} clips are needed"
        )

    def place(clip: Clip) -> str:
        return hashlib.sha256("\n".join([str(seed), *clip.key]).encode()).hexdigest()

    parts = {
        clip.key: "validation" if index % HELD_OUT == HELD_OUT - 1 else "train"
        for clips in by_speaker.values()
        for index, clip in enumerate(sorted(clips, key=place))
    }
    chosen = [clip for clip in manifest.clips if clip.key in parts]
    return Partition.of(chosen, lambda clip: parts[clip.key])


def with_speakers(recipe: Recipe, manifest: Manifest, partition: Partition) -> Recipe:
    """The recipe with its training speakers as labels.

    Raises:
        RecipeError: It names labels already, and they are others: a run was begun with
            other recordings or another fold.
    """
    labels = speaker_labels(partition.clips(manifest, "train"))
    if recipe.labels and recipe.labels != labels:
        raise RecipeError(
            recipe.name,
            f"labels: its {len(recipe.labels)} speakers are not the {len(labels)} training "
            "speakers of these recordings and this fold",
            "leave labels out, or name the data that the run began with",
        )
    return recipe.resolved(labels=labels)
