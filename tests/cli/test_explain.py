"""``ser-edge explain``: the answer's stretch as text, as JSON, as a picture."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def test_it_names_the_stretch(ser_edge, clip):
    done = ser_edge("explain", clip)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    answer = ser_edge("classify", clip).stdout.split()
    assert first == f"{clip}: {answer[1]} {answer[2]} %"
    assert second.startswith("decided by ")
    assert answer[1] in second
    assert done.stderr == ""


def test_the_json_has_start_end_and_drop_of_every_stretch(ser_edge, clip):
    done = ser_edge("explain", clip, "--json", "--step", "0.2", "--stretch", "0.4")
    assert done.returncode == 0, done.stderr
    (values,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert values["path"] == str(clip)
    assert values["score"] == values["scores"][values["label"]]
    assert all(set(one) == {"start", "end", "drop"} for one in values["stretches"])
    assert values["stretches"][0]["end"] - values["stretches"][0]["start"] == pytest.approx(
        0.4, abs=0.02
    )
    low, high = values["heard"]
    assert 0 <= low <= values["deciding"]["start"] < values["deciding"]["end"] <= high
    left = values["without"][values["label"]]
    assert values["score"] - left == pytest.approx(values["deciding"]["drop"])


@pytest.mark.parametrize(
    ("name", "begin"),
    [("why.svg", b"<svg "), ("why.png", b"\x89PNG"), ("WHY.HTML", b"<!doctype html>")],
)
def test_it_writes_a_picture(ser_edge, clip, tmp_path, name, begin):
    done = ser_edge("explain", clip, "--out", tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"wrote {tmp_path / name}"
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_another_model_and_another_emotion(ser_edge, clip, model):
    done = ser_edge("explain", clip, "--model", model, "--label", "calm", "--stretch", "0.05",
                    "--step", "0.02", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == "calm"


def test_without_a_picture_it_needs_no_extra(clip):
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'jinja2', 'tensorflow', 'keras', 'sklearn', 'librosa'):\n"
        "    sys.modules[name] = None\n"
        "from ser_edge.cli import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "explain", str(clip)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "decided by" in done.stdout


def test_a_picture_without_matplotlib_says_what_to_install(clip, tmp_path, one_line):
    code = (
        "import sys, importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'matplotlib' else find(name, *rest)\n"
        "from ser_edge.cli import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    words = ["explain", str(clip), "--out", str(tmp_path / "why.png")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    one_line(done, 2, "pip install 'ser-edge[train]'")
    assert not (tmp_path / "why.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["absent.wav"], 1, "absent.wav"),
        (["{clip}", "--label", "bored"], 2, "has no class 'bored'"),
        (["{clip}", "--out", "why.pdf"], 2, ".svg, .png, .html"),
        (["{clip}", "--out", "absent/why.svg"], 2, "absent"),
        (["{clip}", "--stretch", "0"], 2, "number of seconds"),
        (["{clip}", "--step", "0.0001"], 2, "too short"),
        (["{clip}", "--model", "absent.tflite"], 1, "absent.tflite"),
        ([], 2, "CLIP"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_users_get_wrong_is_one_line(ser_edge, one_line, clip, words, code, part):
    done = ser_edge("explain", *[word.format(clip=clip) for word in words])
    one_line(done, code, part)
    assert done.stdout == ""
