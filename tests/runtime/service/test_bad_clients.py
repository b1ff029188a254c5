"""Garbage, oversize, slow and leaving clients; the others do not notice."""

from __future__ import annotations

import contextlib
import io
import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.service.limits import Limits
from tests.runtime.service.running import (
    MODEL,
    PATIENCE,
    HeldModel,
    error_in,
    read_all,
    read_answer,
    running,
    wav,
)

HEAD = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def strict():
    """A service that takes little."""
    limits = Limits(most_bytes=40_000, most_seconds=2.0, timeout=PATIENCE)
    with running(limits) as found:
        yield found


def test_a_recording_that_says_it_is_too_large_is_refused_before_it_is_sent(strict):
    with strict.connect() as client:
        client.sendall(HEAD % 40_001)
        status, values = read_answer(client)
    assert (status, values["kind"]) == (413, "TooLarge")
    assert "40000 bytes" in values["error"]


def test_a_client_that_sends_all_of_it_nevertheless_gets_its_answer(strict):
    status, _, values = strict.ask("POST", "/classify", bytes(3_000_000))
    assert (status, values["kind"]) == (413, "TooLarge")


def test_a_recording_without_a_length_is_cut_off_at_the_limit(strict):
    chunks = (bytes(8_000) for _ in range(100))
    status, _, values = strict.ask("POST", "/classify", chunks)
    assert (status, values["kind"]) == (413, "TooLarge")
    assert strict.metric("uploaded_bytes") == 0


def test_the_largest_that_is_allowed_is_taken(strict):
    data = wav(2.0)
    assert len(data) <= 40_000
    assert strict.ask("POST", "/classify", data + bytes(40_000 - len(data)))[0] == 200


def test_a_recording_that_lasts_too_long_is_refused(strict):
    status, _, values = strict.ask("POST", "/classify", wav(2.1))
    assert (status, values["kind"]) == (413, "RecordingTooLong")
    assert "lasts 2.1 s; at most 2 s" in values["error"]


def test_hours_of_silence_in_a_small_file_are_not_decoded(strict):
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8000 * 600, np.int16), 8000, format="FLAC")
    assert len(buffer.getvalue()) < 40_000
    status, _, values = strict.ask("POST", "/classify", buffer.getvalue())
    assert (status, values["kind"]) == (413, "RecordingTooLong")
    assert "lasts 600.0 s" in values["error"]


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_garbage_does_not_disturb_the_next_client(strict, garbage):
    with strict.connect() as client:
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    assert strict.ask()[0] == 200


@settings(max_examples=30)
@given(st.binary(max_size=300), st.integers(0, 60))
def test_recordings_of_garbage_are_refused_and_nothing_else_happens(strict, garbage, kept):
    status, _, values = strict.ask("POST", "/classify", wav(0.1)[:kept] + garbage)
    assert status == 200 or (status in (413, 415, 422) and values["error"])
    assert strict.ask()[0] == 200


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/two\r\n\r\n", b"A" * 20_000, b"\r\n\r\n\r\n \0"],
    ids=["tls", "version", "endless line", "blanks"],
)
def test_what_is_no_http_is_told_so_in_json(strict, garbage):
    before = strict.metric('refused_total{reason="invalid"}')
    with strict.connect() as client:
        client.sendall(garbage + b"\r\n\r\n")
        status, values = error_in(read_all(client))
    assert (status, values["kind"]) == (400, "InvalidRequest")
    assert strict.metric('refused_total{reason="invalid"}') == before + 1


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /classify HT", HEAD % 1000 + bytes(10)],
    ids=["nothing", "half a header", "half a recording"],
)
def test_a_slow_client_is_answered_with_a_timeout(sent):
    with running(Limits(timeout=0.05)) as service, service.connect() as client:
        client.sendall(sent)
        status, values = error_in(read_all(client))
        assert (status, values["kind"]) == (408, "Timeout")
        assert service.metric('refused_total{reason="timeout"}') == 1
        assert service.metric("uploaded_bytes") == 0


def test_bytes_that_drip_in_gain_no_time():
    with running(Limits(timeout=0.3)) as service, service.connect() as client:
        client.sendall(HEAD % 1_000_000)
        client.settimeout(0.02)
        head = b""
        for _ in range(1000):  # the service's deadline ends it
            client.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                head = client.recv(12, socket.MSG_PEEK)
            if head:
                break
        assert head == b"HTTP/1.1 408"


