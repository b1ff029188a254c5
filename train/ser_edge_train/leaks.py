"""What stands on both sides of a partition though it should not: the audit of leaks.

- *speaker*: clips of one speaker in two parts. Clips of which nobody knows the
  speaker prove nothing, and are counted.
- *duplicate*: equal audio, by the digest of the decoded samples, under two names.
- *sibling*: a recording and its augmented copies, or two of them: by the partition's
  column copy, or by a stem that is another clip's with ``_noise``, ``-pitch2``,
  ``_aug3`` and the like behind it.
- *sentence*: the same sentence of a corpus, whoever says it.

Audio that was encoded or resampled anew has another digest: such twins are found
only by their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, get_args

from ser_edge_train.manifest import Clip, Key, Manifest
from ser_edge_train.partitions import FAULTS, PARTS, PROTOCOLS, Partition, Row, sentence_of

Kind = Literal["speaker", "duplicate", "sibling", "sentence"]

Places = dict[str, dict[str, list[Row]]]
"""Where a thing stands, by its name and the part."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
EXAMPLES: Final = 5
_NOUNS: Final[Mapping[Kind, tuple[str, str]]] = {
    "speaker": ("speaker", "speakers"),
    "duplicate": ("recording under two names", "recordings under two names"),
    "sibling": ("recording with its augmented copies", "recordings with their augmented copies"),
    "sentence": ("sentence", "sentences"),
}
_EFFECT: Final = (
    r"(?:[-_. ]+\(?|\()(?:aug|augment|augmented|noise|noisy|pitch|pitched|stretch|stretched|shift|"
    r"shifted|speed|reverb|gain|volume|echo|codec|copy|mixup)[-_ ]?[0-9.]*\)?"
)
_AUGMENTED: Final = re.compile(_EFFECT, re.IGNORECASE)
_NOTHING_ELSE: Final = re.compile(f"(?:{_EFFECT})+", re.IGNORECASE)


@dataclass(frozen=True)
class Leak:
    """One kind of leak between two parts. Immutable; threads may share it.

    Attributes:
        kind: "speaker", "duplicate", "sibling" or "sentence".
        parts: The two parts, in the order train, validation, test.
        count: Speakers, recordings or sentences that stand in both.
        examples: The first few of them, by name.
        text: One line without the examples: "3 speakers in both train and test".
    """

    kind: Kind
    parts: tuple[str, str]
    count: int
    examples: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Audit:
    """All that an audit found. Immutable; threads may share it.

    Attributes:
        leaks: See :class:`Leak`; by kind, then by parts.
        rows: Rows of each part.
        speakers: Known speakers of each part.
        missing: Names of clips that the manifest does not have: nothing is known of them.
        unnamed: Clips of which nobody knows the speaker.
        unspoken: Clips of which nobody knows the sentence.
        faulted: Clips with a fault, by the fault.
        changed: Names of clips whose audio is not what the partition says.
    """

    leaks: tuple[Leak, ...]
    rows: Mapping[str, int]
    speakers: Mapping[str, int]
    missing: tuple[str, ...]
    unnamed: int
    unspoken: int
    faulted: Mapping[str, int]
    changed: tuple[str, ...]


def find_leaks(manifest: Manifest, partition: Partition) -> tuple[Leak, ...]:
    """Everything that stands in two parts, whether it may or not; see :func:`audit`."""
    return audit(manifest, partition).leaks


def forbidden(leaks: Iterable[Leak], protocol: str = "") -> tuple[Leak, ...]:
    """Those that make scores too good: all but sentences, and these where a protocol says so.

    Args:
        leaks: What was found.
        protocol: Name of the protocol; "" for any.
    """
    kinds = FAULTS
    if protocol in PROTOCOLS:
        kinds = kinds | (PROTOCOLS[protocol].promises & {"sentence"})
    return tuple(leak for leak in leaks if leak.kind in kinds)


def broken_promises(leaks: Iterable[Leak], protocol: str) -> tuple[Leak, ...]:
    """Those that a protocol rules out; for a name that is none, those of :func:`forbidden`."""
    promises = PROTOCOLS[protocol].promises if protocol in PROTOCOLS else FAULTS
    return tuple(leak for leak in leaks if leak.kind in promises)


