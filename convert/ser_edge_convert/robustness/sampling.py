"""Which clips stand for all of them where there is not the time for all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ser_edge_train.predictions import ClipRow, Predictions

Place = tuple[int, int]


def sample(tables: Sequence[Predictions], wanted: int | None, seed: int) -> list[list[int]]:
    """Chooses clips of several runs: as many of each class of each corpus, its speakers in turn.

    Which ones follows from the clips' names and the seed, whatever order they come in.

    Args:
        tables: The clips of each run.
        wanted: How many of all of them; None: every one. Where a class has too few, the others
            give more.
        seed: Another one chooses others.

    Returns:
        The places of the chosen rows in each table, rising.

    Raises:
        ValueError: ``wanted`` is below 1.
    """
    if wanted is None:
        return [list(range(len(table))) for table in tables]
    if wanted < 1:
        raise ValueError(f"{wanted} clips are no sample; name at least 1")
    strata: dict[tuple[str, str], list[tuple[ClipRow, Place]]] = {}
    for number, table in enumerate(tables):
        for place, row in enumerate(table):
            strata.setdefault((row.corpus, row.label), []).append((row, (number, place)))
    queues = [_speakers_in_turn(strata[key], seed) for key in sorted(strata)]
    chosen: list[Place] = []
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue) and len(chosen) < wanted:
                chosen.append(queue[turn])
    return [
        sorted(place for number, place in chosen if number == mine) for mine in range(len(tables))
    ]


def _speakers_in_turn(rows: Sequence[tuple[ClipRow, Place]], seed: int) -> list[Place]:
    def drawn(*words: str) -> str:
        return hashlib.sha256("\0".join([str(seed), *words]).encode()).hexdigest()

    by_speaker: dict[tuple[str, str], list[tuple[str, Place]]] = {}
    for row, place in rows:
        # A clip may stand in several runs: the run's number then decides.
        order = drawn(row.corpus, row.stem, str(row.copy))
        by_speaker.setdefault(row.speaker_key, []).append((order, place))
    # Another order for each class, or a small sample would have heard the same few speakers.
    label = rows[0][0].label
    speakers = sorted(by_speaker, key=lambda key: drawn(label, *key))
    sorted_clips = [sorted(by_speaker[key]) for key in speakers]
    return [
        clips[turn][1]
        for turn in range(max(map(len, sorted_clips)))
        for clips in sorted_clips
        if turn < len(clips)
    ]
