"""The folder of voices: what is written is read, and what is damaged is named."""

from __future__ import annotations

import os
import stat
import sys

import numpy as np
import pytest

from ser_edge_runtime.voice import Voice, VoiceFileError, VoiceNameError
from ser_edge_runtime.voices import UnknownVoice, UnusableFolder, Voices, default_folder

LABELS = ("angry", "neutral")


def voice(name, clips=10):
    return Voice(name, "m", LABELS, np.log(np.full((clips, 2), 0.5, np.float32)))


@pytest.fixture
def voices(tmp_path):
    return Voices(tmp_path / "some" / "voices")


def test_what_is_written_is_read(voices):
    assert voices.names() == []
    path = voices.write(voice("anna"))
    assert path == voices.path_of("anna")
    assert path.read_text("utf-8") == voice("anna").to_json() + "\n"
    assert "anna" in voices
    assert "eva" not in voices
    assert voices.read("anna").to_json() == voice("anna").to_json()


def test_a_voice_takes_the_place_of_one_of_its_name(voices):
    voices.write(voice("anna"))
    voices.write(voice("anna", 11))
    assert voices.read("anna").clips == 11
    assert [entry.name for entry in voices.folder.iterdir()] == ["anna.voice.json"]


def test_names_are_sorted_and_other_files_are_none(voices):
    for name in ("eva", "anna", "Jose\u0301"):
        voices.write(voice(name))
    (voices.folder / "notes.txt").write_text("")
    assert voices.names() == ["Jos\u00e9", "anna", "eva"]
    assert voices.read("Jos\u00e9").name == voices.read("Jose\u0301").name == "Jos\u00e9"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_folder_is_its_owners_alone(voices):
    voices.write(voice("anna"))
    assert stat.S_IMODE(voices.folder.stat().st_mode) == 0o700


def test_a_voice_that_was_not_enrolled(voices):
    with pytest.raises(UnknownVoice, match=r"no voice eva in this folder \(none is there\)"):
        voices.read("eva")
    voices.write(voice("anna"))
    for ask in (voices.read, voices.remove):
        with pytest.raises(UnknownVoice, match=r"\(there are anna\); enrol it: ser-edge enrol eva"):
            ask("eva")


def test_removed_is_removed_even_damaged(voices):
    path = voices.write(voice("anna"))
    path.write_bytes(b"text")
    assert voices.remove("anna") == path
    assert voices.names() == []


@pytest.mark.parametrize("name", ["../anna", "/anna", "", "a.b"])
def test_no_name_leaves_the_folder(voices, name):
    for ask in (voices.read, voices.remove, voices.__contains__):
        with pytest.raises(VoiceNameError):
            ask(name)


def test_damaged_swapped_and_endless_files_are_named(voices, tmp_path):
    path = voices.write(voice("anna"))
    for content in (b"text", voice("eva").to_json().encode(), b" " * (2 << 20)):
        path.write_bytes(content)
        with pytest.raises(VoiceFileError, match=r"anna\.voice\.json: "):
            voices.read("anna")


def test_folders_that_cannot_be_used(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    voices = Voices(file)
    for ask in (lambda: voices.write(voice("anna")), voices.names, lambda: voices.read("anna")):
        with pytest.raises(UnusableFolder, match="name another folder with --voices"):
            ask()
    (tmp_path / "anna.voice.json").mkdir()
    for ask in (Voices(tmp_path).read, Voices(tmp_path).remove):
        with pytest.raises(UnusableFolder):
            ask("anna")


def test_where_voices_are_kept_if_nobody_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_EDGE_VOICES", os.fspath(tmp_path))
    assert default_folder() == tmp_path == Voices().folder
    monkeypatch.setenv("SER_EDGE_VOICES", "")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path / "data"))
    assert default_folder() == tmp_path / "data" / "ser-edge" / "voices"
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_folder().parts[-4:] == ("Library", "Application Support", "ser-edge", "voices")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", os.fspath(tmp_path / "local"))
    assert default_folder() == tmp_path / "local" / "ser-edge" / "voices"
