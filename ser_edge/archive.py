"""``ser-edge classify`` on very many recordings: ``--list``, ``--jobs``, ``--dask``, ``--out``."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from ser_edge.inputs import STDIN, Recording, find_recordings
from ser_edge.lines import COLUMNS, Lines
from ser_edge.output import Output, clock_time
from ser_edge.plan import Plan
from ser_edge_runtime.archive.answers import Answer, Settings
from ser_edge_runtime.archive.json_lines import JsonLines
from ser_edge_runtime.archive.names import Names
from ser_edge_runtime.archive.order import AsTheyCome, InOrder
from ser_edge_runtime.archive.processes import in_processes, in_this_process
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import MissingFile, UnreadableFile
from ser_edge_runtime.model_file import find_model, read_model_bytes

if TYPE_CHECKING:
    from ser_edge_runtime.archive.parquet import Parquet

    Store = JsonLines | Parquet

SAY_EVERY = 60.0
"""Seconds from one line on a stderr that is no terminal to the next."""


def classify_archive(
    plan: Plan,
    model: str | None,
    options: Mapping[str, Any],
    top: int | None,
    min_score: float | None,
    output: Output,
) -> int:
    """Does the work of a plan.

    Args:
        plan: Checked.
        model: The model file; None takes the default one.
        options: The fields of :class:`~ser_edge_runtime.archive.answers.Settings` but the model.
        top: As in :class:`~ser_edge.lines.Lines`.
        min_score: As there.
        output: Where results are printed that are not kept, and all that is said.

    Returns:
        The exit code: 1 if a recording has no result, be it from an earlier run.

    Raises:
        SerEdgeError: The work cannot begin or go on.
        OSError: The disk is full or gone.
    """
    path = find_model(model)
    settings = Settings(path, read_model_bytes(path), **options)
    # Faults of the model, the interpreter or the options are known before anything is written.
    labels = settings.classifier().labels
    output.columns = (*COLUMNS, *labels)
    job = {
        "format": 1,
        "model": sha256_hex(settings.model),
        "labels": list(labels),
        "segment": settings.segment,
        "step": settings.segment if settings.step is None else settings.step,
        "gate": settings.gate,
        "top": top,
        "min-score": min_score,
        "voice": None if settings.voice is None else settings.voice.digest,
    }
    with _listed(plan.listed) as listed, _store(plan, job) as store:
        recordings = Recordings(plan.paths, listed, store)
        lines = Lines(
            labels,
            recordings.longest,
            top=top,
            min_score=min_score,
            windowed=settings.segment is not None,
        )
        return _Work(plan, settings, recordings, lines, store, output).do()


class Recordings:
    """The recordings that are still to be done, found anew each time they are gone through.

    So none is remembered: of a million recordings, 16 bytes each are.

    Args:
        paths: Files and folders.
        listed: Lines that name more of them.
        store: Where results are kept. What is in it is left out, and so is a second
            mention of a recording; without one, all come as often as they are named.

    Attributes:
        longest: Characters of the longest path.
        total: Recordings that are to have a result in the end.
        left: Those that have none yet.
    """

    def __init__(
        self, paths: tuple[str, ...], listed: IO[bytes] | None, store: Store | None
    ) -> None:
        self._paths, self._listed, self._store = paths, listed, store
        self.longest = count = 0

        def names() -> Iterator[str]:
            nonlocal count
            for recording in self._named():
                count += 1
                self.longest = max(self.longest, len(recording.path))
                yield recording.path

        known = Names(names())
        self._repeated = Names() if store is None else known.repeated
        self.total = self.left = count if store is None else len(known)
        if store is not None and len(store):
            self.left = sum(1 for _ in self)

    def __iter__(self) -> Iterator[Recording]:
        seen: set[str] = set()
        for recording in self._named():
            if self._store is not None and recording.path in self._store:
                continue
            if len(self._repeated) and recording.path in self._repeated:
                if recording.path in seen:
                    continue
                seen.add(recording.path)
            yield recording

    def _named(self) -> Iterator[Recording]:
        yield from find_recordings(self._paths)
        if self._listed is not None:
            self._listed.seek(0)
            for line in self._listed:
                name = os.fsdecode(line.rstrip(b"\r\n"))
                if name:
                    yield from find_recordings([name])


class Pace:
    """How fast the work goes and when it will end.

    Args:
        clock: Seconds, monotonic.
        now: The time of day.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._clock, self._now, self._start = clock, now, clock()

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return self._clock() - self._start

    def words(self, done: int, left: int) -> str:
        """Rate and end, as "41.2 a second, until 14:05"; empty before anything is done."""
        seconds = self.seconds
        if not done or seconds <= 0:
            return ""
        now = self._now()
        end = now + timedelta(seconds=left * seconds / done)
        day = "" if end.date() == now.date() else f"{end:%a %d %b} "
        return f"{done / seconds:.1f} a second, until {day}{end:%H:%M}"


