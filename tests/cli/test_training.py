"""The whole line on toy recordings: scan, train, evaluate, convert, classify, as commands."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.event_file import EventFile

ROOT = Path(__file__).resolve().parents[2]
PITCHES = {"angry": 880, "neutral": 440, "sad": 220}
SPEAKERS = ("ada", "ben", "cyd", "dan", "eva")
TAKES = 4
RECIPE = """\
name = "toy"
summary = "Three pitches"
labels = ["angry", "neutral", "sad"]
seed = 5

[protocol]
name = "speaker-folds"
fold = 1

[front_end]
hop_length = 320
clip_seconds = 0.4

[[front_end.features]]
kind = "log_mel"
bands = 12

[network]
name = "cnn1d"
filters = [8]
kernel = 3
pool = 2
dropout = 0.1

[fit]
epochs = 12
batch_size = 12

[fit.optimizer]
name = "adam"
learning_rate = 0.02
"""


def write_tone(path: Path, pitch: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pitch *= 2 ** rng.normal(scale=0.1)
    times = np.arange(6400) / 16000
    samples = 0.4 * np.sin(2 * np.pi * pitch * times) + 0.02 * rng.standard_normal(6400)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    seed = 0
    for label, pitch in PITCHES.items():
        for speaker in SPEAKERS:
            for take in range(TAKES):
                seed += 1
                where = folder / "recordings" / label / speaker / f"{label}-{speaker}-{take}.wav"
                # One in twelve sounds like another label: no network is right on all.
                odd = label == "neutral" and take == 0
                write_tone(where, PITCHES["sad"] if odd else pitch, seed)
    (folder / "toy.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def line(ser_edge, toy):
    """Every command of the line, each in a process of its own, in the order of a first use."""
    done = {}

    def step(name, *words):
        done[name] = ser_edge(*words, cwd=toy, SER_EDGE_STORE=str(toy / "store"))
        assert done[name].returncode == 0, (name, done[name].stderr)

    step("scan", "scan", "recordings", "--out", "manifest.csv")
    step("train", "train", "--recipe", "toy.toml", "--data", "manifest.csv", "--run", "run",
         "--processes", "1", "--tensorboard", "logs")  # fmt: skip
    step("evaluate", "evaluate", "run", "--json")
    step("test", "evaluate", "run", "--part", "test", "--ledger", "scorings.csv",
         "--processes", "1")  # fmt: skip
    step("convert", "convert", "run", "--variant", "int8", "--out", "model.tflite",
         "--max-drop", "0.1", "--name", "three pitches")  # fmt: skip
    step("model", "evaluate", "model.tflite", "--data", "manifest.csv", "--partition",
         "run/partition.csv", "--out", "predictions.csv", "--json", "--processes", "1")  # fmt: skip
    step("info", "info", "model.tflite")
    step("classify", "classify", "recordings", "--model", "model.tflite", "--json")
    step("doctor", "doctor", "--model", "model.tflite")
    return done


def test_scan_counts_and_writes_the_manifest(line, toy):
    assert "60 clips (60 usable)" in line["scan"].stdout
    assert "wrote manifest.csv: 60 clips" in line["scan"].stdout
    with (toy / "manifest.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60
    assert {row["speaker"] for row in rows} == set(SPEAKERS)
    assert {row["emotion"] for row in rows} == set(PITCHES)


def test_train_says_each_epoch_and_fills_the_run_directory(line, toy):
    printed = line["train"].stdout
    assert "epoch 1/12  loss " in printed
    assert "epoch 12/12  loss " in printed
    assert "validation" in printed
    assert line["train"].stderr == ""
    files = {path.name for path in (toy / "run").iterdir()}
    assert {"recipe.toml", "manifest.csv", "partition.csv", "front_end.json", "model.keras",
            "history.csv", "predictions.csv", "report.json", "report.html"} <= files  # fmt: skip


def test_train_logs_every_epoch_for_tensorboard(line, toy):
    for part, tags in (
        ("train", ["learning_rate", "loss", "uar"]),
        ("validation", ["loss", "uar"]),
    ):
        (path,) = (toy / "logs" / part).glob("*tfevents*")
        found = EventFile(path).read()
        assert [row.step for row in found] == list(range(1, 13))
        assert {tag for row in found for tag in row.values} == set(tags)


def test_the_logs_of_two_trainings_do_not_mix(line, ser_edge, one_line, toy):
    words = ["--recipe", "toy.toml", "--data", "manifest.csv", "--run", "second", "--seed", "9"]
    done = ser_edge("train", *words, "--tensorboard", "logs", cwd=toy)
    one_line(done, 1, "logs: holds the log of another training", "name another folder")
    assert not (toy / "second").exists()


def test_the_test_part_was_not_looked_at_before_it_was_asked_for(line):
    assert "\ntest " not in line["train"].stdout.replace("\ntest: ", "")
    parts = [json.loads(row)["part"] for row in line["evaluate"].stdout.splitlines()]
    assert parts == ["validation"]


def test_the_test_part_is_scored_and_entered_in_the_ledger(line, toy):
    assert "test       all" in line["test"].stdout
    with (toy / "scorings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["corpus"] for row in rows} >= {"all"}
    assert {row["recipe"] for row in rows} == {"toy"}
    assert f"{len(rows)} rows added" in line["test"].stdout
    report = json.loads((toy / "run" / "report.json").read_text())
    assert set(report["scores"]) == {"validation", "test"}


def test_scoring_the_same_model_again_adds_nothing(line, ser_edge, toy):
    before = (toy / "scorings.csv").read_bytes()
    again = ser_edge("evaluate", "run", "--part", "test", "--ledger", "scorings.csv", cwd=toy)
    assert again.returncode == 0, again.stderr
    assert "0 rows added" in again.stdout
    assert (toy / "scorings.csv").read_bytes() == before


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_another_network_of_the_recipe_is_refused_before_it_sees_the_test_part(
    line, ser_edge, toy, command
):
    other = f"other-{command}"
    words = ["train", "--recipe", "toy.toml", "--data", "manifest.csv", "--run", other,
             "--epochs", "1", "--processes", "1"]  # fmt: skip
    if command == "train":
        words += ["--score-test", "--ledger", "scorings.csv"]
    trained = ser_edge(*words, cwd=toy, SER_EDGE_STORE=str(toy / "store"))
    if command == "evaluate":
        assert trained.returncode == 0, trained.stderr
        trained = ser_edge("evaluate", other, "--part", "test", "--ledger", "scorings.csv",
                           cwd=toy, SER_EDGE_STORE=str(toy / "store"))  # fmt: skip
    assert trained.returncode == 1
    assert "a test part is scored once" in trained.stderr
    assert trained.stderr.count("\n") == 1
    with (toy / other / "predictions.csv").open() as stream:
        assert {row["part"] for row in csv.DictReader(stream)} == {"validation"}


def test_convert_prints_accuracy_before_and_after_and_keeps_file_and_report(line, toy):
    printed = line["convert"].stdout
    assert "accuracy:" in printed
    assert "before" in printed
    assert "after" in printed
    metadata = read_model_file(toy / "model.tflite").metadata
    assert (metadata.name, metadata.variant) == ("three pitches", "int8")
    assert metadata.labels == ("angry", "neutral", "sad")
    report = json.loads((toy / "model.tflite.report.json").read_text())
    assert report["kept"] is True


def test_the_converted_model_is_scored_on_the_test_speakers_alone(line, toy):
    (row,) = [json.loads(text) for text in line["model"].stdout.splitlines()]
    assert row["part"] == "test"
    assert row["scores"]["overall"]["speakers"] == 1
    assert row["scores"]["overall"]["uar"] > 0.6
    with (toy / "predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == row["scores"]["overall"]["clips"] == 12
    assert line["model"].stderr == ""


def test_info_shows_the_scores_of_the_run(line):
    assert "protocol speaker-folds, fold 1, no speaker in two parts" in line["info"].stdout
    assert "test       all       UAR" in line["info"].stdout
    assert "conversion: UAR" in line["info"].stdout


def test_the_model_classifies_what_it_was_trained_for(line):
    rows = [json.loads(text) for text in line["classify"].stdout.splitlines()]
    right = sum(row["label"] == Path(row["path"]).parts[-3] for row in rows)
    assert len(rows) == 60
    assert right >= 42


def test_doctor_finds_that_the_model_computes_here_what_it_computed_there(line):
    assert "golden vectors hold" in line["doctor"].stdout


def test_above_the_gate_nothing_is_kept_but_the_report(line, toy, one_line):
    # The network is made to look perfect on its validation clips: what the file gets wrong
    # there, as the network does, is then lost by the conversion.
    code = (
        "import numpy as np\n"
        "from dataclasses import replace\n"
        "from ser_edge.cli import main\n"
        "from ser_edge_convert import attempt, conversion\n"
        "from ser_edge_train.run_directory import RunDirectory\n"
        "inputs = conversion.RunInputs.read(RunDirectory.open('run'))\n"
        "perfect = 0.01 * np.eye(3, dtype=np.float32)[inputs.classes(inputs.validation)]\n"
        "run_child = attempt.run_child\n"
        "attempt.run_child = lambda *a, **k: replace(run_child(*a, **k), logits=perfect)\n"
        "main(['convert', 'run', '--variant', 'int8', '--max-drop', '0', '--store', 'store',"
        " '--out', 'strict.tflite'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=toy, capture_output=True, text=True, check=False
    )
    one_line(done, 1, "strict.tflite: not kept", "strict.tflite.report.json")
    assert "accuracy:   100.00 % before" in done.stdout
    assert [path.name for path in toy.glob("strict*")] == ["strict.tflite.report.json"]
    assert json.loads((toy / "strict.tflite.report.json").read_text())["kept"] is False


def test_ctrl_c_keeps_what_was_done_and_resume_ends_like_an_unbroken_run(line, toy):
    words = [sys.executable, "-m", "ser_edge", "train", "--store", "store", "--processes", "1"]
    first = ["--recipe", "toy.toml", "--data", "manifest.csv", "--run", "stopped"]
    child = subprocess.Popen(
        [*words, *first], cwd=toy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert child.stdout is not None
    while "epoch 3/" not in (printed := child.stdout.readline()):
        assert printed, child.communicate()[1]
    child.send_signal(signal.SIGINT)
    _, printed = child.communicate(timeout=120)
    assert child.returncode == 130, printed
    assert printed.count("\n") == 1
    assert "--resume" in printed
    resumed = subprocess.run(
        [*words, "--run", "stopped", "--resume"], cwd=toy, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    for name in ("history.csv", "predictions.csv"):
        # The unbroken run's table holds the test part as well, scored later.
        whole = [
            row for row in (toy / "run" / name).read_text().splitlines() if ",test," not in row
        ]
        assert (toy / "stopped" / name).read_text().splitlines() == whole


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["train", "--run", "new"], 2, "--recipe and --data"),
        (["train", "--run", "run", "--recipe", "toy.toml", "--data", "recordings"], 1, "--resume"),
        (["train", "--run", "new", "--recipe", "none", "--data", "manifest.csv"], 2, "none"),
        (["train", "--run", "new", "--recipe", "toy.toml", "--data", "absent"], 1, "absent"),
        (["train", "--run", "absent", "--resume"], 1, "absent"),
        (["train", "--run", "run", "--resume", "--ledger", "x.csv"], 2, "--score-test"),
        (["evaluate", "absent.tflite", "--data", "manifest.csv"], 1, "absent.tflite"),
        (["evaluate", "model.tflite"], 2, "--data"),
        (["evaluate", "model.tflite", "--data", "manifest.csv", "--part", "test"], 2, "--part"),
        (["evaluate", "model.tflite", "--data", "manifest.csv", "--ledger", "x"], 2, "--ledger"),
        (["evaluate", "model.tflite", "--data", "manifest.csv", "--merge", "x"], 2, "calm=neutral"),
        (["evaluate", "run", "--part", "train"], 2, "validation"),
        (["evaluate", "run", "--out", "x.csv"], 2, "--out"),
        (["evaluate", "run", "--ledger", "x.csv"], 2, "--part test"),
        (["evaluate", "recordings"], 1, "recordings"),
        (["convert", "absent", "--out", "x.tflite"], 1, "absent"),
        (["convert", "recordings", "--out", "x.tflite"], 1, "recordings"),
        (["convert", "run", "--out", "absent/x.tflite"], 2, "absent"),
        (["convert", "run", "--out", "recordings"], 2, "folder"),
        (["convert", "run", "--out", "x.tflite", "--max-drop", "2"], 2, "share"),
        (["convert", "run", "--out", "x.tflite", "--variant", "float32", "--target", "edgetpu"],
         2, "edgetpu"),
        (["scan", "absent"], 1, "absent"),
        (["scan", "store"], 1, "store"),
        (["scan", "recordings", "--out", "absent/m.csv"], 2, "absent"),
        (["recipes", "none"], 2, "none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_what_users_get_wrong_is_one_line(line, ser_edge, one_line, toy, words, code, word):
    one_line(ser_edge(*words, cwd=toy, SER_EDGE_STORE=str(toy / "store")), code, word)
    assert not (toy / "new" / "model.keras").exists()
    assert not (toy / "x.tflite").exists()


def test_a_model_scored_on_its_own_training_data_is_called_worthless(line, ser_edge, toy):
    done = ser_edge("evaluate", "model.tflite", "--data", "manifest.csv", cwd=toy)
    assert done.returncode == 0, done.stderr
    assert "worth nothing" in done.stderr
    other = toy / "other.csv"
    lines = (toy / "run" / "partition.csv").read_text().splitlines(keepends=True)
    other.write_text("".join(lines[:-1]))
    done = ser_edge("evaluate", "model.tflite", "--data", "manifest.csv", "--partition", other,
                    cwd=toy)  # fmt: skip
    assert "not trained with this partition" in done.stderr


def test_a_manifest_with_a_recording_that_is_gone_is_one_line(line, ser_edge, one_line, toy):
    moved = toy / "moved"
    shutil.copytree(toy / "recordings", moved / "recordings")
    done = ser_edge("scan", "recordings", "--out", "manifest.csv", cwd=moved)
    assert done.returncode == 0, done.stderr
    gone = next((moved / "recordings").rglob("*.wav"))
    gone.unlink()
    done = ser_edge("evaluate", toy / "model.tflite", "--data", "manifest.csv", "--processes", "1",
                    cwd=moved)  # fmt: skip
    assert done.returncode == 1
    assert gone.name in done.stderr
    assert "Traceback" not in done.stderr
