"""Where a user's own data and what can be made again are kept on this system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Literal

# The XDG variable and its default; the folder below macOS' Library.
_KINDS: Final = {
    "data": ("XDG_DATA_HOME", (".local", "share"), "Application Support"),
    "cache": ("XDG_CACHE_HOME", (".cache",), "Caches"),
}


def user_folder(kind: Literal["data", "cache"]) -> Path:
    """The folder ``ser-edge`` of the user's data, or of what a cache may lose.

    By the XDG Base Directory Specification, elsewhere by the habits of macOS and of Windows,
    where both kinds have one folder. Nothing is made.
    """
    variable, default, library = _KINDS[kind]
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / library
    else:
        base = Path(os.environ.get(variable) or home.joinpath(*default))
    return base / "ser-edge"
