"""Manifests, partitions and tables as an enemy writes them: one line each, never a traceback."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train import rows
from ser_edge_train.corpora.crema_d import read_demographics
from ser_edge_train.corpora.table import read_table
from ser_edge_train.errors import ManifestError, PartitionFileError, TableError
from ser_edge_train.manifest import COLUMNS, Manifest, is_manifest
from ser_edge_train.partitions import Partition
from tests.train.recordings import make_clip

HEADER = ",".join(COLUMNS) + "\n"
READERS = {
    "manifest": (Manifest.read, ManifestError),
    "partition": (Partition.read, PartitionFileError),
    "table": (read_table, TableError),
    "demographics": (read_demographics, TableError),
}
every_reader = pytest.mark.parametrize(("read", "error"), READERS.values(), ids=READERS)


def good_csv() -> str:
    return Manifest(Path("/data"), (make_clip(1), make_clip(2))).to_csv()


def refuse(read, error, path: Path) -> str:
    with pytest.raises(error) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    message.encode()
    return message


def attempt(read, path: Path):
    """What a reader gives: its answer and no fault, or none and the fault's text."""
    try:
        return read(path), ""
    except SerEdgeError as fault:
        return None, str(fault)


@every_reader
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n\n",
        b"\0" * 4096,
        b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 8,
        b"RIFF\xff\xff\xff\xffWAVE",
        b'"' * 1001,
        b'"never closed,\n' * 50,
        "corpus,stem".encode("utf-16"),
        b"\xff\xfe\xfa",
        b"\xef\xbb\xbf",
        b"a" * 300_000,
        b"," * 300_000,
        b"\x1b[2J\x1b]0;owned\x07,b\n",
    ],
    ids=[
        "empty",
        "blank",
        "zeros",
        "binary",
        "wav",
        "quotes",
        "unclosed",
        "utf-16",
        "not utf-8",
        "mark only",
        "giant field",
        "giant row",
        "terminal codes",
    ],
)
def test_junk(tmp_path, read, error, data):
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    refuse(read, error, path)


@every_reader
def test_places_that_are_no_file(tmp_path, read, error):
    assert "no such file" in refuse(read, error, tmp_path / "missing.csv")
    assert "cannot be read" in refuse(read, error, tmp_path)


@every_reader
def test_a_file_too_large_to_be_one_is_not_read(tmp_path, read, error):
    path = tmp_path / "x.csv"
    with path.open("wb") as stream:
        stream.truncate(rows.LARGEST_FILE + 1)  # sparse: no byte is written
    assert "far too large" in refuse(read, error, path)


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "manifest.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_fault_names_its_line(tmp_path):
    text = good_csv().replace("clip-0002", "clip-0002\x1b[31m")
    assert ":3: control characters" in refuse(Manifest.read, ManifestError, write(tmp_path, text))


def test_wrong_bytes_name_their_line(tmp_path):
    data = good_csv().encode().replace(b"clip-0002", b"clip-\xff002")
    assert ":3: not UTF-8" in refuse(Manifest.read, ManifestError, write(tmp_path, data))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column(tmp_path, column):
    with write(tmp_path, good_csv()).open(newline="") as stream:
        lines = [[v for k, v in row.items() if k != column] for row in csv.DictReader(stream)]
    header = [name for name in COLUMNS if name != column]
    text = "\n".join(",".join(line) for line in [header, *lines])
    assert ":1: the first line is not corpus,stem" in refuse(
        Manifest.read, ManifestError, write(tmp_path, text)
    )


