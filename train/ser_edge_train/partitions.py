"""Which clip is train, validation or test: protocols, their result, and the proof that it is clean.

All protocols put a speaker into one part only and leave faulted clips out. The
same clips and seed give the same partition on every machine: speakers are
ordered by SHA-256, never by a library's random numbers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Final, Protocol, Self

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.corpora import crema_d, ravdess, savee, tess
from ser_edge_train.errors import PartitionError, PartitionFileError, quoted
from ser_edge_train.manifest import Clip, Key, Manifest
from ser_edge_train.rows import format_rows, read_rows

PARTS: Final = ("train", "validation", "test")
FOLDS: Final = range(1, 6)
COLUMNS: Final = ("corpus", "stem", "audio_sha256", "part")
REPAIR = "make it anew with: ser-edge train"

# Luna-Jimenez et al. 2021: test actors of each fold; validation actors are the project's own.
RAVDESS_TEST: Final = (
    frozenset({2, 5, 14, 15, 16}),
    frozenset({3, 6, 7, 13, 18}),
    frozenset({10, 11, 12, 19, 20}),
    frozenset({8, 17, 21, 23, 24}),
    frozenset({1, 4, 9, 22}),
)
RAVDESS_VALIDATION: Final = (
    frozenset({3, 6}),
    frozenset({10, 11}),
    frozenset({8, 17}),
    frozenset({1, 14}),
    frozenset({2, 5}),
)


@dataclass(frozen=True, order=True)
class Row:
    """One clip and its part."""

    corpus: str
    stem: str
    audio_sha256: str
    part: str


@dataclass(frozen=True)
class Partition:
    """Rows in the order of (corpus, stem); immutable, threads may share it.

    Raises:
        PartitionError: A clip stands twice, or in a part that is none.
    """

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.rows))
        object.__setattr__(self, "rows", ordered)
        counts = Counter((row.corpus, row.stem) for row in ordered)
        for row in ordered:
            if row.part not in PARTS:
                parts = ", ".join(PARTS)
                raise PartitionError(f"{row.corpus} {row.stem}: {row.part!r} is not one of {parts}")
            if counts[row.corpus, row.stem] > 1:
                raise PartitionError(f"{row.corpus} {row.stem} stands in the partition twice")

    @classmethod
    def of(cls, clips: Iterable[Clip], part_of: Callable[[Clip], str]) -> Self:
        """The partition that gives each clip the part that ``part_of`` names."""
        return cls(tuple(Row(*clip.key, clip.audio_sha256, part_of(clip)) for clip in clips))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Reads a partition's CSV, strictly.

        Raises:
            PartitionFileError: Names the file, the line and the next step.
        """
        path = Path(path)
        lines = read_rows(path, PartitionFileError, REPAIR)
        line, header = next(lines, (1, []))
        if tuple(header) != COLUMNS:
            fault = f"the first line is not {','.join(COLUMNS)}"
            raise PartitionFileError(path, line, fault, REPAIR)
        rows: dict[Key, Row] = {}
        for line, values in lines:
            if len(values) != len(COLUMNS):
                fault = f"{len(values)} fields instead of {len(COLUMNS)}"
                raise PartitionFileError(path, line, fault, REPAIR)
            row = Row(*values)
            if row.part not in PARTS:
                fault = f"part {quoted(row.part)} is not one of {', '.join(PARTS)}"
                raise PartitionFileError(path, line, fault, REPAIR)
            if (row.corpus, row.stem) in rows:
                fault = f"{quoted(row.corpus + ' ' + row.stem)} stands twice"
                raise PartitionFileError(path, line, fault, REPAIR)
            rows[row.corpus, row.stem] = row
        return cls(tuple(rows.values()))

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the CSV, whole or not at all.

        Raises:
            OSError: The folder is missing, not writable or full.
        """
        write_text_atomically(path, self.to_csv())

    def to_csv(self) -> str:
        """The text of the CSV: the same partition gives the same bytes."""
        rows = ((row.corpus, row.stem, row.audio_sha256, row.part) for row in self.rows)
        return format_rows(COLUMNS, rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the CSV: the partition's name in reports and model files."""
        return hashlib.sha256(self.to_csv().encode()).hexdigest()

    def part(self, name: str) -> frozenset[Key]:
        """The (corpus, stem) of all clips of one part; empty where the protocol has none.

        Raises:
            PartitionError: There is no such part.
        """
        if name not in PARTS:
            raise PartitionError(f"{name!r} is no part; choose one of {', '.join(PARTS)}")
        return frozenset((row.corpus, row.stem) for row in self.rows if row.part == name)

    def clips(self, manifest: Manifest, name: str) -> list[Clip]:
        """The clips of one part, in the manifest's order.

        Raises:
            PartitionError: There is no such part, or the manifest lacks one of its clips.
        """
        keys = self.part(name)
        missing = sorted(keys - manifest.by_key.keys())
        if missing:
            clip = " ".join(missing[0])
            raise PartitionError(
                f"{len(missing)} clips of the part {name} are not in the data (first: {clip}); "
                "name the folders that the partition was made from"
            )
        return [clip for clip in manifest.clips if clip.key in keys]


