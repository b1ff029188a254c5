"""The ledger of scored test parts: a recipe's test speakers are asked once.

Whoever tries settings until the test part likes one of them has chosen on it, and
its score is no longer honest. So a scoring is a row that stays, and the same
recipe, protocol, fold, seed and partition cannot be scored again with another model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Final

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.errors import RowError, quoted
from ser_edge_train.rows import format_rows, is_plain, read_rows

ALL_CORPORA: Final = "all"
REPAIR: Final = "restore it from version control; rows are never edited by hand"
_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_SCORE = re.compile(r"[01]\.[0-9]{6}")
_COUNT = re.compile(r"[0-9]{1,9}")


Asked = tuple[str, str, int, int, str]
"""Recipe, protocol, fold, seed and partition digest: what may be scored once."""


class ScoringsError(RowError):
    """A ledger that is not what this package writes, or a row that would not be one."""


class AlreadyScored(FileError):
    """The test part was scored before, with another model."""


@dataclass(frozen=True)
class Scoring:
    """One row: what a model scored on one corpus of a test part, or on all of it.

    Attributes:
        recipe: Name of the recipe.
        protocol: Name of its protocol.
        fold: Number of the protocol's fold; 0 where it has none.
        seed: Of the training.
        run_digest: Hexadecimal digest that names the trained model.
        manifest_digest: Of the manifest.
        partition_digest: Of the partition.
        corpus: The corpus, or "all".
        classes: How many classes the answers were chosen among.
        clips: Clips of the test part in that corpus.
        speakers: Their speakers.
        accuracy: 0 to 1, as ``uar`` and ``macro_f1``; kept to six decimals.
        uar: Unweighted average recall.
        macro_f1: Mean F1 of the classes.
    """

    recipe: str
    protocol: str
    fold: int
    seed: int
    run_digest: str
    manifest_digest: str
    partition_digest: str
    corpus: str
    classes: int
    clips: int
    speakers: int
    accuracy: float
    uar: float
    macro_f1: float

    @property
    def asked(self) -> Asked:
        """What may be scored once: recipe, protocol, fold, seed and partition."""
        return self.recipe, self.protocol, self.fold, self.seed, self.partition_digest

    def cells(self) -> list[str]:
        """The fields as text, in the order of :data:`COLUMNS`."""
        values = (getattr(self, column) for column in COLUMNS)
        return [f"{v:.6f}" if isinstance(v, float) else str(v) for v in values]


COLUMNS: Final = tuple(field.name for field in fields(Scoring))
HEADER: Final = ",".join(COLUMNS) + "\n"


def read_scorings(path: str | PathLike[str]) -> list[Scoring]:
    """Reads a ledger, strictly; one that does not exist has no rows.

    Raises:
        ScoringsError: Something in it is out of order; names the line.
    """
    if not Path(path).exists():
        return []
    rows = read_rows(path, ScoringsError, REPAIR)
    line, header = next(rows, (1, []))
    if tuple(header) != COLUMNS:
        fault = f"the first line is not {','.join(COLUMNS)}"
        raise ScoringsError(path, line, fault, REPAIR)
    return [_parsed(path, line, cells) for line, cells in rows]


def check_unscored(path: str | PathLike[str], asked: Asked, run_digest: str) -> None:
    """Makes sure that a test part may still be scored with this model, before it is looked at.

    Args:
        path: The ledger; it may not exist yet.
        asked: As :attr:`Scoring.asked`.
        run_digest: Of the model. The one that was scored before may be scored again.

    Raises:
        AlreadyScored: It was scored with another model.
        ScoringsError: The ledger cannot be read.
    """
    for row in read_scorings(path):
        if row.asked == asked and row.run_digest != run_digest:
            raise AlreadyScored(
                path,
                f"the test part of {row.recipe}, {row.protocol}, fold {row.fold}, seed {row.seed}, "
                f"was scored already, with the model {row.run_digest[:12]}; a test part is scored "
                "once",
                "choose on the validation part, and score a recipe under a name of its own",
            )


def append_scoring(path: str | PathLike[str], scorings: Sequence[Scoring]) -> int:
    """Adds one scoring's rows, all or none; other processes wait meanwhile.

    The same scoring of the same model again (a report written anew) adds nothing.

    Args:
        path: The ledger; made when it does not exist. Its folder must.
        scorings: One row a corpus, and one over all.

    Returns:
        How many rows were added.

    Raises:
        AlreadyScored: The recipe's test part was scored with another model.
        ScoringsError: The ledger cannot be read, or a row is not fit for it.
    """
    target = Path(path)
    for scoring in scorings:
        _parsed(target, None, scoring.cells())
    with _locked(target):
        for scoring in scorings:
            check_unscored(target, scoring.asked, scoring.run_digest)
        known = read_scorings(target)
        there = {(row.asked, row.corpus) for row in known}
        new = [row for row in scorings if (row.asked, row.corpus) not in there]
        if new:
            cells = [row.cells() for row in [*known, *new]]
            write_text_atomically(target, format_rows(COLUMNS, cells))
    return len(new)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps other processes from changing ``path`` meanwhile.

    The system gives the lock up when the process ends, however it ends. It is on
    the folder, since the file itself is replaced; Windows locks no folders, so
    there it is on a file beside it.
    """
    if os.name == "nt":
        import msvcrt

        with path.with_name(f".{path.name}.lock").open("a+b") as stream:
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
            yield
        return
    import fcntl

    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _parsed(path: str | PathLike[str], line: int | None, cells: list[str]) -> Scoring:
    if len(cells) != len(COLUMNS):
        fault = f"{len(cells)} fields instead of {len(COLUMNS)}"
        raise ScoringsError(path, line, fault, REPAIR)
    values: dict[str, str | int | float] = {}
    for field, cell in zip(fields(Scoring), cells, strict=True):
        kind = str(field.type)
        if kind == "int":
            fit = bool(_COUNT.fullmatch(cell))
        elif kind == "float":
            fit = bool(_SCORE.fullmatch(cell)) and float(cell) <= 1
        elif field.name.endswith("_digest"):
            fit = bool(_DIGEST.fullmatch(cell))
        else:
            fit = bool(cell) and is_plain(cell)
        if not fit:
            fault = f"{field.name} {quoted(cell)} is not what belongs there"
            raise ScoringsError(path, line, fault, REPAIR)
        values[field.name] = {"int": int, "float": float}.get(kind, str)(cell)
    return Scoring(**values)  # type: ignore[arg-type]
