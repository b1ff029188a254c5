"""What the whole-command tests share: the command in a process of its own, and recordings."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from ser_edge_runtime.model_file import read_model_file

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def ser_edge() -> Command:
    """Runs ``python -m ser_edge ARGUMENTS`` in a child process and returns what it printed."""

    def run(
        *arguments: object,
        stdin: bytes = b"",
        cwd: Path = ROOT,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if k != "SER_EDGE_INTERPRETER"}
        done = subprocess.run(
            [sys.executable, "-m", "ser_edge", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=inherited | environment,
            timeout=300,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run


@pytest.fixture(scope="session")
def clips() -> Path:
    """The example recordings."""
    return ROOT / "examples" / "clips"


@pytest.fixture(scope="session")
def clip(clips: Path) -> Path:
    return clips / "1001_DFA_ANG_XX.wav"


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command ended with ``code`` and a single line on stderr that holds ``words``."""
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture(scope="session")
def one_line() -> Callable[..., None]:
    return assert_one_line


@pytest.fixture(scope="session")
def write_wav() -> Callable[..., Path]:
    """Writes 16-bit PCM of ``frames`` samples."""

    def write(path: Path, frames: int = 16000, rate: int = 16000) -> Path:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(bytes(2 * frames))
        return path

    return write


@pytest.fixture(scope="session")
def model() -> Path:
    """A small model of this format, for tests that are not about the default model."""
    return ROOT / "tests" / "data" / "format_v1.tflite"


@pytest.fixture(scope="session")
def labels(model: Path) -> tuple[str, ...]:
    return read_model_file(model).metadata.labels
