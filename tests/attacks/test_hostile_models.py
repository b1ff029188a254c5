"""Model files that somebody damaged, cut or made on purpose: one clear error each, no crash."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime import classifier, stored_zip
from ser_edge_runtime.backends import choose
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import (
    MetadataInvalid,
    ModelFileError,
    ModelTooLarge,
    SerEdgeError,
    UnexpectedMember,
    ZipNotCanonical,
)
from ser_edge_runtime.model_file import MEMBERS, build_model_file, parse_model_file

DATA = Path(__file__).resolve().parent.parent / "data"
WHOLE = (DATA / "format_v1.tflite").read_bytes()
MODEL = parse_model_file(WHOLE, "toy.tflite")
ZIP_START = len(MODEL.flatbuffer)
CONTENTS = stored_zip.parse(
    WHOLE, most_members=3, largest_zip=len(WHOLE), largest_member=len(WHOLE)
)[1]


def refused(data, error=ModelFileError):
    with pytest.raises(error) as caught:
        parse_model_file(data, "m.tflite")
    message = str(caught.value)
    assert message.startswith("m.tflite: ")
    assert message.isprintable()
    assert len(message) < 500
    return message


def appended(write, flatbuffer=MODEL.flatbuffer):
    """A graph with a zip behind it that ``write(archive)`` fills, as zip tools append it."""
    stream = io.BytesIO(flatbuffer)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive:
        write(archive)
    return stream.getvalue()


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_change_of_any_byte_is_refused(mask):
    changed = bytearray(WHOLE)
    for position in range(len(WHOLE)):
        changed[position] ^= mask
        try:
            with pytest.raises(ModelFileError):
                parse_model_file(bytes(changed), "m.tflite")
        except BaseException:
            pytest.fail(f"byte {position} of {len(WHOLE)}, changed by {mask:#x}, passed or crashed")
        changed[position] ^= mask
    assert bytes(changed) == WHOLE


def test_a_cut_anywhere_is_refused():
    for length in [*range(64), *range(64, len(WHOLE), 97), *range(len(WHOLE) - 64, len(WHOLE))]:
        refused(WHOLE[:length])
    refused(WHOLE[: len(WHOLE) // 2])
    refused(WHOLE[:ZIP_START])


def test_bytes_missing_at_the_front_are_refused():
    for length in (1, 4, 8, 100, ZIP_START, ZIP_START + 10):
        refused(WHOLE[length:])


def test_bytes_added_anywhere_are_refused():
    for position in [*range(0, len(WHOLE), 89), ZIP_START, len(WHOLE) - 22, len(WHOLE)]:
        refused(WHOLE[:position] + b"\0" + WHOLE[position:])


@settings(max_examples=300)
@given(
    st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), st.binary(max_size=64), st.booleans()
)
def test_splices_are_refused(first, second, filling, swap):
    first, second = sorted((first, second))
    changed = WHOLE[:first] + filling + WHOLE[second:]
    if swap:
        changed = WHOLE[:first] + WHOLE[second:] + WHOLE[first:second]
    if changed == WHOLE:
        assert parse_model_file(changed, "m.tflite").metadata == MODEL.metadata
        return
    refused(changed)


@given(st.binary(max_size=400))
def test_noise_behind_a_flatbuffers_identifier_is_refused(noise):
    refused(b"\x20\0\0\0TFL3" + noise)
    refused(MODEL.flatbuffer + b"ser_edge.json" + noise)


def test_an_interpreter_never_sees_bytes_that_were_not_verified(tmp_path, monkeypatch):
    changed = bytearray(WHOLE)
    changed[ZIP_START // 2] ^= 1
    path = tmp_path / "m.tflite"
    path.write_bytes(changed)
    monkeypatch.setattr(
        classifier, "Interpreter", lambda *_, **__: pytest.fail("it was given the bytes")
    )
    with pytest.raises(ModelFileError):
        Classifier.load(path)


def test_the_file_is_not_opened_again_after_it_was_verified(tmp_path, monkeypatch):
    path = tmp_path / "m.tflite"
    path.write_bytes(WHOLE)
    seen = []
    real = classifier.Interpreter

    def spy(flatbuffer, **options):
        seen.append(flatbuffer)
        path.write_bytes(b"changed meanwhile")
        return real(flatbuffer, **options)

    monkeypatch.setattr(classifier, "Interpreter", spy)
    Classifier.load(path)
    assert seen == [MODEL.flatbuffer]


def test_a_deflated_bomb_is_refused_before_it_is_inflated():
    def bomb(archive):
        archive.writestr("ser_edge.json", b"0" * 50_000_000, zipfile.ZIP_DEFLATED)
        archive.writestr("labels.txt", b"")
        archive.writestr("golden.npz", b"")

    data = appended(bomb)
    assert len(data) < 100_000
    assert "'ser_edge.json' is compressed" in refused(data, ZipNotCanonical)


def test_a_bomb_that_lies_about_its_method_is_refused():
    def bomb(archive):
        archive.writestr("ser_edge.json", b"0" * 50_000_000, zipfile.ZIP_DEFLATED)
        archive.writestr("labels.txt", b"")
        archive.writestr("golden.npz", b"")

    data = bytearray(appended(bomb))
    entry = data.index(b"PK\x01\x02")
    data[entry + 10 : entry + 12] = b"\0\0"
    assert "declares 50000000 bytes" in refused(bytes(data), ModelTooLarge)


@pytest.mark.parametrize("size", [2 * 1024 * 1024 + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_declared_sizes_allocate_nothing(size):
    data = bytearray(WHOLE)
    # The last entry: golden.npz has a directory of its own further up.
    entry = data.rindex(b"PK\x01\x02")
    for field in (20, 24):
        changed = bytearray(data)
        changed[entry + field : entry + field + 4] = struct.pack("<L", size)
        refused(bytes(changed), ModelTooLarge)


def test_many_members_are_refused_by_their_number():
    def crowd(archive):
        for number in range(20_000):
            archive.writestr(f"{number}", b"")
        for name, content in CONTENTS.items():
            archive.writestr(name, content)

    assert "20003 members" in refused(appended(crowd), ModelTooLarge)


def test_zip64_is_refused():
    def large(archive):
        for name, content in CONTENTS.items():
            with archive.open(name, "w", force_zip64=True) as stream:
                stream.write(content)

    refused(appended(large), ZipNotCanonical)


def test_overlapping_members_are_refused():
    data = bytearray(stored_zip.build(CONTENTS, ZIP_START))
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 42 : entry + 46] = struct.pack("<L", ZIP_START)
    refused(MODEL.flatbuffer + bytes(data), ZipNotCanonical)


def test_members_of_the_same_name_are_refused():
    first, rest = stored_zip.build({"ser_edge.json": b"{}"}), CONTENTS["labels.txt"]
    doubled = first.replace(b"\x01\x00\x01\x00", b"\x02\x00\x02\x00")
    refused(MODEL.flatbuffer + doubled + rest)
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = appended(
            lambda archive: [archive.writestr("ser_edge.json", b"{}") for _ in range(3)]
        )
    refused(data, ZipNotCanonical)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/labels.txt", "ser_edge.json\0", "labels.txt\n", "C:\\x"]
)
def test_names_that_lead_elsewhere_are_refused(name):
    members = {**CONTENTS, name: b""}
    del members["labels.txt"]
    data = MODEL.flatbuffer + stored_zip.build(members, ZIP_START)
    refused(data, (UnexpectedMember, ZipNotCanonical))


def test_a_comment_with_a_second_zip_in_it_is_refused():
    comment = stored_zip.build(CONTENTS, ZIP_START)
    data = WHOLE[:-2] + struct.pack("<H", len(comment)) + comment
    refused(data, ZipNotCanonical)


def test_a_zip_in_front_of_the_real_one_is_refused():
    front = MODEL.flatbuffer + stored_zip.build({"ser_edge.json": b"{}"}, ZIP_START)
    refused(front + stored_zip.build(CONTENTS, len(front)))


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 2_000_000,
        b'{"a":' * 300_000,
        b'{"format_version": ' + b"1" * 1_000_000 + b"}",
        b'{"format_version": 1, "name": "' + b"\\u0000" * 100_000 + b'"}',
        b"\0" * 1_000_000,
        b"\xff" * 1000,
        b'"' + b"a" * 1_000_000 + b'"',
    ],
)
def test_hostile_json_is_refused(text):
    members = {**CONTENTS, "ser_edge.json": text}
    refused(MODEL.flatbuffer + stored_zip.build(members, ZIP_START), MetadataInvalid)


def with_text(name, text):
    """The file with one field of its metadata written as ``text``, faultless otherwise."""
    values = {**json.loads(CONTENTS["ser_edge.json"]), name: "@"}
    members = {**CONTENTS, "ser_edge.json": json.dumps(values).encode().replace(b'"@"', text)}
    return MODEL.flatbuffer + stored_zip.build(members, ZIP_START)


@pytest.mark.parametrize("name", sorted(json.loads(CONTENTS["ser_edge.json"])))
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_fields_nested_deeply_are_refused(name, opening, closing):
    # Just below and above what a parser of JSON takes, which is another depth in each Python.
    for depth in (32, 100, *range(970, 1000, 5), 5000, 50_000):
        refused(with_text(name, opening * depth + b"1" + closing * depth), MetadataInvalid)


def test_tables_in_tables_are_read_as_deep_as_the_format_has_them():
    text = b'{"a":' * 31 + b"[]" + b"}" * 31
    refused(with_text("scores", b'{"a":' + text + b"}"), MetadataInvalid)
    scores = parse_model_file(with_text("scores", text[5:-1]), "m.tflite").metadata.scores
    assert json.dumps(scores).count("{") == 30


def test_tables_in_tables_with_long_names_take_little_memory():
    data = with_text("provenance", (b'{"' + b"k" * 60_000 + b'":') * 30 + b"1" + b"}" * 30)
    tracemalloc.start()
    try:
        parse_model_file(data, "m.tflite")
        assert tracemalloc.get_traced_memory()[1] < 8 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(
    choose().name == "tflite-runtime",
    reason="2.14 does not verify a graph that it is given; nothing but the digest guards it",
)
def test_a_cut_graph_in_a_faultless_wrapping_is_refused_by_the_interpreter():
    """Who can make a whole file can wrap any bytes in it; then the interpreter has to judge."""
    script = """
