"""The few things that slots do with files, so done that a power cut leaves the old or the new.

Names are those of FAT too: no links, no colons, nothing told apart by case alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Files(Protocol):
    """A folder with slots, wherever it lies; names are relative to it, with ``/``."""

    def names(self, folder: str = "") -> list[str]:
        """Names of the files in a folder of it, sorted; none where there is no such folder."""

    def read(self, name: str) -> bytes | None:
        """A file's content, from the medium where that can be had; None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Writes a file and waits until the medium has it; a cut leaves a part of it."""

    def rename(self, name: str, other: str) -> None:
        """Renames at once, and waits until the medium has it."""

    def remove(self, name: str) -> None:
        """Removes a file; that there is none is no fault."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While it is open nobody else changes the slots."""


class LocalFiles:
    """A folder of this machine: a disk's, a mounted card's.

    Args:
        folder: The folder; it is made with the first file in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, folder: str = "") -> list[str]:
        """As :meth:`Files.names`."""
        try:
            return sorted(path.name for path in (self.folder / folder).iterdir() if path.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str) -> bytes | None:
        """As :meth:`Files.read`; what was just written comes from the disk, not from memory."""
        try:
            with (self.folder / name).open("rb") as stream:
                if hasattr(os, "posix_fadvise"):
                    with suppress(OSError):  # not every file system takes advice
                        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return stream.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """As :meth:`Files.write`; where the disk is full nothing is left."""
        path = self.folder / name
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            _sync_folder(path.parent.parent)
        try:
            with path.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def rename(self, name: str, other: str) -> None:
        """As :meth:`Files.rename`."""
        path, target = self.folder / name, self.folder / other
        if not target.parent.is_dir():
            target.parent.mkdir()
            _sync_folder(self.folder)
        path.replace(target)
        _sync_folder(target.parent)

    def remove(self, name: str) -> None:
        """As :meth:`Files.remove`."""
        (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """As :meth:`Files.alone`; the system lets go of it with the process, however that ends."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "lock").open("ab") as stream:
            if sys.platform == "win32":
                msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
            else:
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _sync_folder(folder: Path) -> None:
    """Waits until the medium has the names in a folder, where the system can be asked to."""
    if os.name == "nt":
        return
    with suppress(OSError):  # some file systems of cards and networks refuse
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
