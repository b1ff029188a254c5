"""``ser-edge enrol``, and --speaker of the commands that take it."""

from __future__ import annotations

import io
import json
import wave

import numpy as np
import pytest

from ser_edge.cli import run
from ser_edge_runtime import Classifier, Voices, load_audio
from ser_edge_runtime.enrolment import FEWEST
from ser_edge_runtime.model_file import default_model_path


def write(path, samples, rate=16000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def talk(clips):
    return np.concatenate([load_audio(clip)[0] for clip in sorted(clips.glob("*.wav"))])


@pytest.fixture(scope="module")
def pieces(talk, tmp_path_factory):
    """As many short recordings as an enrolment needs and three more."""
    folder = tmp_path_factory.mktemp("pieces")
    for number in range(FEWEST + 3):
        piece = talk[number * 12000 : (number + 1) * 12000]
        write(folder / f"{number:02}.wav", piece)
    return folder


@pytest.fixture
def call(capsys, tmp_path, model):
    """Runs a command, and gives its exit code, the rows that it printed, and stderr."""

    def call(command, *words, speaker=True):
        model_words = [] if "--model" in words else ["--model", str(model)]
        folder = ["--voices", str(tmp_path / "voices")] if speaker else []
        code = run([command, *map(str, words), *model_words, *folder, "--json"])
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


@pytest.fixture
def anna(call, pieces):
    code, (row,), err = call("enrol", "anna", pieces)
    assert (code, row["clips"]) == (0, FEWEST + 3), err
    return row


def test_a_voice_is_kept_and_said(anna, pieces, model, tmp_path, capsys):
    voice = Voices(tmp_path / "voices").read("anna")
    classifier = Classifier.load(model)
    expected = [classifier.classify_file(path).scores for path in sorted(pieces.iterdir())]
    assert np.exp(voice.answers) == pytest.approx(
        np.array([list(scores.values()) for scores in expected]), abs=1e-6
    )
    assert anna == {
        "name": "anna",
        "clips": voice.clips,
        "heard": voice.heard,
        "trust": voice.trust,
        "model": voice.model,
        "file": str(tmp_path / "voices" / "anna.voice.json"),
    }
    assert run(["enrol", "--list", "--voices", str(tmp_path / "voices")]) == 0
    best = max(voice.heard, key=lambda label: voice.heard[label])
    line = capsys.readouterr().out
    assert line.startswith(f"anna  {FEWEST + 3} clips  heard as {best} {voice.heard[best]}")
    assert line.count("\n") == 1


def test_a_speakers_recordings_are_classified_with_the_voice(call, anna, clip, model, tmp_path):
    voice = Voices(tmp_path / "voices").read("anna")
    expected = Classifier.load(model).for_speaker(voice).classify_file(clip)
    _, (with_voice,), _ = call("classify", clip, "--speaker", "anna")
    _, (without,), _ = call("classify", clip, speaker=False)
    assert with_voice["scores"] == expected.scores
    assert with_voice["scores"] != without["scores"]


def test_pieces_of_recordings_too(call, anna, clip, model, tmp_path):
    adapted = Classifier.load(model).for_speaker(Voices(tmp_path / "voices").read("anna"))
    samples, rate = load_audio(clip)
    words = ["--speaker", "anna", "--segment", 0.5, "--step", 0.25]
    _, rows, _ = call("classify", clip, *words)
    assert [row["scores"] for row in rows] == [
        result.scores for result in adapted.windows(samples, rate, 0.5, 0.25)
    ]


def test_a_stream_too(call, anna, talk, model, tmp_path, monkeypatch):
    adapted = Classifier.load(model).for_speaker(Voices(tmp_path / "voices").read("anna"))
    samples = talk[:48000]
    raw = (samples * 32768).astype("<i2")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(raw.tobytes()))))
    code, rows, err = call("listen", "-", "--speaker", "anna", "--segment", 1, "--step", 0.5)
    assert code == 0, err
    expected = adapted.windows((raw / 32768).astype(np.float32), 16000, 1.0, 0.5)
    assert [row["scores"] for row in rows] == [result.scores for result in expected]


