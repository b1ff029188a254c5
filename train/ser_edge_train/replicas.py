"""The replicas of a fit, over ``tf.distribute``: what they share, and what a lost one leads to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.files import write_atomically
from ser_edge_train.distribution import Distribution, DistributionError, WorkerLost
from ser_edge_train.meeting import meet

MEETING_SECONDS: Final = 300.0
# Of one exchange of gradients. A dead worker is noticed in seconds (its connection, or the
# heartbeats of TensorFlow's coordination service); this is for one that lives and does nothing.
STEP_SECONDS: Final = 600.0
_WORD: Final = 4


class Replicas:
    """Copies of a network that are trained as one, in this process and perhaps in others.

    Not thread-safe. What is said to hold "for all" is called by all workers, in the same order.

    Args:
        strategy: A ``tf.distribute.MirroredStrategy`` or ``MultiWorkerMirroredStrategy``.
        distribution: What it was made from.

    Attributes:
        strategy: As given.
        distribution: As given.
        count: Replicas, over all workers.
        local: Those of this process.
        first: The number of its first one among all.
    """

    def __init__(self, strategy: Any, distribution: Distribution) -> None:
        self.strategy = strategy
        self.distribution = distribution
        self.count = int(strategy.num_replicas_in_sync)
        self.local = self.count // max(len(distribution.workers), 1)
        self.first = self.local * distribution.worker
        self._total: Any = None

    @property
    def chief(self) -> bool:
        """Whether this process writes what the fit leaves."""
        return self.distribution.chief

    @property
    def several(self) -> bool:
        """Whether other processes take part."""
        return len(self.distribution.workers) > 1

    def number(self) -> int:
        """Within a replica's function: its number among all, from 0."""
        from ser_edge_train.frameworks import tf

        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return int(tf.get_static_value(tf.convert_to_tensor(number)))

    def options(self) -> Any:
        """How gradients are exchanged: not waiting for ever."""
        return _options(STEP_SECONDS)

    def total(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The sum over the workers, the same bits for all.

        Raises:
            WorkerLost: One is gone.
        """
        if not self.several:
            return np.array(values, np.float64)
        if self._total is None:
            self._total = self._make_total()
        with self.watched():
            return np.asarray(self._total(np.asarray(values, np.float64)).numpy())

    def broadcast(self, data: bytes | None) -> bytes | None:
        """The chief's bytes, for all; what the others pass is not looked at.

        Raises:
            WorkerLost: A worker is gone.
        """
        if not self.several:
            return data
        mine = data if self.chief else None
        length = int(self.total(np.array([-1.0 if mine is None else len(mine)]) * self.chief)[0])
        if length < 0:
            return None
        words = np.zeros(-(-length // _WORD), "<u4")
        if mine is not None:
            words = np.frombuffer(mine + bytes(-len(mine) % _WORD), "<u4")
        # Every 32-bit word is a float64 exactly, and x + 0 is x.
        return self.total(words.astype(np.float64)).astype("<u4").tobytes()[:length]

    def share(self, path: Path, wanted: bool) -> bool:
        """Puts the chief's file at ``path`` of every worker.

        Args:
            path: This worker's path.
            wanted: The chief's word counts.

        Returns:
            Whether the chief has such a file and wants it, so that all have it now.

        Raises:
            WorkerLost: A worker is gone.
        """
        there = self.chief and wanted and path.is_file()
        data = self.broadcast(path.read_bytes() if there else None)
        if data is not None and not self.chief:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        return data is not None

    def agree(self, what: str, data: bytes) -> None:
        """Makes sure that all workers have the same ``data``.

        Args:
            what: For the message, as "recipe and recordings".
            data: Compared by its digest.

        Raises:
            DistributionError: A worker has other data than worker 0; raised by all.
            WorkerLost: A worker is gone.
        """
        if not self.several:
            return
        digest = np.frombuffer(hashlib.sha256(data).digest(), "<u4").astype(np.float64)
        rows = np.zeros((len(self.distribution.workers), digest.size))
        rows[self.distribution.worker] = digest
        rows = self.total(rows.ravel()).reshape(rows.shape)
        others = [place for place, row in enumerate(rows) if not np.array_equal(row, rows[0])]
        if others:
            names = ", ".join(self._name(place) for place in others)
            raise DistributionError(
                f"{names}: other {what} than worker 0; start every worker with the same ones"
            )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turns what TensorFlow says of a lost worker into an error of one line.

        Raises:
            WorkerLost: A worker is gone.
        """
        from ser_edge_train.frameworks import tf

        try:
            yield
        except (
            tf.errors.UnavailableError,
            tf.errors.DeadlineExceededError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.InternalError,
            tf.errors.FailedPreconditionError,
        ) as fault:
            if not self.several:
                raise
            raise WorkerLost(
                f"{self._lost(str(fault))}; the epochs done are kept: "
                "start every worker again, with --resume"
            ) from None

    def _lost(self, words: str) -> str:
        """Whom TensorFlow means; its words name tasks, this one's own too."""
        places = {int(place) for place in re.findall(r"/task:(\d+)", words)}
        others = sorted(
            place
            for place in places - {self.distribution.worker}
            if place < len(self.distribution.workers)
        )
        if len(others) == 1 or len(self.distribution.workers) == 2:
            place = others[0] if others else 1 - self.distribution.worker
            return f"{self._name(place)} was lost"
        return "another worker was lost"

    def _name(self, place: int) -> str:
        return f"worker {place} ({self.distribution.workers[place]})"

    def _make_total(self) -> Callable[[Any], Any]:
        from ser_edge_train.frameworks import tf

        strategy = self.strategy

        def total(values: Any) -> Any:
            def mine() -> Any:
                # One of a worker's replicas speaks for it. Computed here: an argument as it
                # came has no device, and TensorFlow would not know where to reduce it to.
                given = values * (1.0 if self.number() == self.first else 0.0)
                # As long as it takes: others may still be at their features.
                context = tf.distribute.get_replica_context()
                return context.all_reduce(tf.distribute.ReduceOp.SUM, given)

            return strategy.experimental_local_results(strategy.run(mine))[0]

        signature = [tf.TensorSpec([None], tf.float64)]
        made: Callable[[Any], Any] = tf.function(total, signature, autograph=False)
        return made


def open_replicas(distribution: Distribution, seconds: float = MEETING_SECONDS) -> Replicas | None:
    """Makes the strategy; of several workers, waits until all are there.

    Once a process, before anything else is computed with TensorFlow.

    Args:
        distribution: What to make.
        seconds: How long to wait for the other workers.

    Returns:
        The replicas; None for the strategy "none".

    Raises:
        DistributionError: The workers do not come together.
    """
    if distribution.strategy == "none":
        return None
    from ser_edge_train.frameworks import tf

    if distribution.strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Replicas(
            tf.distribute.MirroredStrategy([device.name for device in devices]), distribution
        )
    meet(distribution, seconds)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(distribution.workers)}),
        task_type="worker",
        task_id=distribution.worker,
        rpc_layer="grpc",
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, _options(None))
    except (RuntimeError, tf.errors.OpError) as fault:
        raise DistributionError(
            f"TensorFlow cannot join the workers ({str(fault).splitlines()[0]}); "
            "see that the ports are free and the hosts reach each other"
        ) from None
    return Replicas(strategy, distribution)


def _options(seconds: float | None) -> Any:
    from ser_edge_train.frameworks import tf

    # NCCL where there are GPUs; the ring of TensorFlow's own servers otherwise.
    return tf.distribute.experimental.CommunicationOptions(timeout_seconds=seconds)
