"""Strict CSV, the store's frame files, and the first difference of two tables."""

from __future__ import annotations

import csv
import io
import tomllib
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train import rows
from ser_edge_train.errors import LONGEST_QUOTE, RowError, quoted
from ser_edge_train.frame_file import (
    CHECK_BYTES,
    LONGEST_HEADER,
    Header,
    pack,
    read_header,
    unpack,
)
from ser_edge_train.rows import LONGEST_FIELD, format_rows, is_inside, is_plain, read_rows, show
from ser_edge_train.run_directory import first_difference

PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)
REPAIR = "mend it"


def read(path: Path) -> list[tuple[int, list[str]]]:
    return list(read_rows(path, RowError, REPAIR))


def write(folder: Path, data: bytes | str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@settings(max_examples=25)
@given(st.lists(st.lists(PLAIN, min_size=2, max_size=4), max_size=6))
def test_what_is_formatted_is_read_back_with_its_lines(tmp_path_factory, table):
    text = format_rows(["one", "two"], table)
    found = read(write(tmp_path_factory.mktemp("csv"), text))
    assert found == [(n, cells) for n, cells in enumerate([["one", "two"], *table], 1)]
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["one", "two"], *table]
    assert text.endswith("\n")
    assert "\r" not in text


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "﻿"])
def test_other_line_ends_a_mark_and_empty_lines_are_let_be(tmp_path, ends, mark):
    text = mark + ends.join(["a,b", "", "1,2", "", "", "3,4"])
    assert read(write(tmp_path, text)) == [(1, ["a", "b"]), (3, ["1", "2"]), (6, ["3", "4"])]


def test_an_empty_file_has_no_rows(tmp_path):
    assert read(write(tmp_path, "")) == []
    assert read(write(tmp_path, "\n\n")) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'a\n"b', ":2: not CSV: unexpected end of data"),
        (b'a\n"b"c\n', ":2: not CSV: ',' expected after '\"'"),
        (b"a\nb\xff\n", ":2: not UTF-8 (byte 3)"),
        (b"a\n\xed\xa0\x80\n", ":2: not UTF-8 (byte 2)"),  # a surrogate, encoded all the same
        (b"a\nb\0c\n", ":2: control characters in 'b\\x00c'"),
        (b'a\n"x\ny"\n', ":3: control characters in 'x\\ny'"),
        ("a\nb\u2028c\n".encode(), ":2: control characters in 'b\\u2028c'"),
        (b"a\n" + b"x" * (LONGEST_FIELD + 1) + b"\n", ":2: a field of 4097 characters; 4096 are"),
        (b"a\n" + b"x" * 200_000 + b"\n", ":2: not CSV: field larger than field limit"),
    ],
)
def test_each_fault_is_one_line_with_its_place_and_the_next_step(tmp_path, data, words):
    path = write(tmp_path, data)
    with pytest.raises(RowError) as fault:
        read(path)
    message = str(fault.value)
    assert message.startswith(f"{path}{words}")
    assert message.endswith(f"; {REPAIR}")
    assert "\n" not in message


def test_the_longest_field_is_none_too_long(tmp_path):
    assert read(write(tmp_path, "x" * LONGEST_FIELD)) == [(1, ["x" * LONGEST_FIELD])]


def test_rows_before_the_fault_were_read(tmp_path):
    found = read_rows(write(tmp_path, b'a\nb\n"c'), RowError, REPAIR)
    assert [next(found), next(found)] == [(1, ["a"]), (2, ["b"])]
    with pytest.raises(RowError, match=":3: not CSV"):
        next(found)


def test_places_that_are_no_file_are_said_without_a_line(tmp_path, monkeypatch):
    with pytest.raises(RowError, match=r"none\.csv: no such file; mend it$"):
        read(tmp_path / "none.csv")
    with pytest.raises(RowError, match=r": cannot be read \(.*directory\); mend it$"):
        read(tmp_path)
    monkeypatch.setattr(rows, "LARGEST_FILE", 3)
    with pytest.raises(RowError, match=": 4 bytes, far too large"):
        read(write(tmp_path, "a,b\n"))


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("a/b.wav", True),
        ("a/..b/c", True),
        ("./a", True),
        ("ä/怒り.wav", True),
        ("", False),
        ("/etc/passwd", False),
        ("..", False),
        ("a/../../b", False),
        ("a\\..\\b", False),
        ("\\a", False),
        ("\\\\server\\share\\a", False),
        ("C:\\a", False),
        ("C:a", False),
        ("//server/share/a", False),
    ],
)
def test_a_path_stays_below_its_root_on_every_system(path, inside):
    assert is_inside(path) == inside


@settings(max_examples=50)
@given(st.text(max_size=80))
def test_a_quote_and_a_path_fit_into_a_line(text):
    assert len(quoted(text).splitlines()) == 1
    assert quoted(text).isprintable()
    shown = show(text)
    assert is_plain(shown)
    shown.encode()
    assert shown == text or not is_plain(text)


def test_a_long_quote_is_cut():
    assert quoted("x" * LONGEST_QUOTE) == f"'{'x' * LONGEST_QUOTE}'"
    assert quoted("x" * (LONGEST_QUOTE + 1)) == f"'{'x' * (LONGEST_QUOTE - 1)}…'"


