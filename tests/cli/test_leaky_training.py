"""Protocols that leak and partitions that do, as commands: both figures, refusals, kills."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

PITCHES = {"angry": 880, "neutral": 440, "sad": 220}
SPEAKERS = ("ada", "ben", "cyd", "dan", "eva", "fay")
RECIPE = """\
name = "toy"
labels = ["angry", "neutral", "sad"]
seed = 5

[protocol]
name = "speaker-folds"

[front_end]
hop_length = 320
clip_seconds = 0.4

[[front_end.features]]
kind = "log_mel"
bands = 8

[network]
name = "cnn1d"
filters = [4]

[augmentation.waveform]
copies = 1
noise = { snr_db = [20, 30] }

[fit]
epochs = 3
batch_size = 16
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory, ser_edge):
    """Recordings of six speakers, their manifest, a recipe and a partition that leaks."""
    folder = tmp_path_factory.mktemp("leaky")
    rng = np.random.default_rng(3)
    times = np.arange(6400) / 16000
    for label, pitch in PITCHES.items():
        for speaker in SPEAKERS:
            for take in range(2):
                path = folder / "recordings" / label / speaker / f"{label}-{speaker}-{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                tone = 0.4 * np.sin(2 * np.pi * pitch * times) + 0.02 * rng.standard_normal(6400)
                with wave.open(str(path), "wb") as file:
                    file.setparams((1, 2, 16000, 6400, "NONE", ""))
                    file.writeframes((tone * 32767).astype("<i2").tobytes())
    (folder / "toy.toml").write_text(RECIPE)
    done = ser_edge("scan", "recordings", "--out", "manifest.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    with (folder / "manifest.csv").open(newline="") as stream:
        clips = list(csv.DictReader(stream))
    rows = ["corpus,stem,part"]
    for clip in clips:
        part = "test" if clip["stem"].endswith("-1") else "train"
        part = "validation" if clip["speaker"] == "fay" else part
        rows.append(f"{clip['corpus']},{clip['stem']},{part}")
    (folder / "split.csv").write_text("\n".join(rows))
    return folder


WORDS = ["--recipe", "toy.toml", "--data", "manifest.csv", "--processes", "1", "--store", "store"]
LEAKY = ["--protocol", "augment-then-split", "--score-test", "--ledger", "scorings.csv"]


@pytest.fixture(scope="module")
def leaky(ser_edge, toy):
    done = ser_edge("train", *WORDS, *LEAKY, "--run", "leaky", cwd=toy)
    assert done.returncode == 0, done.stderr
    return done


def report_of(run: Path) -> dict:
    return json.loads((run / "report.json").read_text())


def test_one_command_prints_the_leaky_and_the_clean_figure_side_by_side(leaky, toy):
    lines = leaky.stdout.splitlines()
    report = report_of(toy / "leaky")
    for part in ("validation", "test"):
        one, other = (each["scores"][part]["overall"] for each in (report, report["clean"]))
        assert (
            f"{part:<10} LEAKY UAR {100 * one['uar']:.1f} %, accuracy {100 * one['accuracy']:.1f} "
            f"%; clean (speaker-folds, fold 1) UAR {100 * other['uar']:.1f} %, accuracy "
            f"{100 * other['accuracy']:.1f} %"
        ) in lines
    (warning,) = (line for line in lines if line.startswith("LEAKY, not comparable: "))
    assert "6 speakers in both train and test" in warning
    assert "protocol augment-then-split, fold 1" in warning
    assert "the clean figure: toy with speaker-folds, in leaky/clean" in lines
    assert leaky.stderr == ""


def test_both_scorings_are_in_the_ledger_by_their_protocols(leaky, toy):
    with (toy / "scorings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["protocol"], row["fold"], row["corpus"]) for row in rows] == [
        ("augment-then-split", "1", "recordings"), ("augment-then-split", "1", "all"),
        ("speaker-folds", "1", "recordings"), ("speaker-folds", "1", "all"),
    ]  # fmt: skip
    assert rows[0]["run_digest"] != rows[2]["run_digest"]
    assert "4 rows added" in leaky.stdout


def test_evaluating_the_run_again_adds_nothing_and_shows_both(leaky, ser_edge, toy):
    done = ser_edge("evaluate", "leaky", "--part", "test", "--ledger", "scorings.csv", cwd=toy)
    assert done.returncode == 0, done.stderr
    assert "0 rows added" in done.stdout
    assert "test       LEAKY UAR" in done.stdout
    assert report_of(toy / "leaky")["clean"]["protocol"]["name"] == "speaker-folds"


def test_killed_in_the_clean_fit_the_same_command_goes_on(leaky, toy):
    words = [sys.executable, "-m", "ser_edge", "train", *WORDS, *LEAKY[:3], "--run", "killed"]
    child = subprocess.Popen(words, cwd=toy, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while not child.stdout.readline().startswith("the clean figure"):
        assert child.poll() is None
    while "epoch 1/" not in child.stdout.readline():
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    assert not (toy / "killed" / "clean" / "report.json").exists()
    resumed = subprocess.run(
        [*words, "--resume"], cwd=toy, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert report_of(toy / "killed") == report_of(toy / "leaky")
    for run in ("", "clean/"):
        one, other = ((toy / each / f"{run}model.keras").read_bytes() for each in
                      ("killed", "leaky"))  # fmt: skip
        assert one == other


def test_a_partition_that_leaks_needs_leave(ser_edge, one_line, toy):
    words = ["train", *WORDS, "--partition", "split.csv", "--run", "given"]
    one_line(ser_edge(*words, cwd=toy), 1, "the partition leaks: 5 speakers in both train and test "
             "(first: recordings ada)", "--allow-leaks")  # fmt: skip
    assert not (toy / "given").exists()
    done = ser_edge(*words, "--allow-leaks", "--epochs", "1", cwd=toy)
    assert done.returncode == 0, done.stderr
    assert "LEAKY, not comparable: 5 speakers in both train and test" in done.stdout
    report = report_of(toy / "given")
    assert (report["protocol"]["name"], report["protocol"]["leaky"]) == ("given", True)
    assert "clean" not in report
    # Scoring a run that was trained with leave does not ask for it again.
    done = ser_edge("evaluate", "given", "--part", "test", "--store", "store", "--processes", "1",
                    cwd=toy)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["--partition", "split.csv", "--fold", "2"], 2, "--partition divides by itself"),
        (["--partition", "split.csv", "--protocol", "random"], 2, "--partition divides by itself"),
        (["--partition", "absent.csv"], 1, "absent.csv: no such file"),
        (["--partition", "manifest.csv"], 1, "manifest.csv:1: the first line has no column part"),
        (["--protocol", "by-chance"], 2, "'by-chance' is not one of 'speaker-disjoint'"),
        (["--protocol", "speaker-folds", "--fold", "6"], 1, "there is no fold 6"),
        (["--protocol", "random", "--fold", "6"], 2, "there is no fold 6 of 5"),
        (["--protocol", "speaker-disjoint", "--fold", "2"], 2, "vary the seed"),
        (["--protocol", "leave-one-speaker-out", "--fold", "7"], 1, "have 6 speakers"),
        (["--protocol", "cross-corpus"], 2, "protocol.test_corpora: is missing"),
        (["--protocol", "cross-corpus", "--test-corpus", "tess"], 1, "'tess', which is to be"),
        (["--test-corpus", "tess"], 2, "protocol.test_corpora: no such field"),
        (["--protocol", "sentence-disjoint"], 1, "has no sentence"),
        (["--sex", "female"], 1, "no usable clip of a female speaker"),
        (["--sex", "f"], 2, "'f' is not one of 'mixed', 'female', 'male'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_users_get_wrong_is_one_line(ser_edge, one_line, toy, words, code, word):
    one_line(ser_edge("train", *WORDS, *words, "--run", "new", cwd=toy), code, word)
    assert not (toy / "new").exists()


def test_the_command_knows_every_protocol():
    from ser_edge.options import PROTOCOLS, SEXES
    from ser_edge_train.partitions import PROTOCOLS as TABLE
    from ser_edge_train.recipes.schema import Recipe

    assert tuple(TABLE) == PROTOCOLS
    assert Recipe.model_fields["sex"].annotation.__args__ == SEXES
