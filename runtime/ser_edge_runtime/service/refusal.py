"""An answer that is none: a status, a kind for programs, one line for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ser_edge_runtime.errors import (
    FileError,
    MissingDecoder,
    NotAudio,
    RecordingTooLong,
    SampleRateError,
    SerEdgeError,
    WindowError,
)


class Refusal(Exception):
    """Ends a request with an error's answer.

    Args:
        status: The HTTP status.
        kind: Its name, for programs: one word that stays the same.
        message: What is wrong and what to do, one line.
        retry_after: Seconds after which it may go better; None where it will not.

    Attributes:
        status: As given.
    """

    def __init__(
        self, status: int, kind: str, message: str, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def body(self) -> bytes:
        """The answer's JSON: ``error``, ``kind`` and ``status``."""
        values = {"error": self.message, "kind": self.kind, "status": self.status}
        return json.dumps(values).encode()

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer's header says of it, without its length."""
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers


def refusal_of(fault: SerEdgeError) -> Refusal:
    """The answer to a recording or an option that could not be used."""
    if isinstance(fault, RecordingTooLong):
        status = 413
    elif isinstance(fault, NotAudio | MissingDecoder):
        status = 415
    elif isinstance(fault, WindowError):
        status = 400
    elif isinstance(fault, FileError | SampleRateError):
        status = 422
    else:
        status = 500
    return Refusal(status, type(fault).__name__, str(fault))
