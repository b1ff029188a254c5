"""Each fault of a stored zip in its words, and in those of the model that ends with it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import stored_zip
from ser_edge_runtime.errors import ModelTooLarge, ZipNotCanonical
from ser_edge_runtime.model_file import MEMBERS as NAMES
from ser_edge_runtime.model_file import parse_model_file, read_model_file
from ser_edge_runtime.stored_zip import BadZip, TooLarge
from tests.runtime.faults import DAMAGED, said
from tests.runtime.test_stored_zip import LIMITS, MEMBERS

V2 = Path(__file__).resolve().parent.parent / "data" / "format_v2.tflite"
GRAPH = read_model_file(V2).flatbuffer
NO_MODEL = "it is not a model that ser-edge wrote; see: ser-edge convert --help"
FRONT = b"front"
# Places in the directory's entry and in the end record.
NAME_OF_ENTRY, OFFSET_OF_ENTRY, COUNTS_OF_END = 46, 42, 8


def parsed(data):
    return stored_zip.parse(data, **LIMITS)


def changed(data, place, put):
    return data[:place] + put + data[place + len(put) :]


def with_count(data, count):
    return changed(data, len(data) - 22 + COUNTS_OF_END, struct.pack("<2H", count, count))


def entry_of(data, name):
    """Where the directory's entry of a member begins."""
    return data.rindex(name) - NAME_OF_ENTRY


def renamed(data, old, new):
    """Other bytes for a name, in front of its content and in the directory."""
    assert len(old) == len(new)
    return data.replace(old, new)


@given(st.integers(0, 400))
def test_a_zip_without_its_end_is_refused_wherever_it_was_cut(size):
    whole = FRONT + stored_zip.build(MEMBERS, len(FRONT))
    if size >= len(whole):
        assert parsed(whole) == (len(FRONT), MEMBERS)
    else:
        assert said(BadZip, parsed, whole[:size]) == "no end record at the end"


def test_members_are_counted_before_any_is_read():
    four = stored_zip.build(dict.fromkeys("abcd", b""))
    assert len(parsed(four)[1]) == 4
    five = stored_zip.build(dict.fromkeys("abcde", b""))
    assert said(TooLarge, parsed, five) == "5 members, at most 4 are allowed"
    claimed = with_count(four, 65_535)
    assert said(TooLarge, parsed, claimed) == "65535 members, at most 4 are allowed"


@pytest.mark.parametrize("there", range(1, 4))
def test_a_directory_of_fewer_members_than_it_says_is_cut_short(there):
    whole = stored_zip.build(dict.fromkeys("abcd"[:there], b"content"))
    assert len(parsed(with_count(whole, there))[1]) == there
    for more in range(there + 1, 5):
        assert said(BadZip, parsed, with_count(whole, more)) == "its directory is cut short"


@given(st.integers(0, 255))
def test_a_name_is_printable_ascii_whatever_stands_in_it(byte):
    data = renamed(stored_zip.build({"name": b"content"}), b"name", b"na%ce" % byte)
    if 0x20 <= byte < 0x7F:
        assert parsed(data) == (0, {f"na{chr(byte)}e": b"content"})
    else:
        assert said(BadZip, parsed, data) == "a member's name is not plain text"


def test_a_name_that_stands_twice_is_refused():
    data = renamed(stored_zip.build({"one": b"1", "two": b"2"}), b"two", b"one")
    assert said(BadZip, parsed, data) == "'one' is not where the directory says"


@pytest.mark.parametrize("name", ["a.json", "b.txt", "empty"])
@given(st.integers(0, 2**32 - 1))
def test_a_member_is_only_where_the_directory_says(name, offset):
    data = stored_zip.build(MEMBERS)
    place = entry_of(data, name.encode()) + OFFSET_OF_ENTRY
    put = struct.pack("<L", offset)
    if data[place : place + 4] == put:
        assert parsed(data) == (0, MEMBERS)
        return
    fault = said(BadZip, parsed, changed(data, place, put))
    ends = offset + 30 + len(name) + len(MEMBERS[name])
    if ends > data.index(b"PK\x01\x02"):
        assert fault == f"{name!r} is not where the directory says"
    else:
        assert fault == "it is not the zip that its members give"


# a model file ends with such a zip


def model_with(*names):
    """A model file with these members in its zip, which are all empty."""
    return GRAPH + stored_zip.build(dict.fromkeys(names, b""), len(GRAPH))


def moved():
    """A whole model file but for the place of a member that its directory names."""
    data = V2.read_bytes()
    place = entry_of(data, b"labels.txt") + OFFSET_OF_ENTRY
    return changed(data, place, struct.pack("<L", len(data)))


@pytest.mark.parametrize(
    ("data", "error", "fault"),
    [
        (model_with(*NAMES, "virus.exe"), ModelTooLarge, "4 members, at most 3 are allowed"),
        (with_count(model_with(*NAMES[:2]), 3), ZipNotCanonical, "its directory is cut short"),
        (
            model_with("ser_edge.json", "labels\x1btxt"),
            ZipNotCanonical,
            "a member's name is not plain text",
        ),
        (moved(), ZipNotCanonical, "'labels.txt' is not where the directory says"),
    ],
    ids=["members", "directory", "name", "place"],
)
def test_a_fault_of_its_zip_is_told_of_the_model(data, error, fault):
    hint = NO_MODEL if error is ModelTooLarge else DAMAGED
    message = said(error, parse_model_file, data, "m.tflite")
    assert message == f"m.tflite: metadata: {fault}; {hint}"
