"""Which recordings a command's arguments name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from os.path import isdir, isfile, join, splitext  # pathlib costs a cold start 4 ms
from typing import NamedTuple

from ser_edge_runtime.errors import FileError, SerEdgeError

STDIN = "-"


class UnreadableFolder(FileError):
    """A folder that may not be listed."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, f"the folder cannot be read ({reason})", "check its permissions")


class NoRecordings(FileError):
    """A folder without a single audio file."""

    def __init__(self, path: str, suffixes: Iterable[str]) -> None:
        super().__init__(
            path, f"the folder holds no recording ({' '.join(suffixes)})", "name another folder"
        )


class Recording(NamedTuple):
    """A recording to read.

    Attributes:
        path: The file as the user would write it, or ``-`` for standard input.
        fault: Why there is nothing to read at ``path``; None for a file.
    """

    path: str
    fault: SerEdgeError | None = None


def find_recordings(paths: Iterable[str]) -> Iterator[Recording]:
    """The recordings that ``paths`` name, folders searched at any depth in the order of names.

    A folder that cannot be listed or holds no recording comes as a
    :class:`Recording` with its fault. A file that is named itself is taken
    whatever its suffix. Links to folders are not followed.
    """
    for path in paths:
        if path != STDIN and isdir(path):  # noqa: PTH112 - pathlib is slow to load
            yield from _search(path)
        else:
            yield Recording(path)


def _search(folder: str) -> Iterator[Recording]:
    from ser_edge_runtime.audio import AUDIO_SUFFIXES

    faults: list[OSError] = []
    empty = True
    for where, folders, files in os.walk(folder, onerror=faults.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = join(where, name)  # noqa: PTH118 - as above
            audio = splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122 - as above
            # Pipes and devices are left out: reading one could block for ever.
            if audio and not name.startswith(".") and isfile(path):  # noqa: PTH113 - as above
                empty = False
                yield Recording(path)
    for fault in faults:
        empty = False
        where = os.fsdecode(fault.filename)
        yield Recording(where, UnreadableFolder(where, fault.strerror or "unknown"))
    if empty:
        yield Recording(folder, NoRecordings(folder, AUDIO_SUFFIXES))
