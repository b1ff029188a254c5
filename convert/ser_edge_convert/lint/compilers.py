"""The targets' own compilers, where they are installed: they know better than any table.

Each runs in a process of its own and in a folder of its own; nothing is left of it.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ser_edge_convert.lint.micro_child import NOT_IMPORTABLE

ACCELERATOR = "ethos-u55-128"
ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
_TAIL = 300


@dataclass(frozen=True)
class Compilation:
    """What a compiler, or the target's own interpreter, made of a file.

    Attributes:
        compiler: Its name and, where it tells, its version.
        accepted: Whether it took the file and put something on the target.
        summary: What it reports, by name: operators, memory, estimates of its own.
        unmapped: Operators that it left to the processor: (operator, output's name, why).
        message: Its last words where it did not accept the file.
    """

    compiler: str
    accepted: bool
    summary: dict[str, Any]
    unmapped: tuple[tuple[str, str, str], ...] = ()
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def compile_for(
    flatbuffer: bytes, target: str, *, accelerator: str = ACCELERATOR
) -> Compilation | None:
    """Has a target's own compiler look at a file; None if there is none on this machine.

    Args:
        flatbuffer: Plain TensorFlow Lite.
        target: Name of the target.
        accelerator: Which Ethos-U, of :data:`ACCELERATORS`.

    Raises:
        OSError: No room for the files that the compiler needs.
    """
    if target not in _COMPILERS:
        return None
    with tempfile.TemporaryDirectory(prefix="ser-edge-lint-") as folder:
        model = Path(folder) / "model.tflite"
        model.write_bytes(flatbuffer)
        return _COMPILERS[target](model, Path(folder), accelerator)


def _executable(name: str) -> str | None:
    """On the PATH, or beside this Python."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _last_words(output: str, code: int) -> str:
    # Not the rules and carets that tables and tracebacks are drawn with.
    lines = [line.strip() for line in output.splitlines() if line.strip(" -=~^")]
    return " | ".join(lines[-3:])[-_TAIL:] if lines else f"ended with exit code {code}"


def _vela(model: Path, folder: Path, accelerator: str) -> Compilation | None:
    vela = _executable("vela")
    if vela is None:
        return None
    version = _run(vela, "--version", cwd=folder).stdout.strip().splitlines()
    name = f"vela {version[-1].split()[-1]}" if version else "vela"
    done = _run(
        vela,
        str(model),
        "--accelerator-config",
        accelerator,
        "--output-dir",
        str(folder),
        cwd=folder,
    )
    summary: dict[str, Any] = {"accelerator": accelerator}
    for key, words in (("operators_on_npu", "NPU"), ("operators_on_cpu", "CPU")):
        found = re.search(rf"{words} operators = (\d+)", done.stdout)
        if found:
            summary[key] = int(found.group(1))
    summary |= _vela_estimates(folder)
    accepted = done.returncode == 0 and summary.get("operators_on_npu", 0) > 0
    unmapped = tuple(
        (operator, output, why.strip())
        for operator, output, why in re.findall(
            r"operator: (\w+), ofm: '([^']*)'\s*\n(?:Reason: (.*))?", done.stdout
        )
    )
    message = "" if accepted else _last_words(done.stdout, done.returncode)
    return Compilation(name, accepted, summary, tuple(dict.fromkeys(unmapped)), message)


def _vela_estimates(folder: Path) -> dict[str, Any]:
    """From the table that vela leaves behind; its own model of the hardware, no measurement."""
    for table in folder.glob("*_summary_*.csv"):
        with table.open(encoding="utf-8", newline="") as stream:
            row = next(csv.DictReader(stream))
        flash = float(row["on_chip_flash_memory_used"]) + float(row["off_chip_flash_memory_used"])
        return {
            "sram_kib": round(float(row["sram_memory_used"]), 2),
            "flash_kib": round(flash, 2),
            "estimated_ms": round(1000 * float(row["inference_time"]), 4),
        }
    return {}


def _edgetpu(model: Path, folder: Path, accelerator: str) -> Compilation | None:
    compiler = _executable("edgetpu_compiler")
    if compiler is None:
        return None
    done = _run(compiler, "-s", "-o", str(folder), str(model), cwd=folder)
    version = re.search(r"Edge TPU Compiler version ([\w.]+)", done.stdout)
    summary = {}
    for key, words in (("operators_on_tpu", "Edge TPU"), ("operators_on_cpu", "CPU")):
        found = re.search(rf"Number of operations that will run on {words}: (\d+)", done.stdout)
        if found:
            summary[key] = int(found.group(1))
    # The table at the end: operator, count, status.
    rows = re.findall(r"^([A-Z][A-Z0-9_]+) +(\d+) +(.+)$", done.stdout, re.MULTILINE)
    unmapped = tuple(
        (operator, "", f"{status.strip()} ({count})")
        for operator, count, status in rows
        if "Mapped to Edge TPU" not in status
    )
    accepted = done.returncode == 0 and summary.get("operators_on_tpu", 0) > 0
    message = "" if accepted else _last_words(done.stdout, done.returncode)
    name = f"edgetpu_compiler {version.group(1)}" if version else "edgetpu_compiler"
    return Compilation(name, accepted, summary, unmapped, message)


def _micro(model: Path, folder: Path, accelerator: str) -> Compilation | None:
    if find_spec("tflite_micro") is None:
        return None
    words = (sys.executable, "-P", "-m", "ser_edge_convert.lint.micro_child", str(model))
    done = _run(*words, cwd=folder)
    if done.returncode == NOT_IMPORTABLE:
        return None
    found = re.search(r"^tflite_micro ran: (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        message = _last_words(done.stdout, done.returncode)
        return Compilation("tflite-micro", False, {}, (), message)
    facts = json.loads(found.group(1))
    arena = re.search(r"Arena allocation total (\d+) bytes", done.stdout)
    # Pointers of 8 bytes are counted: a microcontroller needs somewhat less.
    summary = {"arena_bytes": int(arena.group(1))} if arena else {}
    return Compilation(f"tflite-micro {facts['version']}", True, summary)


_COMPILERS: dict[str, Callable[[Path, Path, str], Compilation | None]] = {
    "ethos-u": _vela,
    "edgetpu": _edgetpu,
    "micro": _micro,
}
