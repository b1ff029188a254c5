"""The speaker embedding that a recipe names: found, fit for it, and strange to its test."""

from __future__ import annotations

import hashlib
from dataclasses import fields

from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_train.errors import quoted
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.run_directory import RunDirectory, RunError


class SpeakerEmbeddingError(RunError):
    """A run that cannot be used as a speaker embedding; says why."""


def pinned(recipe: Recipe, manifest: Manifest, partition: Partition) -> Recipe:
    """The recipe with the digest of its speaker embedding; as it is if it has none.

    Args:
        recipe: An emotion recipe.
        manifest: Its clips.
        partition: Their parts.

    Raises:
        SpeakerEmbeddingError: The run is not finished, is of another kind or another front
            end, is another than the recipe's digest says, or has heard one of the
            speakers or recordings that validate or test this recipe.
        RunError: The run cannot be read.
    """
    asked = recipe.speaker_embedding
    if asked is None:
        return recipe
    run = RunDirectory.open(asked.run)
    theirs = run.read_recipe()
    if theirs.target != "speaker":
        raise SpeakerEmbeddingError(
            run.path, "is no speaker embedding", "name a run of a recipe with target = 'speaker'"
        )
    if not run.model.is_file():
        raise SpeakerEmbeddingError(
            run.path, "holds no trained model (no model.keras)", "finish it by train --resume"
        )
    _check_front_end(run, theirs.spec, recipe.spec)
    _check_apart(run, manifest, partition)
    digest = hashlib.sha256(run.model.read_bytes()).hexdigest()
    if asked.network_sha256 not in (None, digest):
        raise SpeakerEmbeddingError(
            run.path,
            "its network is not the one that this training began with",
            "train anew in another folder",
        )
    return recipe.resolved(network_sha256=digest)


def _check_front_end(run: RunDirectory, theirs: FrontEndSpec, ours: FrontEndSpec) -> None:
    for field in fields(FrontEndSpec):
        if getattr(theirs, field.name) != getattr(ours, field.name):
            raise SpeakerEmbeddingError(
                run.path,
                f"its front end is another ({field.name} differs)",
                "train the embedding with the [front_end] of this recipe",
            )


def _check_apart(run: RunDirectory, manifest: Manifest, partition: Partition) -> None:
    """Nobody who validates or tests may have been heard, under whatever name."""
    known = Manifest.read(run.manifest).by_key
    rows = Partition.read(run.partition).rows
    lost = [row.name for row in rows if row.key not in known]
    if lost:
        raise SpeakerEmbeddingError(
            run.path,
            f"{quoted(lost[0])} is not in its manifest, so nobody knows whom it has heard",
            "train it anew",
        )
    speakers = {known[row.key].speaker_key for row in rows}
    audio = {known[row.key].audio_sha256 for row in rows}
    for part in ("test", "validation"):
        clips = partition.clips(manifest, part)
        heard = sorted({c.speaker_key for c in clips if c.speaker_key in speakers})
        if heard:
            raise SpeakerEmbeddingError(
                run.path,
                f"its training has heard {len(heard)} of the {part} speakers of this recipe "
                f"(first: {' '.join(heard[0])})",
                "train it with the protocol and the fold of this recipe",
            )
        twins = [clip.stem for clip in clips if clip.audio_sha256 in audio]
        if twins:
            raise SpeakerEmbeddingError(
                run.path,
                f"its training has heard {len(twins)} of the {part} clips of this recipe under "
                f"another name (first: {twins[0]})",
                "train it with the protocol and the fold of this recipe",
            )
