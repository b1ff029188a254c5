"""The C array: compiled, read back, and enough for a front end written in C."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge_convert.c_array import identifier, render, write_c_array
from ser_edge_convert.errors import OutputFailed
from ser_edge_convert.packaging import synthetic_clip
from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEnd,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Normaliser,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.metadata import Metadata, TensorInfo
from ser_edge_runtime.model_file import ModelFile, default_model_path, read_model_file

HERE = Path(__file__).resolve().parent
SPEC = FrontEndSpec(
    sample_rate=8000,
    fft_length=256,
    window_length=200,
    hop_length=80,
    features=(
        LogMel(bands=6, top_db=None),
        Mfcc(bands=12, count=5, top_db=None),
        Chroma(),
        Delta(of="mfcc", order=2, width=7),
        Zcr(),
        Rms(),
        SpectralContrast(bands=3),
    ),
    clip_seconds=0.25,
    cut="start",
)
LABELS = ("ruhig", 'so "froh"??/', "geärgert\\")
# No graph: what stands in the array are bytes, whatever they mean.
DATA = bytes(range(256)) * 3 + b"\x00\xff"
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")


def model_file(**change) -> ModelFile:
    count = SPEC.feature_count
    metadata = Metadata(
        format_version=1,
        name="toy */ /* \\",
        labels=LABELS,
        front_end=SPEC,
        normaliser=Normaliser(
            np.linspace(-40, 1 / 3, count, dtype=np.float32),
            np.linspace(1e-7, 30, count, dtype=np.float32),
        ),
        temperature=1.7,
        input=TensorInfo((1, *SPEC.output_shape), "int8", 0.0371, -3),
        output=TensorInfo((1, 3), "int8", 0.125, 7),
        target="micro",
        variant="int8-io",
        flatbuffer_sha256=hashlib.sha256(DATA).hexdigest(),
        provenance={},
        scores={},
        licence="MIT",
        intended_use="tests",
    )
    return ModelFile("toy", DATA, replace(metadata, **change), b"")


def compiler(name: str) -> str:
    found = shutil.which(name)
    if found is None and "CI" not in os.environ:
        pytest.skip(f"{name} is not installed, and nothing else can tell whether it is C")
    assert found, f"{name} is missing"
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, list[list[str]]]:
    """The toy as C, compiled and run: the bytes it wrote, the lines it printed."""
    folder = tmp_path_factory.mktemp("c")
    write_c_array(model_file(), folder / "model.c")
    program, written = folder / "main", folder / "bytes"
    subprocess.run(
        [
            compiler("gcc"), "-std=c11", *STRICT, f"-I{folder}", "-o", program,
            HERE / "c_array_main.c", folder / "model.c", "-lm",
        ],
        check=True,
    )  # fmt: skip
    samples = synthetic_clip(SPEC.sample_rate, SPEC.clip_seconds)
    done = subprocess.run(
        [program, written], input=samples.tobytes(), capture_output=True, check=True
    )
    return written, [line.split(" ") for line in done.stdout.decode().splitlines()]


def values(built, name: str) -> list[list[str]]:
    return [words for first, *words in built[1] if first == name]


def test_the_compiled_bytes_are_the_models_bytes(built):
    assert built[0].read_bytes() == DATA
    assert values(built, "sha256") == [[hashlib.sha256(DATA).hexdigest()]]


def test_the_array_is_aligned(built):
    assert values(built, "aligned") == [["1"]]


def test_the_ends_are_quantised_as_the_metadata_say(built):
    size = int(np.prod(SPEC.output_shape))
    (given,) = values(built, "input")
    assert given[:2] == ["int8", str(size)]
    assert np.float32(given[2]) == np.float32(0.0371)
    assert given[3] == "-3"
    assert values(built, "output") == [["int8", "3", "0.125", "7"]]
    assert np.float32(values(built, "temperature")[0][0]) == np.float32(1.7)


def test_labels_of_any_letters_come_back(built):
    assert [" ".join(words) for words in values(built, "label")] == list(LABELS)


def test_the_normaliser_is_exact_and_stands_by_its_features(built):
    rows = values(built, "feature")
    normaliser = model_file().metadata.normaliser
    assert [row[0] for row in rows] == list(SPEC.names)
    assert np.array_equal(np.array([row[1] for row in rows], np.float32), normaliser.mean)
    assert np.array_equal(np.array([row[2] for row in rows], np.float32), normaliser.scale)


def test_the_constants_are_enough_for_a_front_end_in_c(built):
    samples = synthetic_clip(SPEC.sample_rate, SPEC.clip_seconds)
    expected = FrontEnd(SPEC)(samples)[:, : 6 + 5 + 12]
    found = np.array(values(built, "frame"), np.float32)
    assert found.shape == expected.shape
    assert np.abs(found[:, :6] - expected[:, :6]).max() < 1e-2, "decibels"
    assert np.abs(found[:, 6:11] - expected[:, 6:11]).max() < 1e-2, "cepstra"
    assert np.abs(found[:, 11:] - expected[:, 11:]).max() < 1e-4, "chroma"
    assert np.ptp(expected[:, :6]) > 10, "the clip shows something"


def test_cpp_takes_it_too(tmp_path):
    write_c_array(model_file(), tmp_path / "2-net.v1.cpp")
    done = subprocess.run(
        [compiler("g++"), "-std=c++11", *STRICT, "-fsyntax-only", tmp_path / "2-net.v1.cpp"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "m2_net_v1_data" in (tmp_path / "2-net.v1.h").read_text("ascii")


def test_every_kind_of_feature_is_described():
    header, source = render(model_file(), "model")
    kinds = re.findall(r'#define MODEL_F\d_KIND "(\w+)"', header)
    assert kinds == [feature.kind for feature in SPEC.features]
    assert "#define MODEL_F3_OF 1" in header, "the delta follows the second feature"
    assert "#define MODEL_F3_ORDER 2" in header
    assert "#define MODEL_F3_WIDTH 7" in header
    assert "#define MODEL_F6_BANDS 4" in header
    assert (
        len(re.search(r"model_f6_ranges\[12\] = {\n(.*?)};", source, re.DOTALL)[1].split(",")) == 13
    )
    assert "#define MODEL_CUT 1" in header
    assert "#define MODEL_CENTRED 1" in header


def test_every_declaration_is_defined_once():
    header, source = render(model_file(), "model")
    declared = re.findall(r"^extern (.*);$", header, re.MULTILINE)
    defined = re.findall(r"^(?:SER_EDGE_ALIGNED )?(const .*) = {$", source, re.MULTILINE)
    assert sorted(declared) == sorted(defined)
    assert len(set(declared)) == len(declared) > 10


def test_what_the_front_end_does_not_have_is_zero():
    spec = replace(SPEC, trim_db=None, level=None)
    header, _ = render(model_file(front_end=spec), "model")
    assert "#define MODEL_TRIM_DB 0.0f" in header
    assert "#define MODEL_LEVEL 0.0f" in header
    header, _ = render(model_file(front_end=replace(SPEC, trim_db=40.0, level=0.1)), "model")
    assert "#define MODEL_TRIM_DB 40.0f" in header
    assert "#define MODEL_LEVEL 0.100000001f" in header


def test_the_same_model_gives_the_same_text():
    assert render(model_file(), "model") == render(model_file(), "model")


def test_the_text_is_ascii_and_no_comment_ends_early():
    for text in render(model_file(), "model"):
        assert text.isascii()
        assert "??" not in text
        assert text.count("/*") == text.count("*/")


def test_the_default_model_can_be_written(tmp_path):
    default = read_model_file(default_model_path())
    write_c_array(default, tmp_path / "net.c")
    header = (tmp_path / "net.h").read_text("ascii")
    assert f"#define NET_DATA_SIZE {len(default.flatbuffer)}\n" in header
    assert f"#define NET_LABEL_COUNT {len(default.metadata.labels)}\n" in header
    numbers = re.search(
        r"net_data\[\d+\] = {\n(.*?)};", (tmp_path / "net.c").read_text(), re.DOTALL
    )
    assert bytes(map(int, numbers[1].replace("\n", "").rstrip(", ").split(","))) == (
        default.flatbuffer
    )


@pytest.mark.parametrize("name", ["model.h", "model", "model.tflite", 'a".c', "a\\.c"])
def test_other_names_are_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(OutputFailed) as caught:
        write_c_array(model_file(), tmp_path / name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stem", "name"),
    [("model", "model"), ("2 fast", "m2_fast"), ("_x", "m_x"), ("größe", "gr__e"), ("", "model")],
)
def test_identifiers(stem, name):
    assert identifier(stem) == name
