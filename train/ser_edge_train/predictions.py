"""What a model answered on every clip: ``predictions.csv``, from which all scores are made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.errors import RowError, quoted
from ser_edge_train.manifest import Clip, Key
from ser_edge_train.rows import format_rows, is_plain, read_rows, show

PARTS = ("train", "validation", "test")
COLUMNS = ("corpus", "stem", "speaker", "sex", "part", "label")
COPY = "copy"
"""A further column, there only if some row is not a recording itself."""
PREFIX = "p_"

REPAIR: Final = "write it anew with: ser-edge evaluate"
_COPY = re.compile(r"[0-9]{1,6}")
_PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]{1,3})?")


class PredictionsError(RowError):
    """A table of predictions that is not what this package writes."""


class UnknownLabel(SerEdgeError):
    """A clip's label is none of the model's."""


@dataclass(frozen=True)
class ClipRow:
    """One clip of a :class:`Predictions` table, without its probabilities.

    Attributes:
        corpus: Name of the corpus.
        stem: The clip's name in it; corpus and stem together identify a clip.
        speaker: The speaker's name, unique within the corpus.
        sex: "male", "female", or "" where it is not known.
        part: "train", "validation" or "test".
        label: The true class, as the model names it (after a recipe's merges).
        copy: 0 for the recording itself, 1, 2, ... for an augmented copy of it.
    """

    corpus: str
    stem: str
    speaker: str
    sex: str
    part: str
    label: str
    copy: int = 0

    @property
    def key(self) -> Key:
        """The clip's identity: (corpus, stem)."""
        return self.corpus, self.stem

    @property
    def speaker_key(self) -> Key:
        """The speaker's identity: (corpus, speaker)."""
        return self.corpus, self.speaker

    @property
    def copy_key(self) -> tuple[str, str, int]:
        """What stands in a table once: corpus, stem and copy."""
        return self.corpus, self.stem, self.copy

    def cells(self) -> list[str]:
        """The fields, in the order of :data:`COLUMNS`."""
        return [self.corpus, self.stem, self.speaker, self.sex, self.part, self.label]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Clips and the probabilities that a model gave them. Threads may share it.

    Attributes:
        labels: The model's classes, in the order of the columns.
        rows: One a clip.
        probabilities: float64 (clips, classes); each row sums to 1.

    Raises:
        ValueError: The shapes differ, a clip stands twice, a part is none, or a
            row is not a distribution; says which.
        UnknownLabel: A clip's label is none of ``labels``.
    """

    labels: tuple[str, ...]
    rows: tuple[ClipRow, ...]
    probabilities: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        values = np.array(self.probabilities, dtype=np.float64)
        values.flags.writeable = False
        object.__setattr__(self, "probabilities", values)
        if len(set(self.labels)) != len(self.labels) or not self.labels:
            raise ValueError("labels must be a list of different names")
        if values.shape != (len(self.rows), len(self.labels)):
            raise ValueError(
                f"{len(self.rows)} clips and {len(self.labels)} labels do not fit {values.shape}"
            )
        seen: set[tuple[str, str, int]] = set()
        for row in self.rows:
            _check_row(row, self.labels)
            if row.copy_key in seen:
                raise ValueError(f"{_name(row)} stands twice")
            seen.add(row.copy_key)
        fair = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1)
        # 1e-3: probabilities that went through float16 or int8 still sum to about 1.
        fair &= np.isclose(values.sum(axis=1), 1.0, rtol=0, atol=1e-3)
        if not fair.all():
            row = self.rows[int(np.argmin(fair))]
            raise ValueError(f"{_name(row)} has no probabilities that sum to 1")

    @classmethod
    def of_clips(
        cls,
        clips: Sequence[Clip],
        parts: Iterable[str],
        labels: Sequence[str],
        probabilities: npt.ArrayLike,
        merge: Mapping[str, str] | None = None,
        copies: Sequence[int] | None = None,
        truth: Sequence[str] | None = None,
    ) -> Predictions:
        """The table for clips of a manifest.

        Args:
            clips: The clips, in the order of the probabilities.
            parts: Part of each clip.
            labels: The model's classes.
            probabilities: (clips, classes).
            merge: Emotions that a recipe renames, as {"calm": "neutral"}.
            copies: Which copy of each clip it is; None: the recordings themselves.
            truth: The class of each clip; None: its emotion, after the merges.

        Raises:
            UnknownLabel: A clip's emotion, after the merges, is no class of the model.
            ValueError: As the class.
        """
        if truth is None:
            renamed = dict(merge or {})
            truth = [renamed.get(clip.emotion, clip.emotion) for clip in clips]
        rows = tuple(
            ClipRow(
                clip.corpus,
                clip.stem,
                clip.speaker,
                clip.sex,
                part,
                label,
                copy,
            )
            for clip, part, label, copy in zip(
                clips, parts, truth, copies or [0] * len(clips), strict=True
            )
        )
        return cls(tuple(labels), rows, np.asarray(probabilities, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ClipRow]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Predictions)
            and (self.labels, self.rows) == (other.labels, other.rows)
            and np.array_equal(self.probabilities, other.probabilities)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """Index of each clip's true class, (clips,)."""
        place = {label: index for index, label in enumerate(self.labels)}
        return np.array([place[row.label] for row in self.rows], dtype=np.int64)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that occur, in the order train, validation, test."""
        there = {row.part for row in self.rows}
        return tuple(part for part in PARTS if part in there)

    def where(self, keep: npt.ArrayLike) -> Predictions:
        """The clips at which ``keep``, booleans (clips,), is true."""
        mask = np.asarray(keep, dtype=np.bool_)
        rows = tuple(row for row, kept in zip(self.rows, mask, strict=True) if kept)
        return Predictions(self.labels, rows, self.probabilities[mask])

    def of_part(self, part: str) -> Predictions:
        """The clips of one part."""
        return self.where([row.part == part for row in self.rows])

    def joined(self, other: Predictions) -> Predictions:
        """These clips and then ``other``'s, as for a test part scored after the rest.

        Raises:
            ValueError: The labels differ or a clip stands in both.
        """
        if self.labels != other.labels:
            raise ValueError(f"labels differ: {self.labels} and {other.labels}")
        values = np.concatenate([self.probabilities, other.probabilities])
        return Predictions(self.labels, self.rows + other.rows, values)

    def to_csv(self) -> str:
        """The table as text; every number survives the way back exactly."""
        copies = any(row.copy for row in self.rows)
        header = [*COLUMNS, *[COPY] * copies, *(PREFIX + label for label in self.labels)]
        rows = zip(self.rows, self.probabilities.tolist(), strict=True)
        return format_rows(
            header,
            ([*row.cells(), *[str(row.copy)] * copies, *map(repr, values)] for row, values in rows),
        )

    def write(self, path: str | PathLike[str]) -> None:
        """Writes :meth:`to_csv` to ``path``, whole or not at all."""
        write_text_atomically(path, self.to_csv())

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Predictions:
        """Reads what :meth:`write` wrote, strictly.

        Raises:
            PredictionsError: The file is missing or anything in it is out of order; names the line.
        """
        lines = read_rows(path, PredictionsError, REPAIR)
        line, header = next(lines, (1, []))
        first = len(COLUMNS) + (header[len(COLUMNS) : len(COLUMNS) + 1] == [COPY])
        classes = header[first:]
        named = all(name.startswith(PREFIX) and len(name) > len(PREFIX) for name in classes)
        if tuple(header[: len(COLUMNS)]) != COLUMNS or not classes or not named:
            fault = f"the first line is not {','.join(COLUMNS)},{PREFIX}LABEL,..."
            raise PredictionsError(path, line, fault, REPAIR)
        labels = tuple(name.removeprefix(PREFIX) for name in classes)
        rows, values = [], []
        for line, cells in lines:
            if len(cells) != len(header):
                fault = f"{len(cells)} fields instead of {len(header)}"
                raise PredictionsError(path, line, fault, REPAIR)
            copy = cells[len(COLUMNS)] if first > len(COLUMNS) else "0"
            if not _COPY.fullmatch(copy):
                fault = f"copy {quoted(copy)} is not a whole number"
                raise PredictionsError(path, line, fault, REPAIR)
            corpus, stem, speaker, sex, part, label = cells[: len(COLUMNS)]
            rows.append(ClipRow(corpus, stem, speaker, sex, part, label, int(copy)))
            values.append([_number(cell, path, line) for cell in cells[first:]])
        table = np.array(values, dtype=np.float64).reshape(len(rows), len(labels))
        try:
            return cls(labels, tuple(rows), table)
        except (ValueError, UnknownLabel) as fault:
            raise PredictionsError(path, None, str(fault), REPAIR) from None


def _name(row: ClipRow) -> str:
    return show(f"{row.corpus} {row.stem}" + (f" copy {row.copy}" if row.copy else ""))


def _check_row(row: ClipRow, labels: tuple[str, ...]) -> None:
    for column, value in zip(COLUMNS, row.cells(), strict=True):
        if not is_plain(value) or (not value and column != "sex"):
            raise ValueError(f"{_name(row)}: {column} {quoted(value)} is empty or not plain text")
    if row.part not in PARTS:
        raise ValueError(f"{_name(row)}: part {quoted(row.part)} is none of {', '.join(PARTS)}")
    if row.label not in labels:
        raise UnknownLabel(
            f"{_name(row)}: the model has no class {quoted(row.label)}, "
            f"only {', '.join(labels)}; leave the clip out or merge its label"
        )


def _number(cell: str, path: str | PathLike[str], line: int) -> float:
    if not _PLAIN_NUMBER.fullmatch(cell):
        raise PredictionsError(path, line, f"{quoted(cell)} is no probability", REPAIR)
    return float(cell)


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[Any]:
    """Probabilities of ``logits`` (..., classes) divided by ``temperature``, in float64."""
    values = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
