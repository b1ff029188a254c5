"""Errors are one line, whatever a file is called."""

from __future__ import annotations

import pytest

from ser_edge_runtime.errors import FileError, MissingExtra, SerEdgeError


def test_a_file_error_names_the_file_the_fault_and_the_next_step() -> None:
    error = FileError("clip.wav", "no sound in it", "record it again")
    assert str(error) == "clip.wav: no sound in it; record it again"
    assert (error.path, error.fault, error.hint) == (
        "clip.wav", "no sound in it", "record it again",
    )  # fmt: skip
    assert error.exit_code == 1


@pytest.mark.parametrize("name", ["a\nb.wav", "a\rb", "\x1b[31mred.wav", "tab\t.wav", "\x00"])
def test_control_codes_in_a_name_stay_on_one_line(name: str) -> None:
    message = str(FileError(name, "empty", "remove it"))
    assert message.isprintable()
    assert FileError(name, "empty", "remove it").path == name


@pytest.mark.parametrize("name", ["Ärger.wav", "怒り.wav", "with space.wav"])
def test_names_in_any_script_are_shown_as_they_are(name: str) -> None:
    assert str(FileError(name, "empty", "remove it")).startswith(f"{name}: ")


def test_a_missing_extra_says_the_install_line() -> None:
    error = MissingExtra("training", "train")
    assert isinstance(error, SerEdgeError)
    assert error.exit_code == 2
    assert "pip install 'ser-edge[train]'" in str(error)
