"""Runs a service until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.service.app import Application
from ser_edge_runtime.service.limits import Limits
from ser_edge_runtime.service.metrics import Metrics
from ser_edge_runtime.service.protocol import ServiceConfig
from ser_edge_runtime.service.served_model import LoadedModel, ServedModel

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_ENDINGS = ("SIGINT", "SIGTERM", "SIGBREAK")


class Service(uvicorn.Server):
    """A service; :meth:`serve_on` runs it, in the main thread with signals, else without.

    SIGTERM and Ctrl-C end it when the requests that have begun are answered, a second
    Ctrl-C at once. SIGHUP reads the model's file again.

    Args:
        model: What it serves.
        workers: As many threads as ``model`` has classifiers.
        limits: What clients may ask of it.
        hosts: The names under which browsers may ask, beside this machine's own; None
            allows every name.
        on_ready: Called when it listens.
        on_change: Told of a model that was taken up, or of the fault of one that was not.
        on_fault: Told of an error inside.

    Attributes:
        metrics: What was counted.
    """

    def __init__(
        self,
        model: ServedModel,
        workers: int,
        limits: Limits,
        *,
        hosts: frozenset[str] | None = frozenset(),
        on_ready: Callable[[], None] = lambda: None,
        on_change: Callable[[LoadedModel | SerEdgeError], None] = lambda _: None,
        on_fault: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="classify")
        app = Application(
            model,
            self._executor,
            limits,
            None if hosts is None else LOCAL_NAMES | hosts,
            on_fault,
        )
        super().__init__(ServiceConfig(app, limits, app.metrics))
        self.metrics: Metrics = app.metrics
        self._model = model
        self._on_ready = on_ready
        self._on_change = on_change

    def serve_on(self, sockets: list[socket.socket]) -> None:
        """Answers on bound ``sockets`` until a signal or :meth:`end`, and closes them."""
        try:
            self.run(sockets)
        finally:
            self._executor.shutdown(cancel_futures=True)

    def end(self) -> None:
        """Ends the service from any thread, as SIGTERM does."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        loop = asyncio.get_running_loop()
        # Found by a worker's thread, told by this one.
        self._model.on_change = lambda news: loop.call_soon_threadsafe(self._on_change, news)
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes the signals; uvicorn's own would raise them again once the service has ended."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        endings = [getattr(signal, name) for name in _ENDINGS if hasattr(signal, name)]
        before = {number: signal.signal(number, self.handle_exit) for number in endings}
        hang_up = getattr(signal, "SIGHUP", None)
        if hang_up is not None:
            loop.add_signal_handler(hang_up, self._reload)
        try:
            yield
        finally:
            if hang_up is not None:
                loop.remove_signal_handler(hang_up)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reload(self) -> None:
        def read_again() -> None:
            try:
                if not self._model.reload():
                    self._model.on_change(self._model.loaded)
            except SerEdgeError as fault:
                self._model.on_change(fault)

        self._executor.submit(read_again)