def test_an_archive_is_of_one_voice(call, anna, clip, model, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    code, _, err = call("classify", clip, "--speaker", "anna", "--list", "/dev/null", "--json")
    assert code == 0, err
    voices = ["--voices", str(tmp_path / "voices")]
    words = ["classify", str(clip), "--model", str(model), "--out", str(out)]
    assert run([*words, "--speaker", "anna", *voices]) == 0
    adapted = Classifier.load(model).for_speaker(Voices(tmp_path / "voices").read("anna"))
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["scores"] == adapted.classify_file(clip).scores
    capsys.readouterr()
    assert run([*words, "--resume"]) == 2
    assert "was begun with voice" in capsys.readouterr().err


def test_clips_are_added(call, anna, talk, tmp_path):
    write(tmp_path / "more.wav", talk[-12000:])
    code, (row,), _ = call("enrol", "anna", tmp_path / "more.wav", "--add")
    assert (code, row["clips"]) == (0, FEWEST + 4)
    # The same once more is no further clip.
    assert call("enrol", "anna", tmp_path / "more.wav", "--add")[1][0]["clips"] == FEWEST + 4


def test_a_voice_is_not_replaced_unasked_and_can_be_removed(call, anna, pieces, capsys, tmp_path):
    code, rows, err = call("enrol", "anna", pieces)
    assert (code, rows) == (2, [])
    assert "anna is enrolled already; add clips with --add, or take it out with --remove" in err
    code, (row,), _ = call("enrol", "anna", "--remove")
    assert (code, row["removed"]) == (0, anna["file"])
    assert run(["enrol", "--list", "--voices", str(tmp_path / "voices")]) == 0
    assert "no voice is enrolled in" in capsys.readouterr().err


def test_too_few_clips_leave_nothing(call, pieces, tmp_path):
    few = sorted(pieces.iterdir())[: FEWEST - 1]
    code, rows, err = call("enrol", "anna", *few)
    assert (code, rows) == (1, [])
    assert err == (
        f"ser-edge: anna: {FEWEST - 1} clips are too few to enrol a voice; give {FEWEST} or more, "
        "in which it sounds different\n"
    )
    assert not (tmp_path / "voices").exists()


def test_a_clip_that_cannot_be_read_is_named_and_the_others_enrolled(call, pieces, tmp_path):
    (tmp_path / "broken.wav").write_text("text")
    code, rows, err = call("enrol", "anna", pieces, tmp_path / "broken.wav", tmp_path / "gone.wav")
    assert code == 1
    assert "broken.wav" in err
    assert "gone.wav" in err
    assert rows[-1]["clips"] == FEWEST + 3


def test_clips_that_sound_alike_are_remarked(call, tmp_path):
    hum = np.sin(np.arange(4000) / 20)
    for number in range(FEWEST):
        write(tmp_path / f"{number}.wav", 0.4 * hum * (1 + number / 1000), 8000)
    code, (row,), err = call("enrol", "anna", *tmp_path.glob("*.wav"))
    assert code == 0
    assert row["trust"] < 1
    assert "the clips of anna sound alike" in err
    assert "add clips in which the voice sounds different" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the voice and recordings of it"),
        (["anna"], "name recordings of anna"),
        (["anna", "-"], "not standard input"),
        (["--list", "anna"], "--list takes no name"),
        (["--list", "--add"], "--list takes no name"),
        (["anna", "clip.wav", "--remove"], "--remove takes the name of a voice alone"),
        (["anna", "--remove", "--add"], "--remove takes the name of a voice alone"),
        (["an/na", "clip.wav"], "is no name of a voice"),
        (["eva", "clip.wav", "--add"], "no voice eva"),
    ],
)
def test_calls_that_make_no_sense(call, words, message):
    code, rows, err = call("enrol", *words)
    assert code == (1 if "eva" in words else 2)
    assert rows == []
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["classify", "listen"])
def test_voices_that_cannot_be_used(call, anna, clip, command, tmp_path, monkeypatch):
    source = clip if command == "classify" else "-"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, rows, err = call(command, source, "--speaker", "eva")
    assert (code, rows) == (1, [])
    assert "no voice eva in this folder (there are anna); enrol it: ser-edge enrol eva" in err
    code, _, err = call(command, source, "--speaker", "anna", "--model", default_model_path())
    assert code == 1
    assert "anna was enrolled with another model" in err
    code, _, err = call(command, source)
    assert code == 2
    assert "--voices needs --speaker" in err
    (tmp_path / "voices" / "anna.voice.json").write_text('{"format": 1, "name": "anna"}')
    code, _, err = call(command, source, "--speaker", "anna")
    assert code == 1
    assert err.count("\n") == 1
    assert "not a voice" in err


def test_another_models_voice_takes_no_clips(call, anna, pieces):
    code, rows, err = call("enrol", "anna", pieces, "--add", "--model", default_model_path())
    assert (code, rows) == (1, [])
    assert "anna was enrolled with another model" in err


def test_a_damaged_voice_is_named_in_the_list(call, anna, tmp_path, capsys):
    (tmp_path / "voices" / "eva.voice.json").write_text("text")
    code = run(["enrol", "--list", "--json", "--voices", str(tmp_path / "voices")])
    out, err = capsys.readouterr()
    assert code == 1
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["anna", "eva"]
    assert "eva.voice.json: not a voice" in err


def test_the_folder_may_come_from_the_environment(call, anna, clip, model, monkeypatch, tmp_path):
    monkeypatch.setenv("SER_EDGE_VOICES", str(tmp_path / "voices"))
    assert call("classify", clip, "--speaker", "anna", speaker=False)[0] == 0
    assert call("classify", clip, speaker=False)[0] == 0