import sys
from dataclasses import replace
from pathlib import Path
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import InterpreterError
from ser_edge_runtime.model_file import build_model_file, parse_model_file
model = parse_model_file(Path(sys.argv[1]).read_bytes(), "m.tflite")
for share in (0.3, 0.5, 0.9):
    cut = model.flatbuffer[: int(len(model.flatbuffer) * share)]
    data = build_model_file(cut, model.metadata, model.golden)
    try:
        Classifier(parse_model_file(data, "m.tflite"))
    except InterpreterError as fault:
        print(fault)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(DATA / "format_v1.tflite")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("refuses the graph" in line for line in lines)


@pytest.mark.parametrize(
    "toy", ["toy_two_inputs", "toy_two_outputs", "toy_strings", "toy_unknown_op", "toy_int8"]
)
def test_metadata_that_belong_to_another_graph_are_refused(toy):
    """The digest is right, the graph is another: the tensors give it away."""
    graph = (DATA / f"{toy}.tflite").read_bytes()
    data = build_model_file(graph, MODEL.metadata, MODEL.golden)
    with pytest.raises(SerEdgeError) as caught:
        Classifier(parse_model_file(data, "m.tflite"))
    assert str(caught.value).isprintable()


def test_the_members_are_the_ones_that_the_format_names():
    assert tuple(CONTENTS) == MEMBERS
