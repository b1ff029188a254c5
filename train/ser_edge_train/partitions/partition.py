"""Which clip is train, validation or test: a CSV beside the run, and the value that it is."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Final, Self

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.errors import PartitionError, PartitionFileError, quoted
from ser_edge_train.manifest import Clip, Key, Manifest
from ser_edge_train.rows import format_rows, read_rows

PARTS: Final = ("train", "validation", "test")
COLUMNS: Final = ("corpus", "stem", "audio_sha256", "part")
COPY: Final = "copy"
"""A fifth column, there only if some row is not a recording itself."""

NEEDED: Final = ("corpus", "stem", "part")
REPAIR: Final = "make it anew with: ser-edge train"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COPY = re.compile(r"[0-9]{1,6}")

CopyKey = tuple[str, str, int]
"""Corpus, stem and copy."""


@dataclass(frozen=True, order=True)
class Row:
    """A clip, or an augmented copy of one, and its part.

    Attributes:
        corpus: Name of the corpus.
        stem: The clip's name in it.
        audio_sha256: Digest of the recording; empty where whoever divided knew none.
        part: One of :data:`PARTS`.
        copy: 0 for the recording itself, 1, 2, ... for its augmented siblings.
    """

    corpus: str
    stem: str
    audio_sha256: str
    part: str
    copy: int = 0

    @property
    def key(self) -> Key:
        """The clip's identity: (corpus, stem)."""
        return self.corpus, self.stem

    @property
    def copy_key(self) -> CopyKey:
        """What stands in a partition once: corpus, stem and copy."""
        return self.corpus, self.stem, self.copy

    @property
    def name(self) -> str:
        """How messages name it: ``crema-d 1076_MTI_SAD_XX``, ``own clip copy 2``."""
        return f"{self.corpus} {self.stem}" + (f" copy {self.copy}" if self.copy else "")


