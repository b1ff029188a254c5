"""The workers of a fit find each other before TensorFlow starts, or say who is missing.

TensorFlow itself waits an hour for a worker that never comes and names nobody. So the
chief first listens on its address; each worker says there who it is and which cluster
it means. When all are there the chief answers them, everybody closes, and TensorFlow's
own servers take over the ports.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Final

from ser_edge_train.distribution import Distribution, DistributionError, split_address

GREETING: Final = "ser-edge worker 1"
_LONGEST: Final = 65536
_PAUSE: Final = 0.2
# A guest that sends nothing must not keep the others out.
_PATIENCE: Final = 5.0


def meet(distribution: Distribution, seconds: float) -> None:
    """Returns when every worker is there.

    Args:
        distribution: A "multi-worker" one.
        seconds: How long to wait at most.

    Raises:
        DistributionError: A worker did not come in time, the address cannot be used, or
            the chief means another cluster.
    """
    deadline = time.monotonic() + seconds
    if distribution.chief:
        _receive(distribution, deadline, seconds)
    else:
        _join(distribution, deadline, seconds)


def _receive(distribution: Distribution, deadline: float, seconds: float) -> None:
    address = distribution.workers[0]
    try:
        # On every interface, as TensorFlow's server: the name may be that of a gateway.
        listener = socket.create_server(("", split_address(address)[1]))
    except OSError as fault:
        raise DistributionError(
            f"worker 0 cannot listen on {address} ({fault.strerror}); name another port"
        ) from None
    guests: dict[int, socket.socket] = {}
    try:
        with listener:
            while len(guests) < len(distribution.workers) - 1:
                listener.settimeout(max(deadline - time.monotonic(), 0.001))
                try:
                    guest = listener.accept()[0]
                except TimeoutError:
                    missing = [
                        f"{place} ({address})"
                        for place, address in enumerate(distribution.workers)
                        if place and place not in guests
                    ]
                    raise DistributionError(
                        f"worker {', '.join(missing)} did not come within {seconds:.0f} seconds; "
                        "start every worker with the same --workers"
                    ) from None
                _greet(guest, distribution, guests)
        for guest in guests.values():
            _send(guest, {"go": True})
    finally:
        for guest in guests.values():
            guest.close()


def _greet(
    guest: socket.socket, distribution: Distribution, guests: dict[int, socket.socket]
) -> None:
    """Takes a guest in, or tells it why not; what is no worker at all is shown out."""
    guest.settimeout(_PATIENCE)
    heard = _heard(guest)
    place = heard.get("worker")
    for other in [other for other, known in guests.items() if _gone(known)]:
        guests.pop(other).close()
    if heard.get("greeting") != GREETING or not isinstance(place, int):
        why = "no worker of ser-edge"
    elif heard.get("workers") != list(distribution.workers):
        why = f"worker 0 means other workers ({', '.join(distribution.workers)})"
    elif place in guests or not 0 < place < len(distribution.workers):
        why = f"worker {place} is there already"
    else:
        guests[place] = guest
        return
    _send(guest, {"refused": why})
    guest.close()


def _join(distribution: Distribution, deadline: float, seconds: float) -> None:
    address = distribution.workers[0]
    late = DistributionError(
        f"worker 0 ({address}) and the others were not there within {seconds:.0f} seconds; "
        "start every worker with the same --workers"
    )
    mine = {
        "greeting": GREETING,
        "worker": distribution.worker,
        "workers": list(distribution.workers),
    }
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(split_address(address), timeout=left) as chief:
                _send(chief, mine)
                chief.settimeout(max(deadline - time.monotonic(), 0.001))
                answer = _heard(chief)
        except OSError:
            answer = {}
        if "refused" in answer:
            raise DistributionError(f"worker 0 ({address}) refuses: {answer['refused']}")
        if answer.get("go") is True:
            return
        # Not there yet, or it was started anew while this one waited.
        time.sleep(min(_PAUSE, max(deadline - time.monotonic(), 0.0)))
    raise late


def _gone(known: socket.socket) -> bool:
    """Whether the other end has been closed; it has nothing more to say."""
    known.setblocking(False)
    try:
        return known.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        known.settimeout(_PATIENCE)


def _send(peer: socket.socket, message: dict[str, Any]) -> None:
    try:
        peer.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        # Gone; TensorFlow finds that out too and says so.
        return


def _heard(peer: socket.socket) -> dict[str, Any]:
    """The line that the other end sends; empty if it is none of ours."""
    data = b""
    try:
        while not data.endswith(b"\n") and len(data) < _LONGEST:
            piece = peer.recv(4096)
            if not piece:
                break
            data += piece
        value = json.loads(data)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
