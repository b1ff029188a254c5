"""Files are whole or as they were, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.blas_threads import THREAD_VARIABLES, one_blas_thread
from ser_edge_runtime.files import write_atomically, write_text_atomically
from ser_edge_runtime.user_folders import user_folder
from ser_edge_runtime.wording import counted

LINES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def disk_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("old", [None, b"", b"as it was", b"longer than what follows" * 99])
@pytest.mark.parametrize("new", [b"", b"\0", b"as it is\r\n", bytes(range(256)) * 99])
def test_a_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path, old, new):
    path = tmp_path / "report.json"
    if old is not None:
        path.write_bytes(old)
    write_atomically(path, new)
    assert path.read_bytes() == new
    assert names(tmp_path) == ["report.json"]


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "n" * 231, "n" * 230])
def test_a_name_may_be_as_long_as_the_system_lets_it(tmp_path, name):
    write_atomically(tmp_path / name, b"1")
    assert names(tmp_path) == [name]


def test_long_names_that_begin_alike_do_not_meet(tmp_path, monkeypatch):
    beside = []
    monkeypatch.setattr(Path, "replace", lambda self, target: beside.append(self.name))
    for end in "ab":
        write_atomically(tmp_path / ("n" * 250 + end), b"")
    assert len(set(beside)) == 2


def test_a_path_may_be_text_and_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("here.bin", b"1")
    write_atomically(os.path.join(".", "here.bin"), b"2")  # noqa: PTH118 - a text is meant
    assert Path("here.bin").read_bytes() == b"2"


@settings(max_examples=20)  # each waits for the disk
@given(LINES)
def test_text_is_utf_8_and_no_line_end_is_changed(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "t"
    write_text_atomically(path, text)
    assert path.read_bytes() == text.encode("utf-8")


def test_text_that_is_no_unicode_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "t"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(path, "a lone surrogate \ud800")
    assert path.read_text() == "before"
    assert names(tmp_path) == ["t"]


@pytest.mark.parametrize("old", [None, b"as it was"])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch, step, old):
    path = tmp_path / "model.tflite"
    if old is not None:
        path.write_bytes(old)
    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), disk_full)
    with pytest.raises(OSError, match=r"[Nn]o space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert names(tmp_path) == ([] if old is None else ["model.tflite"])
    assert old is None or path.read_bytes() == old


def test_an_interrupt_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "t"
    path.write_text("before")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"after")
    monkeypatch.undo()
    assert (path.read_text(), names(tmp_path)) == ("before", ["t"])


def test_the_disk_has_all_of_it_before_the_name_is_given(tmp_path, monkeypatch):
    """A rename that outruns its data is an empty file after a power cut."""
    path, seen = tmp_path / "t", []
    path.write_bytes(b"old")
    fsync, replace = os.fsync, Path.replace

    def synced(number: int) -> None:
        seen.append(("fsync", os.fstat(number).st_size, path.read_bytes()))
        fsync(number)

    def renamed(self: Path, target: Path) -> Path:
        seen.append(("replace", self.stat().st_size, path.read_bytes()))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_atomically(path, b"x" * 100_000)
    assert seen == [("fsync", 100_000, b"old"), ("replace", 100_000, b"old")]


def test_what_is_beside_lies_in_the_same_folder_hidden(tmp_path, monkeypatch):
    """A rename from another disk would copy; and no glob of ours takes the part for a file."""
    beside = []
    monkeypatch.setattr(Path, "replace", lambda self, target: beside.append(self))
    write_atomically(tmp_path / "clip.wav", b"")
    assert beside[0].parent == tmp_path
    assert beside[0].name.startswith(".")
    assert beside[0].suffix == ".part"


@pytest.mark.parametrize("place", ["none/file", "file/below"])
def test_a_folder_that_is_none_is_the_systems_error(tmp_path, place):
    (tmp_path / "file").write_text("kept")
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        write_atomically(tmp_path / place, b"")
    assert names(tmp_path) == ["file"]


def test_a_folder_in_the_files_place_stays(tmp_path):
    (tmp_path / "t" / "within").mkdir(parents=True)
    with pytest.raises(OSError):
        write_atomically(tmp_path / "t", b"")
    assert names(tmp_path) == ["t"]
    assert names(tmp_path / "t") == ["within"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "t", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o640


def test_readers_see_one_whole_content_or_another(tmp_path):
    path, ended, odd = tmp_path / "t", threading.Event(), []
    contents = {bytes([letter]) * 40_000 for letter in b"ab"}
    write_atomically(path, min(contents))

    def read() -> None:
        while not ended.is_set():
            found = path.read_bytes()
            if found not in contents:
                odd.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        for content in sorted(contents):
            write_atomically(path, content)
    ended.set()
    reader.join()
    assert odd == []


# where a user's own files lie


@pytest.mark.parametrize(
    ("system", "kind", "variable", "below"),
    [
        ("linux", "data", "XDG_DATA_HOME", ".local/share"),
        ("linux", "cache", "XDG_CACHE_HOME", ".cache"),
        ("win32", "data", "LOCALAPPDATA", "AppData/Local"),
        ("win32", "cache", "LOCALAPPDATA", "AppData/Local"),
        ("darwin", "data", None, "Library/Application Support"),
        ("darwin", "cache", None, "Library/Caches"),
    ],
)
def test_the_users_folder_of_each_system(tmp_path, monkeypatch, system, kind, variable, below):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert user_folder(kind) == tmp_path / below / "ser-edge"
    if variable:
        # Set but empty counts as not set (XDG Base Directory Specification).
        monkeypatch.setenv(variable, "")
        assert user_folder(kind) == tmp_path / below / "ser-edge"
        monkeypatch.setenv(variable, str(tmp_path / "mine"))
        assert user_folder(kind) == tmp_path / "mine" / "ser-edge"
    assert names(tmp_path) == []


# threads of a BLAS


@pytest.mark.parametrize("before", [None, "", "7"])
def test_one_thread_while_it_lasts_and_the_environment_as_it_was_then(monkeypatch, before):
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(THREAD_VARIABLES[1], before)
    environment = dict(os.environ)
    with one_blas_thread():
        assert [os.environ[name] for name in THREAD_VARIABLES] == ["1"] * len(THREAD_VARIABLES)
    assert dict(os.environ) == environment
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert dict(os.environ) == environment


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips"), (-1, "-1 clips")]
)
def test_a_noun_agrees_with_its_number(number, words):
    assert counted(number, "clip") == words
    assert counted(number, "entry", "entries").endswith("entry" if number == 1 else "entries")