def audit(manifest: Manifest, partition: Partition) -> Audit:
    """Looks for speakers, recordings, augmented siblings and sentences in two parts.

    Args:
        manifest: What is known of the clips; those with a fault too.
        partition: Rows without digests are looked up in the manifest.

    Returns:
        What was found, and what could not be told.
    """
    known = {row: manifest.by_key.get(row.key) for row in partition.rows}
    origins = _origins(partition, manifest)
    speakers: dict[str, set[str]] = {part: set() for part in PARTS}
    places: dict[Kind, Places] = {kind: {} for kind in KINDS}
    audio: dict[str, list[Row]] = {}

    def stands(kind: Kind, thing: str, row: Row) -> None:
        places[kind].setdefault(thing, {}).setdefault(row.part, []).append(row)

    for row in partition.rows:
        clip = known[row] or manifest.by_key.get(origins[row])
        stands("sibling", " ".join(origins[row]), row)
        digests = {row.audio_sha256, "" if known[row] is None else _digest(known[row])}
        for digest in digests - {""}:
            audio.setdefault(digest, []).append(row)
        if clip is None:
            continue
        if clip.speaker_known:
            speakers[row.part].add(" ".join(clip.speaker_key))
            stands("speaker", " ".join(clip.speaker_key), row)
        sentence = sentence_of(clip)
        if sentence is not None:
            stands("sentence", " ".join(sentence), row)
    for rows in audio.values():
        if len(rows) > 1:
            twins = " = ".join(sorted({" ".join(row.key) for row in rows}))
            for row in rows:
                stands("duplicate", twins, row)
    found = [clip for clip in known.values() if clip is not None]
    lost = {row.name for row, clip in known.items() if clip is None and origins[row] == row.key}
    return Audit(
        tuple(leak for kind in KINDS for leak in _between_parts(kind, places[kind])),
        dict(Counter(row.part for row in partition.rows)),
        {part: len(names) for part, names in speakers.items()},
        tuple(sorted(lost)),
        sum(not clip.speaker_known for clip in found),
        sum(sentence_of(clip) is None for clip in found),
        dict(sorted(Counter(clip.fault for clip in found if clip.fault).items())),
        tuple(
            row.name
            for row, clip in known.items()
            if clip is not None and row.audio_sha256 not in ("", clip.audio_sha256)
        ),
    )


def _digest(clip: Clip | None) -> str:
    return "" if clip is None else clip.audio_sha256


def _origins(partition: Partition, manifest: Manifest) -> dict[Row, Key]:
    """The recording that each row comes from: itself, or the one whose name it extends."""
    keys = {row.key for row in partition.rows} | manifest.by_key.keys()
    return {row: _origin(row.key, keys) for row in partition.rows}


def _origin(key: Key, keys: Collection[Key]) -> Key:
    corpus, stem = key
    for match in _AUGMENTED.finditer(stem):
        base = (corpus, stem[: match.start()])
        if base in keys and _NOTHING_ELSE.fullmatch(stem, match.start()):
            return _origin(base, keys)
    return key


def _between_parts(kind: Kind, things: Places) -> list[Leak]:
    leaks = []
    for one, other in combinations(PARTS, 2):
        shared = sorted(
            thing
            for thing, held in things.items()
            if one in held and other in held and _is_leak(kind, held[one], held[other])
        )
        if not shared:
            continue
        examples = tuple(
            thing
            if kind in ("speaker", "sentence")
            else _pair(things[thing][one][0], things[thing][other][0])
            for thing in shared[:EXAMPLES]
        )
        noun = _NOUNS[kind][len(shared) > 1]
        text = f"{len(shared)} {noun} in both {one} and {other}"
        leaks.append(Leak(kind, (one, other), len(shared), examples, text))
    return leaks


def _pair(one: Row, other: Row) -> str:
    names = (one.name, other.name.removeprefix(f"{one.corpus} "))
    return " and ".join(names)


def _is_leak(kind: Kind, one: Iterable[Row], other: Iterable[Row]) -> bool:
    """Copies of one recording share its digest: they are siblings, not duplicates."""
    return kind != "duplicate" or len({row.key for row in (*one, *other)}) > 1
