"""A voice's file that is none: the file, what is wrong with it, and to enrol the voice anew."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.voice import MOST_CLIPS, Voice, VoiceFileError
from ser_edge_runtime.voices import Voices
from tests.runtime.faults import said

LABELS = ("angry", "neutral", "sad")
ANEW = "enrol the voice anew with: ser-edge enrol"
ROW = np.log(np.full((1, 3), 1 / 3, np.float32))
FIELDS = ("answers", "format", "labels", "model", "name")
NO_TABLE = "answers are no table"
NO_LOGARITHMS = "answers are no logarithms of probabilities"
NOT_ONE = "answers are not logarithms of probabilities that sum to 1"


def voice(name="anna", clips=10):
    return Voice(name, "m", LABELS, np.tile(ROW, (clips, 1)))


def text(**change):
    return json.dumps({**json.loads(voice().to_json()), **change}).encode()


@pytest.fixture
def voices(tmp_path):
    """A folder with the voices of anna and eva."""
    found = Voices(tmp_path)
    for name in ("anna", "eva"):
        found.write(voice(name))
    return found


def of_file(data):
    """What is wrong with a voice's file, by what is said of it."""
    message = said(VoiceFileError, Voice.from_json, data, "anna.voice.json")
    assert message.startswith("anna.voice.json: ")
    assert message.endswith(f"; {ANEW}")
    return message.removeprefix("anna.voice.json: ").removesuffix(f"; {ANEW}")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sound": "anna.wav"}, "other fields than a voice's"),
        ({"": None}, "other fields than a voice's"),
        ({"labels": "angry"}, "labels are no list of names"),
        ({"labels": None}, "labels are no list of names"),
        ({"labels": {"angry": 1}}, "labels are no list of names"),
        ({"labels": ["angry", "neutral", 3]}, "labels are no list of names"),
        ({"labels": ["angry", None, "sad"]}, "labels are no list of names"),
        ({"name": 3}, "name and model are no text"),
        ({"name": ["anna"]}, "name and model are no text"),
        ({"model": None}, "name and model are no text"),
        ({"model": 7.5}, "name and model are no text"),
        ({"model": "\ud800"}, "name and model are no text"),
        ({"labels": []}, "labels are no list of names"),
        ({"labels": ["angry", "\udfff", "sad"]}, "labels are no list of names"),
        ({"labels": ["angry", "sad", "angry"]}, "a label stands twice"),
        ({"answers": None}, NO_TABLE),
        ({"answers": 3}, NO_TABLE),
        ({"answers": "angry"}, NO_TABLE),
        ({"answers": {"angry": -1}}, NO_TABLE),
        ({"answers": [-1.1, -1.1, -1.1]}, NO_TABLE),
        ({"answers": [*ROW.tolist(), "angry"]}, NO_TABLE),
        ({"answers": [[-1.1, -1.1]]}, "answers are no table of the labels"),
        ({"answers": [*ROW.tolist(), []]}, "answers are no table of the labels"),
        ({"labels": ["angry", "sad"]}, "answers are no table of the labels"),
        ({"answers": [["-1", "-1", "-1"]]}, NO_LOGARITHMS),
        ({"answers": [[True, 0, 0]]}, NO_LOGARITHMS),
        ({"answers": [[0.1, -1, -1]]}, NO_LOGARITHMS),
        ({"answers": [[-100.1, 0, -100]]}, NO_LOGARITHMS),
        ({"answers": [[-(10**400), 0, -100]]}, NO_LOGARITHMS),
        ({"answers": [[-1, -1, -1]]}, NOT_ONE),
        ({"answers": [[0, 0, -100]]}, NOT_ONE),
        ({"answers": []}, "0 clips; 1 to 1000 are a voice"),
        ({"answers": ROW.tolist() * 1001}, "1001 clips; 1 to 1000 are a voice"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_field_that_is_no_voices_is_told_of_the_file(change, fault):
    assert of_file(text(**change)) == f"not a voice ({fault})"


@pytest.mark.parametrize("name", FIELDS)
def test_a_voice_without_one_of_its_fields_is_none(name):
    values = json.loads(voice().to_json())
    del values[name]
    found = of_file(json.dumps(values).encode())
    lacking = "not a voice (other fields than a voice's)"
    assert found == ("not a voice" if name == "format" else lacking)


@given(st.data())
def test_a_file_that_is_cut_anywhere_is_no_json(data):
    whole = voice().to_json().encode()
    size = data.draw(st.integers(0, len(whole) - 1))
    assert of_file(whole[:size]) == "not a voice (no JSON)"


def test_a_file_is_text_in_utf_8_in_which_nothing_stands_twice():
    """JSON's reader takes other encodings, too, and the last of two values of a name."""
    whole = voice().to_json()
    for data in (whole.encode("utf-16"), whole.encode("utf-32"), whole.encode("utf-8-sig")):
        assert of_file(data) == "not a voice (no JSON)"
    twice = whole.replace("{", '{"name": "eva", ', 1)
    assert of_file(twice.encode()) == "not a voice (no JSON)"
    assert Voice.from_json(whole.encode(), "anna.voice.json").name == "anna"


# voices that a program makes


SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)


@given(SHAPES.filter(lambda shape: len(shape) != 2 or shape[1] != 3))
def test_answers_of_another_shape_do_not_fit_the_classes(shape):
    message = said(ValueError, Voice, "anna", "m", LABELS, np.zeros(shape, np.float32))
    assert message == f"{shape} answers do not fit 3 classes"


@pytest.mark.parametrize("clips", [1, 2, MOST_CLIPS])
def test_a_voice_may_have_one_clip_to_a_thousand(clips):
    found = Voice.from_json(voice(clips=clips).to_json().encode(), "anna.voice.json")
    assert found.clips == clips == found.heard["angry"]


@pytest.mark.parametrize("clips", [0, MOST_CLIPS + 1])
def test_a_voice_of_no_clip_or_of_too_many_is_none(clips):
    assert said(ValueError, voice, clips=clips) == f"{clips} clips; 1 to 1000 are a voice"


# voices in their folder


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"Dear Sir or Madam", "not a voice (no JSON)"),
        (text(answers=3), "not a voice (answers are no table)"),
        (text(format=2), "written in another format than 1"),
        (b" " * (1 << 20) + b" ", "too large for a voice"),
        (voice("eva").to_json().encode(), "holds the voice eva"),
        (voice("Anna").to_json().encode(), "holds the voice Anna"),
    ],
    ids=["text", "answers", "format", "size", "another", "case"],
)
def test_a_file_in_the_folder_is_named_and_stays_as_it_was(voices, content, fault):
    path = voices.path_of("anna")
    path.write_bytes(content)
    assert said(VoiceFileError, voices.read, "anna") == f"{path}: {fault}; {ANEW}"
    assert path.read_bytes() == content
    # The others are heard as before, and the name is free to be enrolled again.
    assert voices.read("eva").to_json() == voice("eva").to_json()
    assert sorted(entry.name for entry in voices.folder.iterdir()) == [
        "anna.voice.json",
        "eva.voice.json",
    ]
    voices.write(voice("anna", 12))
    assert voices.read("anna").clips == 12
