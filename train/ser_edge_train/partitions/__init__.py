"""Which clip is train, validation or test: the partition file, and the protocols that make one.

No protocol uses faulted clips, validation is always apart from test, and the same
clips and seed give the same partition on every machine. What each keeps apart
stands in :data:`PROTOCOLS`; :mod:`ser_edge_train.leaks` looks whether it is so.
"""

from ser_edge_train.partitions.chance import augment_then_split, random_split
from ser_edge_train.partitions.check import check_disjoint
from ser_edge_train.partitions.cross_corpus import cross_corpus
from ser_edge_train.partitions.disjoint import speaker_disjoint
from ser_edge_train.partitions.folds import (
    FOLDS,
    RAVDESS_TEST,
    RAVDESS_VALIDATION,
    fold_parts,
    speaker_folds,
)
from ser_edge_train.partitions.leave_one_out import leave_one_speaker_out
from ser_edge_train.partitions.partition import COLUMNS, PARTS, REPAIR, Partition, Row
from ser_edge_train.partitions.protocols import FAULTS, PROTOCOLS, Protocol
from ser_edge_train.partitions.sentences import sentence_disjoint, sentence_of

__all__ = [
    "COLUMNS",
    "FAULTS",
    "FOLDS",
    "PARTS",
    "PROTOCOLS",
    "RAVDESS_TEST",
    "RAVDESS_VALIDATION",
    "REPAIR",
    "Partition",
    "Protocol",
    "Row",
    "augment_then_split",
    "check_disjoint",
    "cross_corpus",
    "fold_parts",
    "leave_one_speaker_out",
    "random_split",
    "sentence_disjoint",
    "sentence_of",
    "speaker_disjoint",
    "speaker_folds",
]
