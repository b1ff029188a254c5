"""``ser-edge status``: which model a device has."""

from __future__ import annotations

import click

from ser_edge.devices.options import device_options
from ser_edge.output import Output, output_options
from ser_edge_runtime.errors import SerEdgeError


@click.command(
    "status",
    epilog="""\b
Examples:
  ser-edge status ssh://pi@kitchen/var/lib/ser-edge
  ser-edge status devices.toml --json

Exit code 1 when a device cannot be asked, or has no model that is whole.""",
)
@click.argument("target")
@device_options
@output_options()
def command(
    target: str,
    jobs: int,
    here: bool,
    device_command: str,
    ssh: str,
    adb: str,
    output: Output,
) -> int:
    """Show which model a device has, and its self-test.

    TARGET is as for ser-edge flash.
    """
    from ser_edge.devices.inventory import Ways, each, entries_of, is_inventory
    from ser_edge.devices.reports import lines

    ways = Ways(ssh, adb, device_command, here)
    one = not is_inventory(target)
    for entry, outcome in each(
        entries_of(target), lambda e: ways.to(e, interactive=one).status(), jobs
    ):
        if isinstance(outcome, SerEdgeError):
            output.error(outcome, {"device": entry.name, "error": str(outcome)})
            continue
        output.text(entry.name)
        output.record({"device": entry.name, **outcome})
        for line in lines(outcome):
            output.text(f"  {line}")
        if outcome["answers"] is None:
            output.error(f"{entry.name}: no model there is whole; flash one: ser-edge flash")
    return output.exit_code
