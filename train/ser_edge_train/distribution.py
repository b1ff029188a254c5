"""How a fit is spread: not at all, over the devices of one machine, or over several workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ser_edge_runtime.errors import SerEdgeError

STRATEGIES: Final = ("none", "mirrored", "multi-worker")
VARIABLE: Final = "TF_CONFIG"
_EXAMPLE: Final = "as --workers host0:2222,host1:2222 --worker 0"


class DistributionError(SerEdgeError):
    """Workers that are not described well, that did not meet, or that do different things."""


class WorkerLost(DistributionError):
    """Another worker died, or its machine or the network did."""


@dataclass(frozen=True)
class Distribution:
    """Which of TensorFlow's strategies spreads a fit, and who this process is in it.

    Attributes:
        strategy: One of :data:`STRATEGIES`. "mirrored" takes all GPUs of this machine
            (without one, all logical CPU devices); "multi-worker" joins the processes
            of ``workers``.
        workers: Addresses "host:port", the same in the same order in every process.
        worker: This process's place in ``workers``. Worker 0 is the chief: it alone
            writes the run directory.

    Raises:
        DistributionError: The three do not go together.
    """

    strategy: str = "none"
    workers: tuple[str, ...] = ()
    worker: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise DistributionError(f"{self.strategy}: no strategy; one of {', '.join(STRATEGIES)}")
        if self.strategy != "multi-worker":
            if self.workers or self.worker:
                raise DistributionError("workers are named; they need --strategy multi-worker")
            return
        if not self.workers:
            raise DistributionError(f"multi-worker needs addresses, {_EXAMPLE}, or {VARIABLE}")
        for address in self.workers:
            split_address(address)
        if len(set(self.workers)) != len(self.workers):
            raise DistributionError("two workers have one address; each needs a port of its own")
        if not 0 <= self.worker < len(self.workers):
            raise DistributionError(
                f"no worker {self.worker}: with {len(self.workers)} addresses they are "
                f"0 to {len(self.workers) - 1}"
            )

    @property
    def chief(self) -> bool:
        """Whether this process writes what the fit leaves."""
        return self.worker == 0

    @classmethod
    def chosen(
        cls,
        strategy: str,
        workers: str | None,
        worker: int | None,
        environment: Mapping[str, str],
    ) -> Distribution:
        """From options, or for "multi-worker" without them from the variable TF_CONFIG.

        Args:
            strategy: One of :data:`STRATEGIES`.
            workers: Addresses with commas between them; None: not given.
            worker: This process's place; None: not given.
            environment: As ``os.environ``.

        Raises:
            DistributionError: Something is missing or does not go together.
        """
        if (workers is None) != (worker is None):
            raise DistributionError(f"--workers and --worker go together, {_EXAMPLE}")
        if workers is not None and worker is not None:
            addresses = tuple(part.strip() for part in workers.split(",") if part.strip())
            return cls(strategy, addresses, worker)
        if strategy == "multi-worker" and environment.get(VARIABLE):
            return cls(strategy, *_from_json(environment[VARIABLE]))
        return cls(strategy)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port".

    Raises:
        DistributionError: It is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 2**16:
        raise DistributionError(f"{address or 'an empty address'}: not host:port, {_EXAMPLE}")
    return host, int(port)


def _from_json(text: str) -> tuple[tuple[str, ...], int]:
    """Addresses and place; a cluster's "chief" stands before its workers, as in TensorFlow."""
    try:
        value = json.loads(text)
        cluster, kind, index = value["cluster"], value["task"]["type"], value["task"]["index"]
        groups = {name: [str(address) for address in cluster[name]] for name in cluster}
        place = int(index)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise DistributionError(
            f"{VARIABLE}: not a cluster with a task; give the workers by option, {_EXAMPLE}"
        ) from None
    if set(groups) - {"chief", "worker"} or kind not in groups:
        raise DistributionError(
            f"{VARIABLE}: its jobs are {_names(groups)} and the task is {kind!r}; "
            "only chief and worker train"
        )
    if not 0 <= place < len(groups[kind]):
        raise DistributionError(f"{VARIABLE}: no {kind} {place} in its cluster")
    chiefs = groups.get("chief", [])
    before = len(chiefs) if kind == "worker" else 0
    return (*chiefs, *groups.get("worker", [])), before + place


def _names(groups: Mapping[str, Any]) -> str:
    return ", ".join(sorted(groups)) or "none"
