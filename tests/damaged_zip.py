"""Zips that are damaged in ways that Python's own module meets with different errors."""

from __future__ import annotations

import struct

DAMAGES = ("content", "encrypted", "method")


def damage(data: bytes, what: str, content: slice = slice(45, 60)) -> bytes:
    """A zip of one or more members with the first one made unreadable.

    Args:
        data: The zip.
        what: One of :data:`DAMAGES`: bytes of its content changed, marked as encrypted, or
            marked as compressed in a way that there is not.
        content: Where the first member's content is.
    """
    changed = bytearray(data)
    entry = changed.index(b"PK\x01\x02")
    if what == "content":
        changed[content] = b"\xff" * (content.stop - content.start)
    elif what == "encrypted":
        changed[6] |= 1
        changed[entry + 8] |= 1
    else:
        struct.pack_into("<H", changed, 8, 99)
        struct.pack_into("<H", changed, entry + 10, 99)
    return bytes(changed)
