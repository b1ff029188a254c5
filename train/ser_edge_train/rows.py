"""Reading and writing strict CSV: the one way manifests, partitions and tables come in."""

from __future__ import annotations

import csv
import io
import ntpath
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path

from ser_edge_train.errors import RowError, quoted

LONGEST_FIELD = 4096
LARGEST_FILE = 512 * 1024 * 1024
# Control characters, lone surrogates, line and paragraph separators: none of
# them survives a CSV, a terminal or a spreadsheet unharmed.
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Whether ``text`` fits into one line of UTF-8: no control character, no lone surrogate."""
    return text.isprintable() or not any(
        unicodedata.category(character) in UNPRINTABLE for character in text
    )


def is_inside(path: str) -> bool:
    """Whether a relative path stays below its root, on POSIX and on Windows alike."""
    # Not pathlib: it enters every part of every path in the process' table of interned strings.
    drive, rest = ntpath.splitdrive(path)
    rest = rest.replace("\\", "/")
    return bool(path) and not drive and not rest.startswith("/") and ".." not in rest.split("/")


def read_rows(
    path: str | PathLike[str], error: type[RowError], repair: str
) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a CSV file with the number of the line each ends on.

    UTF-8, with or without a byte-order mark; empty lines are passed over.

    Args:
        path: The file.
        error: What to raise.
        repair: The next step that goes into each error.

    Raises:
        RowError: Missing, not readable, over 512 MiB, not UTF-8, broken quoting,
            a field over 4096 characters or with control characters.
    """
    data = _read_utf8(Path(path), error, repair)
    # Decoded piece by piece: a StringIO would hold four bytes a character.
    stream = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    reader = csv.reader(stream, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            raise error(path, reader.line_num, f"not CSV: {fault}", repair) from None
        for field in fields:
            if len(field) > LONGEST_FIELD:
                fault_text = f"a field of {len(field)} characters; {LONGEST_FIELD} are allowed"
                raise error(path, reader.line_num, fault_text, repair)
            if not is_plain(field):
                fault_text = f"control characters in {quoted(field)}"
                raise error(path, reader.line_num, fault_text, repair)
        if fields:
            yield reader.line_num, fields


def _read_utf8(path: Path, error: type[RowError], repair: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise error(path, None, f"{size} bytes, far too large for what it should be", repair)
        data = path.read_bytes()
    except FileNotFoundError:
        raise error(path, None, "no such file", repair) from None
    except OSError as fault:
        raise error(path, None, f"cannot be read ({fault.strerror})", repair) from None
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise error(path, line, f"not UTF-8 (byte {fault.start})", repair) from None
    return data


def format_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The CSV text of ``rows``: commas, quotes where needed, a line feed after each line."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def show(path: str | PathLike[str]) -> str:
    """A path as it can be printed: escapes whatever would break the line or the encoding."""
    text = fspath(path)
    return text if is_plain(text) else ascii(text)
