"""What a Debian package does with its model once it is unpacked, run on the device.

A model that a package brought gives way to the next package's; one that got into the slots in
another way, by ``ser-edge flash`` or by a rollback, stays.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import SerEdgeError, SlotsFault
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.model_file import parse_model_file
from ser_edge_runtime.slot_records import Slot
from ser_edge_runtime.slots import SelfTest, Slots, self_test_with

BROUGHT = "packaged"
"""File in the slots' folder: digests of the models that packages put there, one a line."""


def take_over(model: Path, folder: Path, self_test: SelfTest) -> list[str]:
    """Puts a package's model into the slots, unless they hold one that no package brought.

    Args:
        model: The package's model; its signature lies beside it, if it has one.
        folder: The slots.
        self_test: Runs golden vectors on this machine.

    Returns:
        What to tell whoever installs it, line by line.

    Raises:
        SerEdgeError: The device would be left without a model that works.
        OSError: The slots cannot be written.
    """
    data = model.read_bytes()
    sha256 = sha256_hex(data)
    beside = model.with_name(f"{model.name}.sig")
    signature = beside.read_bytes() if beside.exists() else None
    slots = Slots.at(folder)
    known = _known(folder)
    current = _answers(slots)
    said = []
    if current is None or (current.sha256 in known and sha256 not in known):
        try:
            # Without a model that is whole there is nothing to be older than.
            slots.install(
                data, signature, self_test, name=str(model), allow_downgrade=current is None
            )
        except SerEdgeError as fault:
            if current is None:
                raise
            said.append(f"kept {_words(current)}: {fault}")
        else:
            write_text_atomically(folder / BROUGHT, "".join(f"{k}\n" for k in (*known, sha256)))
    elif current.sha256 != sha256:
        said.append(
            f"kept {_words(current)}, which the device was given meanwhile; to use the "
            f"package's: ser-edge flash {model} {folder} --here"
        )
    # The programs are new, whatever became of the model.
    self_test(parse_model_file(slots.current(self_test), str(folder)))
    used = slots.answers()
    assert used is not None
    return [*said, f"{folder}: {_words(used)} is in use"]


def main(words: Sequence[str]) -> int:
    """Runs :func:`take_over` for a package: its model and the slots' folder; the exit code."""
    model, folder = map(Path, words)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for line in take_over(model, folder, self_test_with()):
            sys.stdout.write(f"ser-edge: {line}\n")
    except (SerEdgeError, OSError) as fault:
        sys.stderr.write(f"ser-edge: {fault}\n")
        return 1
    return 0


def _known(folder: Path) -> list[str]:
    try:
        return (folder / BROUGHT).read_text("ascii").split()
    except (OSError, ValueError):
        return []


def _answers(slots: Slots) -> Slot | None:
    try:
        return slots.answers()
    except SlotsFault:
        return None


def _words(slot: Slot) -> str:
    return f"{slot.name} ({slot.sha256[:12]}, release {slot.release or 'none'})"
