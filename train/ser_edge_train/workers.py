"""Work on many clips in several processes: in order, in bounded memory, with errors that arrive.

Processes are spawned, never forked: a fork beside TensorFlow's threads can hang,
and an inherited BLAS keeps its threads. Each has one BLAS thread, since there
are as many of them as cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Final, TypeVar

from ser_edge_runtime.blas_threads import one_blas_thread
from ser_edge_runtime.errors import SerEdgeError

State = TypeVar("State")
Argument = TypeVar("Argument")
Item = TypeVar("Item")
Answer = TypeVar("Answer")

Progress = Callable[[int, int], None]
"""Called with what is done and how many there are; in the calling thread."""

CHUNK: Final = 16
WAITING: Final = 4


class WorkerDied(SerEdgeError):
    """A worker process ended without an answer."""

    def __init__(self) -> None:
        super().__init__(
            "a worker process was ended from outside, perhaps for want of memory; "
            "run it again with fewer processes: what was finished is kept"
        )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """Cuts ``items`` into pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def work(
    function: Callable[[State, Sequence[Item]], Answer],
    setup: Callable[[Argument], State],
    argument: Argument,
    pieces: Iterable[Sequence[Item]],
    processes: int,
) -> Iterator[Answer]:
    """Yields ``function(setup(argument), piece)`` for every piece, in order.

    ``setup`` runs once in each process. Few pieces wait at a time, so that memory
    does not grow with their number. Whatever ends the loop ends the processes.

    Args:
        function: A module's function, so that it can be pickled; as ``setup``.
        setup: Makes what a process needs once, as a front end.
        argument: What it is made from; pickled.
        pieces: Lists of items, as :func:`chunks` gives them.
        processes: How many; 1 works in this process.

    Raises:
        WorkerDied: A process was killed.
        SerEdgeError: As ``function`` or ``setup`` raised it.
    """
    if processes <= 1:
        state = setup(argument)
        for piece in pieces:
            yield function(state, piece)
        return
    remaining = iter(pieces)
    with one_blas_thread():
        pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts
        )

        def submitted(count: int) -> list[Future[Any]]:
            taken = islice(remaining, count)
            return [pool.submit(_task, function, setup, argument, piece) for piece in taken]

        try:
            waiting = deque(submitted(WAITING * processes))
            while waiting:
                answer = waiting.popleft().result()
                waiting.extend(submitted(1))
                if isinstance(answer, _Fault):
                    raise answer.error()
                yield answer
        except BrokenProcessPool:
            raise WorkerDied from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Fault:
    """An error on its way home. Errors whose constructor takes parts cannot be unpickled."""

    def __init__(self, error: SerEdgeError) -> None:
        self._kind = type(error)
        self._arguments = error.args
        self._attributes = dict(vars(error))

    def error(self) -> SerEdgeError:
        error = self._kind.__new__(self._kind)
        error.args = self._arguments
        vars(error).update(self._attributes)
        return error


_made: list[Any] = []


def _task(function: Any, setup: Any, argument: Any, piece: Any) -> Any:
    try:
        # Not the pool's initializer: there an error would break the pool and lose its text.
        if not _made:
            _made.append(setup(argument))
        return function(_made[0], piece)
    except SerEdgeError as error:
        return _Fault(error)


def _ignore_interrupts() -> None:
    """Leaves Ctrl-C to the parent, which ends the pool in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
