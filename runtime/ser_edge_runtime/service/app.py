"""The application: what is asked, what is answered."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ser_edge_runtime import __version__
from ser_edge_runtime.audio import check_sound
from ser_edge_runtime.classifier import Result
from ser_edge_runtime.errors import SerEdgeError, WindowError
from ser_edge_runtime.pcm import loudest
from ser_edge_runtime.service.limits import Admission, Limits
from ser_edge_runtime.service.metrics import CONTENT_TYPE, Metrics
from ser_edge_runtime.service.page import FILES, PAGE_HEADERS, read_page_file
from ser_edge_runtime.service.recordings import NAME, decode
from ser_edge_runtime.service.refusal import Refusal, refusal_of
from ser_edge_runtime.service.served_model import LoadedModel, ServedModel

MOST_SEGMENTS = 1000
CLIENT_LEFT = 499
"""The status that metrics give a request whose client did not wait; no client sees it."""

Scope = Any
_PATHS = ("/classify", "/health", "/metrics", *FILES)


class Application:
    """An ASGI application around one model.

    Args:
        model: The model.
        executor: Runs what takes time; as many threads as ``model`` has classifiers.
        limits: What is allowed.
        hosts: The names under which browsers may ask; None allows every name.
        on_fault: Told of an error that is nobody's but the service's own.

    Attributes:
        metrics: What was counted.
    """

    def __init__(
        self,
        model: ServedModel,
        executor: Executor,
        limits: Limits,
        hosts: frozenset[str] | None,
        on_fault: Callable[[Exception], None],
    ) -> None:
        self.metrics = Metrics()
        self._model = model
        self._executor = executor
        self._limits = limits
        self._hosts = hosts
        self._on_fault = on_fault
        self._admission = Admission(limits)
        self._routes = Starlette(
            routes=[
                Route("/classify", self._classify, methods=["POST"]),
                Route("/health", self._health),
                Route("/metrics", self._metrics),
                *(Route(path, _page) for path in FILES),
            ],
            exception_handlers={Refusal: _refused, HTTPException: _not_here, Exception: _failed},
        )

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answers one request, and counts it."""
        began = time.monotonic()
        status = 500

        async def counted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        app: Callable[..., Awaitable[None]] = self._routes
        if not _comes_from_here(scope, self._hosts):
            app = _respond(_FOREIGN)
        try:
            await app(scope, receive, counted)
        except ClientDisconnect:
            status = CLIENT_LEFT
        except Exception as fault:
            # Answered by _failed, and raised again.
            self._on_fault(fault)
        path = scope["path"] if scope["path"] in _PATHS else "other"
        self.metrics.request(path, status)
        if path == "/classify" and status == 200:
            self.metrics.latency(time.monotonic() - began)

    async def _classify(self, request: Request) -> Response:
        options = _options(request.query_params)
        client = request.client.host if request.client else "a Unix socket"
        with self._admission.client(client), self._admission.upload() as upload:
            # Said beforehand, it need not be sent.
            upload.check(int(request.headers.get("content-length", 0)))
            data = bytearray()
            async for chunk in request.stream():
                upload.grow(len(chunk))
                data += chunk
            with self._admission.wait():
                answer = await self._run(request, data, options)
        self.metrics.audio_seconds += answer.seconds
        for result in answer.results:
            self.metrics.answer(result.label)
        values: dict[str, Any] = (
            asdict(answer.results[0])
            if options.windows is None
            else {"seconds": answer.seconds, "segments": [_part(r) for r in answer.results]}
        )
        return _json(values | {"model": answer.model.sha256})

    async def _run(self, request: Request, data: bytearray, options: _Options) -> _Answer:
        """Classifies in a worker's thread; work that nobody waits for any more is not begun."""
        work = self._executor.submit(self._work, data, options)
        done = asyncio.wrap_future(work)
        left = asyncio.ensure_future(_left(request))
        waited: list[asyncio.Future[Any]] = [done, left]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not done.done() and work.cancel():
                raise ClientDisconnect
            return await done
        except SerEdgeError as fault:
            raise refusal_of(fault) from None
        finally:
            left.cancel()

    def _work(self, data: bytearray, options: _Options) -> _Answer:
        samples, rate = decode(bytes(data), self._limits.most_seconds)
        with self._model.classifier() as (classifier, model):
            seconds = len(samples) / rate
            if options.windows is None:
                check_sound(loudest(samples), NAME)
                results = [classifier.classify(samples, rate)]
            else:
                segment, step = options.windows
                if seconds / step > MOST_SEGMENTS:
                    raise WindowError(
                        f"more than {MOST_SEGMENTS} segments; give a longer step than {step} s"
                    )
                results = classifier.windows(samples, rate, segment, step)
        results = [result.or_uncertain(options.min_score) for result in results]
        return _Answer(model, seconds, results)

    async def _health(self, request: Request) -> Response:
        model = self._model.loaded
        return _json(
            {
                "status": "ok",
                "version": __version__,
                "interpreter": model.backend,
                "model": {
                    "name": model.model_file.metadata.name,
                    "sha256": model.sha256,
                    "labels": model.model_file.metadata.labels,
                },
            }
        )

    async def _metrics(self, request: Request) -> Response:
        model = self._model.loaded
        gauges = {
            "waiting": ("Recordings that wait or are classified.", self._admission.waiting),
            "uploaded_bytes": ("Bytes of recordings that are held.", self._admission.uploaded),
            "model_reloads_total": ("Models taken up while running.", self._model.reloads),
            "model_reload_failures_total": ("Models refused while running.", self._model.failures),
        }
        info = {
            "name": model.model_file.metadata.name,
            "sha256": model.sha256,
            "interpreter": model.backend,
        }
        return Response(
            self.metrics.text(gauges, info),
            headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE},
        )


