"""What can go wrong between a trained network and a file for a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ser_edge_runtime.errors import FileError, PathOrName, SerEdgeError


class ConversionRefused(SerEdgeError):
    """The combination of network, variant and target cannot work; says why and what can."""

    exit_code = 2


class BadNetwork(SerEdgeError):
    """The ``.keras`` file cannot be read, or is no network of the kind that is converted."""


class ConversionFailed(SerEdgeError):
    """TensorFlow Lite's converter gave up on the network with a message of its own."""


class ConversionCrashed(SerEdgeError):
    """The process that converts was ended by a signal: a fault of TensorFlow, or no memory.

    Attributes:
        signal_name: As "SIGSEGV".
    """

    def __init__(self, message: str, signal_name: str) -> None:
        self.signal_name = signal_name
        super().__init__(message)


class ConversionMismatch(SerEdgeError):
    """The converted file runs, but does not compute what the network does."""


class NoNumbers(SerEdgeError):
    """A graph that runs and computes what is not finite."""


class RepairFailed(SerEdgeError):
    """No choice of layers in floats brings an int8 file within its gate."""


class CalibrationError(SerEdgeError):
    """No clips to calibrate on, or ones that must not be used."""


class GateFailed(SerEdgeError):
    """The converted file lost more than was allowed; only its report is kept.

    Attributes:
        report_path: Where the report lies.
        report: What stands in it.
    """

    def __init__(self, message: str, report_path: PathOrName, report: dict[str, Any]) -> None:
        self.report_path = report_path
        self.report = report
        super().__init__(message)


class AuditRefused(FileError):
    """A comparison that would prove nothing: other recordings, a speaker who was heard before."""


class OutputFailed(FileError):
    """A file could not be written: no folder, no permission, no space. Nothing is left of it."""


@contextmanager
def one_line_for_disks(place: PathOrName) -> Iterator[None]:
    """A fault of a disk within it becomes an :class:`OutputFailed`.

    Args:
        place: What is named where the system names no file.
    """
    try:
        yield
    except OSError as fault:
        raise OutputFailed(
            fault.filename or place,
            f"cannot be written ({fault.strerror or fault})",
            "free space, or name another place (TMPDIR for temporary files)",
        ) from None


class DescriptionFault(FileError):
    """A front end, a list of labels or a normaliser that cannot be read or used."""


class PackingRefused(FileError):
    """A plain ``.tflite`` of which no model file can be made."""
