"""The workers' meeting: everybody comes, somebody is missing, strangers and twins come too."""

from __future__ import annotations

import json
import socket
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from ser_edge_train.distribution import Distribution, DistributionError
from ser_edge_train.meeting import GREETING, meet


@pytest.fixture
def free():
    """Addresses on loopback whose ports nobody uses."""

    def take(count: int) -> tuple[str, ...]:
        taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        addresses = tuple(f"127.0.0.1:{server.getsockname()[1]}" for server in taken)
        for server in taken:
            server.close()
        return addresses

    return take


@pytest.fixture
def together():
    """Runs every worker's :func:`meet` in a thread of its own."""
    with ThreadPoolExecutor(8) as pool:

        def start(
            workers: tuple[str, ...], *places: int, seconds: float = 60.0
        ) -> list[Future[None]]:
            each = [Distribution("multi-worker", workers, place) for place in places]
            return [pool.submit(meet, distribution, seconds) for distribution in each]

        yield start


def visit(address: str, message: bytes) -> bytes:
    """What worker 0 answers to a stranger, once it listens."""
    host, port = address.split(":")
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=60) as peer:
                peer.sendall(message)
                return peer.recv(4096)
        except ConnectionRefusedError:
            continue


@pytest.mark.parametrize("count", [1, 2, 4])
def test_all_go_on_when_all_are_there(free, together, count):
    workers = free(count)
    # The chief comes last: the others wait for it.
    for worker in together(workers, *reversed(range(count))):
        worker.result(timeout=60)
    # The port is free again, for TensorFlow's server.
    socket.create_server(("", int(workers[0].split(":")[1]))).close()


def test_who_is_missing_is_named(free, together):
    workers = free(3)
    chief, other = together(workers, 0, 1, seconds=2.0)
    with pytest.raises(DistributionError) as caught:
        chief.result(timeout=60)
    assert str(caught.value) == (
        f"worker 2 ({workers[2]}) did not come within 2 seconds; "
        "start every worker with the same --workers"
    )
    with pytest.raises(DistributionError, match=r"worker 0 \(127\.0\.0\.1:\d+\) and the others"):
        other.result(timeout=60)


def test_a_worker_without_its_chief_gives_up(free, together):
    (lonely,) = together(free(2), 1, seconds=0.5)
    with pytest.raises(DistributionError, match="were not there within 0 seconds"):
        lonely.result(timeout=60)


def test_workers_of_another_cluster_are_refused(free, together):
    workers = free(3)
    others = (workers[0], workers[2], workers[1])
    chief, one = together(workers, 0, 1)
    (astray,) = together(others, 1)
    with pytest.raises(DistributionError, match=r"worker 0 .* refuses: .* means other workers"):
        astray.result(timeout=60)
    (two,) = together(workers, 2)
    for worker in (chief, one, two):
        worker.result(timeout=60)


def test_a_second_worker_of_one_number_is_refused(free, together):
    workers = free(3)
    chief, one, twin = together(workers, 0, 1, 1)
    refusals = []
    while not refusals:
        refusals = [worker for worker in (one, twin) if worker.done()]
    with pytest.raises(DistributionError, match="refuses: worker 1 is there already"):
        refusals[0].result()
    (two,) = together(workers, 2)
    for worker in (chief, two, twin if refusals[0] is one else one):
        worker.result(timeout=60)


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\n",
        b"[]\n",
        b'{"greeting": "hello"}\n',
        json.dumps({"greeting": GREETING, "worker": "1"}).encode() + b"\n",
        json.dumps({"greeting": GREETING, "worker": 7, "workers": []}).encode() + b"\n",
    ],
)
def test_strangers_are_shown_out_and_the_meeting_goes_on(free, together, message):
    workers = free(2)
    (chief,) = together(workers, 0)
    assert b"refused" in visit(workers[0], message)
    (other,) = together(workers, 1)
    for worker in (chief, other):
        worker.result(timeout=60)


def test_a_worker_that_left_before_all_were_there_may_come_again(free, together):
    workers = free(3)
    (chief,) = together(workers, 0)
    mine = {"greeting": GREETING, "worker": 1, "workers": list(workers)}
    host, port = workers[0].split(":")
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=60) as gone:
                gone.sendall(json.dumps(mine).encode() + b"\n")
            break
        except ConnectionRefusedError:
            continue
    for worker in (chief, *together(workers, 1, 2)):
        worker.result(timeout=60)


def test_an_address_in_use_is_told(free, together):
    workers = free(2)
    with socket.create_server(("", int(workers[0].split(":")[1]))):
        (chief,) = together(workers, 0)
        with pytest.raises(DistributionError, match=r"cannot listen on .* name another port"):
            chief.result(timeout=60)
