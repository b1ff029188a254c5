"""Many devices: which they are, work on several at a time, and what became of each."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_edge.devices.adb import adb_device
from ser_edge.devices.device import Device, DeviceFault
from ser_edge.devices.folder import folder_device
from ser_edge.devices.ssh import SshDevice
from ser_edge_runtime.errors import SerEdgeError

_FIELDS = {"name", "target", "command"}


@dataclass(frozen=True)
class Entry:
    """A device of an inventory.

    Attributes:
        name: What it is called in reports.
        target: Where its slots are.
        command: What ``ser-edge`` is called there; None leaves that to the options.
    """

    name: str
    target: str
    command: str | None = None


@dataclass(frozen=True)
class Ways:
    """How devices are reached.

    Attributes:
        ssh: The OpenSSH client and its options.
        adb: Android's adb and its options.
        command: What ``ser-edge`` is called on a device.
        here: Whether a folder is this machine's own.
    """

    ssh: str = "ssh"
    adb: str = "adb"
    command: str = "ser-edge"
    here: bool = False

    def to(self, entry: Entry, *, interactive: bool) -> Device:
        """The device at an entry's target.

        Raises:
            DeviceFault: The target is none, or a folder that is not there.
        """
        if entry.target.startswith("ssh://"):
            command = entry.command or self.command
            return SshDevice(entry.target, ssh=self.ssh, command=command, interactive=interactive)
        if entry.target.startswith("adb://"):
            return adb_device(entry.target, adb=self.adb)
        return folder_device(entry.target, here=self.here)


def is_inventory(target: str) -> bool:
    """Whether a target stands for many devices, however few it names: a ``.toml`` file."""
    # Not Path.is_dir, which raises for a name that is too long.
    return Path(target).suffix == ".toml" and not os.path.isdir(target)  # noqa: PTH112


def entries_of(target: str) -> list[Entry]:
    """The devices that a target stands for: one, or those of an inventory (``.toml``).

    Raises:
        DeviceFault: The inventory cannot be read, or an entry is not as it must be.
    """
    if not is_inventory(target):
        return [Entry(target, target)]
    path = Path(target)
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as fault:
        raise DeviceFault(target, _reason(fault), "see docs/flashing.md for an inventory") from None
    rows = values.pop("device", None)
    if values or not isinstance(rows, list) or not rows:
        raise DeviceFault(
            target, "must hold [[device]] tables and nothing else", "see docs/flashing.md"
        )
    entries = []
    for number, row in enumerate(rows, 1):
        wrong = _wrong(row)
        if wrong is not None:
            raise DeviceFault(target, f"device {number} {wrong}", "see docs/flashing.md")
        # A folder is meant as seen from the inventory.
        place = row["target"] if "://" in row["target"] else str(path.parent / row["target"])
        entries.append(Entry(row.get("name", row["target"]), place, row.get("command")))
    names = [entry.name for entry in entries]
    targets = [entry.target for entry in entries]
    for what, found in (("name", names), ("target", targets)):
        twice = next((value for value in found if found.count(value) > 1), None)
        if twice is not None:
            raise DeviceFault(target, f"two devices have the {what} {twice}", "tell them apart")
    return entries


def _reason(fault: Exception) -> str:
    """Why an inventory cannot be read, in words that are not Python's."""
    if isinstance(fault, OSError):
        return fault.strerror or str(fault)
    if isinstance(fault, RecursionError):
        return "its values are nested too deeply"
    if isinstance(fault, UnicodeDecodeError):
        return "is no text in UTF-8"
    if isinstance(fault, tomllib.TOMLDecodeError):
        return f"is no TOML: {fault}"
    return "holds a number of too many digits"


def _wrong(row: Any) -> str | None:
    """What is wrong with a device's table; None if nothing is."""
    if not isinstance(row, dict):
        return "is no table"
    if "target" not in row:
        return "has no target"
    for name, value in row.items():
        if name not in _FIELDS:
            return f"has {name!a}, which is none of {', '.join(sorted(_FIELDS))}"
        if not isinstance(value, str) or not value or not value.isprintable():
            return f"needs text of one line as its {name}"
    return None


def each(
    entries: Sequence[Entry], work: Callable[[Entry], dict[str, Any]], jobs: int
) -> Iterator[tuple[Entry, dict[str, Any] | SerEdgeError]]:
    """Does work on devices, ``jobs`` at a time; yields them as they are done.

    Faults of one device are its result; the others go on.
    """
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running = {pool.submit(work, entry): entry for entry in entries}
        try:
            for done in as_completed(running):
                try:
                    yield running[done], done.result()
                except SerEdgeError as fault:
                    yield running[done], fault
                except OSError as fault:
                    entry = running[done]
                    words = fault.strerror or str(fault)
                    yield entry, DeviceFault(entry.target, words, "it has the model it had")
        finally:
            pool.shutdown(cancel_futures=True)


class Report:
    """What became of each device, a line of JSON each, on the disk as soon as it is known.

    Args:
        path: The file; lines are added to it.
        model: SHA-256 of the model that is flashed.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._model = model

    def done(self) -> set[str]:
        """Names of the devices that have this model according to the report."""
        last: dict[str, bool] = {}
        for row in self._rows():
            if isinstance(row.get("device"), str):
                last[row["device"]] = row.get("model") == self._model and row.get("done") is True
        return {name for name, done in last.items() if done}

    def add(self, entry: Entry, outcome: dict[str, Any] | SerEdgeError) -> None:
        """Adds a device's line."""
        row: dict[str, Any] = {"device": entry.name, "target": entry.target, "model": self._model}
        fault = isinstance(outcome, SerEdgeError)
        row |= {
            "done": not fault,
            ("error" if fault else "slots"): str(outcome) if fault else outcome,
        }
        line = json.dumps(row).encode() + b"\n"
        with self._path.open("a+b") as stream:
            end = stream.seek(0, os.SEEK_END)
            if end:
                stream.seek(end - 1)
                if stream.read(1) != b"\n":  # a line that a kill tore
                    line = b"\n" + line
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row
