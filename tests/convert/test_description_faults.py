"""Whatever bytes a description holds: it is read, or refused in one line with its own next step."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_convert.description_files import (
    FRONT_END_HINT,
    LABELS_HINT,
    LARGEST,
    NORMALISER_HINT,
    read_front_end,
    read_labels,
    read_normaliser,
)
from ser_edge_convert.errors import DescriptionFault
from ser_edge_convert.packing import pack
from ser_edge_runtime.front_end import Normaliser
from tests.convert.toy_package import DATA, SPEC

NORMALISER = Normaliser(np.arange(4, dtype=np.float32), np.full(4, 2, np.float32))
LABELS = ("calm", "happy", "sad")
READERS = {
    "front end": (read_front_end, FRONT_END_HINT),
    "labels": (read_labels, LABELS_HINT),
    "normaliser": (partial(read_normaliser, front_end=SPEC), NORMALISER_HINT),
}
GOOD = {
    "front end": (SPEC.to_json(), SPEC),
    "labels": ("calm\nhappy\nsad\n", LABELS),
    "normaliser": (NORMALISER.to_json(), NORMALISER),
}
KINDS = st.sampled_from(sorted(READERS))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("descriptions") / "described"


def refused(kind, path) -> str:
    """The fault alone, without the file before it and the next step behind it."""
    read, hint = READERS[kind]
    with pytest.raises(DescriptionFault) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    start, end = f"{path}: ", f"; {hint}"
    assert text.startswith(start)
    assert text.endswith(end)
    return text[len(start) : -len(end)]


def is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_each_kind_says_another_next_step():
    hints = {hint for _, hint in READERS.values()}
    assert len(hints) == 3
    assert "front_end.json" in FRONT_END_HINT
    assert "normaliser.json" in NORMALISER_HINT
    assert "a line each" in LABELS_HINT


@given(kind=KINDS, data=st.binary().filter(lambda data: not is_text(data)))
def test_bytes_that_are_no_utf8_are_said_to_be_none(path, kind, data):
    path.write_bytes(data)
    assert refused(kind, path) == "is not text in UTF-8"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_good_text_in_another_encoding_is_said_to_be_that(path, kind, encoding):
    path.write_bytes(GOOD[kind][0].encode(encoding))
    assert refused(kind, path) == "is not text in UTF-8"


@given(kind=KINDS, place=st.floats(0, 1), byte=st.integers(0x80, 0xFF))
def test_one_byte_of_another_alphabet_anywhere_spoils_a_good_text(path, kind, place, byte):
    """As Latin-1 leaves an accent: one byte, which is no character in UTF-8."""
    data = GOOD[kind][0].encode()
    cut = round(place * len(data))
    path.write_bytes(data[:cut] + bytes([byte]) + data[cut:])
    assert refused(kind, path) == "is not text in UTF-8"


def test_letters_beyond_ascii_are_labels_in_utf8_alone(path):
    path.write_bytes("müde\nfröhlich\n".encode())
    assert read_labels(path) == ("müde", "fröhlich")
    path.write_bytes("müde\nfröhlich\n".encode("latin-1"))
    assert refused("labels", path) == "is not text in UTF-8"


@given(kind=KINDS, data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(path, kind, data):
    path.write_bytes(data)
    try:
        READERS[kind][0](path)
    except DescriptionFault:
        assert refused(kind, path)


@given(kind=st.sampled_from(["front end", "normaliser"]), place=st.floats(0, 1, exclude_max=True))
def test_a_text_cut_short_at_any_byte_is_no_json(path, kind, place):
    data = GOOD[kind][0].rstrip().encode()
    path.write_bytes(data[: int(place * len(data))])
    assert "not JSON" in refused(kind, path)


@given(
    kind=st.sampled_from(["front end", "normaliser"]),
    value=st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.integers()),
)
def test_json_of_another_shape_is_refused(path, kind, value):
    path.write_text(json.dumps(value))
    assert refused(kind, path)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_of_just_1_mib_is_read_and_one_byte_more_is_not(path, kind):
    text, meant = GOOD[kind]
    path.write_bytes(text.encode().ljust(LARGEST))
    assert READERS[kind][0](path) == meant
    path.write_bytes(text.encode().ljust(LARGEST + 1))
    assert refused(kind, path) == "is over 1 MiB"


@pytest.mark.parametrize("kind", READERS)
def test_a_mark_of_the_byte_order_is_not_part_of_the_text(path, kind):
    text, meant = GOOD[kind]
    path.write_bytes(text.encode("utf-8-sig"))
    assert READERS[kind][0](path) == meant


@pytest.mark.parametrize("kind", READERS)
def test_packing_passes_on_which_description_is_no_text(tmp_path, kind):
    paths = {name: tmp_path / name.replace(" ", "_") for name in READERS}
    for name, (text, _) in GOOD.items():
        paths[name].write_text(text)
    described = {path.name: path for path in paths.values()}
    assert pack(DATA / "toy_float.tflite", **described).golden == "made"
    paths[kind].write_bytes(b"\xff\xfe")
    with pytest.raises(DescriptionFault) as caught:
        pack(DATA / "toy_float.tflite", **described)
    assert str(caught.value) == f"{paths[kind]}: is not text in UTF-8; {READERS[kind][1]}"
