"""Finding the recordings below folders: in one order everywhere, safe against loops."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ser_edge_runtime.audio import AUDIO_SUFFIXES

# What macOS puts beside recordings in zips and on FAT: `._clip.wav` is no clip.
SIDE_FOLDERS = frozenset({"__MACOSX"})


@dataclass(frozen=True)
class Found:
    """What lies below some folders.

    Attributes:
        files: Recordings by their ending, each with the folder whose walk found it;
            shallow ones first, then by path.
        unreadable: Folders that could not be listed and links that lead nowhere, with why.
    """

    files: tuple[tuple[Path, Path], ...]
    unreadable: tuple[tuple[Path, str], ...]


def find_recordings(folders: Iterable[Path]) -> Found:
    """Lists all files with an ending that libsndfile reads, below ``folders``.

    Links to folders are followed, and no folder is visited twice however many
    ways lead there. Names that begin with a dot are passed over, as is anything
    that is not a regular file (a named pipe would block its reader for ever).
    """
    files: list[tuple[Path, Path]] = []
    unreadable: list[tuple[Path, str]] = []
    visited: set[tuple[int, int]] = set()
    for scanned in folders:
        waiting = [scanned]
        while waiting:
            folder = waiting.pop()
            try:
                status = folder.stat()
                if (status.st_dev, status.st_ino) in visited:
                    continue
                visited.add((status.st_dev, status.st_ino))
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: entry.name)
            except OSError as fault:
                unreadable.append((folder, f"cannot be listed ({fault.strerror})"))
                continue
            subfolders = []
            for entry in ordered:
                path = folder / entry.name
                if entry.name.startswith(".") or entry.name in SIDE_FOLDERS:
                    continue
                try:
                    if entry.is_dir():
                        subfolders.append(path)
                    elif path.suffix.lower() not in AUDIO_SUFFIXES:
                        continue
                    elif entry.is_file():
                        files.append((path, scanned))
                    elif entry.is_symlink():
                        unreadable.append((path, "is a link that leads nowhere"))
                except OSError as fault:
                    unreadable.append((path, f"cannot be looked at ({fault.strerror})"))
            waiting.extend(reversed(subfolders))
    files.sort(key=lambda pair: (len(pair[0].parts), pair[0].as_posix()))
    return Found(tuple(files), tuple(sorted(unreadable)))
