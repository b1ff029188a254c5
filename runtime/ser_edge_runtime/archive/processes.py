"""Recordings classified by several processes of this machine; one that is lost loses nothing.

Each process has a pipe of its own and answers in the order in which it was asked.
So it is known what a process that ended was working on: that recording is tried once
more, what waited behind it is given to others. Processes are spawned, never forked:
an interpreter's threads do not survive a fork.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Final, NamedTuple

from ser_edge_runtime.archive.answers import Answer, Settings
from ser_edge_runtime.archive.order import AsTheyCome
from ser_edge_runtime.blas_threads import one_blas_thread
from ser_edge_runtime.errors import SerEdgeError

DEPTH: Final = 4
"""Recordings that a process is told of ahead. Their paths must fit into a pipe's buffer."""
TRIES: Final = 2
_SPAWNS_IN_VAIN: Final = 10
_SECONDS_TO_DIE: Final = 10.0


class WorkersDied(SerEdgeError):
    """Processes end one after the other without a single answer."""

    def __init__(self, code: int | None) -> None:
        super().__init__(
            f"worker processes end as soon as they start ({ending(code)}); "
            "try it with --jobs 1, and look for what ends them, as a limit of memory"
        )


def ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"


def in_this_process(paths: Iterable[str], settings: Settings) -> Iterator[Answer]:
    """Classifies one recording after the other, here."""
    classifier = settings.classifier()
    for path in paths:
        yield settings.answer(classifier, path)


def in_processes(
    paths: Iterable[str], settings: Settings, count: int, order: AsTheyCome
) -> Iterator[Answer]:
    """Classifies recordings in ``count`` processes.

    Few recordings are under way at a time, so that memory does not grow with their
    number. Whatever ends the loop ends the processes.

    Args:
        paths: The recordings; taken as they are needed.
        settings: How to classify them.
        count: Processes.
        order: Lets the answers out.

    Yields:
        An answer for each recording, exactly one. A recording that ended the process
        that worked on it, twice, has a fault that says so.

    Raises:
        WorkersDied: Processes end without answering anything.
    """
    with _Pool(paths, settings, count, order) as pool:
        yield from pool.answers()


class _Item(NamedTuple):
    """A recording under way: its number, its path, and how many processes it has cost."""

    number: int
    path: str
    cost: int


class _Worker:
    """A process, our end of its pipe, and what it was asked, oldest first."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, settings), daemon=True)
        self.process.start()
        # Theirs alone must be open, or its end would not be seen.
        theirs.close()
        self.asked: deque[_Item] = deque()

    def ask(self, item: _Item) -> None:
        """Gives the process one more recording; that it is gone is seen where it answers."""
        self.asked.append(item)
        with suppress(OSError):
            self.pipe.send(item.path)

    def end(self) -> int | None:
        """Ends the process and gives its exit code."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        return self.process.exitcode


class _Pool:
    def __init__(
        self, paths: Iterable[str], settings: Settings, count: int, order: AsTheyCome
    ) -> None:
        self._paths = enumerate(paths)
        self._settings = settings
        self._count = count
        self._order = order
        self._again: deque[_Item] = deque()
        self._workers: list[_Worker] = []
        self._in_vain = 0

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def answers(self) -> Iterator[Answer]:
        """All answers."""
        with one_blas_thread():
            self._workers = [_Worker(self._settings) for _ in range(self._count)]
        self._feed()
        while any(worker.asked for worker in self._workers):
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                try:
                    answer: Answer = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                else:
                    self._in_vain = 0
                    yield from self._order.put(worker.asked.popleft().number, answer)
                self._feed()

    def _feed(self) -> None:
        """Gives every process something to do; round by round, so that an end is shared."""
        for depth in range(1, DEPTH + 1):
            for worker in self._workers:
                if len(worker.asked) < depth:
                    item = self._next()
                    if item is None:
                        return
                    worker.ask(item)

    def _next(self) -> _Item | None:
        if self._again:
            return self._again.popleft()
        if not self._order.room:
            return None
        number, path = next(self._paths, (0, None))
        return None if path is None else _Item(number, path, 0)

    def _bury(self, dead: _Worker) -> Iterator[Answer]:
        """Puts a new process in the place of one that ended."""
        # Whoever is dying has no exit code yet.
        dead.process.join(_SECONDS_TO_DIE)
        code = dead.end()
        self._in_vain += 1
        if self._in_vain > _SPAWNS_IN_VAIN:
            raise WorkersDied(code)
        left = list(dead.asked)
        if left:
            suspect = left[0]._replace(cost=left[0].cost + 1)
            if suspect.cost < TRIES:
                left[0] = suspect
            else:
                del left[0]
                fault = (
                    f"{suspect.path}: ended the process that read it, {TRIES} times "
                    f"({ending(code)}); convert it to WAV, or take fewer jobs if memory is short"
                )
                yield from self._order.put(suspect.number, Answer(suspect.path, (), fault))
        self._again.extend(left)
        with one_blas_thread():
            self._workers[self._workers.index(dead)] = _Worker(self._settings)


def serve(pipe: Connection, settings: Settings) -> None:
    """A process's work: a path in, an answer out, until the other end of the pipe is closed."""
    # Ctrl-C is the parent's: it ends the processes in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    classifier = settings.classifier()
    try:
        while True:
            pipe.send(settings.answer(classifier, pipe.recv()))
    except (EOFError, OSError):
        return
