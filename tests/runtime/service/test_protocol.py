"""One connection's protocol on a socket pair: a client that does not read its answer.

With small buffers it is known what waits where: a part of the answer in the kernel, the rest
in the transport.
"""

from __future__ import annotations

import asyncio
import socket

import pytest
from uvicorn.server import ServerState

from ser_edge_runtime.service.limits import Limits
from ser_edge_runtime.service.metrics import Metrics
from ser_edge_runtime.service.protocol import BoundedProtocol, ServiceConfig
from tests.runtime.service.running import PATIENCE

# More than the kernel takes of it, less than the 64 KiB that asyncio lets wait before it says so.
BODY = bytes(40_000)
SMALL = 4_096
ASKED = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: %s\r\n\r\n"


async def answer(scope, receive, send):
    headers = [(b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


class Watched(BoundedProtocol):
    """Tells when its connection is lost."""

    def __init__(self, config, lost):
        super().__init__(config, ServerState(), {})
        self.lost = lost

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.lost.set_result(exc)


async def connect(limits, metrics):
    """The client's end, and what is told when the service's end is closed."""
    config = ServiceConfig(answer, limits, metrics)
    config.load()
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    lost = loop.create_future()
    await loop.connect_accepted_socket(lambda: Watched(config, lost), theirs)
    return ours, lost


async def read_all(client):
    """What comes until the other end closes."""
    loop = asyncio.get_running_loop()
    data = b""
    while chunk := await loop.sock_recv(client, 1 << 16):
        data += chunk
    return data


async def unread(connection, timeout):
    """Asks and does not read until the service gives up: what it counted and what came."""
    metrics = Metrics()
    client, lost = await connect(Limits(timeout=timeout), metrics)
    with client:
        await asyncio.get_running_loop().sock_sendall(client, ASKED % connection)
        await asyncio.wait_for(lost, PATIENCE)
        return metrics, await read_all(client)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_a_client_that_does_not_read_is_cut_off_also_after_the_close(connection):
    metrics, came = asyncio.run(unread(connection, 0.2))
    assert came.startswith(b"HTTP/1.1 200")
    assert len(came) < len(BODY)
    # A connection that was closed had its answer: nothing was refused.
    counted = 'refused_total{reason="timeout"} 1' in metrics.text({}, {})
    assert counted == (connection == b"keep-alive")


async def read_late():
    client, lost = await connect(Limits(timeout=PATIENCE), Metrics())
    with client:
        await asyncio.get_running_loop().sock_sendall(client, ASKED % b"close")
        read = await read_all(client)
        await asyncio.wait_for(lost, PATIENCE)
        return read


def test_a_client_that_reads_has_all_of_it():
    read = asyncio.run(read_late())
    assert read.endswith(b"\r\n\r\n" + BODY)
