"""Where a page finds the recordings that it lets people hear.

A page never holds audio: the corpora's licences forbid passing recordings on, and
reports are passed on. It points to the file on the disk instead, relative to its
own folder, and only to files that are there when the page is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ser_edge_train.manifest import Key, Manifest

PLAYABLE: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Suffixes of what browsers play."""


def find_players(
    manifest: Manifest, keys: Iterable[Key], folder: str | os.PathLike[str]
) -> dict[Key, str]:
    """The addresses of some clips' recordings, for a page.

    Args:
        manifest: Says where the recordings lie.
        keys: The clips, by (corpus, stem).
        folder: Where the page lies.

    Returns:
        An address by key; clips that the manifest does not have, whose file is not
        there, or which no browser plays are left out.
    """
    found = {}
    for key in keys:
        clip = manifest.by_key.get(key)
        place = None if clip is None else address(manifest.path_of(clip), folder)
        if place is not None:
            found[key] = place
    return found


def address(recording: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str | None:
    """The address of one recording for a page in ``folder``; None if it cannot be played.

    It is relative and percent-encoded, without a scheme: opened from the disk, the
    page can ask the disk alone.
    """
    path = Path(recording)
    if path.suffix.lower() not in PLAYABLE or not path.is_file():
        return None
    try:
        relative = os.path.relpath(path.resolve(), Path(folder).resolve())
    except ValueError:
        return None  # on another drive of Windows: no relative path leads there
    words = Path(relative).as_posix()
    # "./": a first folder with a colon in its name would be taken for a scheme.
    return quote(words if words.startswith("../") else f"./{words}")
