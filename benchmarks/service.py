"""Measures a running service against a process a clip: ``python benchmarks/service.py``.

``ser-edge serve`` in a process of its own answers 1,000 requests of 32 clients, each on a
connection that stays open; before and after, ``ser-edge classify CLIP`` runs as a process a
clip. Then the same requests again while other clients send garbage, send too much, and hold
half a request each: all 1,000 must be answered as before.

Latencies of 32 clients hold the wait for the 31 others: with one worker, at least 32 times the
cost of a request. What a request costs by itself is the time a request, and one client's p50.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import interleaved, verdict

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ROOT / "examples" / "clips"
PROCESS_BOUND = 0.2
DISTURBED_BOUND = 3.0
SLOW_CLIENTS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9, help="processes to measure")
    given = parser.parse_args()
    recordings = [path.read_bytes() for path in sorted(CLIPS.glob("*.wav"))]
    command = [sys.executable, "-m", "ser_edge", "classify", str(min(CLIPS.glob("*.wav")))]
    process = interleaved({"process": command}, given.rounds)["process"].seconds
    with serving(given.workers) as address:
        expected = [ask(address, recording)[1] for recording in recordings]
        alone, _ = load(address, recordings, expected, given.requests // 10, 1)
        calm, calm_seconds = load(address, recordings, expected, given.requests, given.clients)
        with disturbance(address) as disturbers:
            stormy, _ = load(address, recordings, expected, given.requests, given.clients)
        seen = report(address, disturbers)
    again = interleaved({"process": command}, given.rounds)["process"].seconds
    process = statistics.median([process, again])
    cost = calm_seconds / given.requests
    print(f"a process a clip: {1e3 * process:.0f} ms (before and after: median of both)")
    print(f"one client:        p50 {ms(alone, 50)}, p99 {ms(alone, 99)}")
    print(
        f"{given.clients} clients:        p50 {ms(calm, 50)}, p99 {ms(calm, 99)}, "
        f"{1e3 * cost:.1f} ms a request, {1 / cost:.0f} requests a second"
    )
    print(f"{given.clients} and bad ones:   p50 {ms(stormy, 50)}, p99 {ms(stormy, 99)}; {seen}")
    print(
        f"answered well: {len(alone) + len(calm) + len(stormy)} of "
        f"{given.requests // 10 + 2 * given.requests}"
    )
    held = [
        verdict("a request against a process", cost / process, PROCESS_BOUND, " x"),
        verdict("p99 with bad clients against without", quantile(stormy, 99) / quantile(calm, 99),
                DISTURBED_BOUND, " x"),
    ]  # fmt: skip
    return 0 if all(held) else 1


@contextmanager
def serving(workers: int) -> Iterator[str]:
    """A service on a free port; its host and port."""
    command = [sys.executable, "-m", "ser_edge", "serve", "--json", "--port", "0", "--no-socket"]
    with subprocess.Popen(
        [*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            address = json.loads(service.stdout.readline())["http"]
            yield address.removeprefix("http://").rstrip("/")
        finally:
            service.terminate()


def ask(address: str, recording: bytes) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        return answer(connection, recording)
    finally:
        connection.close()


def answer(connection: http.client.HTTPConnection, recording: bytes) -> tuple[int, dict]:
    connection.request("POST", "/classify", recording)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def load(
    address: str, recordings: list[bytes], expected: list[dict], requests: int, clients: int
) -> tuple[list[float], float]:
    """Seconds of each request that was answered as expected, and of all together."""
    numbers = iter(range(requests))
    lock = threading.Lock()
    latencies: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection(address, timeout=120)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            which = number % len(recordings)
            began = time.perf_counter()
            found = answer(connection, recordings[which])
            seconds = time.perf_counter() - began
            if found == (200, expected[which]):
                latencies.append(seconds)
            else:
                print("not as expected:", found, file=sys.stderr)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(latencies) < requests:
        raise SystemExit(f"{requests - len(latencies)} of {requests} were not answered well")
    return latencies, seconds


@contextmanager
def disturbance(address: str) -> Iterator[dict[str, int]]:
    """Bad clients, a round of each kind every 50 ms, for as long as the block lasts."""
    host, _, port = address.rpartition(":")
    over = threading.Event()
    done = dict.fromkeys(("garbage", "too large", "no audio", "slow"), 0)
    slow = [http.client.HTTPConnection(host, int(port), timeout=120) for _ in range(SLOW_CLIENTS)]

    def hold(connection: http.client.HTTPConnection) -> None:
        connection.close()
        connection.putrequest("POST", "/classify")
        connection.putheader("Content-Length", "100000")
        connection.endheaders(bytes(1000))
        done["slow"] += 1

    def disturb() -> None:
        kinds = itertools.cycle(("garbage", "too large", "no audio", "slow"))
        while not over.wait(0.05):
            kind = next(kinds)
            if kind == "slow":
                hold(slow[done["slow"] % SLOW_CLIENTS])
                continue
            connection = http.client.HTTPConnection(host, int(port), timeout=120)
            if kind == "garbage":
                connection.connect()
                connection.sock.sendall(b"\x16\x03\x01" + bytes(range(256)) + b"\r\n\r\n")
                connection.sock.recv(1000)
            elif kind == "too large":
                connection.request("POST", "/classify", bytes(17 << 20))
                assert connection.getresponse().status == 413
            else:
                connection.request("POST", "/classify", bytes(100_000))
                assert connection.getresponse().status == 415
            connection.close()
            done[kind] += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
        for connection in slow:
            connection.close()


def report(address: str, disturbers: dict[str, int]) -> str:
    """What the disturbers did, in words."""
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    held = next(line for line in text.splitlines() if line.startswith("ser_edge_uploaded_bytes"))
    kinds = ", ".join(f"{count} {kind}" for kind, count in disturbers.items())
    return f"{kinds}; {held.rpartition(' ')[2]} bytes held afterwards"


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def ms(values: list[float], percent: int) -> str:
    return f"{1e3 * quantile(values, percent):.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
