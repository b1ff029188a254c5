"""What becomes of a child process that fails, crashes or lies; none of these loads TensorFlow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_edge_convert.child import Desk, Job, child_environment, run_child
from ser_edge_convert.errors import BadNetwork, ConversionCrashed, ConversionFailed
from ser_edge_runtime.errors import MissingExtra

TOY = Path(__file__).resolve().parents[1] / "data" / "toy_int8.tflite"
WORK = f"""
TOY = {str(TOY)!r}
import json, pathlib, sys
import numpy as np
folder = pathlib.Path(sys.argv[-1])
job = json.loads((folder / "job.json").read_text())
(folder / "network.tflite").write_bytes(pathlib.Path(TOY).read_bytes())
np.save(folder / "logits.npy", np.ones((3, 2), np.float32))
"""
FINISH = '(folder / "facts.json").write_text(json.dumps({"parameters": 7}))'


def python(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(lines)]


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk")


def job(variant: str = "int8") -> Job:
    return Job("run/model.keras", variant, "fused", variant.startswith("int"))


def test_what_the_child_made_is_read(desk, tmp_path):
    log = tmp_path / "out.log"
    export = run_child(desk, job(), log, command=python(WORK, FINISH))
    assert export.flatbuffer == TOY.read_bytes()
    assert export.facts == {"parameters": 7}
    np.testing.assert_array_equal(export.logits, np.ones((3, 2)))
    assert not log.exists()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"])
def test_a_crash_is_one_line_with_the_signal_and_the_next_step(desk, tmp_path, name):
    log = tmp_path / "out.log"
    crash = f"import os, signal; print('before', flush=True); os.kill(os.getpid(), signal.{name})"
    with pytest.raises(ConversionCrashed) as caught:
        run_child(desk, job(), log, command=python(WORK, crash))
    text = str(caught.value)
    assert caught.value.signal_name == name
    assert caught.value.exit_code == 1
    assert "\n" not in text
    assert name in text
    assert "int8" in text
    assert "run/model.keras" in text
    assert "try --variant dynamic" in text
    assert ("out of memory" in text) == (name == "SIGKILL")
    assert str(log) in text
    assert log.read_bytes().startswith(b"before")


def test_a_real_segmentation_fault_is_caught(desk, tmp_path):
    read_nowhere = "import ctypes; ctypes.string_at(0)"
    with pytest.raises(ConversionCrashed, match="SIGSEGV"):
        run_child(desk, job(), tmp_path / "out.log", command=python(read_nowhere))


def test_a_crash_after_everything_was_written_still_counts(desk, tmp_path):
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(ConversionCrashed):
        run_child(desk, job(), tmp_path / "out.log", command=python(WORK, FINISH, crash))


@pytest.mark.parametrize(
    ("variant", "step"),
    [("int8", "--variant dynamic"), ("dynamic", "--variant float32"), ("float32", "read the log")],
)
def test_the_next_step_is_another_variant(desk, tmp_path, variant, step):
    with pytest.raises(ConversionFailed, match=step):
        run_child(desk, job(variant), tmp_path / "out.log", command=python("raise SystemExit(9)"))


def test_a_child_that_ends_well_but_says_nothing_failed(desk, tmp_path):
    with pytest.raises(ConversionFailed, match="exit code 0 and no result"):
        run_child(desk, job(), tmp_path / "out.log", command=python(WORK))


def failing(line: str, unfit: bool) -> list[str]:
    said = json.dumps(json.dumps({"line": line, "unfit": unfit}))
    return python(WORK, f'(folder / "failure.json").write_text({said})', "sys.exit(3)")


def test_a_fault_of_the_network_is_the_networks(desk, tmp_path):
    log = tmp_path / "out.log"
    with pytest.raises(BadNetwork, match=r"run/model\.keras: it ends in a softmax"):
        run_child(desk, job(), log, command=failing("it ends in a softmax", True))
    assert not log.exists(), "nothing in the log would help"


def test_a_fault_of_the_converter_names_variant_and_log(desk, tmp_path):
    log = tmp_path / "out.log"
    with pytest.raises(ConversionFailed) as caught:
        run_child(desk, job(), log, command=failing("ValueError: no such op", False))
    assert "cannot be converted to int8: ValueError: no such op" in str(caught.value)
    assert str(log) in str(caught.value)
    assert log.exists()


def test_no_tensorflow_says_the_install_line(desk, tmp_path):
    log = tmp_path / "out.log"
    command = python("raise ModuleNotFoundError(\"No module named 'tensorflow'\")")
    with pytest.raises(MissingExtra, match=r"pip install 'ser-edge\[convert\]'"):
        run_child(desk, job(), log, command=command)
    assert not log.exists()


def test_the_child_sees_what_makes_bytes_repeat(desk, tmp_path):
    show = "import os; print(sorted(os.environ.items())); raise SystemExit(1)"
    log = tmp_path / "out.log"
    with pytest.raises(ConversionFailed):
        run_child(desk, job(), log, command=python(show))
    text = log.read_text()
    for name, value in (("PYTHONHASHSEED", "0"), ("CUDA_VISIBLE_DEVICES", "-1")):
        assert f"('{name}', '{value}')" in text


def test_a_job_survives_the_way_over_the_desk(desk):
    desk.write_job(job("float16"))
    assert desk.read_job() == job("float16")


def test_the_parent_loads_no_tensorflow():
    code = (
        "import sys, ser_edge_convert.conversion\n"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


def test_a_child_computes_with_one_kind_of_kernels_whatever_is_asked(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    environment = child_environment()
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
