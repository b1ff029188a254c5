"""A service in a thread of this process, and clients that behave or do not."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import threading
import wave
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from ser_edge_runtime.service.limits import Limits
from ser_edge_runtime.service.served_model import ServedModel
from ser_edge_runtime.service.server import Service
from ser_edge_runtime.service.sockets import bind_tcp, unix_socket
from tests.signals import voice

DATA = Path(__file__).resolve().parents[2] / "data"
MODEL = DATA / "format_v1.tflite"
# Long enough that a machine under load meets it, short enough that a hanging test ends.
PATIENCE = 60


def wav(seconds: float = 1.0, rate: int = 8000) -> bytes:
    """A recording in 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * voice(seconds, rate)).astype(np.int16).tobytes())
    return buffer.getvalue()


class HeldModel(ServedModel):
    """A model whose classifiers are given out one by one, when the test says so."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.asked: SimpleQueue[bool] = SimpleQueue()
        self.given = threading.Semaphore(0)

    @contextmanager
    def classifier(self):
        self.asked.put(True)
        assert self.given.acquire(timeout=PATIENCE)
        with super().classifier() as lent:
            yield lent


class Running:
    """A service that answers; :meth:`ask` asks it."""

    def __init__(self, service: Service, port: int, path: Path | None) -> None:
        self.service = service
        self.port = port
        self.path = path

    def connect(self) -> socket.socket:
        """A bare connection over TCP."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def ask(self, method="GET", path="/health", body=None, headers=None):
        """Status, headers and body of an answer; JSON is decoded."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return answer(connection, method, path, body, headers)
        finally:
            connection.close()

    def ask_unix(self, method="GET", path="/health", body=None, headers=None):
        """As :meth:`ask`, over the Unix socket."""
        connection = http.client.HTTPConnection("any-name", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(self.path))
        try:
            return answer(connection, method, path, body, headers)
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """One sample of /metrics, named with its labels; 0 if it is not there."""
        _, _, text = self.ask(path="/metrics")
        found = re.search(rf"^ser_edge_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_for(self, name: str, value: float) -> None:
        """Asks for a metric until it has a value: each request lets the service go on."""
        for _ in range(10_000):
            if self.metric(name) == value:
                return
        raise AssertionError(f"{name} is {self.metric(name)}, not {value}")


def answer(connection, method, path, body=None, headers=None):
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    data = response.read()
    kind = response.headers.get("Content-Type", "")
    if kind == "application/json":
        return response.status, response.headers, json.loads(data)
    return response.status, response.headers, data.decode()


def read_all(connection: socket.socket) -> bytes:
    """What comes until the service closes."""
    data = b""
    while chunk := connection.recv(1 << 16):
        data += chunk
    return data


def read_answer(connection: socket.socket) -> tuple[int, dict]:
    """Status and JSON of one answer on a connection that stays open."""
    with http.client.HTTPResponse(connection) as response:
        response.begin()
        return response.status, json.loads(response.read())


def error_in(answer: bytes) -> tuple[int, dict]:
    """Status and JSON of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head
    return int(head.split()[1]), json.loads(body)


@contextmanager
def running(
    limits: Limits | None = None, *, model: ServedModel | None = None, workers=1, path=None, **told
):
    """A service on a free port and, where one is given, on a path."""
    ready = threading.Event()
    with ExitStack() as stack:
        listener = stack.enter_context(bind_tcp("127.0.0.1", 0))
        sockets = [listener]
        if path is not None:
            sockets.append(stack.enter_context(unix_socket(str(path))))
        port = listener.getsockname()[1]
        service = Service(
            model or ServedModel(MODEL, workers=workers),
            workers,
            limits or Limits(timeout=PATIENCE),
            on_ready=ready.set,
            **told,
        )
        thread = threading.Thread(target=service.serve_on, args=(sockets,))
        thread.start()
        try:
            assert ready.wait(PATIENCE)
            yield Running(service, port, path)
        finally:
            service.end()
            thread.join(PATIENCE)
            assert not thread.is_alive()
