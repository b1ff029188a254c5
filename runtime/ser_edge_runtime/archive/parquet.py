"""An archive kept as Parquet: a folder of parts, as pandas, Polars, DuckDB and Spark read it.

A Parquet file cannot be appended to: its end is its index. So each part is a file of its
own, written whole or not at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ser_edge_runtime.archive.job import LOCK_NAME, DamagedArchive, Job, held
from ser_edge_runtime.archive.names import Names
from ser_edge_runtime.files import write_atomically

if TYPE_CHECKING:
    import pyarrow

Row = Mapping[str, Any]

PART_ROWS: Final = 4096
PART_SECONDS: Final = 30.0
"""A part is written when it has that many rows, or that long after the one before."""
JOB_NAME: Final = "_job.json"  # readers of such folders leave out what begins with _


class Parquet:
    """A folder of Parquet files; the rows of a recording are in one of them.

    Columns: ``path``, ``start``, ``end``, ``label``, ``score``, ``seconds``, ``error``,
    and one for each label. A kill loses what the next part would have held, never a part.
    Use with ``with``; for one process and one thread.

    Args:
        path: The folder; made if it is not there.
        job: What must be the same when it is gone on with; ``labels`` gives the columns.
        resume: Go on with a folder that is there.
        clock: Seconds, monotonic.

    Attributes:
        path: The folder.
        faults: Recordings in it without a result.
        cut: Bytes of a part that a kill left half written.
    """

    def __init__(
        self,
        path: Path,
        job: Job,
        *,
        resume: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.faults = 0
        self.cut = 0
        self._job, self._resume, self._clock = job, resume, clock
        self._schema = _schema(job["labels"])
        self._rows: list[dict[str, Any]] = []
        self._next = 1
        self._done = Names()
        self._stack = ExitStack()

    def __enter__(self) -> Parquet:
        """Opens the folder and finds out what is done.

        Raises:
            ArchiveError: It cannot be gone on with; the subclass says why.
            OSError: It cannot be written.
        """
        self.path.mkdir(exist_ok=True)
        there = any(entry.name != LOCK_NAME.format(JOB_NAME) for entry in self.path.iterdir())
        with self._stack as stack:
            stack.enter_context(
                held(self.path, self.path / JOB_NAME, self._job, there=there, resume=self._resume)
            )
            for left_over in self.path.glob(".*.part"):
                self.cut += left_over.stat().st_size
                left_over.unlink()
            self._done = Names(self._names())
            self._written = self._clock()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            self._write()

    def __contains__(self, name: str) -> bool:
        """Whether the recording was done when the folder was opened."""
        return _text(name) in self._done

    def __len__(self) -> int:
        """Recordings that were done when the folder was opened."""
        return len(self._done)

    def append(self, rows: Sequence[Row]) -> None:
        """Keeps the rows of one recording for the next part, and writes it if it is time.

        Raises:
            OSError: The disk is full or gone.
        """
        for row in rows:
            flat = {**row, **row.get("scores", {}), "path": _text(row["path"])}
            if "error" in flat:
                flat["error"] = _text(flat["error"])
            self._rows.append({name: flat.get(name) for name in self._schema.names})
        late = self._clock() - self._written >= PART_SECONDS
        if len(self._rows) >= PART_ROWS or late:
            self._write()

    def _write(self) -> None:
        import pyarrow
        import pyarrow.parquet

        if self._rows:
            data = BytesIO()
            table = pyarrow.Table.from_pylist(self._rows, self._schema)
            pyarrow.parquet.write_table(table, data)
            write_atomically(self.path / f"part-{self._next:08}.parquet", data.getvalue())
            self._rows.clear()
            self._next += 1
        self._written = self._clock()

    def _names(self) -> Iterator[str]:
        import pyarrow
        import pyarrow.parquet

        for part in sorted(self.path.glob("part-*.parquet")):
            try:
                table = pyarrow.parquet.read_table(part, columns=["path", "error"])
                self._next = int(part.stem.removeprefix("part-")) + 1
            except (pyarrow.ArrowException, OSError, ValueError) as fault:
                raise DamagedArchive(
                    part,
                    f"is no part of an archive ({str(fault).splitlines()[0]})",
                    "remove it: its recordings are then done again",
                ) from None
            self.faults += len(table) - table["error"].null_count
            last = None
            for name in table["path"].to_pylist():
                if name != last:
                    yield name
                last = name


def _schema(labels: Sequence[str]) -> pyarrow.Schema:
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = {"path": text, "start": number, "end": number, "label": text}
    kinds |= {"score": pyarrow.float32(), "seconds": number, "error": text}
    # Probabilities are float32 where they are made.
    return pyarrow.schema([*kinds.items(), *((label, pyarrow.float32()) for label in labels)])


def _text(name: str) -> str:
    """``name`` as UTF-8 can hold it; file names need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