@dataclass(frozen=True)
class Partition:
    """Rows in the order of (corpus, stem, copy); immutable, threads may share it.

    Raises:
        PartitionError: A clip stands twice, or in a part that is none.
    """

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.rows, key=lambda row: row.copy_key))
        object.__setattr__(self, "rows", ordered)
        counts = Counter(row.copy_key for row in ordered)
        for row in ordered:
            if row.part not in PARTS:
                raise PartitionError(f"{row.name}: {row.part!r} is not one of {', '.join(PARTS)}")
            if row.copy < 0:
                raise PartitionError(f"{row.corpus} {row.stem}: there is no copy {row.copy}")
            if counts[row.copy_key] > 1:
                raise PartitionError(f"{row.name} stands in the partition twice")

    @classmethod
    def of(cls, clips: Iterable[Clip], part_of: Callable[[Clip], str]) -> Self:
        """The partition that gives each clip the part that ``part_of`` names."""
        return cls(tuple(Row(*clip.key, clip.audio_sha256, part_of(clip)) for clip in clips))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Reads a partition's CSV, strictly, whoever wrote it.

        The first line names the columns, in any order: corpus, stem and part, and where
        they are known audio_sha256 (a field may be empty) and copy.

        Raises:
            PartitionFileError: Names the file, the line and the next step.
        """
        path = Path(path)
        lines = read_rows(path, PartitionFileError, REPAIR)
        line, header = next(lines, (1, []))
        _check_header(path, line, header)
        rows: dict[CopyKey, Row] = {}
        for line, values in lines:
            if len(values) != len(header):
                fault = f"{len(values)} fields instead of {len(header)}"
                raise PartitionFileError(path, line, fault, REPAIR)
            row = _parse_row(path, line, dict(zip(header, values, strict=True)))
            if row.copy_key in rows:
                raise PartitionFileError(path, line, f"{quoted(row.name)} stands twice", REPAIR)
            rows[row.copy_key] = row
        return cls(tuple(rows.values()))

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the CSV, whole or not at all.

        Raises:
            OSError: The folder is missing, not writable or full.
        """
        write_text_atomically(path, self.to_csv())

    def to_csv(self) -> str:
        """The text of the CSV: the same partition gives the same bytes."""
        rows = [[row.corpus, row.stem, row.audio_sha256, row.part] for row in self.rows]
        if not self.has_copies:
            return format_rows(COLUMNS, rows)
        numbered = ([*cells, str(row.copy)] for cells, row in zip(rows, self.rows, strict=True))
        return format_rows((*COLUMNS, COPY), numbered)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the CSV: the partition's name in reports and model files."""
        return hashlib.sha256(self.to_csv().encode()).hexdigest()

    @cached_property
    def has_copies(self) -> bool:
        """Whether some row is an augmented copy."""
        return any(row.copy for row in self.rows)

    def part(self, name: str) -> frozenset[Key]:
        """The (corpus, stem) of all recordings of one part; empty where the protocol has none.

        Augmented copies do not count: a recording's copies may stand elsewhere.

        Raises:
            PartitionError: There is no such part.
        """
        return frozenset(row.key for row in self._rows_of(name) if not row.copy)

    def clips(self, manifest: Manifest, name: str) -> list[Clip]:
        """The recordings of one part, in the manifest's order; no augmented copies.

        Raises:
            PartitionError: There is no such part, or the manifest lacks one of its clips.
        """
        return [clip for clip, copy in self.copies(manifest, name) if not copy]

    def copies(self, manifest: Manifest, name: str) -> list[tuple[Clip, int]]:
        """All of one part, (clip, copy): clips in the manifest's order, each before its copies.

        Raises:
            PartitionError: There is no such part, or the manifest lacks one of its clips.
        """
        rows = self._rows_of(name)
        missing = sorted({row.key for row in rows} - manifest.by_key.keys())
        if missing:
            clip = " ".join(missing[0])
            raise PartitionError(
                f"{len(missing)} clips of the part {name} are not in the data (first: {clip}); "
                "name the folders that the partition was made from"
            )
        # Both are in the order of (corpus, stem), the rows in that of their copies too.
        return [(manifest.by_key[row.key], row.copy) for row in rows]

    def _rows_of(self, name: str) -> list[Row]:
        if name not in PARTS:
            raise PartitionError(f"{name!r} is no part; choose one of {', '.join(PARTS)}")
        return [row for row in self.rows if row.part == name]


def _check_header(path: Path, line: int, header: list[str]) -> None:
    repair = f"name the columns {','.join(COLUMNS)}; audio_sha256 may be left out"
    lacking = [column for column in NEEDED if column not in header]
    if lacking:
        fault = f"the first line has no column {lacking[0]}"
        raise PartitionFileError(path, line, fault, repair)
    for column in header:
        if column not in (*COLUMNS, COPY):
            fault = f"{quoted(column)} is no column of a partition"
            raise PartitionFileError(path, line, fault, "leave it out")
        if header.count(column) > 1:
            raise PartitionFileError(path, line, f"the column {column} stands twice", repair)


def _parse_row(path: Path, line: int, fields: dict[str, str]) -> Row:
    corpus, stem, part = (fields[column] for column in NEEDED)
    digest, copy = fields.get("audio_sha256", ""), fields.get(COPY, "0")
    checks = (
        (bool(corpus), f"corpus {quoted(corpus)} is empty"),
        (bool(stem), f"stem {quoted(stem)} is empty"),
        (part in PARTS, f"part {quoted(part)} is not one of {', '.join(PARTS)}"),
        (
            not digest or bool(_DIGEST.fullmatch(digest)),
            f"audio_sha256 {quoted(digest)} is not 64 hexadecimal digits",
        ),
        (bool(_COPY.fullmatch(copy)), f"copy {quoted(copy)} is not a whole number"),
    )
    for fit, fault in checks:
        if not fit:
            raise PartitionFileError(path, line, fault, REPAIR)
    return Row(corpus, stem, digest, part, int(copy))
