"""``ser-edge evaluate`` on a model file: which clips, which labels, what is said of them."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from ser_edge.cli import run
from ser_edge.commands.evaluate import _merges as merges
from ser_edge_runtime import Classifier
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.scan import scan


@pytest.fixture
def recordings(clips, tmp_path):
    """Two speakers say "calm" and "loud", which the small model knows, and "bored", it does not."""
    names = iter(sorted(clips.glob("*.wav")))
    rows = ["path,label,speaker"]
    for label in ("calm", "loud", "bored"):
        for speaker in ("s1", "s2"):
            shutil.copy(next(names), tmp_path / f"{label}-{speaker}.wav")
            rows.append(f"{label}-{speaker}.wav,{label},{speaker}")
    table = tmp_path / "own.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


@pytest.fixture
def evaluate(capsys, model):
    def call(*words):
        code = run(["evaluate", str(model), *map(str, words), "--processes", "1"])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_scores_are_those_of_the_classifier_on_each_clip(evaluate, recordings, model, tmp_path):
    table = tmp_path / "predictions.csv"
    code, out, err = evaluate("--data", recordings, "--out", table, "--json")
    assert code == 0, err
    row = json.loads(out)
    assert row["part"] == "test"
    assert row["scores"]["overall"]["clips"] == 4
    classifier = Classifier.load(model)
    with table.open(encoding="utf-8") as stream:
        for line in csv.DictReader(stream):
            path = tmp_path / f"{line['label']}-{line['speaker']}.wav"
            result = classifier.classify_file(path)
            for name, probability in result.scores.items():
                assert float(line[f"p_{name}"]) == pytest.approx(probability, abs=1e-6)


def test_text_has_a_row_a_corpus_and_a_recall_a_class(evaluate, recordings):
    code, out, _ = evaluate("--data", recordings)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("test       own")
    assert lines[1].startswith("test       all")
    assert "4 clips of 2 speakers" in lines[1]
    assert [line.split()[0] for line in lines[3:]] == ["calm", "loud"]


def test_classes_that_the_model_lacks_are_left_out_and_named(evaluate, recordings):
    _, _, err = evaluate("--data", recordings)
    assert err == "left out: 2 clips of classes that the model does not have (bored)\n"


def test_an_emotion_can_count_as_another_label(evaluate, recordings):
    code, out, err = evaluate("--data", recordings, "--merge", "bored=loud", "--json")
    assert (code, err) == (0, "")
    overall = json.loads(out)["scores"]["overall"]
    assert overall["support"] == {"calm": 2, "loud": 4}


def test_a_partition_says_which_clips_are_scored(evaluate, recordings, tmp_path):
    manifest = scan([recordings])
    manifest.write(tmp_path / "manifest.csv")
    by_speaker = {"s1": "train", "s2": "test"}
    Partition.of(manifest.usable, lambda clip: by_speaker[clip.speaker]).write(
        tmp_path / "partition.csv"
    )
    words = ["--data", tmp_path / "manifest.csv", "--partition", tmp_path / "partition.csv"]
    counts = {}
    for part in ("test", "train"):
        code, out, err = evaluate(*words, "--part", part, "--json")
        assert code == 0, err
        assert "not trained with this partition" in err
        row = json.loads(out)
        assert row["part"] == part
        counts[part] = list(row["scores"]["speakers"])
    assert counts == {"test": ["own/s2"], "train": ["own/s1"]}
    code, _, err = evaluate(*words, "--part", "validation")
    assert code == 1
    assert "no usable clip to score" in err


def test_a_model_without_provenance_does_not_enter_the_ledger(evaluate, recordings, tmp_path):
    manifest = scan([recordings])
    Partition.of(manifest.usable, lambda clip: "test").write(tmp_path / "partition.csv")
    ledger = tmp_path / "scorings.csv"
    code, out, err = evaluate(
        "--data", recordings, "--partition", tmp_path / "partition.csv", "--ledger", ledger
    )
    assert code == 1
    assert "provenance" in err.splitlines()[-1]
    assert out == ""
    assert not ledger.exists()


def test_a_partition_of_other_recordings_is_refused(evaluate, recordings, tmp_path):
    manifest = scan([recordings])
    Partition.of(manifest.usable, lambda clip: "test").write(tmp_path / "partition.csv")
    Manifest(manifest.root, manifest.clips[:2]).write(tmp_path / "fewer.csv")
    code, _, err = evaluate(
        "--data", tmp_path / "fewer.csv", "--partition", tmp_path / "partition.csv"
    )
    assert code == 1
    assert "not in the data" in err


def test_evaluation_of_a_model_file_needs_no_extra(evaluate, recordings, monkeypatch):
    monkeypatch.setattr("ser_edge.extras.find_spec", lambda module: None)
    assert evaluate("--data", recordings)[0] == 0


def test_merges_are_read():
    assert merges(("calm=neutral", "ps=surprise")) == {"calm": "neutral", "ps": "surprise"}
    assert merges(()) == {}


@pytest.mark.parametrize("word", ["calm", "calm=", "=neutral", "="])
def test_merges_that_are_none_are_usage_errors(evaluate, recordings, word):
    code, _, err = evaluate("--data", recordings, "--merge", word)
    assert code == 2
    assert "EMOTION=LABEL" in err
    assert err.count("\n") == 1


def test_what_a_scan_passes_over_is_noted(evaluate, clips, tmp_path):
    for name in ("calm/a", "other/a"):
        (tmp_path / "mixed" / name).mkdir(parents=True)
        shutil.copy(clips / "1001_DFA_ANG_XX.wav", tmp_path / "mixed" / name / "take.wav")
    (tmp_path / "mixed" / "calm" / "a" / "broken.wav").write_text("text")
    code, _, err = evaluate("--data", tmp_path / "mixed")
    assert code == 0, err
    unknown, broken = err.splitlines()
    assert unknown.startswith("left out: 1 recordings of no known layout or label (first: ")
    assert "other/a/take.wav" in unknown
    assert broken.startswith("left out: 1 recordings with a fault (first: ")
    assert "broken.wav" in broken


def test_what_is_neither_a_model_nor_a_run_is_missing(capsys, tmp_path):
    assert run(["evaluate", str(tmp_path / "gone")]) == 1
    words = "gone: no such file or folder; name a model file or a run\n"
    assert capsys.readouterr().err.endswith(words)
    assert run(["convert", "gone", "--out", str(tmp_path / "none" / "x.tflite")]) == 2
    assert "'--out': the folder of" in capsys.readouterr().err
