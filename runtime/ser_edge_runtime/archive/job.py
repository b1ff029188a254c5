"""What a kept archive was made with, and that one process at a time writes to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.files import write_text_atomically

LOCK_NAME = ".{}.lock"
Job = Mapping[str, Any]
"""Plain values that must be the same whenever an archive is gone on with."""


class ArchiveError(FileError):
    """A kept archive that cannot be written to."""


class ArchiveExists(ArchiveError):
    """Results would be written where something lies already."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, "exists already", "go on with it by --resume, or name another with --out"
        )


class ArchiveBusy(ArchiveError):
    """Another process writes to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, "another ser-edge writes to it", "wait for it, or name another with --out"
        )


class OtherJob(ArchiveError):
    """It was begun with another model or with other options."""

    exit_code = 2


class DamagedArchive(ArchiveError):
    """It holds what no crash leaves behind."""


@contextmanager
def held(path: Path, where: Path, job: Job, *, there: bool, resume: bool) -> Iterator[None]:
    """Keeps an archive to oneself until the block ends, however the process ends.

    Args:
        path: The archive, as errors name it.
        where: The file that says what it was made with. A lock lies beside it, and stays:
            removing it could let two in.
        job: What is about to be done.
        there: Whether there are results already.
        resume: Whether to go on with them.

    Raises:
        ArchiveExists: There are results, and ``resume`` was not said.
        ArchiveBusy: Another process writes to it.
        OtherJob: It was begun with something else; names the first difference.
        ArchiveError: What it was made with is not recorded, or cannot be read.
        OSError: The folder is missing or not writable.
    """
    if there and not resume:
        raise ArchiveExists(path)
    lock = where.with_name(LOCK_NAME.format(where.name))
    with lock.open("a+b") as stream:
        if not _try_lock(stream):
            raise ArchiveBusy(path)
        if there:
            _check(path, _read(path, where), job)
        else:
            write_text_atomically(where, json.dumps(dict(job), indent=1) + "\n")
        yield


def _read(path: Path, where: Path) -> dict[str, Any]:
    try:
        found = json.loads(where.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ArchiveError(
            path,
            f"is no archive of ser-edge classify ({where.name} beside it is missing or damaged)",
            "name another with --out",
        )
    return found


def _check(path: Path, begun: Job, job: Job) -> None:
    for key, value in job.items():
        if begun.get(key) != value:
            raise OtherJob(
                path,
                f"was begun with {key} {_shown(begun.get(key))}, now it is {_shown(value)}",
                "take the same again, or name another with --out",
            )


def _shown(value: object) -> str:
    words = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return words if len(words) <= 40 else f"{words[:12]}..."


def _try_lock(stream: IO[bytes]) -> bool:
    # Released by the system when the process ends; processes that we spawn do not inherit it.
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
