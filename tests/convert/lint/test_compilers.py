"""The targets' compilers: the real vela where it is installed, and stand-ins that print."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import pytest

from ser_edge_convert.lint import Status, lint
from ser_edge_convert.lint.compilers import compile_for
from ser_edge_runtime.model_file import default_model_path, read_model_file

DATA = Path(__file__).resolve().parents[2] / "data"
# In int8, so that every target has a say.
SHIPPED = default_model_path().with_name("small.tflite")
SMALL = read_model_file(SHIPPED).flatbuffer
BESIDE = str(Path(sys.executable).parent)
POSIX = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")

EDGETPU = """Edge TPU Compiler version 16.0.384591198
Model compiled successfully in 25 ms.
Number of Edge TPU subgraphs: 1
Total number of operations: 11
Operation log: model_edgetpu.log
Model successfully compiled but not all operations are supported by the Edge TPU.
Number of operations that will run on Edge TPU: 9
Number of operations that will run on CPU: 2

Operator                       Count      Status
QUANTIZE                       1          Operation is otherwise supported, but not mapped
CONV_2D                        4          Mapped to Edge TPU
DEQUANTIZE                     1          Operation is working on an unsupported data type
"""


def stand_in(folder: Path, name: str, output: str, code: int = 0) -> None:
    (folder / "said").write_text(output)
    script = folder / name
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/asked\ncat {folder}/said\nexit {code}\n'
    )
    script.chmod(0o755)


def test_targets_without_a_compiler_have_none():
    for target in ("cpu", "web", "gpu"):
        assert compile_for(SMALL, target) is None


def test_a_compiler_that_is_not_there_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert compile_for(SMALL, "ethos-u") is None
    assert compile_for(SMALL, "edgetpu") is None


@pytest.mark.skipif(
    shutil.which("vela", path=BESIDE) is None
    and not ("CI" in os.environ and platform.machine() == "x86_64"),
    reason="vela is not installed: pip install 'ser-edge[vela]'",
)
@pytest.mark.parametrize("flatbuffer", [SMALL, (DATA / "toy_int8.tflite").read_bytes()])
def test_vela_maps_what_the_table_says(flatbuffer):
    made = compile_for(flatbuffer, "ethos-u")
    assert made is not None
    assert made.accepted, made.message
    assert made.compiler.startswith("vela 5.")
    assert made.summary["accelerator"] == "ethos-u55-128"
    assert made.summary["sram_kib"] > 0
    assert made.summary["estimated_ms"] > 0
    report = lint(flatbuffer, "ethos-u")
    left = [f for f in report.findings if f.status is not Status.MAPPED]
    assert sorted((f.operator, f.output) for f in left) == sorted(u[:2] for u in made.unmapped)
    assert made.summary["operators_on_cpu"] == len(left)


@pytest.mark.skipif(shutil.which("vela", path=BESIDE) is None, reason="vela is not installed")
def test_vela_refuses_what_the_table_refuses():
    flatbuffer = (DATA / "toy_float.tflite").read_bytes()
    made = compile_for(flatbuffer, "ethos-u", accelerator="ethos-u65-256")
    assert made is not None
    assert not made.accepted
    assert made.message
    assert "\n" not in made.message
    assert not lint(flatbuffer, "ethos-u").runs


@POSIX
def test_edgetpu_compilers_words_are_read(monkeypatch, tmp_path):
    stand_in(tmp_path, "edgetpu_compiler", EDGETPU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = compile_for(SMALL, "edgetpu")
    assert made is not None
    assert made.compiler == "edgetpu_compiler 16.0.384591198"
    assert made.accepted
    assert made.summary == {"operators_on_tpu": 9, "operators_on_cpu": 2}
    assert [row[0] for row in made.unmapped] == ["QUANTIZE", "DEQUANTIZE"]
    assert made.unmapped[1][2] == "Operation is working on an unsupported data type (1)"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:2] == ["-s", "-o"]
    assert not Path(asked[3]).exists(), "nothing is left behind"


@POSIX
def test_edgetpu_compilers_refusal_is_its_last_words(monkeypatch, tmp_path):
    words = "Edge TPU Compiler version 16.0\n\nInvalid model: model.tflite\nModel not quantized\n"
    stand_in(tmp_path, "edgetpu_compiler", words, code=1)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = compile_for((DATA / "toy_float.tflite").read_bytes(), "edgetpu")
    assert made is not None
    assert not made.accepted
    assert made.message.endswith("Invalid model: model.tflite | Model not quantized")


@POSIX
def test_a_compiler_that_says_nothing_is_named_by_its_exit_code(monkeypatch, tmp_path):
    stand_in(tmp_path, "edgetpu_compiler", "", code=3)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = compile_for(SMALL, "edgetpu")
    assert made is not None
    assert (made.accepted, made.message) == (False, "ended with exit code 3")


@pytest.fixture
def micro(monkeypatch, tmp_path):
    """Installs a package that has tflite-micro's interface, with a body of the test's choice."""

    def install(body: str):
        package = tmp_path / "tflite_micro"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "runtime.py").write_text(
            "class Interpreter:\n"
            "    @classmethod\n"
            "    def from_bytes(cls, data, arena_size):\n"
            f"        assert data[4:8] == b'TFL3'\n        {body}\n        return cls()\n"
            "    def get_input_details(self, index): return {'shape': [1, 4], 'dtype': 'int8'}\n"
            "    def set_input(self, value, index): assert value.shape == (1, 4)\n"
            "    def invoke(self): print('[Micro] warming up')\n"
            "    def print_allocations(self): print('Arena allocation total 19840 bytes')\n"
        )
        facts = tmp_path / "tflite_micro-0.7.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-micro\nVersion: 0.7\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return install


def test_tflite_micro_runs_the_file_and_tells_its_arena(micro):
    micro("pass")
    made = compile_for(SMALL, "micro")
    assert made is not None
    assert (made.compiler, made.accepted) == ("tflite-micro 0.7", True)
    assert made.summary == {"arena_bytes": 19840}


def test_tflite_micros_refusal_is_told(micro):
    micro("raise RuntimeError('TFLM failed to allocate tensors')")
    made = compile_for(SMALL, "micro")
    assert made is not None
    assert not made.accepted
    assert made.message.endswith("TFLM failed to allocate tensors")


def test_tflite_micro_ending_the_process_is_a_refusal(micro):
    micro("import os; os.abort()")
    made = compile_for(SMALL, "micro")
    assert made is not None
    assert not made.accepted
    assert made.message


def test_a_library_that_cannot_be_imported_counts_as_none(micro):
    micro("pass")
    __import__("importlib").invalidate_caches()
    (Path(os.environ["PYTHONPATH"]) / "tflite_micro" / "runtime.py").write_text("import nothing_")
    assert compile_for(SMALL, "micro") is None
