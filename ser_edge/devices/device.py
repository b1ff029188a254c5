"""A device that models are put on, whatever the way to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ser_edge_runtime.errors import FileError, UnreadableFile


class DeviceFault(FileError):
    """A device that cannot be reached, or does not answer as one with ser-edge does."""


@dataclass(frozen=True)
class Upload:
    """What shall be put on a device.

    Attributes:
        name: The model's file; errors name it.
        data: Its bytes.
        signature: Its detached signature, if it has one.
        allow_downgrade: Put it over a newer one too.
        dry_run: Only find out what would happen.
    """

    name: str
    data: bytes
    signature: bytes | None = None
    allow_downgrade: bool = False
    dry_run: bool = False


class Device(Protocol):
    """A device; one thread at a time."""

    def status(self) -> dict[str, Any]:
        """What is in its slots, as :func:`ser_edge.devices.reports.report` has it."""

    def install(self, upload: Upload) -> dict[str, Any]:
        """Puts a model on it; the record of its slots afterwards.

        Raises:
            SerEdgeError: It refuses, or cannot be reached; it goes on with the model it had.
        """

    def rollback(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Goes back to the previous model; the record of its slots afterwards.

        Raises:
            SerEdgeError: There is none, it fails its self-test, or the device is not reached.
        """


def read_signature(model: str, named: str | None) -> bytes | None:
    """The detached signature of a model's file.

    Args:
        model: The model's file.
        named: The signature's; None takes ``MODEL.sig``, if there is one.

    Raises:
        UnreadableFile: It cannot be read.
    """
    path = Path(named) if named is not None else Path(f"{model}.sig")
    if named is None and not path.exists():
        return None
    try:
        return path.read_bytes()
    except OSError as fault:
        words = (fault.strerror or "cannot be read").lower()
        raise UnreadableFile(
            path, words, "make one with: ser-edge release MODEL --key KEY"
        ) from None
