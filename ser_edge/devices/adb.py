"""Slots in a phone's folder, by Android's ``adb``: written, read back and switched by a rename."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ser_edge.devices.device import DeviceFault
from ser_edge.devices.folder import SlotsDevice

# What a shell prints last when all before it went well: old releases of adb lose its exit code.
_DONE = "ser-edge:done"


class AdbFiles:
    """A folder of a phone, as :class:`ser_edge_runtime.slot_files.Files`.

    Args:
        target: ``adb://serial/path``; ``adb://host:port/path`` for one in the network.
        adb: The program and its options, as a shell has them.
    """

    def __init__(self, target: str, adb: str = "adb") -> None:
        parts = urlsplit(target)
        if not parts.netloc or parts.netloc.startswith("-") or len(parts.path) < 2:
            raise DeviceFault(target, "names no device and path", "write adb://serial/path")
        self._target = target
        self._folder = parts.path.rstrip("/")
        self._adb = [*shlex.split(adb), "-s", parts.netloc]

    def names(self, folder: str = "") -> list[str]:
        """As :meth:`Files.names`."""
        path = self._path(folder)
        return sorted(self._shell(f"if [ -d {path} ]; then ls -1 {path}; fi").split())

    def read(self, name: str) -> bytes | None:
        """As :meth:`Files.read`."""
        path = self._path(name)
        # The first byte says whether there is a file: a lost connection says nothing at all.
        data = self._adb_run(
            "exec-out", f"if [ -f {path} ]; then printf 1; cat {path}; else printf 0; fi"
        )
        if data[:1] not in (b"0", b"1"):
            raise self._fault(f"{name} cannot be read")
        return data[1:] if data[:1] == b"1" else None

    def write(self, name: str, data: bytes) -> None:
        """As :meth:`Files.write`."""
        path = f"{self._folder}/{name}"
        self._shell(f"mkdir -p {shlex.quote(path.rpartition('/')[0])}")
        with tempfile.TemporaryDirectory(prefix="ser-edge-") as made:
            beside = Path(made) / "upload"
            beside.write_bytes(data)
            self._adb_run("push", str(beside), path)
        self._shell("sync")

    def rename(self, name: str, other: str) -> None:
        """As :meth:`Files.rename`."""
        target = f"{self._folder}/{other}"
        self._shell(f"mkdir -p {shlex.quote(target.rpartition('/')[0])}")
        self._shell(f"mv -f {self._path(name)} {shlex.quote(target)} && sync")

    def remove(self, name: str) -> None:
        """As :meth:`Files.remove`."""
        self._shell(f"rm -f {self._path(name)}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """As :meth:`Files.alone`, but for the lock: adb has none, and a phone one cable."""
        self._shell(f"mkdir -p {shlex.quote(self._folder)}")
        yield

    def _path(self, name: str) -> str:
        return shlex.quote(f"{self._folder}/{name}".rstrip("/"))

    def _shell(self, script: str) -> str:
        """Runs a script there; what it prints."""
        text = self._adb_run("shell", f"{{ {script}; }} && echo {_DONE}").decode("utf-8", "replace")
        lines = text.replace("\r", "").splitlines()
        if not lines or lines[-1] != _DONE:
            raise self._fault(lines[-1] if lines else "the connection ended")
        return "\n".join(lines[:-1])

    def _adb_run(self, *words: str) -> bytes:
        if shutil.which(self._adb[0]) is None:
            raise self._fault(f"{self._adb[0]} is not here", "install it: apt install adb")
        done = subprocess.run([*self._adb, *words], capture_output=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
            raise self._fault(said[-1] if said else "the connection ended")
        return done.stdout

    def _fault(self, fault: str, hint: str = "see: adb devices") -> DeviceFault:
        return DeviceFault(self._target, fault, hint)


def adb_device(target: str, *, adb: str = "adb") -> SlotsDevice:
    """The slots in a phone's folder; models in it are tested at their first load."""
    return SlotsDevice(AdbFiles(target, adb), target)
