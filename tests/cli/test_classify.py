"""``ser-edge classify`` as a whole, in a process of its own."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_edge_runtime import Classifier, load_audio

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def classifier(model):
    return Classifier.load(model)


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_json_is_the_result_of_the_library(ser_edge, classifier, model, clip):
    done = ser_edge("classify", clip, "--json", "--model", model)
    assert (done.returncode, done.stderr) == (0, "")
    result = classifier.classify_file(clip)
    assert rows(done) == [
        {
            "path": str(clip),
            "label": result.label,
            "score": result.score,
            "scores": result.scores,
            "seconds": result.seconds,
        }
    ]
    (row,) = rows(done)
    assert list(row["scores"]) == list(classifier.labels)
    assert sum(row["scores"].values()) == pytest.approx(1)


def test_text_is_aligned_and_names_the_runner_up(ser_edge, classifier, model, clips, labels):
    done = ser_edge("classify", clips, "--model", model)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    for line in lines:
        path, first, second = re.fullmatch(
            r"(\S+\.wav)  (\w+ +\d+\.\d) %  (\w+ +\d+\.\d) %", line
        ).groups()
        scores = classifier.classify_file(path).scores
        best = sorted(scores, key=scores.get, reverse=True)
        assert [first.split()[0], second.split()[0]] == best[:2]
        assert float(first.split()[1]) == pytest.approx(100 * scores[best[0]], abs=0.051)
    assert len({line.index("%") for line in lines}) == 1
    assert "\x1b" not in done.stdout


def test_folders_files_and_stdin_in_the_order_given(ser_edge, model, clips, clip, tmp_path):
    shutil.copy(clip, tmp_path / "b.wav")
    (tmp_path / "a").mkdir()
    shutil.copy(clip, tmp_path / "a" / "z.wav")
    last = clips / "1079_WSI_SAD_XX.wav"
    done = ser_edge(
        "classify", last, "-", tmp_path, "--json", "--model", model, stdin=clip.read_bytes()
    )
    assert done.returncode == 0, done.stderr
    assert [row["path"] for row in rows(done)] == [
        str(last),
        "-",
        str(tmp_path / "b.wav"),
        str(tmp_path / "a" / "z.wav"),
    ]
    _, piped, copy, nested = (row["scores"] for row in rows(done))
    assert piped == copy == nested


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_pipes_wav_of_unknown_length_is_read_to_the_end(ser_edge, model, clip, length):
    data = bytearray(clip.read_bytes())
    start = data.index(b"data")
    data[4:8] = length.to_bytes(4, "little")
    data[start + 4 : start + 8] = length.to_bytes(4, "little")
    known = ser_edge("classify", "-", "--json", "--model", model, stdin=clip.read_bytes())
    unknown = ser_edge("classify", "-", "--json", "--model", model, stdin=bytes(data))
    assert unknown.returncode == 0, unknown.stderr
    assert unknown.stdout == known.stdout


def test_top_shows_that_many_classes(ser_edge, classifier, model, clip, labels):
    scores = classifier.classify_file(clip).scores
    best = sorted(scores, key=scores.get, reverse=True)
    for count in (1, 3, 99):
        done = ser_edge("classify", clip, "--top", count, "--model", model)
        assert re.findall(r"(\w+) +\d+\.\d %", done.stdout) == best[:count]
    (row,) = rows(ser_edge("classify", clip, "--top", 2, "--json", "--model", model))
    assert set(row["scores"]) == set(best[:2])
    assert list(row["scores"]) == [label for label in labels if label in best[:2]]


def test_csv_has_a_column_for_each_class(ser_edge, classifier, model, clip, labels, tmp_path):
    broken = tmp_path / "broken, or not.wav"
    broken.write_bytes(b"")
    done = ser_edge("classify", clip, broken, "--csv", "--model", model)
    good, bad = csv.DictReader(io.StringIO(done.stdout))
    assert list(good) == ["path", "start", "end", "label", "score", "seconds", "error", *labels]
    scores = classifier.classify_file(clip).scores
    assert {label: float(good[label]) for label in labels} == scores
    assert (good["start"], good["end"], good["error"]) == ("", "", "")
    assert bad["path"] == str(broken)
    assert "empty" in bad["error"]
    assert bad["label"] == ""
    assert done.returncode == 1


def test_segments_come_with_their_times(ser_edge, classifier, model, clip):
    done = ser_edge("classify", clip, "--segment", "1", "--step", "0.5", "--json", "--model", model)
    assert done.returncode == 0, done.stderr
    expected = classifier.windows(*load_audio(clip), 1.0, 0.5)
    assert len(expected) >= 3
    assert [(row["start"], row["end"], row["label"], row["scores"]) for row in rows(done)] == [
        (result.start, result.end, result.label, result.scores) for result in expected
    ]
    text = ser_edge("classify", clip, "--segment", "1", "--step", "0.5", "--model", model)
    assert len(text.stdout.splitlines()) == len(expected)
    assert "   0.00 -    1.00 s  " in text.stdout


def test_without_a_step_segments_do_not_overlap(ser_edge, model, clip):
    apart = ser_edge("classify", clip, "--segment", "1", "--json", "--model", model)
    same = ser_edge("classify", clip, "--segment", "1", "--step", "1", "--json", "--model", model)
    assert apart.stdout == same.stdout
    assert rows(apart)[1]["start"] == 1.0


def test_a_bad_file_is_named_the_rest_is_classified_and_the_exit_code_is_1(
    ser_edge, one_line, model, clip, tmp_path
):
    for name in ("a.wav", "c.wav"):
        shutil.copy(clip, tmp_path / name)
    bad = tmp_path / "b.wav"
    bad.write_text("this is text")
    done = ser_edge("classify", tmp_path, "--json", "--model", model)
    one_line(done, 1, str(bad))
    first, fault, last = rows(done)
    assert set(fault) == {"path", "error"}
    assert fault["path"] == str(bad)
    assert fault["error"] in done.stderr
    assert first["label"] == last["label"]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_the_result(ser_edge, model, clip, threads):
    one = ser_edge("classify", clip, "--json", "--model", model)
    done = ser_edge("classify", clip, "--json", "--model", model, "--threads", threads)
    assert done.stdout == one.stdout


def test_the_interpreter_is_chosen_by_option_and_by_variable(ser_edge, one_line, model, clip):
    by_option = ser_edge("classify", clip, "--model", model, "--interpreter", "ai-edge-litert")
    assert by_option.returncode == 0, by_option.stderr
    # tflite-runtime is not installed beside ai-edge-litert here: numpy 2 excludes it.
    for arguments, environment in (
        (["--interpreter", "tflite-runtime"], {}),
        ([], {"SER_EDGE_INTERPRETER": "tflite-runtime"}),
    ):
        done = ser_edge("classify", clip, "--model", model, *arguments, **environment)
        one_line(done, 1, "tflite-runtime")
    wrong = ser_edge("classify", clip, "--model", model, SER_EDGE_INTERPRETER="abacus")
    one_line(wrong, 2, "abacus")


def test_a_delegate_that_is_not_there_is_one_line(ser_edge, one_line, model, clip):
    one_line(ser_edge("classify", clip, "--model", model, "--delegate", "none.so"), 1, "none.so")


@pytest.mark.parametrize(
    "options",
    [
        ["--segment", "0"],
        ["--segment", "-1"],
        ["--segment", "nan"],
        ["--segment", "inf"],
        ["--segment", "long"],
        ["--segment", "1", "--step", "0.0001"],
        ["--step", "1"],
        ["--threads", "0"],
        ["--interpreter", "abacus"],
        ["--json", "--csv"],
        ["-", "-"],
    ],
    ids=" ".join,
)
def test_wrong_options_exit_2(ser_edge, one_line, model, clip, options):
    done = ser_edge("classify", clip, "--model", model, *options)
    one_line(done, 2, "see: ser-edge classify --help")
    assert done.stdout == ""


def test_a_terminal_as_standard_input_is_refused_rather_than_waited_for(one_line):
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    import os

    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "ser_edge", "classify", "-"],
        stdin=theirs, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    one_line(done, 2, "standard input")


def test_the_default_model_is_used_when_none_is_named(ser_edge, clips):
    done = ser_edge("classify", clips, "--json")
    assert done.returncode == 0, done.stderr
    default = Classifier.load()
    assert rows(done)[0]["scores"] == default.classify_file(rows(done)[0]["path"]).scores
    assert len(rows(done)) == 8


def test_python_m_and_the_installed_command_are_the_same(clip, model):
    script = Path(sys.executable).with_name("ser-edge")
    assert script.exists(), "ser-edge is not installed in this environment"
    words = ["classify", str(clip), "--model", str(model)]
    by_script = subprocess.run([script, *words], capture_output=True, check=True)
    by_module = subprocess.run(
        [sys.executable, "-m", "ser_edge", *words], capture_output=True, check=True
    )
    assert by_script.stdout == by_module.stdout
