"""``ser-edge serve``: the model loaded once, recordings classified as they are sent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from ser_edge.extras import need
from ser_edge.options import Seconds, interpreter_options
from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    import socket

    from ser_edge_runtime.delegates import Delegate
    from ser_edge_runtime.errors import SerEdgeError
    from ser_edge_runtime.service.served_model import LoadedModel

_MIB = 1 << 20
_PORT = 8765


@click.command(
    "serve",
    epilog="""\b
Examples:
  ser-edge serve
  curl --data-binary @clip.wav http://127.0.0.1:8765/classify
  ser-edge serve --no-http --socket /run/user/1000/emotions.sock
  curl --unix-socket /run/user/1000/emotions.sock --data-binary @clip.wav \\
      http://localhost/classify

http://127.0.0.1:8765/ is a page with a microphone button; /health and /metrics
(Prometheus) are for machines. docs/service.md has requests, answers and errors.

Ctrl-C and SIGTERM end it once the requests that have begun are answered. A model file
that is replaced is taken up before the next recording, if it passes its self-test;
SIGHUP reads it at once.""",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on; another than this machine's own opens the service to "
              "the network, without a password.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True,
              help="Port to listen on; 0 takes a free one.")  # fmt: skip
@click.option("--no-http", is_flag=True, help="Listen on the Unix socket alone.")
@click.option("--socket", "path", metavar="FILE", help="Unix socket to listen on, for this user "
              "alone; by default ser-edge.sock in the user's runtime folder ($RUNTIME_DIRECTORY, "
              "$XDG_RUNTIME_DIR), if there is one.")  # fmt: skip
@click.option("--no-socket", is_flag=True, help="Listen on the address alone.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Recordings to classify at a time.")  # fmt: skip
@click.option("--max-mib", type=click.IntRange(1, 1024), default=16, show_default=True,
              help="Largest recording, in MiB; four of them are held at a time.")  # fmt: skip
@click.option("--max-seconds", type=Seconds(), default=60.0, show_default=True,
              help="Longest recording.")  # fmt: skip
@click.option("--max-waiting", type=click.IntRange(1, 10_000), default=64, show_default=True,
              help="Recordings that may wait for their turn.")  # fmt: skip
@click.option("--max-per-client", type=click.IntRange(1, 10_000), default=128, show_default=True,
              help="Recordings that one address may send at a time.")  # fmt: skip
@click.option("--timeout", type=Seconds(), default=10.0, show_default=True,
              help="Seconds in which a request must have arrived.")  # fmt: skip
@interpreter_options
@output_options()
def command(
    host: str,
    port: int,
    no_http: bool,
    path: str | None,
    no_socket: bool,
    workers: int,
    max_mib: int,
    max_seconds: float,
    max_waiting: int,
    max_per_client: int,
    timeout: float,
    model: str | None,
    threads: int,
    interpreter: str | None,
    delegate: Delegate | None,
    output: Output,
) -> int:
    """Serve a model on this machine, over HTTP and a Unix socket.

    The model is loaded once, so that a recording costs milliseconds and not a process.
    Nothing but this machine can reach it, unless --host says otherwise.
    """
    if no_socket and path is not None:
        raise click.UsageError("--socket and --no-socket exclude each other")
    need("service", "the service")
    from ser_edge_runtime.service.limits import Limits
    from ser_edge_runtime.service.served_model import ServedModel
    from ser_edge_runtime.service.server import Service
    from ser_edge_runtime.service.sockets import bind_tcp, default_socket_path, unix_socket

    path = None if no_socket else path or default_socket_path()
    if no_http and path is None:
        raise click.UsageError("--no-http leaves nothing to listen on; name a --socket")
    served = ServedModel(
        model, workers=workers, threads=threads, interpreter=interpreter, delegate=delegate
    )
    told = _Told(output)
    with contextlib.ExitStack() as stack:
        listeners = []
        if not no_http:
            listener = stack.enter_context(contextlib.closing(bind_tcp(host, port)))
            told.address(listener, host)
            listeners.append(listener)
        if path is not None:
            listeners.append(stack.enter_context(unix_socket(path)))
            told.path(path)
        service = Service(
            served,
            workers,
            Limits(
                most_bytes=max_mib * _MIB,
                most_seconds=max_seconds,
                most_uploaded=4 * max_mib * _MIB,
                most_waiting=max_waiting,
                most_of_a_client=max_per_client,
                most_connections=4 * max_per_client,
                timeout=timeout,
            ),
            hosts=frozenset({host}) if told.private else None,
            on_ready=lambda: told.ready(served.loaded),
            on_change=told.change,
            on_fault=told.fault,
        )
        service.serve_on(listeners)
    told.ended(service.metrics.requests)
    return 0


class _Told:
    """What the service says of itself, as it happens."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._where: dict[str, Any] = {"http": None, "socket": None}
        self.private = True

    def address(self, listener: socket.socket, host: str) -> None:
        """It will listen on an address."""
        from ser_edge_runtime.service.sockets import is_loopback

        address, port = listener.getsockname()[:2]
        self.private = is_loopback(address)
        self._where["http"] = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        if not self.private:
            self._output.note(
                f"ser-edge: warning: {address} can be reached from other machines; whoever does "
                "may use the service, and what they send is not encrypted"
            )

    def path(self, path: str) -> None:
        """It will listen on a Unix socket."""
        self._where["socket"] = path

    def ready(self, model: LoadedModel) -> None:
        """It listens."""
        where = " and ".join(filter(None, self._where.values()))
        self._output.record(
            {"event": "listening", **self._where, "model": model.sha256},
            f"listening on {where}; model {_name(model)}; Ctrl-C ends it",
        )

    def change(self, news: LoadedModel | SerEdgeError) -> None:
        """The model's file was read again."""
        if isinstance(news, Exception):
            line = f"the model in use stays: {news}"
            self._output.record({"event": "model refused", "error": str(news)})
            self._output.note(f"ser-edge: {line}")
        else:
            self._output.record(
                {"event": "model", "model": news.sha256}, f"model now in use: {_name(news)}"
            )

    def fault(self, fault: Exception) -> None:
        """Something failed inside."""
        self._output.note(f"ser-edge: internal error: {type(fault).__name__}: {fault}")
        context = click.get_current_context(silent=True)
        if context is not None and getattr(context.obj, "debug", False):
            import traceback

            traceback.print_exception(fault)

    def ended(self, requests: int) -> None:
        """It has ended."""
        self._output.record({"event": "ended", "requests": requests}, f"{requests} requests served")


def _name(model: LoadedModel) -> str:
    return f"{model.model_file.metadata.name} ({model.sha256[:12]})"
