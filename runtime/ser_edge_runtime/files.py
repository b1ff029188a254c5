"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes ``data`` to ``path``: beside it, flushed to the disk, then renamed over it.

    After a crash, a full disk or a kill, ``path`` holds either what it held
    before or all of ``data``. The folder must exist.

    Args:
        path: The file to write; an existing one is replaced.
        data: The whole content.

    Raises:
        OSError: The folder is missing, not writable or full; ``path`` is untouched.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` as UTF-8 like :func:`write_atomically`, line ends as given."""
    write_atomically(path, text.encode("utf-8"))
