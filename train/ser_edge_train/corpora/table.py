"""A user's own recordings listed in a CSV: ``path,emotion`` and what else is known.

The first line names the columns, in any order: ``path`` and ``emotion`` must be
there (``label`` is read as ``emotion``); ``speaker``, ``sex``, ``intensity``,
``sentence`` and ``take`` may; others are passed over and named by the scan. Paths
start at the table's folder and stay below it. ``emotion`` is a word for a
canonical label (``Fearful`` is read as ``fear``) or any other single word, which
then is a label of this corpus. A clip without a speaker stands as a speaker of
its own. The corpus is named for the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ser_edge_train.corpora.parsed import Labelled, corpus_name, emotion_of
from ser_edge_train.errors import TableError, quoted
from ser_edge_train.manifest import UNKNOWN_SPEAKER
from ser_edge_train.rows import is_inside, read_rows

REQUIRED = ("path", "emotion")
OPTIONAL = ("speaker", "sex", "intensity", "sentence", "take")
SEXES = {"": "", "f": "female", "female": "female", "m": "male", "male": "male"}
REPAIR = "write a first line such as: path,emotion,speaker"
_LABEL = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Table:
    """What a table holds: the recordings by path, and the columns that were passed over."""

    files: Mapping[Path, Labelled]
    unused: tuple[str, ...]


def read_table(path: Path, corpus: str | None = None) -> Table:
    """Reads a table, strictly; whether its recordings are there shows when they are decoded.

    Args:
        path: The CSV.
        corpus: What to call its corpus; by default the name of the file.

    Raises:
        TableError: Names the file, the line, the column and the next step.
    """
    rows = read_rows(path, TableError, REPAIR)
    line, header = next(rows, (1, []))
    columns = [column.strip().lower() for column in header]
    if "emotion" not in columns:
        if columns.count("label") > 1:
            raise TableError(path, line, "two columns 'label'", "keep one of them")
        columns = ["emotion" if column == "label" else column for column in columns]
    _check_header(path, line, columns)
    corpus = corpus or corpus_name(path.stem)
    files: dict[Path, Labelled] = {}
    lines: dict[str, int] = {}
    for line, values in rows:
        if len(values) != len(columns):
            fault = f"{len(values)} fields instead of {len(columns)}"
            raise TableError(path, line, fault, "quote fields that hold commas")
        row = dict(zip(columns, (value.strip() for value in values), strict=True))
        labelled, name = _parse_row(path, line, corpus, row)
        if labelled.stem in lines:
            fault = f"column path: {quoted(labelled.stem)} stands already in line"
            raise TableError(path, line, f"{fault} {lines[labelled.stem]}", "keep one of the two")
        lines[labelled.stem] = line
        files[path.parent / name] = labelled
    if not files:
        raise TableError(path, None, "no recording below its first line", "add one line for each")
    return Table(files, tuple(c for c in columns if c not in (*REQUIRED, *OPTIONAL)))


def _check_header(path: Path, line: int, columns: list[str]) -> None:
    for column in REQUIRED:
        if column not in columns:
            repair = "separate columns by commas" if ";" in "".join(columns) else REPAIR
            raise TableError(path, line, f"no column '{column}' in the first line", repair)
    for column in (*REQUIRED, *OPTIONAL):
        if columns.count(column) > 1:
            raise TableError(path, line, f"two columns '{column}'", "keep one of them")


def _parse_row(
    path: Path, line: int, corpus: str, row: Mapping[str, str]
) -> tuple[Labelled, PurePosixPath]:
    text = row["path"].replace("\\", "/")  # tables are written on Windows, too
    if not is_inside(text) or not PurePosixPath(text).name:
        fault = f"column path: {quoted(row['path'])} is not below the table's folder"
        raise TableError(path, line, fault, "put the table into a folder above its recordings")
    name = PurePosixPath(text)
    word = row["emotion"].lower()
    emotion = emotion_of(word) or word
    if not _LABEL.fullmatch(emotion):
        fault = f"column emotion: {quoted(row['emotion'])} is not a word"
        raise TableError(path, line, fault, "write a label such as angry")
    sex = row.get("sex", "").lower()
    if sex not in SEXES:
        fault = f"column sex: {quoted(row['sex'])} is not female or male"
        raise TableError(path, line, fault, "write one of them, or leave it empty")
    stem = name.with_suffix("").as_posix()
    labelled = Labelled(
        corpus=corpus,
        stem=stem,
        speaker=row.get("speaker", "") or f"{UNKNOWN_SPEAKER}{stem}",
        sex=SEXES[sex],
        emotion=emotion,
        intensity=row.get("intensity", ""),
        sentence=row.get("sentence", ""),
        take=row.get("take", ""),
    )
    return labelled, name
