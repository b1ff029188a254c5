"""A service that is full says so to those who come, and is as before when they are gone."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Thread

import pytest

from ser_edge_runtime.service.limits import Admission, Limits
from ser_edge_runtime.service.refusal import Refusal
from tests.runtime.faults import said
from tests.runtime.service.running import MODEL, PATIENCE, HeldModel, running, wav

BUSY = "too much is being sent; try again later"


def entered(block):
    with block:
        raise AssertionError("let in")


def answer_of(call, *values):
    """What the client of a refusal gets: its text, its kind, its status, when to come again."""
    message = said(Refusal, call, *values)
    with pytest.raises(Refusal) as caught:
        call(*values)
    fault = caught.value
    assert fault.message == message
    return message, fault.kind, fault.status, fault.retry_after


@pytest.mark.parametrize("most", [1, 2, 64])
def test_as_many_wait_as_may_and_the_next_is_told_how_many(most):
    admission = Admission(Limits(most_waiting=most))
    with ExitStack() as stack:
        for _ in range(most):
            stack.enter_context(admission.wait())
        wait = "recording waits" if most == 1 else "recordings wait"
        words = f"{most} {wait}; try again later"
        for _ in range(3):
            assert answer_of(lambda: entered(admission.wait())) == (words, "Busy", 503, 1)
            assert admission.waiting == most
    assert admission.waiting == 0
    with admission.wait():
        assert admission.waiting == 1


def test_the_last_byte_that_all_may_send_is_taken_and_one_more_is_not():
    admission = Admission(Limits(most_bytes=100, most_uploaded=150))
    with admission.upload() as first, admission.upload() as second:
        first.grow(100)
        assert answer_of(second.grow, 51) == (BUSY, "Busy", 503, 1)
        # Nothing of what was refused is held, so that less may still be sent.
        assert (second.size, admission.uploaded) == (0, 100)
        second.grow(50)
        assert answer_of(second.grow, 1) == (BUSY, "Busy", 503, 1)
        assert (second.size, admission.uploaded) == (50, 150)
    assert admission.uploaded == 0


# over HTTP


def refused(service, data):
    """The answer to a recording that the service has no room for."""
    status, headers, values = service.ask("POST", "/classify", data)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert set(values) == {"error", "kind", "status"}
    assert (values["kind"], values["status"]) == ("Busy", 503)
    return values["error"]


def test_a_client_reads_that_too_much_is_being_sent_and_may_send_less():
    short, long = wav(0.5), wav(1.0)
    limits = Limits(most_uploaded=len(short), timeout=PATIENCE)
    with running(limits) as service:
        assert refused(service, long) == BUSY
        assert service.metric("uploaded_bytes") == 0
        assert service.ask("POST", "/classify", short)[0] == 200


def test_a_client_reads_how_many_wait_before_it():
    model = HeldModel(MODEL)
    limits = Limits(most_waiting=2, timeout=PATIENCE)
    with running(limits, model=model) as service:
        found = []

        def send():
            found.append(service.ask("POST", "/classify", wav())[0])

        clients = [Thread(target=send) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            service.wait_for("waiting", 2)
            assert refused(service, wav()) == "2 recordings wait; try again later"
            assert service.metric("waiting") == 2
        finally:
            for _ in range(2):
                model.given.release()
            for client in clients:
                client.join(PATIENCE)
        assert found == [200, 200]
        model.given.release()
        assert service.ask("POST", "/classify", wav())[0] == 200
