"""A user's own recordings: folders named for labels, and tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_edge_train.corpora import folders
from ser_edge_train.corpora.table import read_table
from ser_edge_train.errors import TableError

SCANNED = Path("/data/My Calls")


def parse(*names: str, scanned: Path = SCANNED):
    answer = folders.parse_all([(SCANNED / name, scanned) for name in names])
    return {path.relative_to(SCANNED).as_posix(): found for path, found in answer.items()}


def test_label_and_speaker_folders():
    found = parse("Angry/anna/x.wav")["Angry/anna/x.wav"]
    assert (found.corpus, found.stem) == ("my-calls", "Angry/anna/x")
    assert (found.emotion, found.speaker, found.sex) == ("angry", "anna", "")


def test_speaker_from_a_prefix_that_repeats():
    found = parse("angry/anna_01.wav", "sad/anna-02.wav", "sad/ben_01.wav")
    assert found["angry/anna_01.wav"].speaker == "anna"
    assert found["sad/anna-02.wav"].speaker == "anna"
    assert found["sad/ben_01.wav"].speaker == "unknown:sad/ben_01"


@pytest.mark.parametrize("names", [("angry/1.wav", "angry/2.wav"), ("angry/_1.wav", "sad/_2.wav")])
def test_no_prefix_no_speaker(names):
    found = parse(*names)
    assert [f.speaker for f in found.values()] == [f"unknown:{name[:-4]}" for name in names]


def test_an_emotions_word_is_no_speaker():
    found = parse("angry/angry_01.wav", "angry/angry_02.wav")
    assert all(f.speaker.startswith("unknown:") for f in found.values())


def test_prefixes_count_within_one_corpus_only():
    found = parse("a/angry/anna_01.wav", "b/angry/anna_02.wav", scanned=SCANNED)
    assert {f.corpus for f in found.values()} == {"a", "b"}
    assert all(f.speaker.startswith("unknown:") for f in found.values())


def test_folders_of_one_name_stay_apart():
    found = parse("x/set/angry/s/1.wav", "y/set/angry/s/1.wav")
    assert [f.corpus for f in found.values()] == ["set", "set-2"]


def test_folders_above_the_scanned_one_are_no_labels():
    scanned = Path("/home/happy/calls")
    assert not folders.parse_all([(scanned / "x.wav", scanned)])
    assert not folders.parse_all([(scanned / "1" / "x.wav", scanned)])


@pytest.mark.parametrize("name", ["x.wav", "notes/x.wav", "angry/s/deeper/x.wav"])
def test_other_layouts_are_not_guessed(name):
    assert parse(name) == {}


def test_the_inner_label_wins():
    assert parse("happy/sad/x.wav")["happy/sad/x.wav"].emotion == "sad"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "calls.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_paths_and_emotions(tmp_path):
    path = write(tmp_path, "emotion,path\nFearful,a/x.wav\nbored,y.flac\n")
    table = read_table(path)
    assert list(table.files) == [tmp_path / "a/x.wav", tmp_path / "y.flac"]
    first, second = table.files.values()
    assert (first.corpus, first.stem, first.emotion) == ("calls", "a/x", "fear")
    assert first.speaker == "unknown:a/x"
    assert second.emotion == "bored"
    assert table.unused == ()


def test_a_table_with_everything(tmp_path):
    header = " Path ,EMOTION,speaker,sex,intensity,sentence,take,colour\n"
    path = write(tmp_path, header + "x.wav,sad,anna,F,high,s1,2,red\n")
    table = read_table(path)
    (found,) = table.files.values()
    assert (found.speaker, found.sex, found.intensity) == ("anna", "female", "high")
    assert (found.sentence, found.take) == ("s1", "2")
    assert table.unused == ("colour",)


def test_a_column_label_is_the_emotion(tmp_path):
    table = read_table(write(tmp_path, "path,label,speaker\nx.wav,joy,s1\n"))
    assert [found.emotion for found in table.files.values()] == ["happy"]
    both = read_table(write(tmp_path, "path,label,emotion\nx.wav,joy,sad\n"))
    assert [found.emotion for found in both.files.values()] == ["sad"]
    assert both.unused == ("label",)


def test_backslashes_of_windows_are_folders(tmp_path):
    table = read_table(write(tmp_path, "path,emotion\na\\x.wav,sad\n"))
    assert list(table.files) == [tmp_path / "a" / "x.wav"]


def test_a_byte_order_mark_and_crlf_are_read(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,emotion\r\nx.wav,sad\r\n\r\n")
    assert len(read_table(path).files) == 1


@pytest.mark.parametrize(
    ("text", "place", "fault", "hint"),
    [
        ("", ":1:", "no column 'path'", "path,emotion,speaker"),
        ("file,emotion\n", ":1:", "no column 'path'", "path,emotion,speaker"),
        ("path,mood\n", ":1:", "no column 'emotion'", "path,emotion,speaker"),
        ("path;emotion\n", ":1:", "no column 'path'", "commas"),
        ("path,emotion,path\n", ":1:", "two columns 'path'", "keep one"),
        ("path,label,label\n", ":1:", "two columns 'label'", "keep one"),
        ("path,emotion,emotion\n", ":1:", "two columns 'emotion'", "keep one"),
        ("path,emotion\n", ":", "no recording below", "add one line"),
        ("path,emotion\nx.wav\n", ":2:", "1 fields instead of 2", "quote"),
        ("path,emotion\nx.wav,sad\n/y.wav,sad\n", ":3:", "column path: '/y.wav'", "above"),
        ("path,emotion\n../y.wav,sad\n", ":2:", "column path: '../y.wav'", "above"),
        ("path,emotion\nC:\\y.wav,sad\n", ":2:", "column path: 'C:\\y.wav'", "above"),
        ("path,emotion\n,sad\n", ":2:", "column path: ''", "above"),
        ("path,emotion\n.,sad\n", ":2:", "column path: '.'", "above"),
        ("path,emotion\nx.wav,very sad\n", ":2:", "column emotion: 'very sad'", "angry"),
        ("path,emotion\nx.wav,\n", ":2:", "column emotion: ''", "angry"),
        ("path,emotion,sex\nx.wav,sad,x\n", ":2:", "column sex: 'x'", "empty"),
        ("path,emotion\nx.wav,sad\nx.flac,sad\n", ":3:", "already in line 2", "keep one"),
    ],
)
def test_a_broken_table_names_line_column_and_next_step(tmp_path, text, place, fault, hint):
    path = write(tmp_path, text)
    with pytest.raises(TableError) as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(f"{path}{place} ")
    assert fault in message
    assert hint in message.split("; ")[-1]
    assert "\n" not in message
