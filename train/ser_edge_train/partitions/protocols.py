"""The protocols by name: how each divides, and which leaks it rules out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions.chance import augment_then_split, random_split
from ser_edge_train.partitions.cross_corpus import cross_corpus
from ser_edge_train.partitions.disjoint import speaker_disjoint
from ser_edge_train.partitions.folds import speaker_folds
from ser_edge_train.partitions.leave_one_out import leave_one_speaker_out
from ser_edge_train.partitions.partition import Partition
from ser_edge_train.partitions.sentences import sentence_disjoint

FAULTS: Final = frozenset({"speaker", "duplicate", "sibling"})
"""The leaks that make a score too good, whatever the protocol; a sentence only by promise."""


@dataclass(frozen=True)
class Protocol:
    """A way to divide clips into parts. Immutable; threads may share it.

    Attributes:
        name: As recipes use it.
        summary: What is kept apart, one line.
        divide: Makes the partition; called through the protocol itself.
        promises: Kinds of leaks, as of :class:`ser_edge_train.leaks.Leak`, that its
            partitions of a clean manifest do not have.
    """

    name: str
    summary: str
    divide: Callable[..., Partition]
    promises: frozenset[str] = FAULTS

    @property
    def leaky(self) -> bool:
        """Whether it leaks by its very definition."""
        return not self.promises >= FAULTS

    def __call__(
        self, manifest: Manifest, *, fold: int = 1, seed: int = 0, **options: object
    ) -> Partition:
        """The partition of one fold.

        Args:
            manifest: The clips; those with a fault are left out.
            fold: Which one, from 1; what it means is the protocol's.
            seed: Of what the protocol leaves to chance.
            **options: The protocol's own.

        Raises:
            PartitionError: No such fold, or these clips cannot be divided so.
        """
        return self.divide(manifest, fold=fold, seed=seed, **options)


def _disjoint(manifest: Manifest, *, fold: int, seed: int) -> Partition:
    _one_fold("speaker-disjoint", fold, "vary the seed")
    return speaker_disjoint(manifest, seed)


def _cross_corpus(
    manifest: Manifest, *, fold: int, seed: int, test_corpora: tuple[str, ...]
) -> Partition:
    _one_fold("cross-corpus", fold, "name other test_corpora")
    return cross_corpus(manifest, seed, test_corpora)


def _one_fold(name: str, fold: int, instead: str) -> None:
    if fold != 1:
        raise PartitionError(f"{name} has no fold {fold}; {instead} instead")


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "speaker-disjoint",
            "each speaker in one part: 70 % train, 15 % validate, 15 % are tested",
            _disjoint,
        ),
        Protocol(
            "speaker-folds",
            "each speaker in one part; five folds, the published ones of known corpora",
            speaker_folds,
        ),
        Protocol(
            "leave-one-speaker-out",
            "one speaker is tested; as many folds as speakers",
            leave_one_speaker_out,
        ),
        Protocol(
            "sentence-disjoint",
            "each speaker and each sentence in one part; five folds",
            sentence_disjoint,
            FAULTS | {"sentence"},
        ),
        Protocol("cross-corpus", "whole corpora are tested, the others train", _cross_corpus),
        Protocol(
            "random",
            "LEAKY: clips divided by chance, speakers in all parts",
            random_split,
            frozenset({"duplicate", "sibling"}),
        ),
        Protocol(
            "augment-then-split",
            "LEAKY: clips and their augmented copies divided by chance",
            augment_then_split,
            frozenset(),
        ),
    )
}
"""The protocols by the names that recipes use."""
