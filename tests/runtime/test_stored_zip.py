from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import stored_zip

MEMBERS = {"a.json": b"{}", "b.txt": b"one\ntwo\n", "empty": b""}
LIMITS = {"most_members": 4, "largest_zip": 10_000, "largest_member": 5_000}


def test_pythons_zipfile_opens_what_is_written_and_finds_nothing_odd():
    with zipfile.ZipFile(io.BytesIO(stored_zip.build(MEMBERS))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_appended_zip_counts_its_offsets_from_the_beginning_of_the_file():
    front = b"x" * 321
    data = front + stored_zip.build(MEMBERS, len(front))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.infolist()[0].header_offset == len(front)
        assert archive.read("b.txt") == MEMBERS["b.txt"]
    assert stored_zip.parse(data, **LIMITS) == (len(front), MEMBERS)


@given(
    st.dictionaries(
        st.text("abcdefgh.", min_size=1, max_size=9), st.binary(max_size=300), max_size=4
    ),
    st.binary(max_size=60),
)
def test_what_is_written_is_read(members, front):
    data = front + stored_zip.build(members, len(front))
    start, found = stored_zip.parse(data, **LIMITS)
    assert found == members
    assert list(found) == list(members)
    if members:
        assert start == len(front)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_their_own_zip(data):
    try:
        start, members = stored_zip.parse(data, **LIMITS)
    except stored_zip.BadZip:
        return
    assert stored_zip.build(members, start) == data[start:]


def test_every_flipped_bit_is_refused():
    data = b"front" + stored_zip.build(MEMBERS, 5)
    for position in range(5, len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(stored_zip.BadZip):
                stored_zip.parse(bytes(changed), **LIMITS)


def test_a_zip_that_zipfile_wrote_is_refused_for_its_dates():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.json", (2024, 5, 6, 7, 8, 10)), b"{}")
    with pytest.raises(stored_zip.BadZip, match="not the zip that its members give"):
        stored_zip.parse(stream.getvalue(), **LIMITS)


def test_a_compressed_member_is_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b"0" * 4000)
    with pytest.raises(stored_zip.BadZip, match=r"'a\.json' is compressed"):
        stored_zip.parse(stream.getvalue(), **LIMITS)


def test_members_beyond_the_limit_are_refused_before_they_are_read():
    data = stored_zip.build({str(number): b"" for number in range(5)})
    with pytest.raises(stored_zip.TooLarge, match="5 members"):
        stored_zip.parse(data, **LIMITS)


def test_a_member_beyond_the_limit_is_refused_by_what_it_declares():
    data = bytearray(stored_zip.build({"a": b"12"}))
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<L", 4_000_000_000)
    with pytest.raises(stored_zip.TooLarge, match="declares 4000000000 bytes"):
        stored_zip.parse(bytes(data), **LIMITS)


def test_a_zip_beyond_the_limit_is_refused():
    data = stored_zip.build(dict.fromkeys("abc", b"0" * 4000))
    with pytest.raises(stored_zip.TooLarge, match="over 10000"):
        stored_zip.parse(data, **LIMITS)


def test_a_name_that_would_move_the_cursor_is_refused():
    data = stored_zip.build({"a\x1b": b""})
    with pytest.raises(stored_zip.BadZip, match="not plain text"):
        stored_zip.parse(data, **LIMITS)


def test_a_comment_and_bytes_behind_the_end_are_refused():
    data = stored_zip.build(MEMBERS)
    assert stored_zip.ends_with_zip(data)
    for changed in (data + b"\n", data[:-2] + b"\x03\x00abc"):
        assert not stored_zip.ends_with_zip(changed)
        with pytest.raises(stored_zip.BadZip, match="no end record"):
            stored_zip.parse(changed, **LIMITS)


def test_a_directory_elsewhere_than_the_end_record_says_is_refused():
    data = bytearray(stored_zip.build(MEMBERS))
    data[-6:-2] = struct.pack("<L", 1)
    with pytest.raises(stored_zip.BadZip, match="not where the end record says"):
        stored_zip.parse(bytes(data), **LIMITS)


def test_a_directory_of_fewer_entries_than_it_says_is_refused():
    data = bytearray(stored_zip.build({"a": b""}))
    data[-14:-10] = struct.pack("<2H", 2, 2)
    with pytest.raises(stored_zip.BadZip, match="cut short"):
        stored_zip.parse(bytes(data), **LIMITS)
