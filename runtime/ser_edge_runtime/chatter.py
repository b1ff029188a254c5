"""Keeps what C++ libraries say about themselves off the user's terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." and the like. Both
# TFLite packages print it from C++ and no environment variable stops it
# (ai-edge-litert 2.3.0, tflite-runtime 2.14.0).
_CHATTER = (b"INFO: ", b"I0000 ", b"WARNING: All log messages before absl::InitializeLog()")

# Two threads that redirect the same descriptor would restore each other's.
_lock = threading.Lock()


@contextmanager
def without_chatter() -> Iterator[None]:
    """Takes informational lines out of what is written to file descriptor 2 meanwhile.

    Everything else that was written comes out afterwards, whether the block
    ended well or raised. While it lasts, other threads' standard error waits
    as well. Without a standard error (a daemon's) it does nothing.
    """
    with _lock:
        try:
            real = os.dup(2)
        except OSError:
            yield
            return
        kept = _anonymous_file()
        os.dup2(kept, 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            size = os.lseek(kept, 0, os.SEEK_CUR)
            os.lseek(kept, 0, os.SEEK_SET)
            lines = os.read(kept, size).splitlines(keepends=True)
            os.close(kept)
            os.close(real)
            rest = b"".join(line for line in lines if not line.startswith(_CHATTER))
            if rest:
                os.write(2, rest)


def _anonymous_file() -> int:
    """A descriptor of a file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    from tempfile import TemporaryFile

    with TemporaryFile() as stream:
        return os.dup(stream.fileno())
