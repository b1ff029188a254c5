"""An ssh and an adb that lead to folders of this machine, and models to flash."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from ser_edge.cli import run
from ser_edge.devices import wheels
from tests.cli.conftest import one_line, ser_edge
from tests.runtime.slots.models import broken_model, model

from .fake_wheels import FakePip, shelf

__all__ = ["one_line", "ser_edge"]

# What they are given is written down; then the last word runs in a shell, as sshd has it.
SSH = """
printf '%s\\n' "$*" >> {log}
for word; do last=$word; done
exec sh -c "$last"
"""
ADB = """
printf '%s\\n' "$*" >> {log}
test "$1" = -s || exit 9
shift 2
case $1 in
    shell|exec-out) exec sh -c "$2" ;;
    push) exec cp "$2" "$3" ;;
    *) exit 9 ;;
esac
"""


@pytest.fixture
def programs(tmp_path) -> dict[str, str]:
    """Commands that stand for ssh, adb and ser-edge on a device."""
    found = {"ser-edge": shlex.join([sys.executable, "-m", "ser_edge"])}
    for name, text in (("ssh", SSH), ("adb", ADB)):
        script = tmp_path / f"{name}.sh"
        script.write_text(text.format(log=shlex.quote(str(tmp_path / f"{name}.log"))))
        found[name] = f"sh {shlex.quote(str(script))}"
    return found


@pytest.fixture
def options(programs) -> list[str]:
    return ["--ssh", programs["ssh"], "--adb", programs["adb"],
            "--device-command", programs["ser-edge"]]  # fmt: skip


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """Model files by name: releases 1 to 3, and one whose golden vectors do not hold."""
    made = {str(number): model(number) for number in (1, 2, 3)} | {"broken": broken_model(4)}
    paths = {}
    for name, data in made.items():
        paths[name] = tmp_path / f"model-{name}.tflite"
        paths[name].write_bytes(data)
    return paths


@pytest.fixture
def call(capsys):
    """Runs ``ser-edge WORDS --json``: exit code, objects printed, lines on standard error."""

    def calling(*words):
        capsys.readouterr()
        code = run([*map(str, words), "--json"])
        printed = capsys.readouterr()
        rows = [json.loads(line) for line in printed.out.splitlines()]
        return code, rows, printed.err.splitlines()

    return calling


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """Stands for pip; it hands out small wheels."""
    fake = FakePip(shelf(tmp_path / "shelf"))
    monkeypatch.setattr(wheels, "_run", fake)
    return fake