def test_columns_in_another_order(tmp_path):
    text = good_csv().replace("corpus,stem", "stem,corpus")
    refuse(Manifest.read, ManifestError, write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("1.500000", "-1.5", "seconds '-1.5'"),
        ("1.500000", "nan", "seconds 'nan'"),
        ("1.500000", "inf", "seconds 'inf'"),
        ("1.500000", "1e308", "seconds '1e308'"),
        ("1.500000", "1_0", "seconds '1_0'"),
        ("1.500000", " 1", "seconds ' 1'"),
        ("1.500000", "٣", "seconds '٣'"),
        ("1.500000", "", "seconds ''"),
        ("1.500000", "9" * 400, "seconds '999"),
        ("own/clip-0001.wav", "../../etc/passwd", "path '../../etc/passwd'"),
        ("own/clip-0001.wav", "/etc/passwd", "path '/etc/passwd'"),
        ("own/clip-0001.wav", "\\\\server\\share\\x", "path '\\\\server"),
        ("own/clip-0001.wav", "c:x.wav", "path 'c:x.wav'"),
        ("angry", "<script>", "emotion '<script>'"),
        ("angry", "=HYPERLINK()", "emotion '=HYPERLINK()'"),
        (f"{1:064x}", "g" * 64, "audio_sha256 'ggg"),
        (f"{1:064x},", f"{1:064x},fine", "fault 'fine'"),
        (f"{1:064x},", f"{1:064x},,", "13 fields instead of 12"),
        (f",{1:064x},", "", "10 fields instead of 12"),
        ("own,clip-0002", "own,clip-0001", "stands already in line 2"),
        ("clip-0001", "x" * 5000, "a field of 5000 characters"),
        ("clip-0001,", '"clip-0001"x,', "not CSV"),
        ("clip-0001,", '"clip\n0001",', "control characters"),
        ("clip-0001", "clip\u2028", "control characters"),
    ],
)
def test_a_bad_field(tmp_path, old, new, says):
    text = good_csv()
    assert old in text
    message = refuse(Manifest.read, ManifestError, write(tmp_path, text.replace(old, new)))
    assert says in message


def test_a_bad_root_beside_a_manifest(tmp_path):
    path = write(tmp_path, good_csv())
    beside = tmp_path / "manifest.root"
    for data in (b"", b"\n", b"a\nb\n", b"\xff\n", b"\0"):
        beside.write_bytes(data)
        with pytest.raises(ManifestError) as caught:
            Manifest.read(path)
        assert str(caught.value).startswith(f"{beside}: does not hold")
        assert len(str(caught.value).splitlines()) == 1
    assert Manifest.read(path, root=tmp_path).root == tmp_path
    beside.unlink()
    beside.mkdir()
    with pytest.raises(ManifestError):
        Manifest.read(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("corpus,stem,audio_sha256,part\na,b,,training\n", ":2: part 'training' is not one of"),
        ("corpus,stem,audio_sha256,part\na,b,,test\na,b,,train\n", ":3: 'a b' stands twice"),
        ("corpus,stem,audio_sha256,part\na,b,test\n", ":2: 3 fields instead of 4"),
        ("corpus,stem,audio_sha256\n", ":1: the first line has no column part"),
        ("corpus,stem,part,label\n", ":1: 'label' is no column of a partition; leave it out"),
        ("corpus,stem,part,part\n", ":1: the column part stands twice"),
        ("corpus,stem,part\n,b,test\n", ":2: corpus '' is empty"),
        ("corpus,stem,part\na,,test\n", ":2: stem '' is empty"),
        ("corpus,stem,audio_sha256,part\na,b,md5,test\n", ":2: audio_sha256 'md5' is not 64"),
        ("corpus,stem,part,copy\na,b,test,-1\n", ":2: copy '-1' is not a whole number"),
        ("corpus,stem,part,copy\na,b,test,1e3\n", ":2: copy '1e3' is not a whole number"),
        ("corpus,stem,part,copy\na,b,test,2\na,b,train,2\n", ":3: 'a b copy 2' stands twice"),
    ],
)
def test_a_bad_partition(tmp_path, text, says):
    path = tmp_path / "partition.csv"
    path.write_text(text)
    assert says in refuse(Partition.read, PartitionFileError, path)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(sorted(READERS)))
@example(HEADER.encode() + b"\0" * 11, "manifest")
def test_any_bytes_give_an_answer_or_one_line(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("fuzz") / "x.csv"
    path.write_bytes(data)
    is_manifest(path)
    _, fault = attempt(READERS[kind][0], path)
    assert len(fault.splitlines()) <= 1


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_any_few_bytes_changed_give_an_answer_or_one_line(tmp_path_factory, place, new):
    data = bytearray(good_csv().encode())
    data[place : place + len(new)] = new
    path = tmp_path_factory.mktemp("fuzz") / "x.csv"
    path.write_bytes(data)
    manifest, fault = attempt(Manifest.read, path)
    assert len(fault.splitlines()) <= 1
    if manifest is not None:
        again = path.with_name("again.csv")
        manifest.write(again)
        assert Manifest.read(again).digest == manifest.digest
