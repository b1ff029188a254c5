"""What the protocols share: an order that only names and a seed decide, and a last look.

Everything is ordered by SHA-256, never by a library's random numbers: the same
clips and seed give the same partition on every machine and in every release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.partitions.partition import Partition

VALIDATION_SHARE = 8
"""Where a protocol leaves open who validates, every eighth does."""


def shuffled(group: str, names: Iterable[str], seed: int) -> list[str]:
    """Names in an order that only the seed, they and their group decide."""

    def place(name: str) -> tuple[str, str]:
        text = f"{seed}\n{group}\n{name}"
        return hashlib.sha256(text.encode()).hexdigest(), name

    return sorted(names, key=place)


def speakers_of(manifest: Manifest) -> dict[str, list[str]]:
    """The speakers that have usable clips, by corpus, both sorted."""
    speakers: dict[str, set[str]] = {}
    for clip in manifest.usable:
        speakers.setdefault(clip.corpus, set()).add(clip.speaker)
    return {corpus: sorted(names) for corpus, names in sorted(speakers.items())}


def validators(corpus: str, speakers: Sequence[str], seed: int, tested: str = "") -> set[str]:
    """Who validates among a corpus's speakers: one in eight of those who are not tested.

    A corpus of three speakers or more has at least one, a smaller one none.

    Args:
        corpus: Its name.
        speakers: All of its speakers.
        seed: Chooses among them.
        tested: The one who is tested, if any.
    """
    others = [name for name in shuffled(corpus, speakers, seed) if name != tested]
    least = 1 if len(speakers) > 2 else 0
    return set(others[: max(least, len(others) // VALIDATION_SHARE)] if least else ())


def by_speaker(manifest: Manifest, parts: Mapping[Key, str]) -> Partition:
    """The partition that gives each usable clip its speaker's part, if it can be used.

    Raises:
        PartitionError: Nothing is left to train on or to test.
    """
    return usable(manifest, Partition.of(manifest.usable, lambda clip: parts[clip.speaker_key]))


def usable(manifest: Manifest, partition: Partition, more: str = "of others") -> Partition:
    """The partition itself, if there is something to train on and something to test on.

    Args:
        manifest: What was divided.
        partition: How.
        more: What recordings would help, for the error.

    Raises:
        PartitionError: One of the two is empty.
    """
    for part, why in (("train", "nothing to train on"), ("test", "nobody to test on")):
        if not any(row.part == part for row in partition.rows):
            speakers = len({clip.speaker_key for clip in manifest.usable})
            raise PartitionError(
                f"{speakers} speakers with usable clips leave {why}; add recordings {more}"
            )
    return partition
