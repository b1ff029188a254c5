"""Sources that a scan or a training refuses: what is said of them, word for word, and of what."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.corpora import crema_d
from ser_edge_train.corpora.parsed import emotion_of
from ser_edge_train.corpora.table import SEXES, read_table
from ser_edge_train.errors import ManifestError, ScanError, TableError
from ser_edge_train.manifest import Manifest
from ser_edge_train.rows import format_rows
from ser_edge_train.scan import open_data, survey
from tests.train.recordings import make_clip, write_tree, write_wav

FEW = settings(max_examples=60)
# What fits into a field: control characters have a fault of their own.
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=70)

WIDE = "fields instead of 2; quote fields that hold commas"
NO_WORD = "is not a word; write a label such as angry"
NO_SEX = "is not female or male; write one of them, or leave it empty"
UPSTREAM = "take upstream's file, or remove this one: the speakers' sexes are built in"


# --- a user's table -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("path,emotion\nx.wav\n", 2, f"1 {WIDE}"),
        ("path,emotion\nx.wav,sad\ny.wav,sad,very\n", 3, f"3 {WIDE}"),
        ("path,emotion\na, b.wav,sad\n", 2, f"3 {WIDE}"),
        # The line is that of the file: empty ones count, and so do those within quotes.
        ("path,emotion\n\n\nx.wav\n", 4, f"1 {WIDE}"),
        ("path,emotion\nx.wav,\n", 2, f"column emotion: '' {NO_WORD}"),
        ("path,emotion\nx.wav,3\n", 2, f"column emotion: '3' {NO_WORD}"),
        ("path,emotion\nx.wav,-sad\n", 2, f"column emotion: '-sad' {NO_WORD}"),
        ("path,emotion\nx.wav,Sad!\n", 2, f"column emotion: 'Sad!' {NO_WORD}"),
        ("path,emotion\nx.wav,trübe\n", 2, f"column emotion: 'trübe' {NO_WORD}"),
        ("path,label\nx.wav,very sad\n", 2, f"column emotion: 'very sad' {NO_WORD}"),
        ("path,emotion,sex\nx.wav,sad,w\n", 2, f"column sex: 'w' {NO_SEX}"),
        ("path,emotion,sex\nx.wav,sad,F\ny.wav,sad,-\n", 3, f"column sex: '-' {NO_SEX}"),
    ],
)
def test_a_scan_says_which_line_of_a_table_is_wrong_and_what_to_write(tmp_path, text, line, says):
    table = tmp_path / "calls.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(TableError) as caught:
        survey([table])
    assert str(caught.value) == f"{table}:{line}: {says}"
    assert caught.value.line == line
    assert [entry.name for entry in tmp_path.iterdir()] == ["calls.csv"]
    assert table.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ('"a, b.wav",sad,', ("a, b", "sad", "")),
        ("x.wav,s,F", ("x", "s", "female")),
        ("x.wav, Sad-2_x ,MALE", ("x", "sad-2_x", "male")),
        ("x.wav,joy, m ", ("x", "happy", "male")),
        ("x.wav,pleasant surprise,", ("x", "surprise", "")),
    ],
)
def test_what_the_advice_says_is_then_read(tmp_path, row, found):
    (tmp_path / "calls.csv").write_text(f"path,emotion,sex\n{row}\n", encoding="utf-8")
    (labelled,) = read_table(tmp_path / "calls.csv").files.values()
    assert (labelled.stem, labelled.emotion, labelled.sex) == found


def table_of(folder, header, row):
    path = folder / "calls.csv"
    path.write_text(format_rows(header, [row]), encoding="utf-8")
    return path


@FEW
@given(words)
def test_any_text_is_a_label_or_refused_as_one(tmp_path_factory, word):
    path = table_of(tmp_path_factory.mktemp("words"), ("path", "emotion"), ("x.wav", word))
    plain = word.strip().lower()
    if emotion_of(plain) or re.fullmatch("[a-z][a-z0-9_-]*", plain):
        assert len(read_table(path).files) == 1
        return
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}:2: column emotion: ")
    assert str(caught.value).endswith(NO_WORD)
    # However long the word is, the line is one that a terminal shows.
    assert len(str(caught.value)) < len(str(path)) + 60 * len("\\U0001f600") + 100
    assert "\n" not in str(caught.value)


@FEW
@given(words)
def test_any_text_is_a_sex_or_refused_as_one(tmp_path_factory, word):
    folder = tmp_path_factory.mktemp("sexes")
    path = table_of(folder, ("path", "emotion", "sex"), ("x.wav", "sad", word))
    if word.strip().lower() in SEXES:
        assert len(read_table(path).files) == 1
        return
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}:2: column sex: ")
    assert str(caught.value).endswith(NO_SEX)


@FEW
@given(st.lists(words, max_size=6).filter(lambda row: len(row) != 3 and any(row)))
def test_any_other_number_of_fields_is_counted(tmp_path_factory, row):
    path = table_of(tmp_path_factory.mktemp("fields"), ("path", "emotion", "take"), row)
    with pytest.raises(TableError) as caught:
        read_table(path)
    fault = f"{len(row)} fields instead of 3; quote fields that hold commas"
    assert str(caught.value) == f"{path}:2: {fault}"


# --- CREMA-D's own table --------------------------------------------------------------------


@pytest.mark.parametrize("sex", ["", "M", "Female!", "men", "Males"])
def test_a_broken_list_of_sexes_costs_no_scan_and_is_told(tmp_path, sex):
    write_wav(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav", 1)
    demographics = tmp_path / crema_d.DEMOGRAPHICS
    demographics.write_text(f"ActorID,Sex\n1002,Female\n1001,{sex}\n")
    result = survey([tmp_path / "AudioWAV"])
    # Number 1001 is a man; no half of the broken table is taken.
    assert [clip.sex for clip in result.manifest.clips] == ["male"]
    told = f"{demographics}:3: Sex '{sex}' is not Male or Female; {UPSTREAM}"
    assert f"{told} (the built-in sexes were taken)" in result.summary.notes


def test_a_list_of_sexes_that_is_in_order_is_believed(tmp_path):
    write_wav(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav", 1)
    (tmp_path / crema_d.DEMOGRAPHICS).write_text("ActorID,Sex\n1001, FEMALE\n")
    result = survey([tmp_path / "AudioWAV"])
    assert [clip.sex for clip in result.manifest.clips] == ["female"]
    assert not any("Sex" in note for note in result.summary.notes)


# --- sources that are none ------------------------------------------------------------------


def test_a_manifest_is_not_scanned_but_sent_to_where_it_is_read(tmp_path):
    root = write_tree(tmp_path / "tess", ["OAF_bar_angry.wav"])
    manifest = survey([root]).manifest
    path = tmp_path / "manifest.csv"
    manifest.write(path)
    before = path.read_bytes()
    says = "a manifest, the result of a scan; give it to train or evaluate as --data"
    for sources in ([path], [root, path]):
        with pytest.raises(ScanError) as caught:
            survey(sources)
        assert str(caught.value) == f"{path}: {says}"
    # As --data beside a folder it would have to be scanned, too; alone it is read.
    with pytest.raises(ScanError, match="a manifest, the result of a scan"):
        open_data([root, path])
    assert open_data([path]) == manifest
    assert path.read_bytes() == before


def test_folders_on_two_drives_are_to_be_scanned_one_by_one(tmp_path, monkeypatch):
    one = write_tree(tmp_path / "one", ["OAF_bar_angry.wav"])
    two = write_tree(tmp_path / "two", ["YAF_bar_sad.wav"], first_seed=5)

    def as_on_windows(paths):
        assert list(paths) == [one, two]
        raise ValueError("Paths don't have the same drive")

    with monkeypatch.context() as patched:
        patched.setattr("os.path.commonpath", as_on_windows)
        with pytest.raises(ScanError) as caught:
            survey([one, two])
    fault = "lies on another drive than the other sources; scan drive by drive"
    assert str(caught.value) == f"{one}: {fault}"
    assert len(survey([one, two]).manifest.clips) == 2


# --- manifests ------------------------------------------------------------------------------

NO_ROOT = "does not hold the path of one folder; delete it"


def written(folder):
    path = folder / "manifest.csv"
    Manifest(folder / "corpora", (make_clip(1),)).write(path)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"/one\n/two\n", b"\xff\xfe/\0x\0", b"/x\0y\n", b"/\x1b[31m\n", b"a\tb"]
)
def test_a_root_that_names_no_folder_can_be_deleted(tmp_path, content):
    path = written(tmp_path)
    beside = tmp_path / "manifest.root"
    beside.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        Manifest.read(path)
    assert str(caught.value) == f"{beside}: {NO_ROOT}"
    assert caught.value.line is None
    assert beside.read_bytes() == content
    # A root that is given is believed, and so is none at all.
    assert Manifest.read(path, root=tmp_path / "here").root == tmp_path / "here"
    beside.unlink()
    assert Manifest.read(path).root == tmp_path


def test_a_folder_in_the_place_of_a_root_is_named(tmp_path):
    path = written(tmp_path)
    (tmp_path / "manifest.root").unlink()
    (tmp_path / "manifest.root").mkdir()
    with pytest.raises(ManifestError) as caught:
        Manifest.read(path)
    assert str(caught.value) == f"{tmp_path / 'manifest.root'}: {NO_ROOT}"


@FEW
@given(st.binary(max_size=40))
def test_any_bytes_are_a_root_or_refused_as_one(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("root"))
    beside = path.with_suffix(".root")
    beside.write_bytes(content)
    try:
        root = Manifest.read(path).root
    except ManifestError as fault:
        message, root = str(fault), None
    if root is None:
        assert message == f"{beside}: {NO_ROOT}"
    else:
        assert root == path.parent / content.decode().removesuffix("\n").removesuffix("\r")


@FEW
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=6))
def test_a_clip_stands_in_a_manifest_once_whatever_its_corpus_holds(tmp_path_factory, keys):
    root = tmp_path_factory.mktemp("clips")
    clips = [
        make_clip(number, corpus=corpus, stem=stem, path=f"{number}.wav")
        for number, (corpus, stem) in enumerate(keys)
    ]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if not twice:
        assert len(Manifest(root, tuple(clips)).clips) == len(keys)
        return
    with pytest.raises(ManifestError) as caught:
        Manifest(root, tuple(clips))
    named = " ".join(twice[0])
    assert str(caught.value) == f"{root}: {named} stands twice; keep one row for it"
    assert caught.value.line is None
