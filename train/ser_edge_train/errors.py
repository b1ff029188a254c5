"""Every error that a user of the training package can meet.

As in the runtime: a class a fault, a message of one line that names the file,
what is wrong and what to do next.
"""

from __future__ import annotations

from ser_edge_runtime.errors import FileError, PathOrName, SerEdgeError

LONGEST_QUOTE = 60


def quoted(text: str) -> str:
    """``text`` in quotes, escaped and cut short, so that a hostile one stays within its line."""
    if len(text) > LONGEST_QUOTE:
        text = text[: LONGEST_QUOTE - 1] + "…"
    return ascii(text) if not text.isprintable() else f"'{text}'"


class RowError(FileError):
    """A fault in one line of a CSV file: ``path:line: fault; next step``.

    Args:
        path: The file.
        line: The number of the line, from 1; None when it is the file as a whole.
        fault: What is wrong, without a full stop.
        hint: What to do next, without a full stop.
    """

    def __init__(self, path: PathOrName, line: int | None, fault: str, hint: str) -> None:
        self.line = line
        place = str(path) if line is None else f"{path}:{line}"
        super().__init__(place, fault, hint)


class ManifestError(RowError):
    """A manifest that cannot be read, or that would not be one if it were written."""


class TableError(RowError):
    """A user's table of recordings (or a corpus's own table) that cannot be read."""


class PartitionFileError(RowError):
    """A partition's CSV that cannot be read."""


class PartitionError(SerEdgeError):
    """A partition that cannot be made, or that is not clean."""


class ScanError(FileError):
    """A folder in which no corpus could be scanned."""


class MissingCodec(SerEdgeError):
    """A recipe asks for a codec that the installed libsndfile cannot write or read.

    Args:
        name: The codec, as the recipe calls it.
        version: libsndfile's version.
    """

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"augmentation.waveform.codec: libsndfile {version} has no {name}; leave it out of "
            "names, or install soundfile from PyPI, which brings its own"
        )


class NoNoise(FileError):
    """A folder of recorded noise that cannot be used, or a recording in it."""
