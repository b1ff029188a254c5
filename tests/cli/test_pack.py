"""``ser-edge pack``: a plain graph, and a compiler's output, as whole commands."""

from __future__ import annotations

import json
import shutil

import pytest

from ser_edge_runtime.front_end import FrontEndSpec, LogMel
from ser_edge_runtime.model_file import read_model_file

SPEC = FrontEndSpec(
    sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
    features=(LogMel(bands=4),), clip_seconds=0.19,
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("pack")
    for name in ("toy_float", "toy_int8", "toy_unknown_op"):
        shutil.copy(model.parent / f"{name}.tflite", folder)
    (folder / "front_end.json").write_text(SPEC.to_json())
    (folder / "labels.txt").write_text("calm\nhappy\nsad\n")
    return folder


@pytest.fixture(scope="module")
def packed(ser_edge, place):
    done = ser_edge(
        "pack", "toy_float.tflite", "--front-end", "front_end.json", "--labels", "labels.txt",
        "--temperature", "2", "--out", "model.tflite", cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_a_packed_model_classifies(packed, ser_edge, place, clip):
    assert packed.stdout.startswith("wrote model.tflite: float32, ")
    assert packed.stderr == ""
    metadata = read_model_file(place / "model.tflite").metadata
    assert (metadata.labels, metadata.temperature) == (("calm", "happy", "sad"), 2.0)
    done = ser_edge("classify", "--json", "--model", place / "model.tflite", clip)
    assert json.loads(done.stdout)["label"] in metadata.labels


def test_a_compilers_output_is_packed_like_its_model(packed, ser_edge, place):
    done = ser_edge(
        "pack", "toy_float.tflite", "--like", "model.tflite", "--target", "edgetpu",
        "--out", "coral.tflite", "--json", cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["golden"] == "held"
    assert read_model_file(place / "coral.tflite").metadata.target == "edgetpu"


def test_an_operator_unknown_here_is_noted(packed, ser_edge, place, one_line):
    done = ser_edge("pack", "toy_unknown_op.tflite", "--like", "model.tflite", "--out",
                    "npu.tflite", cwd=place)  # fmt: skip
    one_line(done, 0, "golden vectors not checked, the graph does not run here")
    assert "wrote npu.tflite" in done.stdout
    assert read_model_file(place / "npu.tflite").metadata.labels == ("calm", "happy", "sad")


DESCRIBED = ("--front-end", "front_end.json", "--labels", "labels.txt")


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["toy_float.tflite"], 2, "--front-end"),
        (["toy_float.tflite", "--front-end", "front_end.json"], 2, "--labels"),
        (["toy_float.tflite", "--like", "model.tflite", "--name", "x"], 2, "exclude"),
        (["absent.tflite", *DESCRIBED], 1, "absent.tflite"),
        (["labels.txt", *DESCRIBED], 1, "no whole TensorFlow Lite model"),
        (["model.tflite", *DESCRIBED], 1, "model file already"),
        (
            ["toy_float.tflite", "--front-end", "labels.txt", "--labels", "labels.txt"],
            1,
            "not JSON",
        ),
        (["toy_int8.tflite", "--like", "model.tflite"], 1, "its input is int8"),
        (["toy_float.tflite", "--like", "toy_float.tflite"], 1, "ser-edge pack"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    packed, ser_edge, place, one_line, words, code, word
):
    done = ser_edge("pack", *words, "--out", "never.tflite", cwd=place)
    one_line(done, code, word)
    assert not (place / "never.tflite").exists()
