"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

LONGEST_KEPT = 230


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
    encoded = os.fsencode(target.name)
    # A name may have 255 bytes on most systems; what lies beside it must not need more.
    hidden = target.name if len(encoded) <= LONGEST_KEPT else f"{zlib.crc32(encoded):08x}"
    beside = target.with_name(f".{hidden}.{os.getpid()}.part")
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