class ProtocolFunction(Protocol):
    """What stands in :data:`PROTOCOLS`."""

    def __call__(self, manifest: Manifest, *, fold: int, seed: int) -> Partition:
        """The partition of one fold."""


def speaker_folds(manifest: Manifest, fold: int, seed: int) -> Partition:
    """One of five folds, each corpus divided as its field does.

    - RAVDESS: the five actor folds of Luna-Jimenez et al. 2021, for 8 classes.
    - CREMA-D: fold k tests the speakers whose number is k modulo 5; validation is
      every eighth of the others, counted by number.
    - SAVEE: fold k tests one of DC JE JK KL in turn (fold 5 again DC), validation
      is the next one.
    - TESS: two speakers: odd folds test YAF, even ones OAF; no validation.
    - Others: speakers in an order drawn by the seed, dealt into five folds (fewer
      where there are fewer speakers); validation is the next fold. Two speakers
      leave none for validation, and a single one is trained on.

    Raises:
        PartitionError: No such fold, or nothing left to train on or to test.
    """
    if fold not in FOLDS:
        raise PartitionError(f"there is no fold {fold}; choose one from 1 to 5")
    parts: dict[Key, str] = {}
    for corpus, speakers in _speakers(manifest).items():
        divide = _FOLDS_OF.get(corpus)
        if divide is None:
            parts.update(_dealt(corpus, speakers, fold, seed))
            continue
        strangers = set(speakers) - _SPEAKERS_OF[corpus]
        if strangers:
            raise PartitionError(
                f"{corpus} has no speaker {quoted(min(strangers))}; scan its folder anew"
            )
        parts.update({(corpus, speaker): divide(speaker, fold) for speaker in speakers})
    return _finish(manifest, parts)


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
        speakers = _shuffled(corpus, [n for n in names if (corpus, n) not in parts], seed)
        seats = [int(len(speakers) * share) for share in exact]
        wanted = [old + len(speakers) * share for old, share in zip(wanted, exact, strict=True)]
        for _ in range(len(speakers) - sum(seats)):
            lacks = [w - g - s for w, g, s in zip(wanted, given, seats, strict=True)]
            seats[lacks.index(max(lacks))] += 1
        given = [old + new for old, new in zip(given, seats, strict=True)]
        order = (part for part, count in zip(PARTS, seats, strict=True) for _ in range(count))
        parts.update({(corpus, name): part for name, part in zip(speakers, order, strict=True)})
    for corpus, everyone in _speakers(manifest).items():
        keys = [(corpus, name) for name in everyone]
        _fill_empty(parts, keys, _needed(len(keys), exact), seed)
    _fill_empty(parts, list(parts), _needed(len(parts), exact), seed)
    return _finish(manifest, parts)


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


