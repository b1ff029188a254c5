"""Compiles the external delegate of tests/runtime/delegate.c."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent / "runtime" / "delegate.c"


def compile_delegate(folder: Path, *flags: str) -> str:
    """Path of the library; skips where there is no compiler, or another layout in memory.

    ``$CC`` names the compiler: an emulated machine needs one that compiles for it.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux" or struct.calcsize("P") != 8:
        pytest.skip("the toy delegate needs a C compiler on 64-bit Linux")
    library = folder / f"toy{''.join(flags)}.so"
    command = [compiler, "-shared", "-fPIC", *flags, "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return str(library)
