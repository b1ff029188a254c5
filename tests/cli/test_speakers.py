"""A speaker embedding on the command line: trained, measured, joined, refused."""

from __future__ import annotations

import json

import pytest

from tests.train.voices import emotion_recipe, speaker_recipe, voices


@pytest.fixture(scope="module")
def line(ser_edge, tmp_path_factory):
    """The commands of recipes/rnn-cremad.toml's comment, each in a process of its own."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "voices").mkdir()
    voices(folder / "voices").write(folder / "manifest.csv")
    (folder / "speakers.toml").write_text(speaker_recipe(fit__epochs=8).to_toml())
    joined = emotion_recipe(folder / "speakers", fit__epochs=1)
    (folder / "emotions.toml").write_text(joined.to_toml())

    plain = joined.model_copy(update={"speaker_embedding": None})
    (folder / "plain.toml").write_text(plain.to_toml())

    def step(*words):
        return ser_edge(*words, cwd=folder, SER_EDGE_STORE=str(folder / "store"))

    done = {
        "train": step("train", "--recipe", "speakers.toml", "--data", "manifest.csv",
                      "--run", "speakers", "--processes", "1"),
        "text": step("speakers", "speakers", "--processes", "1"),
        "json": step("speakers", "speakers", "--json", "--data", "manifest.csv",
                     "--processes", "1"),
        "joined": step("train", "--recipe", "emotions.toml", "--data", "manifest.csv",
                       "--run", "emotions", "--processes", "1"),
        "refused": step("train", "--recipe", "plain.toml", "--data", "manifest.csv",
                        "--run", "leaky", "--fold", "2", "--processes", "1",
                        "--speaker-embedding", "speakers"),
        "wrong": step("speakers", "emotions"),
    }  # fmt: skip
    return folder, done


def test_the_line_runs(line):
    _, done = line
    for name in ("train", "text", "json", "joined"):
        assert done[name].returncode == 0, (name, done[name].stderr)


def test_a_rate_is_printed_with_its_pairs(line):
    text = line[1]["text"].stdout.splitlines()
    assert text[0] == "32 clips of 2 speakers that were never heard"
    # 2 * C(16, 2) pairs of one speaker, 16 * 16 of two.
    assert text[1].startswith("equal-error rate")
    assert text[1].endswith("%  (240 pairs of one speaker, 256 of two)")
    assert text[-1].startswith("  own ")


def test_json_says_the_same(line):
    found = json.loads(line[1]["json"].stdout)
    assert (found["clips"], found["speakers"]) == (32, 2)
    assert found["overall"]["same"] == 240
    assert found["overall"]["different"] == 256
    printed = f"{100 * found['overall']['error_rate']:5.1f} %"
    assert printed in line[1]["text"].stdout
    assert found["corpora"]["own"] == found["overall"]


def test_a_training_says_how_many_it_keeps_from_hearing(line):
    folder, done = line
    assert "of speakers that validate or test" in done["train"].stdout
    assert "LEAKY" not in (folder / "speakers" / "report.html").read_text()
    assert "LEAKY" not in done["train"].stdout


def test_an_embedding_that_has_heard_the_test_is_one_line(line, one_line):
    folder, done = line
    one_line(done["refused"], 1, "speakers: its training has heard", "train it with the protocol")
    assert not (folder / "leaky").exists()


def test_a_run_of_emotions_has_nothing_to_measure(line, one_line):
    one_line(line[1]["wrong"], 1, "emotions: is no speaker embedding")


def test_no_run_is_one_line(ser_edge, tmp_path, one_line):
    one_line(ser_edge("speakers", tmp_path / "gone"), 1, "no such folder")
