"""The short proof that a partition is clean; :mod:`ser_edge_train.leaks` has the long one."""

from __future__ import annotations

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.partitions.partition import Partition, Row


def check_disjoint(manifest: Manifest, partition: Partition) -> None:
    """Proves a partition clean: no speaker and no audio in two parts, no faulted clip in any.

    Raises:
        PartitionError: Names the first leak.
    """
    speakers: dict[Key, Row] = {}
    audio: dict[str, Row] = {}
    for row in partition.rows:
        name = f"{row.corpus} {row.stem}"
        clip = manifest.by_key.get((row.corpus, row.stem))
        if clip is None:
            raise PartitionError(f"{name} is in the partition but not in the manifest")
        if clip.fault:
            raise PartitionError(f"{name} has the fault {clip.fault} but is in the part {row.part}")
        other = speakers.setdefault(clip.speaker_key, row)
        if other.part != row.part:
            places = f"{other.part} ({other.stem}) and in {row.part} ({row.stem})"
            raise PartitionError(f"{clip.corpus} speaker {clip.speaker} is in {places}")
        other = audio.setdefault(clip.audio_sha256, row)
        if other.part != row.part:
            twin = f"{other.corpus} {other.stem}"
            raise PartitionError(f"{name} ({row.part}) and {twin} ({other.part}) are equal audio")
