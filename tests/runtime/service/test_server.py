"""A service's end, its own faults, and the page it serves."""

from __future__ import annotations

import contextlib
import json
import re
import threading

import pytest

from ser_edge_runtime.errors import (
    InvokeFailed,
    MissingDecoder,
    NotAudio,
    RecordingTooLong,
    SampleRateError,
    TruncatedAudio,
    WindowError,
)
from ser_edge_runtime.service.limits import Limits
from ser_edge_runtime.service.page import FILES, read_page_file
from ser_edge_runtime.service.refusal import Refusal, refusal_of
from ser_edge_runtime.service.served_model import ServedModel
from tests.runtime.service.running import MODEL, PATIENCE, HeldModel, running, wav


def test_requests_that_have_begun_are_answered_before_the_end():
    model = HeldModel(MODEL)
    found = []
    with running(model=model) as service:
        client = threading.Thread(
            target=lambda: found.append(service.ask("POST", "/classify", wav())[0])
        )
        client.start()
        assert model.asked.get(timeout=PATIENCE)
        service.service.end()
        # Nobody comes in any more; who is in is served.
        with contextlib.suppress(OSError):
            while True:
                service.ask()
        model.given.release()
        client.join()
    assert found == [200]
    assert service.service.metrics.requests >= 1


def test_the_end_does_not_wait_for_a_client_that_sends_nothing():
    with running(Limits(timeout=0.2)) as service, service.connect() as client:
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert service.ask()[0] == 200


def test_a_fault_of_the_service_is_told_on_its_own_side_and_disturbs_nobody():
    class Broken(ServedModel):
        def classifier(self):
            raise ZeroDivisionError("inside")

    faults = []
    with running(model=Broken(MODEL), on_fault=faults.append) as service:
        status, _, values = service.ask("POST", "/classify", wav())
        assert (status, values["kind"]) == (500, "Internal")
        assert "inside" not in values["error"]
        assert service.ask()[0] == 200
        assert service.metric('requests_total{path="/classify",status="500"}') == 1
        assert service.metric("waiting") == 0
    assert [str(fault) for fault in faults] == ["inside"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (RecordingTooLong("r", 90.0, 60.0), 413),
        (NotAudio("r", "is none", "give one"), 415),
        (MissingDecoder("r", "needs soundfile", "install it"), 415),
        (TruncatedAudio("r", "is cut", "send it again"), 422),
        (SampleRateError(7, 1000, 768000), 422),
        (WindowError("too short"), 400),
        (InvokeFailed("stopped"), 500),
    ],
)
def test_every_error_has_a_status_and_keeps_its_words(fault, status):
    refusal = refusal_of(fault)
    assert json.loads(refusal.body) == {
        "error": str(fault),
        "kind": type(fault).__name__,
        "status": status,
    }
    assert "Retry-After" not in refusal.headers


def test_a_refusal_that_passes_says_when():
    assert Refusal(503, "Busy", "wait", 7).headers["Retry-After"] == "7"


def test_the_page_comes_whole_and_asks_nobody_else():
    with running() as service:
        for path, (name, kind) in FILES.items():
            status, headers, text = service.ask(path=path)
            assert (status, headers["Content-Type"]) == (200, kind)
            assert text.encode() == read_page_file(path)[0], name
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert headers["Permissions-Policy"] == "microphone=(self)"
            assert not re.search(r"(https?:)?//[a-z]", re.sub(r"// .*", "", text)), name


def test_what_the_page_names_is_there():
    text = "".join(read_page_file(path)[0].decode() for path in FILES)
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', text)) - {"data:,"}
    named |= set(re.findall(r'(?:addModule|fetch)\("([^"]+)"', text))
    assert {f"/{name}" for name in named} == set(FILES) - {"/"} | {"/classify", "/health"}
    page = read_page_file("/")[0].decode()
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'element\("([^"]+)"\)', text)) == ids
    # Its policy forbids both.
    assert " style=" not in page
    assert not re.search(r"<script(?![^>]*src=)", page)
