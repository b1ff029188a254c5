from __future__ import annotations

import os

import pytest

from ser_edge.inputs import NoRecordings, UnreadableFolder, find_recordings


def paths(*arguments):
    return [recording.path for recording in find_recordings(map(str, arguments))]


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folder_gives_its_recordings_at_any_depth_in_the_order_of_names(tmp_path):
    touch(tmp_path, "b.wav", "a/z.FLAC", "a/b/c.opus", "a.mp3", "notes.txt", "c.ogg", "d.aiff")
    expected = ["a.mp3", "b.wav", "c.ogg", "d.aiff", "a/z.FLAC", "a/b/c.opus"]
    assert paths(tmp_path) == [str(tmp_path / name) for name in expected]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, "._a.wav", ".cache/b.wav", "a.wav")
    assert paths(tmp_path) == [str(tmp_path / "a.wav")]


def test_a_file_that_is_named_is_taken_whatever_its_suffix_and_missing_ones_too(tmp_path):
    touch(tmp_path, "sound.dat")
    named = [str(tmp_path / "sound.dat"), str(tmp_path / "missing.wav"), "-"]
    assert paths(*named) == named


def test_a_folder_without_recordings_is_a_fault_that_names_it(tmp_path):
    touch(tmp_path, "notes.txt")
    (found,) = find_recordings([str(tmp_path)])
    assert isinstance(found.fault, NoRecordings)
    assert found.path == str(tmp_path)
    assert ".flac" in str(found.fault)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_folder_is_left_out_since_reading_it_could_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    touch(tmp_path, "a.wav")
    assert paths(tmp_path) == [str(tmp_path / "a.wav")]


def test_links_to_folders_are_not_followed(tmp_path):
    touch(tmp_path, "a.wav")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert paths(tmp_path) == [str(tmp_path / "a.wav")]


def test_a_folder_that_cannot_be_listed_comes_after_the_recordings(tmp_path, monkeypatch):
    touch(tmp_path, "closed/x.wav", "open/a.wav")
    listed = os.scandir

    def scandir(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    good, bad = find_recordings([str(tmp_path)])
    assert good.path == str(tmp_path / "open" / "a.wav")
    assert bad.path == str(tmp_path / "closed")
    assert isinstance(bad.fault, UnreadableFolder)
    assert str(bad.fault).startswith(bad.path)
    assert "Permission denied" in str(bad.fault)
