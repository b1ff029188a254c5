from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser_edge_runtime import chatter
from ser_edge_runtime.chatter import without_chatter

from .machines import XNNPACK_BUILT_IN

DATA = Path(__file__).resolve().parent.parent / "data"


def test_informational_lines_are_taken_out_and_the_rest_comes_through(capfd):
    with without_chatter():
        os.write(2, b"INFO: Created something.\nERROR: it broke\n")
        os.write(2, b"INFO: more\nno newline")
    assert capfd.readouterr().err == "ERROR: it broke\nno newline"


def test_it_comes_through_when_the_block_raises(capfd):
    def fail():
        with without_chatter():
            os.write(2, b"INFO: a\nWARNING: b\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capfd.readouterr().err == "WARNING: b\n"


def test_afterwards_standard_error_is_what_it_was(capfd):
    with without_chatter():
        pass
    os.write(2, b"INFO: mine\n")
    assert capfd.readouterr().err == "INFO: mine\n"


def test_more_than_a_pipe_holds_comes_through(capfd):
    line = b"x" * 99 + b"\n"
    with without_chatter():
        for _ in range(3000):
            os.write(2, line)
    assert len(capfd.readouterr().err) == 300_000


def test_systems_without_memory_files_use_a_temporary_one(capfd, monkeypatch):
    monkeypatch.delattr(chatter.os, "memfd_create", raising=False)
    with without_chatter():
        os.write(2, b"INFO: a\nb\n")
    assert capfd.readouterr().err == "b\n"


def test_no_descriptor_is_left_open():
    with without_chatter():
        pass
    before = os.dup(2)
    os.close(before)
    for _ in range(10):
        with without_chatter():
            pass
    after = os.dup(2)
    os.close(after)
    assert after == before


def run(script):
    return subprocess.run(
        [sys.executable, "-c", script, str(DATA / "toy_float.tflite")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


LOAD = """
import sys
from pathlib import Path
from ser_edge_runtime.interpreter import Interpreter
print(Interpreter(Path(sys.argv[1]).read_bytes()).backend)
"""


def test_loading_a_model_prints_nothing_of_its_own():
    done = run(LOAD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_the_same_without_it_prints_something():
    """If this fails, the interpreter has learnt manners and the module may go."""
    done = run(
        "from contextlib import nullcontext\n"
        "import ser_edge_runtime.interpreter as module\n"
        "module.without_chatter = nullcontext\n" + LOAD
    )
    assert done.returncode == 0, done.stderr
    # What speaks is XNNPACK.
    assert done.stderr.startswith("INFO: ") is XNNPACK_BUILT_IN


def test_a_process_without_standard_error_loads_models_too():
    done = run("import os\nos.close(2)\n" + LOAD)
    assert done.returncode == 0
    assert done.stdout.strip()
