"""Uvicorn's HTTP/1.1 protocol, with deadlines and with answers in JSON.

Uvicorn bounds the idle time between two requests and nothing else: a client that
sends a byte now and then would hold its connection for good. Here a request that
has not arrived whole in time is answered with 408, and a client that does not
read its answer in time is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ser_edge_runtime.service.limits import Limits
from ser_edge_runtime.service.metrics import Metrics
from ser_edge_runtime.service.refusal import Refusal

if TYPE_CHECKING:
    from uvicorn.server import ServerState

_LONGEST_HEADER = 16 << 10
_TIMEOUT = "the request did not arrive whole within {:g} s; send it faster or in pieces"
_INVALID = "this is no HTTP/1.1 request"
_FULL = "{} connections are open; close one, or try again later"


class ServiceConfig(uvicorn.Config):
    """What uvicorn is told, and what its protocol here needs beside it.

    Args:
        app: The application.
        limits: What is allowed.
        metrics: Where refused connections are counted.
    """

    def __init__(self, app: Any, limits: Limits, metrics: Metrics) -> None:
        super().__init__(
            app,
            http=BoundedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_LONGEST_HEADER,
            timeout_keep_alive=limits.keep_alive,  # type: ignore[arg-type] # call_later's
            timeout_graceful_shutdown=limits.timeout,  # type: ignore[arg-type] # wait_for's
        )
        self.limits = limits
        self.metrics = metrics


class BoundedProtocol(H11Protocol):
    """One connection.

    Args:
        config: The service's.
        server_state: The connections and tasks of the whole server.
        app_state: As uvicorn's.
        _loop: As uvicorn's.
    """

    def __init__(
        self,
        config: ServiceConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._metrics = config.metrics
        self._arrival = _Deadline(self.loop, self._limits.timeout, self._late)
        self._departure = _Deadline(self.loop, self._limits.timeout, self._unread)

    # asyncio's protocols take any transport; uvicorn's own says what a server's are, as this does.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection, hears it only to refuse it, or closes it at once."""
        super().connection_made(transport)
        # Any byte that waits is told of, also behind a close, which waits for the last of them.
        transport.set_write_buffer_limits(high=0)
        open_now = len(self.connections)
        if open_now > self._limits.most_connections:
            self._metrics.refused("full")
            if open_now > 2 * self._limits.most_connections:
                transport.abort()
                return
            # Heard, since a connection that is closed with bytes unread loses its answer.
            self.app = _Answer(503, "Busy", _FULL.format(self._limits.most_connections))
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the deadlines."""
        self._arrival.stop()
        self._departure.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes; a request that they complete has met its deadline."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._await_request()
        else:
            self._arrival.stop()

    def pause_writing(self) -> None:
        """The client does not read: from now on it has so long to do it."""
        super().pause_writing()
        self._departure.start()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._departure.stop()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, and closes."""
        self._metrics.refused("invalid")
        self._end(Refusal(400, "InvalidRequest", _INVALID))

    def _await_request(self) -> None:
        if not self.transport.is_closing():
            self._arrival.start()

    def _late(self) -> None:
        self._metrics.refused("timeout")
        self._end(Refusal(408, "Timeout", _TIMEOUT.format(self._limits.timeout)))

    def _unread(self) -> None:
        if not self.transport.is_closing():  # else it was counted, or had its answer
            self._metrics.refused("timeout")
        self.transport.abort()

    def _end(self, refusal: Refusal) -> None:
        """Closes the connection, with an answer if none has begun."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*refusal.headers.items(), ("Content-Length", str(len(refusal.body)))]
            for event in (
                h11.Response(
                    status_code=refusal.status, headers=[*headers, ("Connection", "close")]
                ),
                h11.Data(data=refusal.body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Answer:
    """An application that refuses every request and closes."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        self._refusal = Refusal(status, kind, message, retry_after=1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        refusal = self._refusal
        headers = {**refusal.headers, "Content-Length": str(len(refusal.body))}
        headers["Connection"] = "close"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await send({"type": "http.response.body", "body": refusal.body})


class _Deadline:
    """Calls ``missed`` unless it is stopped in time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, missed: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._missed = missed
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins, unless it runs already: bytes that drip in gain no time."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._end)

    def stop(self) -> None:
        """It was met."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        self._missed()
