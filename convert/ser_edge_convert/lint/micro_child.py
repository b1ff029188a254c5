"""Runs a file in TensorFlow Lite Micro: ``python -m ser_edge_convert.lint.micro_child FILE``.

In a process of its own, because that library ends a process where it meets what it cannot do.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

ARENA = 64 << 20
NOT_IMPORTABLE = 77
"""Exit code where the library is there and cannot be used, as with another numpy."""


def main(path: str) -> None:
    """Allocates, invokes once, and says how much memory that took."""
    try:
        from tflite_micro import runtime
    except ImportError:
        sys.exit(NOT_IMPORTABLE)
    interpreter = runtime.Interpreter.from_bytes(Path(path).read_bytes(), arena_size=ARENA)
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
    interpreter.invoke()
    sys.stdout.flush()
    facts = {"version": version("tflite-micro")}
    print(f"\ntflite_micro ran: {json.dumps(facts)}", flush=True)
    # What it says of its arena goes to stderr, from C.
    interpreter.print_allocations()


if __name__ == "__main__":
    main(sys.argv[1])
