"""TensorBoard's event files, read and written without TensorFlow.

A file is a row of records: length (uint64), its checksum, the bytes, their
checksum, little-endian, the checksum being a masked CRC-32C. The bytes of a
record are an ``Event`` of TensorFlow's ``event.proto``: here a wall time, a step and
scalars by their tag. The first record names the version of the format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple

VERSION: Final = b"brain.Event:2"
HEADER: Final = struct.Struct("<QI")
CHECK: Final = struct.Struct("<I")
# Wire types of protocol buffers: what follows a field's number.
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


class Scalars(NamedTuple):
    """What was measured at a step.

    Attributes:
        step: The step.
        values: Value by tag; float32 is all that is kept of it.
    """

    step: int
    values: dict[str, float]


class EventFile:
    """One event file, appended to. Not for use by several threads or processes.

    Args:
        path: The file; its name must hold "tfevents", or TensorBoard passes over it.
            It is made with the first record, its folder too.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> list[Scalars]:
        """The whole records of the file; a last one that was cut off by a kill is left out.

        Raises:
            OSError: The file cannot be read; a missing one is empty.
        """
        found = []
        for data in _records(self._bytes()):
            step, values = _decode(data)
            if values:
                found.append(Scalars(step, values))
        return found

    def mend(self) -> None:
        """Cuts off what is no whole record at the end, so that records can be appended.

        Raises:
            OSError: The file cannot be read or written.
        """
        data = self._bytes()
        whole = sum(len(_record(record)) for record in _records(data))
        if whole < len(data):
            with self.path.open("r+b") as stream:
                stream.truncate(whole)

    def append(self, scalars: Scalars, wall_time: float) -> None:
        """Appends a record, and flushes it to the system.

        Args:
            scalars: What was measured.
            wall_time: When, in seconds since 1970.

        Raises:
            OSError: The file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            begun = _record(_event(wall_time, 0, _field(3, VERSION))) if not stream.tell() else b""
            values = b"".join(
                _field(1, _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
                for tag, value in scalars.values.items()
            )
            stream.write(begun + _record(_event(wall_time, scalars.step, _field(5, values))))

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""


def crc32c(data: bytes) -> int:
    """Castagnoli's cyclic redundancy check (RFC 3720, appendix B.4)."""
    table, value = _crc_table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _masked(data: bytes) -> int:
    # Rotated and shifted, since a checksum of bytes that hold checksums is a weak one.
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + CHECK.pack(_masked(length)) + data + CHECK.pack(_masked(data))


def _records(data: bytes) -> Iterator[bytes]:
    """The bytes of each whole record, up to the first that is cut off or damaged."""
    place = 0
    while place + HEADER.size + CHECK.size <= len(data):
        length, check = HEADER.unpack_from(data, place)
        body = data[place + HEADER.size : place + HEADER.size + length]
        end = place + HEADER.size + length + CHECK.size
        if check != _masked(data[place : place + 8]) or end > len(data):
            return
        if CHECK.unpack_from(data, end - CHECK.size)[0] != _masked(body):
            return
        yield body
        place = end


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(data)) + data


def _event(wall_time: float, step: int, what: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", wall_time) + b"\x10" + _varint(step) + what


def _decode(data: bytes) -> tuple[int, dict[str, float]]:
    """Step and scalars of an event; of what others write, the parts that are known here."""
    step, values = 0, {}
    for number, content in _fields(data):
        if number == 2 and isinstance(content, int):
            step = content
        if number == 5 and isinstance(content, bytes):
            for _, value in _fields(content):
                if isinstance(value, bytes):
                    parts = dict(_fields(value))
                    tag, scalar = parts.get(1), parts.get(2)
                    if isinstance(tag, bytes) and isinstance(scalar, bytes) and len(scalar) == 4:
                        name = tag.decode(errors="replace")
                        values[name] = float(struct.unpack("<f", scalar)[0])
    return step, values


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and contents of a message's fields; it ends where the bytes are no message."""
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _read_varint(data, place)
            yield number, value
            continue
        if kind == _BYTES:
            length, place = _read_varint(data, place)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            return
        yield number, data[place : place + length]
        place += length


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, place
