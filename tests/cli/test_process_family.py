"""docs/process_family.py: whom the proofs kill and weigh along with a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import load_script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

process_family = load_script(Path(__file__).resolve().parents[2] / "docs" / "process_family.py")

# Each starts the next, and says its number and those below it once that one has.
GENERATIONS = """
import os, subprocess, sys
left = int(sys.argv[1])
told = [os.getpid()]
children = []
for _ in range(2 if left else 0):
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2], str(left - 1), sys.argv[2]],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    told += map(int, child.stdout.readline().split())
print(*told, flush=True)
sys.stdin.read()
for child in children:
    child.communicate()
"""


def start(generations):
    """A process with two children, each with two, and so on; the first of its pids is its own."""
    call = [sys.executable, "-c", GENERATIONS, str(generations), GENERATIONS]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("generations", "members"), [(0, 1), (1, 3), (2, 7)])
def test_all_that_a_process_started_is_found(generations, members):
    with start(generations) as process:
        told = [int(word) for word in process.stdout.readline().split()]
        assert len(told) == members
        found = process_family.family(process.pid)
        assert found[0] == process.pid
        assert sorted(found) == sorted(told)
        assert os.getpid() not in found
        process.stdin.close()


def test_what_has_ended_has_no_family():
    with start(0) as process:
        process.stdout.readline()
        process.stdin.close()
        process.wait()
        assert process_family.family(process.pid) == [process.pid]
