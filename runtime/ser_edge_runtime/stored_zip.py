"""Zip files that hold their members as they are: exactly one for each list of members.

Python's ``zipfile`` would do for writing, but it costs a cold start some ten
milliseconds, and as a reader it lets much pass: changed dates, gaps, comments,
headers that contradict the directory. Here a zip is read by its directory,
written again from its members, and accepted if that gives the same bytes.

Layout and field names: PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import struct
import zlib

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
END_MARK = b"PK\x05\x06"
_VERSION = 20
_STORED = 0
# 1980-01-01, 00:00: the earliest date that zip knows.
_TIME, _DATE = 0, 0x21


class BadZip(Exception):
    """The bytes are not a canonical zip; the text says why. Readers make it their own error."""


class TooLarge(BadZip):
    """A declared size exceeds the limit."""


def build(members: dict[str, bytes], start: int = 0) -> bytes:
    """The zip of ``members``, in their order.

    Args:
        members: Content by ASCII name.
        start: How many bytes of another file the zip will follow; its offsets
            count from the beginning of that file, as appended zips have it.
    """
    local, directory = bytearray(), bytearray()
    for name, content in members.items():
        encoded = name.encode("ascii")
        # version, flags, method, time, date, CRC, both sizes, lengths of name and extra field
        common = (
            _VERSION, 0, _STORED, _TIME, _DATE, zlib.crc32(content), len(content), len(content),
            len(encoded), 0,
        )  # fmt: skip
        directory += _ENTRY.pack(
            b"PK\x01\x02", _VERSION, *common, 0, 0, 0, 0, start + len(local)
        )  # fmt: skip
        directory += encoded
        local += _LOCAL.pack(b"PK\x03\x04", *common) + encoded + content
    end = _END.pack(
        END_MARK, 0, 0, len(members), len(members), len(directory), start + len(local), 0
    )
    return bytes(local + directory + end)


def ends_with_zip(data: bytes) -> bool:
    """Whether an end record without a comment stands at the end of ``data``."""
    return data[-_END.size :][:4] == END_MARK


def parse(
    data: bytes, *, most_members: int, largest_zip: int, largest_member: int
) -> tuple[int, dict[str, bytes]]:
    """Reads the zip at the end of ``data``.

    Nothing is allocated from a declared size before that size is checked.

    Returns:
        Where the zip begins, and its members in order.

    Raises:
        TooLarge: The zip or a member exceeds its limit, or there are too many.
        BadZip: It is not the canonical zip of its members.
    """
    end = len(data) - _END.size
    if end < 0 or not ends_with_zip(data):
        raise BadZip("no end record at the end")
    count, size, first_entry = _END.unpack_from(data, end)[4:7]
    if count > most_members:
        raise TooLarge(f"{count} members, at most {most_members} are allowed")
    if first_entry + size != end or size > largest_zip:
        raise BadZip("its directory is not where the end record says")
    members: dict[str, bytes] = {}
    start, position = first_entry, first_entry
    for number in range(count):
        if position + _ENTRY.size > end:
            raise BadZip("its directory is cut short")
        entry = _ENTRY.unpack_from(data, position)
        method, packed, length, name_length, offset = entry[4], *entry[8:11], entry[16]
        position += _ENTRY.size + name_length
        name = data[position - name_length : position].decode("latin-1")
        if not (name.isascii() and name.isprintable()):
            raise BadZip("a member's name is not plain text")
        if method != _STORED:
            raise BadZip(f"{name!r} is compressed")
        if max(packed, length) > largest_member:
            raise TooLarge(f"{name!r} declares {max(packed, length)} bytes, over {largest_member}")
        begin = offset + _LOCAL.size + name_length
        if begin + length > first_entry or name in members:
            raise BadZip(f"{name!r} is not where the directory says")
        members[name] = data[begin : begin + length]
        if number == 0:
            start = offset
    if len(data) - start > largest_zip:
        raise TooLarge(f"its zip has {len(data) - start} bytes, over {largest_zip}")
    if build(members, start) != data[start:]:
        raise BadZip("it is not the zip that its members give")
    return start, members