# frame files


def values(frames: int, width: int) -> np.ndarray:
    return np.random.default_rng(frames).normal(size=(frames, width)).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(0, 9))
def test_a_frame_file_is_numpys_with_a_check_behind_it(frames, width):
    table = values(frames, width)
    data = pack(table)
    np.testing.assert_array_equal(np.load(io.BytesIO(data)), table)
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    header = read_header(data[:LONGEST_HEADER])
    assert header == Header(frames, width, len(data) - 4 - 4 * frames * width, len(data) - 4)
    assert header.file_size == len(data)
    found = unpack(data, width)
    np.testing.assert_array_equal(found, table)
    assert found.dtype == np.float32
    assert not found.flags.writeable


def test_the_order_and_type_of_the_numbers_do_not_matter_when_packed():
    table = values(5, 3)
    assert pack(table.astype(np.float64)) == pack(table)
    assert pack(np.asfortranarray(table)) == pack(table)
    assert pack(np.repeat(table, 2, axis=0)[::2]) == pack(table)


@settings(max_examples=60)
@given(st.data())
def test_every_flipped_bit_and_every_cut_is_seen(data):
    whole = pack(values(4, 3))
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    assert unpack(bytes(flipped), 3) is None
    assert unpack(whole[:place], 3) is None
    assert unpack(whole + bytes(1), 3) is None


@pytest.mark.parametrize("width", [0, 2, 4, 12])
def test_frames_of_another_width_are_none(width):
    assert unpack(pack(values(4, 3)), width) is None


def saved(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        saved(np.zeros((4, 3))),  # float64
        saved(np.zeros((4, 3), ">f4")),
        saved(np.zeros((4, 3), "<i4")),
        saved(np.zeros((3, 4), "<f4").T),  # in Fortran's order
        saved(np.zeros(12, "<f4")),
        saved(np.zeros((2, 2, 3), "<f4")),
        saved(np.zeros((4, 3), "<f4"), (2, 0)),
        saved(np.zeros((4, 3), "<f4")).replace(b"(4, 3)", b"(-4,3)"),
        saved(np.zeros((4, 3), "<f4")).replace(b"(4, 3)", b"(9, 3)"),  # more than is there
        saved(np.zeros((4, 3), "<f4")).replace(b"(4, 3)", b"(3, 3)"),  # less
        saved(np.zeros((4, 3), "<f4"))[:-1],
        saved(np.zeros((4, 3), "<f4"))[:9],
        b"\x93NUMPY",
        b"",
    ],
)
def test_another_arrays_file_is_none_even_with_a_right_check(body):
    data = body + zlib.crc32(body).to_bytes(CHECK_BYTES, "little")
    assert unpack(data, 3) is None


@settings(max_examples=50)
@given(st.binary(max_size=120))
def test_any_header_is_one_or_none(tail):
    found = read_header(b"\x93NUMPY\x01\x00" + tail)
    assert found is None or found.end >= found.start


def test_a_header_with_any_bit_flipped_is_one_or_none():
    """The store reads headers before anything is held to its check."""
    whole = pack(values(4, 3))[:128]
    for place in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        found = read_header(bytes(changed))
        assert found is None or found.end >= found.start, place


# differences


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        ({}, {}, None),
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": 1}, {"a": 2}, "a"),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "a.c"),
        ({"a": 1, "b": 1}, {"b": 2, "a": 2}, "a"),
        ({"a": {"b": {}}}, {"a": {"b": {"c": 0}}}, "a.b.c"),
        ({"a": {"b": 1}}, {"a": 3}, "a"),
        ({"b": 1}, {"a": 1, "b": 1}, "a"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a"),
        ({"a": None}, {}, None),  # left out is None in a recipe
    ],
)
def test_the_first_field_that_differs_is_named(one, other, field):
    assert first_difference(one, other) == field


TABLES = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@settings(max_examples=60)
@given(TABLES, TABLES)
def test_equal_tables_differ_in_nothing_and_others_in_a_field_that_does(one, other):
    assert first_difference(one, one) is None
    found = first_difference(one, other, "t")
    assert (found is None) == (one == other)
    if found is not None:
        ends = []
        for table in (one, other):
            inner = table
            for name in found.split(".")[1:]:
                inner = inner.get(name) if isinstance(inner, dict) else None
            ends.append(inner)
        assert ends[0] != ends[1]


def test_the_difference_of_two_texts_of_toml():
    one, other = (tomllib.loads(f"[fit]\nepochs = {n}\n[fit.optimizer]\nname='x'") for n in (1, 2))
    assert first_difference(one, other) == "fit.epochs"


@given(st.lists(st.sampled_from(["/", "\\", "..", ".", ":", "a", "C:", " ", "ä"]), max_size=7))
def test_pathlib_finds_no_way_out_of_what_is_inside(parts):
    path = "".join(parts)
    windows = PureWindowsPath(path)
    out = (
        PurePosixPath(path).is_absolute() or windows.drive or windows.root or ".." in windows.parts
    )
    assert not (is_inside(path) and (out or not path))
