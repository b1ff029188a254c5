"""How much a service takes on, and the count of what it has taken on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ser_edge_runtime.records import record
from ser_edge_runtime.service.refusal import Refusal


@record()
class Limits:
    """Everything a client can make a service hold has a bound.

    Attributes:
        most_bytes: Of one recording, as sent; more is answered with 413.
        most_seconds: Of one recording; more is answered with 413.
        most_uploaded: Bytes of all recordings that are held at a time; beyond it 503.
        most_waiting: Recordings that have arrived and are not yet classified; beyond it 503.
        most_of_a_client: Recordings that one address (or the Unix socket, as one) sends or
            waits for at a time; beyond it 429.
        most_connections: Open connections; those beyond are answered with 503, and twice as
            many are closed unheard.
        timeout: Seconds in which a request must have arrived whole, from its first byte on
            (of a connection's first request: from the connection on); then 408. As long may
            a client take to read an answer, and requests to finish when the service ends.
        keep_alive: Seconds that a connection may stay open between two requests.
    """

    most_bytes: int = 16 << 20
    most_seconds: float = 60.0
    most_uploaded: int = 64 << 20
    most_waiting: int = 64
    most_of_a_client: int = 128
    most_connections: int = 512
    timeout: float = 10.0
    keep_alive: float = 5.0


class Admission:
    """Counts what is held, and refuses what is too much. For the event loop's thread alone.

    Args:
        limits: What is allowed.

    Attributes:
        uploaded: Bytes of recordings that are held now.
        waiting: Recordings that have arrived and are not yet classified.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.uploaded = 0
        self.waiting = 0
        self._of_client: Counter[str] = Counter()

    @contextmanager
    def client(self, name: str) -> Iterator[None]:
        """One request of a client.

        Raises:
            Refusal: 429; it has as many as it may have.
        """
        most = self.limits.most_of_a_client
        if self._of_client[name] >= most:
            raise Refusal(
                429, "TooManyRequests", f"{most} requests of yours are open; wait for one", 1
            )
        self._of_client[name] += 1
        try:
            yield
        finally:
            self._of_client[name] -= 1
            if not self._of_client[name]:
                del self._of_client[name]

    @contextmanager
    def upload(self) -> Iterator[Upload]:
        """A recording that is held from its first byte until the block ends."""
        upload = Upload(self)
        try:
            yield upload
        finally:
            self.uploaded -= upload.size

    @contextmanager
    def wait(self) -> Iterator[None]:
        """A recording that waits for its turn and its answer.

        Raises:
            Refusal: 503; as many wait as may.
        """
        if self.waiting >= self.limits.most_waiting:
            wait = "recording waits" if self.waiting == 1 else "recordings wait"
            raise Refusal(503, "Busy", f"{self.waiting} {wait}; try again later", 1)
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1


class Upload:
    """One recording as it arrives.

    Args:
        admission: Whose bytes it counts into.

    Attributes:
        size: Its bytes so far.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.size = 0

    def check(self, size: int) -> None:
        """Refuses a recording that is, or says that it will be, of ``size`` bytes.

        Raises:
            Refusal: 413; no recording may have as many.
        """
        most = self._admission.limits.most_bytes
        if size > most:
            raise Refusal(
                413,
                "TooLarge",
                f"the recording is larger than {most} bytes; send a shorter one, or classify "
                "the file with: ser-edge classify",
            )

    def grow(self, count: int) -> None:
        """Takes ``count`` more bytes.

        Raises:
            Refusal: 413 as :meth:`check`; 503 where all recordings together are too much.
        """
        self.check(self.size + count)
        if self._admission.uploaded + count > self._admission.limits.most_uploaded:
            raise Refusal(503, "Busy", "too much is being sent; try again later", 1)
        self.size += count
        self._admission.uploaded += count