def test_the_deadline_is_for_the_request_and_not_for_its_answer():
    model = HeldModel(MODEL)
    data = wav()
    with running(Limits(timeout=0.2), model=model) as service, service.connect() as first:
        first.sendall(HEAD % len(data) + data)
        assert model.asked.get(timeout=PATIENCE)
        with service.connect() as later:
            # Its time began later, so the first's is over too.
            assert error_in(read_all(later))[0] == 408
        model.given.release()
        assert read_answer(first)[0] == 200


def test_a_connection_that_is_kept_open_has_its_deadline_for_each_request():
    limits = Limits(timeout=0.3, keep_alive=PATIENCE)
    with running(limits) as service, service.connect() as client:
        for _ in range(2):
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_answer(client)[0] == 200
        client.sendall(b"GET /hea")
        assert error_in(read_all(client))[0] == 408


def test_slow_clients_do_not_keep_others_waiting():
    with running() as service:
        slow = [service.connect() for _ in range(20)]
        try:
            for number, client in enumerate(slow):
                client.sendall((HEAD % 10_000 + bytes(100))[: 20 + 10 * number])
            assert [service.ask("POST", "/classify", wav())[0] for _ in range(3)] == [200] * 3
        finally:
            for client in slow:
                client.close()


def test_one_client_may_not_have_more_than_its_share(tmp_path):
    limits = Limits(most_of_a_client=1, timeout=PATIENCE)
    data = wav()
    with running(limits, path=tmp_path / "s") as service, service.connect() as first:
        first.sendall(HEAD % len(data) + data[:1000])
        service.wait_for("uploaded_bytes", 1000)
        status, headers, values = service.ask("POST", "/classify", data)
        assert (status, values["kind"]) == (429, "TooManyRequests")
        assert headers["Retry-After"] == "1"
        # Another client's share is its own, and what costs nothing is not counted.
        assert service.ask_unix("POST", "/classify", data)[0] == 200
        assert service.ask()[0] == 200
        first.sendall(data[1000:])
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert service.ask("POST", "/classify", data)[0] == 200


def test_all_recordings_together_have_a_limit():
    data = wav()
    limits = Limits(most_uploaded=len(data) + 500, timeout=PATIENCE)
    with running(limits) as service, service.connect() as first:
        first.sendall(HEAD % len(data) + data[:1000])
        service.wait_for("uploaded_bytes", 1000)
        status, headers, values = service.ask("POST", "/classify", data)
        assert (status, values["kind"], headers["Retry-After"]) == (503, "Busy", "1")
        first.sendall(data[1000:])
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_no_more_wait_than_may():
    model = HeldModel(MODEL)
    with running(Limits(most_waiting=1, timeout=PATIENCE), model=model) as service:
        found = []
        first = threading.Thread(
            target=lambda: found.append(service.ask("POST", "/classify", wav())[0])
        )
        first.start()
        assert model.asked.get(timeout=PATIENCE)
        status, headers, values = service.ask("POST", "/classify", wav())
        assert (status, values["kind"], headers["Retry-After"]) == (503, "Busy", "1")
        assert service.ask()[0] == 200
        model.given.release()
        first.join()
        assert found == [200]
        assert service.metric("waiting") == 0


def test_work_that_nobody_waits_for_is_not_begun():
    model = HeldModel(MODEL)
    data = wav()
    with running(model=model) as service, service.connect() as first:
        first.sendall(HEAD % len(data) + data)
        assert model.asked.get(timeout=PATIENCE)
        with service.connect() as second:
            second.sendall(HEAD % len(data) + data)
            service.wait_for("waiting", 2)
        service.wait_for('requests_total{path="/classify",status="499"}', 1)
        assert service.metric("waiting") == 1
        model.given.release()
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert model.asked.empty()


def test_too_many_connections_are_refused_and_far_too_many_closed():
    limits = Limits(most_connections=2, timeout=PATIENCE)
    with running(limits) as service:
        held = [service.connect() for _ in range(2)]
        try:
            for client in held:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
            status, headers, values = service.ask()
            assert (status, values["kind"], headers["Connection"]) == (503, "Busy", "close")
            held += [service.connect() for _ in range(2)]
            with service.connect() as beyond:
                assert beyond.recv(1) == b""
        finally:
            for client in held:
                client.close()


def test_a_client_that_does_not_read_is_cut_off():
    with running(Limits(timeout=0.2)) as service, service.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
        with contextlib.suppress(ConnectionError):
            while True:  # until it is cut off
                client.sendall(asked)
        assert service.ask()[0] == 200
        assert service.metric('refused_total{reason="timeout"}') == 1
