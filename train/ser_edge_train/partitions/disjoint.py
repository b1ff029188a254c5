"""One division of the speakers by shares, as even as can be over corpus and sex."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.partitions.order import by_speaker, shuffled, speakers_of
from ser_edge_train.partitions.partition import PARTS, Partition


def speaker_disjoint(
    manifest: Manifest, seed: int, shares: Sequence[float] = (0.7, 0.15, 0.15)
) -> Partition:
    """One division by shares of the speakers, as even as can be over corpus and sex.

    Each group of one corpus and sex gets the whole part of its shares; what is
    left goes to the parts that are furthest below their share of all so far. A
    corpus of two speakers or more then has one in test, of three or more one in
    validation, so that it can be scored, whatever the shares say.

    Args:
        manifest: The clips; a speaker with no usable clip is not counted.
        seed: Chooses among the speakers of a group.
        shares: Of train, validation and test; only validation may be 0.

    Raises:
        PartitionError: The shares are none, or the speakers are too few.
    """
    exact = _exact(shares)
    groups: dict[Key, set[str]] = {}
    for clip in manifest.usable:
        groups.setdefault((clip.corpus, clip.sex), set()).add(clip.speaker)
    wanted = [Fraction(0)] * len(PARTS)
    given = [0] * len(PARTS)
    parts: dict[Key, str] = {}
    for (corpus, _), names in sorted(groups.items()):
        speakers = shuffled(corpus, [n for n in names if (corpus, n) not in parts], seed)
        seats = [int(len(speakers) * share) for share in exact]
        wanted = [old + len(speakers) * share for old, share in zip(wanted, exact, strict=True)]
        for _ in range(len(speakers) - sum(seats)):
            lacks = [w - g - s for w, g, s in zip(wanted, given, seats, strict=True)]
            seats[lacks.index(max(lacks))] += 1
        given = [old + new for old, new in zip(given, seats, strict=True)]
        order = (part for part, count in zip(PARTS, seats, strict=True) for _ in range(count))
        parts.update({(corpus, name): part for name, part in zip(speakers, order, strict=True)})
    for corpus, everyone in speakers_of(manifest).items():
        keys = [(corpus, name) for name in everyone]
        _fill_empty(parts, keys, _needed(len(keys), exact), seed)
    _fill_empty(parts, list(parts), _needed(len(parts), exact), seed)
    return by_speaker(manifest, parts)


def _exact(shares: Sequence[float]) -> list[Fraction]:
    """Shares without rounding, so that no platform's arithmetic can tip a speaker over."""
    try:
        exact = [Fraction(str(share)) for share in shares]
    except ValueError:
        exact = []
    if len(exact) != len(PARTS) or exact[0] <= 0 or exact[1] < 0 or exact[2] <= 0:
        raise PartitionError(f"{tuple(shares)} are no shares of train, validation and test")
    if abs(sum(exact, Fraction(0)) - 1) > Fraction(1, 1000):
        raise PartitionError(f"the shares {tuple(shares)} do not add up to 1")
    return [share / sum(exact, Fraction(0)) for share in exact]


def _needed(speakers: int, shares: Sequence[Fraction]) -> Sequence[str]:
    """The parts that so many speakers must fill: test before validation."""
    order = ("train", "test", "validation") if shares[1] else ("train", "test")
    return order[:speakers] if speakers > 1 else ()


def _fill_empty(
    parts: dict[Key, str], keys: Sequence[Key], needed: Sequence[str], seed: int
) -> None:
    """Gives each part that rounding left empty among ``keys`` a speaker of the largest."""
    for part in needed:
        held = Counter(parts[key] for key in keys)
        if not held[part]:
            largest = max(PARTS, key=lambda name: held[name])
            names = {" ".join(key): key for key in keys if parts[key] == largest}
            parts[names[shuffled(part, names, seed)[0]]] = part
