"""An archive kept as JSON lines, appended to as answers come."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from ser_edge_runtime.archive.job import DamagedArchive, Job, held
from ser_edge_runtime.archive.names import Names

Row = Mapping[str, Any]

SYNC_EVERY: Final = 5.0
"""Seconds between two moments at which all that was written is on the disk."""
_LONGEST_LINE: Final = 1 << 20


class JsonLines:
    """A file of JSON objects, one a line; the rows of a recording are together.

    A kill leaves the recordings before it whole and at most one torn: what is torn is cut
    off when the file is opened again, and that recording is not among those done. A power
    cut may take the last :data:`SYNC_EVERY` seconds as well. Use with ``with``; for one
    process and one thread.

    Args:
        path: The file. Beside it lies ``NAME.job.json``: what it was made with.
        job: What must be the same when it is gone on with.
        resume: Go on with a file that is there.
        grouped: A recording may have several rows, so the last one's may be incomplete.
        clock: Seconds, monotonic.

    Attributes:
        path: The file.
        faults: Recordings in it without a result.
        cut: Bytes that were cut off at its end.
    """

    def __init__(
        self,
        path: Path,
        job: Job,
        *,
        resume: bool = False,
        grouped: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.faults = 0
        self.cut = 0
        self._job, self._resume, self._grouped, self._clock = job, resume, grouped, clock
        self._stack = ExitStack()
        self._done = Names()

    def __enter__(self) -> JsonLines:
        """Opens the file, cuts off what a kill left, finds out what is done.

        Raises:
            ArchiveError: It cannot be gone on with; the subclass says why.
            OSError: It cannot be written.
        """
        where = self.path.with_name(f"{self.path.name}.job.json")
        with self._stack as stack:
            there = self.path.exists() and self.path.stat().st_size > 0
            stack.enter_context(held(self.path, where, self._job, there=there, resume=self._resume))
            # Unbuffered: what append() has returned from survives a kill of the process.
            self._stream: IO[bytes] = stack.enter_context(self.path.open("ab", buffering=0))
            if there:
                self._read()
            self._synced = self._clock()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            os.fsync(self._stream.fileno())

    def __contains__(self, name: str) -> bool:
        """Whether the recording was done when the file was opened."""
        return name in self._done

    def __len__(self) -> int:
        """Recordings that were done when the file was opened."""
        return len(self._done)

    def append(self, rows: Sequence[Row]) -> None:
        """Writes the rows of one recording.

        Raises:
            OSError: The disk is full or gone; it names the file.
        """
        # Pure ASCII: any bytes in a file name survive.
        text = "".join(f"{json.dumps(dict(row), allow_nan=False)}\n" for row in rows)
        left = memoryview(text.encode("ascii"))
        try:
            while left:
                left = left[self._stream.write(left) :]
        except OSError as fault:
            # Of a file that is open the system does not say the name.
            words = f"{fault.strerror}; what it holds is kept: make room, and go on with --resume"
            raise OSError(fault.errno, words, str(self.path)) from fault
        if self._clock() - self._synced >= SYNC_EVERY:
            os.fsync(self._stream.fileno())
            self._synced = self._clock()

    def _read(self) -> None:
        end = 0

        def names() -> Iterator[str]:
            nonlocal end
            for name, fault, after in self._recordings():
                self.faults += fault
                end = after
                yield name

        self._done = Names(names())
        size = os.fstat(self._stream.fileno()).st_size
        self.cut = size - end
        if self.cut:
            self._stream.truncate(end)
            os.fsync(self._stream.fileno())

    def _recordings(self) -> Iterator[tuple[str, bool, int]]:
        """Each whole recording: its name, whether it has a fault, and where it ends."""
        last: tuple[str, bool, int] | None = None
        for row, after in self._rows():
            if last is not None and last[0] != row["path"]:
                yield last
            last = row["path"], "error" in row, after
            if not self._grouped:
                yield last
                last = None
        # With groups the last one may lack rows: it is done again.

    def _rows(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Each row and where it ends; a torn last one is left out."""
        with self.path.open("rb") as stream:
            number = 0
            while line := stream.readline(_LONGEST_LINE):
                number += 1
                row = _parsed(line) if line.endswith(b"\n") else None
                if row is not None:
                    yield row, stream.tell()
                elif stream.read(1):
                    raise DamagedArchive(
                        self.path,
                        f"line {number} is not a result",
                        "mend or remove that line, or name another with --out",
                    )


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = json.loads(line)
        os.fsencode(row["path"])  # a name that no file of this system has is refused
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return row