class _Options(NamedTuple):
    """What a request asks for: segments of a length and a step, if any; the lowest score."""

    windows: tuple[float, float] | None
    min_score: float


class _Answer(NamedTuple):
    """What a worker found: the model that it asked, the recording's length, the results."""

    model: LoadedModel
    seconds: float
    results: list[Result]


async def _page(request: Request) -> Response:
    data, kind = read_page_file(request.url.path)
    return Response(data, headers={**PAGE_HEADERS, "Content-Type": kind})


async def _left(request: Request) -> None:
    """Waits until the client is gone; the whole request has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _part(result: Result) -> dict[str, Any]:
    return {name: value for name, value in asdict(result).items() if name != "seconds"}


def _options(query: Mapping[str, str]) -> _Options:
    """The options of a request: ``segment`` and ``step`` in seconds, and ``min_score``."""
    unknown = sorted(set(query) - {"segment", "step", "min_score"})
    if unknown:
        raise Refusal(
            400, "BadOption", f"{unknown[0]!r} is no option; there are segment, step and min_score"
        )
    if "step" in query and "segment" not in query:
        raise Refusal(400, "BadOption", "step needs segment")
    windows = None
    if "segment" in query:
        segment = _number(query, "segment", 3600.0)
        windows = segment, _number(query, "step", 3600.0) if "step" in query else segment
    return _Options(windows, _number(query, "min_score", 1.0) if "min_score" in query else 0.0)


def _number(query: Mapping[str, str], name: str, most: float) -> float:
    try:
        number = float(query[name])
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise Refusal(
            400, "BadOption", f"{name}={query[name]!r} is not a number above 0, at most {most:g}"
        )
    return number


def _comes_from_here(scope: Scope, hosts: frozenset[str] | None) -> bool:
    """Whether no other site's page can be behind a request.

    A page anywhere may make a browser ask 127.0.0.1, also under a name that it has
    just pointed there (DNS rebinding). Browsers tell who asks (Origin) and under which
    name (Host); both must be the service's own. A Unix socket no page can reach.
    """
    if scope["client"] is None:
        return True
    headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    if origin is not None and origin.partition("://")[2] != host:
        return False
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return hosts is None or not host or name.strip("[]") in hosts


_FOREIGN = Refusal(
    403, "Foreign", "the request comes from another site or under another name than the service's"
)
_INTERNAL = Refusal(500, "Internal", "the service failed; its terminal says more")


def _json(values: Mapping[str, Any]) -> Response:
    return Response(
        json.dumps(values, allow_nan=False),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )


def _respond(refusal: Refusal) -> Response:
    return Response(refusal.body, refusal.status, headers=dict(refusal.headers))


async def _refused(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Refusal)
    return _respond(fault)


async def _failed(request: Request, fault: Exception) -> Response:
    return _respond(_INTERNAL)


async def _not_here(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    words = f"there is no {request.url.path}; there are /classify, /health and /metrics"
    if fault.status_code == 405:
        words = f"{request.url.path} does not take {request.method}"
    response = _respond(Refusal(fault.status_code, fault.detail.replace(" ", ""), words))
    response.headers.update(fault.headers or {})
    return response
