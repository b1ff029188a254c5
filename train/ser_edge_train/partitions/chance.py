"""Clips divided by chance, whoever speaks: protocols that leak, and are published all the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Clip, Key, Manifest
from ser_edge_train.partitions.order import VALIDATION_SHARE, shuffled, usable
from ser_edge_train.partitions.partition import Partition, Row

RANDOM_FOLDS = 5


class _Unit(NamedTuple):
    """What stays together.

    Attributes:
        stratum: Corpus and emotion.
        name: Its own, within the stratum.
        rows: Clips and their copies.
    """

    stratum: Key
    name: str
    rows: tuple[tuple[Clip, int], ...]


def random_split(manifest: Manifest, fold: int, seed: int, folds: int = RANDOM_FOLDS) -> Partition:
    """Deals the clips of each corpus and emotion into folds by chance: speakers leak.

    Fold n tests the n-th; of the rest every eighth validates. Over all folds each clip
    is tested once. Clips of equal audio stay together.

    Args:
        manifest: The clips.
        fold: From 1 to ``folds``.
        seed: Of the dealing.
        folds: How many, two or more.

    Raises:
        PartitionError: No such fold, or nothing left to train on or to test.
    """
    alike: dict[str, list[Clip]] = {}
    for clip in manifest.usable:
        alike.setdefault(clip.audio_sha256, []).append(clip)
    units = [
        _Unit((clips[0].corpus, clips[0].emotion), clips[0].stem, tuple((c, 0) for c in clips))
        for clips in alike.values()
    ]
    return usable(manifest, _dealt(units, fold, seed, folds), "to divide")


def augment_then_split(
    manifest: Manifest, fold: int, seed: int, copies: int, folds: int = RANDOM_FOLDS
) -> Partition:
    """Deals recordings and their augmented copies alike: copies of training clips are tested.

    As :func:`random_split`, after each clip was joined by its copies. Speakers leak, and
    so does each recording itself.

    Args:
        manifest: The clips.
        fold: From 1 to ``folds``.
        seed: Of the dealing.
        copies: How many augmented copies each clip has, one or more.
        folds: How many, two or more.

    Raises:
        PartitionError: No such fold, no copies, or nothing left to train on or to test.
    """
    if copies < 1:
        raise PartitionError(
            "augment-then-split divides augmented copies, and there are none; set "
            "augmentation.waveform.copies in the recipe"
        )
    units = [
        _Unit((clip.corpus, clip.emotion), f"{clip.stem}\n{copy}", ((clip, copy),))
        for clip in manifest.usable
        for copy in range(copies + 1)
    ]
    return usable(manifest, _dealt(units, fold, seed, folds), "to divide")


def _dealt(units: Iterable[_Unit], fold: int, seed: int, folds: int) -> Partition:
    if folds < 2 or not 1 <= fold <= folds:
        raise PartitionError(f"there is no fold {fold} of {folds}; choose one from 1 to {folds}")
    strata: dict[Key, dict[str, _Unit]] = {}
    for unit in units:
        strata.setdefault(unit.stratum, {})[unit.name] = unit
    # One stratum after the other, so that each is spread evenly over the folds, and so is all.
    ordered = [
        members[name]
        for stratum, members in sorted(strata.items())
        for name in shuffled("\n".join(stratum), members, seed)
    ]
    rest = [place for place in range(len(ordered)) if place % folds != fold - 1]
    parts = dict.fromkeys(range(fold - 1, len(ordered), folds), "test")
    validating = rest[VALIDATION_SHARE - 1 :: VALIDATION_SHARE] or rest[1:2]
    parts.update(dict.fromkeys(validating, "validation"))
    return Partition(
        tuple(
            Row(*clip.key, clip.audio_sha256, parts.get(place, "train"), copy)
            for place, unit in enumerate(ordered)
            for clip, copy in unit.rows
        )
    )
