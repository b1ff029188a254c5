"""One speaker is tested, all others train or validate."""

from __future__ import annotations

from ser_edge_train.errors import PartitionError, quoted
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.partitions.order import by_speaker, speakers_of, validators
from ser_edge_train.partitions.partition import Partition


def leave_one_speaker_out(manifest: Manifest, fold: int, seed: int, corpus: str = "") -> Partition:
    """Tests one speaker: fold n the n-th, corpora and their speakers in the order of their names.

    Of the others one in eight of each corpus of three speakers or more validates, at
    least one, drawn by the seed.

    Args:
        manifest: The clips; a speaker with no usable clip is not counted.
        fold: From 1 to the number of speakers.
        seed: Chooses who validates.
        corpus: Leaves out speakers of this corpus alone; the others' train and validate.

    Raises:
        PartitionError: There is no such corpus or fold, or nobody left to train on.
    """
    speakers = speakers_of(manifest)
    if corpus and corpus not in speakers:
        raise PartitionError(
            f"no usable clip of the corpus {quoted(corpus)} to leave a speaker out of "
            f"(here: {', '.join(speakers) or 'none'})"
        )
    turns = [(name, one) for name in ([corpus] if corpus else speakers) for one in speakers[name]]
    if turns and not 1 <= fold <= len(turns):
        of = corpus or "all corpora"
        raise PartitionError(
            f"there is no fold {fold}: {of} have {len(turns)} speakers; choose one from 1 to "
            f"{len(turns)}"
        )
    tested = turns[fold - 1] if turns else None
    parts: dict[Key, str] = {}
    for name, everyone in speakers.items():
        gone = tested[1] if tested is not None and tested[0] == name else ""
        chosen = validators(name, everyone, seed, gone)
        parts.update({(name, one): "validation" if one in chosen else "train" for one in everyone})
    if tested is not None:
        parts[tested] = "test"
    return by_speaker(manifest, parts)
