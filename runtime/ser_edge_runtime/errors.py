"""Every error that a user of the runtime can meet.

Each class is one fault. Its message is a single line that names the file, what
is wrong with it and what to do next; the command line prints it as it is. The
other packages derive their own errors from :class:`SerEdgeError`.
"""

from __future__ import annotations

from os import PathLike, fspath

PathOrName = str | PathLike[str]


class SerEdgeError(Exception):
    """Base of all errors that are a user's to mend.

    Attributes:
        exit_code: What the command line returns for it: 1 for an input that
            could not be used or a gate that failed, 2 for wrong options.
    """

    exit_code = 1


class FileError(SerEdgeError):
    """A fault of one file: ``path: fault; next step``.

    Args:
        path: The file, or the name under which its bytes came (``-``).
        fault: What is wrong with it, without a full stop.
        hint: What to do next, without a full stop.
    """

    def __init__(self, path: PathOrName, fault: str, hint: str) -> None:
        self.path = fspath(path)
        self.fault = fault
        self.hint = hint
        super().__init__(f"{self.path}: {fault}; {hint}")


class SpecError(SerEdgeError):
    """A front-end specification that contradicts itself or cannot be read."""


class MissingExtra(SerEdgeError):
    """A command needs packages that are not installed.

    Args:
        what: The capability that is missing, as "training".
        extra: The extra of ser-edge that brings it, as "train".
    """

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed; run: pip install 'ser-edge[{extra}]'"
        )