def _ravdess(speaker: str, fold: int) -> str:
    if int(speaker) in RAVDESS_TEST[fold - 1]:
        return "test"
    return "validation" if int(speaker) in RAVDESS_VALIDATION[fold - 1] else "train"


def _crema_d(speaker: str, fold: int) -> str:
    # Counted over all 91, present or not, so that a subset keeps everyone's part.
    others = [number for number in crema_d.SPEAKERS if number % 5 != fold % 5]
    if int(speaker) not in others:
        return "test"
    return "validation" if int(speaker) in others[7::8] else "train"


def _savee(speaker: str, fold: int) -> str:
    place = (savee.SPEAKERS.index(speaker) - (fold - 1)) % len(savee.SPEAKERS)
    return {0: "test", 1: "validation"}.get(place, "train")


def _tess(speaker: str, fold: int) -> str:
    return "test" if speaker == ("YAF" if fold % 2 else "OAF") else "train"


_FOLDS_OF: Final[Mapping[str, Callable[[str, int], str]]] = {
    "ravdess": _ravdess,
    "crema-d": _crema_d,
    "savee": _savee,
    "tess": _tess,
}
_SPEAKERS_OF: Final = {
    "ravdess": {f"{actor:02d}" for actor in ravdess.ACTORS},
    "crema-d": {str(number) for number in crema_d.SPEAKERS},
    "savee": set(savee.SPEAKERS),
    "tess": set(tess.SPEAKERS),
}


def _dealt(corpus: str, speakers: Iterable[str], fold: int, seed: int) -> dict[Key, str]:
    ordered = _shuffled(corpus, speakers, seed)
    folds = min(len(FOLDS), len(ordered))
    test = (fold - 1) % folds if folds > 1 else None
    validation = fold % folds if folds > 2 else None
    parts = {test: "test", validation: "validation"}
    if test is None:
        parts = {}
    return {
        (corpus, speaker): parts.get(place % folds, "train")
        for place, speaker in enumerate(ordered)
    }


def _speakers(manifest: Manifest) -> dict[str, list[str]]:
    """The speakers that have usable clips, by corpus, both sorted."""
    speakers: dict[str, set[str]] = {}
    for clip in manifest.usable:
        speakers.setdefault(clip.corpus, set()).add(clip.speaker)
    return {corpus: sorted(names) for corpus, names in sorted(speakers.items())}


def _shuffled(corpus: str, speakers: Iterable[str], seed: int) -> list[str]:
    """Speakers in an order that only the seed and their names decide."""

    def place(speaker: str) -> tuple[str, str]:
        text = f"{seed}\n{corpus}\n{speaker}"
        return hashlib.sha256(text.encode()).hexdigest(), speaker

    return sorted(speakers, key=place)


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
            parts[names[_shuffled(part, names, seed)[0]]] = part


def _finish(manifest: Manifest, parts: Mapping[Key, str]) -> Partition:
    partition = Partition.of(manifest.usable, lambda clip: parts[clip.speaker_key])
    for part, why in (("train", "nothing to train on"), ("test", "nobody to test on")):
        if not partition.part(part):
            speakers = len({clip.speaker_key for clip in manifest.usable})
            raise PartitionError(
                f"{speakers} speakers with usable clips leave {why}; add recordings of others"
            )
    check_disjoint(manifest, partition)
    return partition


def _disjoint_protocol(manifest: Manifest, *, fold: int, seed: int) -> Partition:
    if fold != 1:
        raise PartitionError(f"speaker-disjoint has no fold {fold}; vary the seed instead")
    return speaker_disjoint(manifest, seed)


def _folds_protocol(manifest: Manifest, *, fold: int, seed: int) -> Partition:
    return speaker_folds(manifest, fold, seed)


PROTOCOLS: Final[Mapping[str, ProtocolFunction]] = {
    "speaker-disjoint": _disjoint_protocol,
    "speaker-folds": _folds_protocol,
}
"""The protocols by the names that recipes use."""