class _Work:
    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        recordings: Recordings,
        lines: Lines,
        store: Store | None,
        output: Output,
    ) -> None:
        self._plan, self._settings, self._recordings = plan, settings, recordings
        self._lines, self._store, self._output = lines, store, output
        self._done = 0

    def do(self) -> int:
        left = self._recordings.left
        if self._store is not None:
            self._say_what_is_there(self._store)
        pace, said = Pace(), 0.0
        # On a terminal the results themselves show how far the work is.
        shown = self._store is not None or not sys.stdout.isatty()
        try:
            with self._output.progress("classifying", shown=shown) as progress:
                for answer in self._answers(self._paths()):
                    self._keep(answer)
                    words = pace.words(self._done, left - self._done)
                    progress(self._done, left, words)
                    if pace.seconds - said >= SAY_EVERY and not sys.stderr.isatty():
                        said = pace.seconds
                        self._output.note(f"{self._done} of {left}: {words}")
        except KeyboardInterrupt:
            if self._store is not None:
                self._output.note(f"{self._done} of {left} done; go on with --resume")
            raise
        if self._store is not None:
            took = pace.seconds
            rate = f", {self._done / took:.1f} a second" if self._done and took > 0 else ""
            self._output.note(
                f"{self._store.path}: {self._done} recordings in {clock_time(took)}{rate}; "
                f"{self._recordings.total} in all"
            )
        return self._output.exit_code

    def _say_what_is_there(self, store: Store) -> None:
        if len(store):
            done = self._recordings.total - self._recordings.left
            self._output.note(f"{store.path}: {done} of {self._recordings.total} done before")
        if store.faults:
            self._output.error(
                f"{store.path}: {store.faults} recordings in it have an error; to try one again, "
                "remove its line"
                if isinstance(store, JsonLines)
                else f"{store.path}: {store.faults} recordings in it have an error"
            )

    def _paths(self) -> Iterator[str]:
        for recording in self._recordings:
            if recording.fault is None:
                yield recording.path
            else:
                self._keep(Answer(recording.path, (), str(recording.fault)))

    def _answers(self, paths: Iterator[str]) -> Iterator[Answer]:
        order = InOrder() if self._store is None else AsTheyCome()
        if self._plan.dask is not None:
            from ser_edge_runtime.archive.cluster import on_cluster

            return on_cluster(paths, self._settings, self._plan.dask, order)
        jobs = min(self._plan.jobs or 1, self._recordings.left)
        if jobs <= 1:
            return in_this_process(paths, self._settings)
        return in_processes(paths, self._settings, jobs, order)

    def _keep(self, answer: Answer) -> None:
        self._done += 1
        path = answer.path
        if answer.fault is not None:
            values = self._lines.fault(path, answer.fault)
            if self._store is not None:
                self._store.append([values])
            self._output.error(answer.fault, values if self._store is None else None)
        elif self._store is not None:
            self._store.append([self._lines.values(path, result) for result in answer.results])
        else:
            for result in answer.results:
                flat = self._output.style == "csv"
                self._output.record(
                    self._lines.values(path, result, flat=flat), self._lines.text(path, result)
                )


def _listed(name: str | None) -> AbstractContextManager[IO[bytes] | None]:
    """The lines of ``--list``, in a file that can be gone through several times."""
    if name is None:
        return nullcontext()
    if name == STDIN:
        spooled = TemporaryFile()  # noqa: SIM115 - whoever called closes it
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        return spooled
    try:
        return Path(name).open("rb")
    except FileNotFoundError:
        raise MissingFile(name, "does not exist", "check the name") from None
    except OSError as fault:
        raise UnreadableFile(name, f"cannot be read ({fault.strerror})", "name a file") from None


def _store(plan: Plan, job: Mapping[str, Any]) -> AbstractContextManager[Store | None]:
    if plan.out is None:
        return nullcontext()
    path = Path(plan.out)
    if plan.parquet:
        from ser_edge_runtime.archive.parquet import Parquet

        return Parquet(path, job, resume=plan.resume)
    grouped = job["segment"] is not None
    return JsonLines(path, job, resume=plan.resume, grouped=grouped)
