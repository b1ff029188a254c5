"""Recordings classified by the workers of a Dask cluster; one that is lost loses nothing.

The scheduler gives the work of a worker that is gone to another one. Workers need
``ser-edge`` installed, of this version, and see the recordings under the same absolute
paths; the model is sent to them. Dask connects without a password and runs what it is
sent: it is for networks whose every machine is trusted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from ser_edge_runtime.archive.answers import Answer, Settings
from ser_edge_runtime.archive.order import AsTheyCome
from ser_edge_runtime.errors import SerEdgeError

CHUNK: Final = 16
"""Recordings of one task: what a lost worker's successor does again at most, a thread."""
CHUNKS_A_THREAD: Final = 3
PATIENCE: Final = 30
"""Seconds to wait for the scheduler, and for its first worker."""


class ClusterError(SerEdgeError):
    """The cluster cannot be used."""

    def __init__(self, address: str, fault: str, hint: str) -> None:
        super().__init__(f"{address}: {fault}; {hint}")


def on_cluster(
    paths: Iterable[str],
    settings: Settings,
    address: str,
    order: AsTheyCome,
    *,
    patience: int = PATIENCE,
) -> Iterator[Answer]:
    """Classifies recordings on the workers of a Dask scheduler.

    Few chunks are under way at a time, so that memory does not grow with the number of
    recordings. When the loop ends, however it does, the work under way is called off.

    Args:
        paths: The recordings; taken as they are needed.
        settings: How to classify them.
        address: The scheduler's, as ``tcp://10.0.0.1:8786`` or ``tls://...``.
        order: Lets the answers out.
        patience: Seconds to wait for the scheduler, and for its first worker.

    Yields:
        An answer for each recording, exactly one. A recording that ended several workers
        has a fault that says so.

    Raises:
        ClusterError: No scheduler answers, no worker joins, or workers cannot run the work.
    """
    from distributed import Client

    # A lost worker is reported once, here, not by each part of Dask that notices.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=patience, set_as_default=False, name="ser-edge")
    except (OSError, ValueError, TimeoutError) as fault:
        raise ClusterError(
            address,
            f"no Dask scheduler answers ({type(fault).__name__})",
            "check the address, or start one with: dask scheduler",
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError:
            raise ClusterError(
                address, "has no worker", f"start one with: dask worker {address}"
            ) from None
        yield from _Work(client, paths, settings, address, order).answers()


class _Item(NamedTuple):
    number: int
    path: str


class _Work:
    def __init__(
        self,
        client: Any,
        paths: Iterable[str],
        settings: Settings,
        address: str,
        order: AsTheyCome,
    ) -> None:
        from distributed import as_completed

        self._client = client
        self._items = (_Item(number, path) for number, path in enumerate(paths))
        self._address = address
        self._order = order
        # A task, not scattered data: the scheduler can make it again if its worker is lost.
        self._settings = client.submit(_given, settings, pure=False)
        self._under_way: dict[Any, Sequence[_Item]] = {}
        self._alone: deque[_Item] = deque()
        self._finished = as_completed(loop=client.loop)

    def answers(self) -> Iterator[Answer]:
        """All answers."""
        self._submit()
        for future in self._finished:
            items = self._under_way.pop(future.key)
            yield from self._answers(future, items)
            future.release()
            self._submit()

    def _answers(self, future: Any, items: Sequence[_Item]) -> Iterator[Answer]:
        from distributed import KilledWorker

        if future.status == "finished":
            for item, answer in zip(items, future.result(), strict=True):
                yield from self._order.put(
                    item.number, Answer(item.path, answer.results, answer.fault)
                )
            return
        fault = None if future.status == "cancelled" else future.exception()
        if not isinstance(fault, KilledWorker):
            raise ClusterError(
                self._address,
                f"workers cannot classify ({type(fault).__name__}: {fault})",
                "install this ser-edge on all of them",
            )
        if len(items) > 1:
            # One of them ends workers: each is tried by itself.
            self._alone.extend(items)
            return
        (item,) = items
        words = f"{item.path}: ended several workers of the cluster; convert it to WAV"
        yield from self._order.put(item.number, Answer(item.path, (), words))

    def _submit(self) -> None:
        threads = sum(self._client.nthreads().values()) if self._room(1) else 0
        while self._room(threads):
            if self._alone:
                items: Sequence[_Item] = [self._alone.popleft()]
            else:
                items = list(islice(self._items, CHUNK)) if self._order.room else []
            if not items:
                return
            # The workers' own folder is another.
            paths = [str(Path(item.path).absolute()) for item in items]
            future = self._client.submit(classify_chunk, self._settings, paths, pure=False)
            self._under_way[future.key] = items
            self._finished.add(future)

    def _room(self, threads: int) -> bool:
        return len(self._under_way) < CHUNKS_A_THREAD * max(threads, 1)


_own = threading.local()


def classify_chunk(settings: Settings, paths: Sequence[str]) -> list[Answer]:
    """A worker's work. Each of its threads has a classifier, made when it is first needed."""
    if getattr(_own, "settings", None) != settings:
        _own.classifier = settings.classifier()
        _own.settings = settings
    return [settings.answer(_own.classifier, path) for path in paths]


def _given(settings: Settings) -> Settings:
    return settings
