"""Whole processes, side by side: wall time and peak memory, as the system counts them.

Imports nothing but the standard library. A child's peak includes what its
parent held at the fork, so the parent has to stay smaller than its children.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple


class Run(NamedTuple):
    """One process: seconds of wall time, and the peak of its resident memory in MiB."""

    seconds: float
    mebibytes: float


def once(command: list[str]) -> Run:
    """Runs a command to its end; a failing one ends the benchmark with its output."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # pip compiles what it installs; an editable checkout is compiled by its first run.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        ) as child,
    ):
        start = time.perf_counter()
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.stderr.write(output.decode(errors="replace"))
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
    # Linux counts in KiB, macOS in bytes.
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return Run(seconds, usage.ru_maxrss / scale)


def interleaved(commands: dict[str, list[str]], rounds: int) -> dict[str, Run]:
    """Medians over rounds that run every command once, in turn, after one unmeasured round."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            run = once(command)
            if number:
                runs[name].append(run)
    return {
        name: Run(
            statistics.median(run.seconds for run in done),
            statistics.median(run.mebibytes for run in done),
        )
        for name, done in runs.items()
    }


def verdict(
    what: str, value: float, bound: float, unit: str = "", *, at_least: bool = False
) -> bool:
    """Prints a measured value beside its bound; True if it holds."""
    held = value >= bound if at_least else value <= bound
    word = "at least" if at_least else "at most"
    print(f"{'ok  ' if held else 'MISS'} {what}: {value:.2f}{unit} ({word} {bound:g}{unit})")
    return held
