"""Some corpora are tested, the others train and validate."""

from __future__ import annotations

from collections.abc import Sequence

from ser_edge_train.errors import PartitionError, quoted
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.partitions.order import by_speaker, speakers_of, validators
from ser_edge_train.partitions.partition import Partition


def cross_corpus(manifest: Manifest, seed: int, test_corpora: Sequence[str]) -> Partition:
    """Tests whole corpora and trains on all others.

    Of the others one in eight speakers of each corpus of three or more validates, at
    least one, drawn by the seed.

    Args:
        manifest: The clips.
        seed: Chooses who validates.
        test_corpora: Names of the corpora that are tested.

    Raises:
        PartitionError: One of them is not here, or nothing is left to train on.
    """
    speakers = speakers_of(manifest)
    for corpus in test_corpora:
        if corpus not in speakers:
            raise PartitionError(
                f"no usable clip of the corpus {quoted(corpus)}, which is to be tested "
                f"(here: {', '.join(speakers) or 'none'})"
            )
    parts: dict[Key, str] = {}
    for corpus, everyone in speakers.items():
        chosen = validators(corpus, everyone, seed)
        for speaker in everyone:
            part = "validation" if speaker in chosen else "train"
            parts[corpus, speaker] = "test" if corpus in test_corpora else part
    return by_speaker(manifest, parts)
