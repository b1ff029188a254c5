"""Whether an Ogg file (Vorbis, Opus, FLAC) is all there.

An Ogg file declares no length; libsndfile returns what a cut one still holds
and says nothing. But its pages carry their sizes, and the last page of each
stream is marked as the last (RFC 3533, section 6).
"""

from __future__ import annotations

from typing import BinaryIO

_HEADER = 27
_LAST_PAGE = 0x04


def is_ogg(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an Ogg container."""
    return head[:4] == b"OggS"


def is_complete(stream: BinaryIO, size: int) -> bool:
    """Walks the pages; True if they end at a last page, none of them cut.

    Bytes behind the last page that are no page (tags of other tools) are let be.

    Args:
        stream: Seekable, known to be Ogg (:func:`is_ogg`).
        size: Its length in bytes.
    """
    position = 0
    ended = False
    while position < size:
        stream.seek(position)
        header = stream.read(_HEADER)
        if header[:4] != b"OggS":
            return ended
        if len(header) < _HEADER:
            return False
        table = stream.read(header[26])
        if len(table) < header[26]:
            return False
        ended = bool(header[5] & _LAST_PAGE)
        position += _HEADER + len(table) + sum(table)
    return ended and position == size
