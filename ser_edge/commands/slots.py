"""``ser-edge slots``: the device's half of flashing, run on the device."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ser_edge.devices.reports import lines, report, slot_words
from ser_edge.options import interpreter_option
from ser_edge.output import Output, output_options
from ser_edge_runtime.errors import SlotsFault

if TYPE_CHECKING:
    from ser_edge_runtime.slots import Slots

ACTIONS = ("setup", "status", "install", "rollback")


@click.command(
    "slots",
    epilog="""\b
Examples:
  ser-edge slots setup /var/lib/ser-edge --target cpu --signers allowed_signers
  ser-edge slots status /var/lib/ser-edge --json
  ser-edge slots rollback /var/lib/ser-edge
  ser-edge serve --model /var/lib/ser-edge

setup says what the device is and whose models it takes. install is what ser-edge flash calls
over the network: it reads a model and its signature from standard input. docs/flashing.md
has the rules.""",
)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("folder")
@click.option("--target", "targets", multiple=True, metavar="NAME",
              help="Target whose models the device runs (setup); by default cpu.")  # fmt: skip
@click.option("--signers", metavar="FILE", help="Allowed-signers file of ssh-keygen: from now on "
              "the device takes nothing unsigned (setup).")  # fmt: skip
@click.option("--bytes", "count", type=click.IntRange(0), help="Length of the model (install).")
@click.option("--signature-bytes", type=click.IntRange(0), default=0,
              help="Length of the signature behind it (install).")  # fmt: skip
@click.option("--allow-downgrade", is_flag=True,
              help="Take a model that is older than the current one (install).")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would happen; write nothing.")
@interpreter_option
@output_options()
def command(
    action: str,
    folder: str,
    targets: tuple[str, ...],
    signers: str | None,
    count: int | None,
    signature_bytes: int,
    allow_downgrade: bool,
    dry_run: bool,
    interpreter: str | None,
    output: Output,
) -> int:
    """Keep a device's models: current, previous, incoming.

    FOLDER is what --model of serve, listen and classify takes: a model that is switched is
    used from the next recording on.
    """
    from ser_edge_runtime.slots import Slots, self_test_with

    slots = Slots.at(folder)
    if action == "setup":
        if dry_run:
            raise click.UsageError("--dry-run is for install and rollback")
        _set_up(slots, targets or ("cpu",), signers)
    elif action == "install":
        if count is None:
            raise click.UsageError("install needs --bytes and a model on standard input")
        data, signature = _received(folder, count, signature_bytes)
        state = slots.install(
            data,
            signature,
            self_test_with(interpreter),
            allow_downgrade=allow_downgrade,
            dry_run=dry_run,
        )
        output.record(asdict(state), slot_words(state.current))
        return 0
    elif action == "rollback" and dry_run:
        # What is in use stays so: the answer is what would be.
        state = slots.rollback(self_test_with(interpreter), dry_run=True)
        output.record(asdict(state), slot_words(state.current))
        return 0
    elif action == "rollback":
        slots.rollback(self_test_with(interpreter))
    values = report(slots)
    output.record(values)
    for line in lines(values):
        output.text(line)
    return int(values["answers"] is None and action == "status")


def _set_up(slots: Slots, targets: tuple[str, ...], signers: str | None) -> None:
    from pathlib import Path

    from ser_edge_runtime.slot_records import Settings

    keys = None if signers is None else Path(signers).read_bytes()
    if keys is not None and not keys.strip():
        raise SlotsFault(signers or "", "names no key", "see: man ssh-keygen, ALLOWED SIGNERS")
    slots.set_up(Settings(targets, keys))


def _received(folder: str, count: int, signature_bytes: int) -> tuple[bytes, bytes | None]:
    from ser_edge_runtime.model_file import LARGEST_FILE
    from ser_edge_runtime.signatures import LARGEST_SIGNATURE

    if count > LARGEST_FILE or signature_bytes > LARGEST_SIGNATURE:
        raise SlotsFault(folder, "what comes is too large for a model", "flash a smaller one")
    data = sys.stdin.buffer.read(count)
    signature = sys.stdin.buffer.read(signature_bytes)
    if len(data) < count or len(signature) < signature_bytes:
        raise SlotsFault(
            folder, "the connection ended too early; nothing was changed", "flash again"
        )
    return data, signature or None
