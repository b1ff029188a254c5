"""``ser-edge rollback``: a device back to the model before."""

from __future__ import annotations

import click

from ser_edge.devices.options import device_options, tell_switched
from ser_edge.output import Output, output_options


@click.command(
    "rollback",
    epilog="""\b
Examples:
  ser-edge rollback ssh://pi@kitchen/var/lib/ser-edge
  ser-edge rollback devices.toml --dry-run

The model that was in use becomes the previous one: a second rollback undoes the first.""",
)
@click.argument("target")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@device_options
@output_options()
def command(
    target: str,
    dry_run: bool,
    jobs: int,
    here: bool,
    device_command: str,
    ssh: str,
    adb: str,
    output: Output,
) -> int:
    """Take a device back to the model that it had before.

    TARGET is as for ser-edge flash. The previous model is tested on the device again first.
    """
    from ser_edge.devices.inventory import Ways, each, entries_of, is_inventory

    ways = Ways(ssh, adb, device_command, here)
    one = not is_inventory(target)
    for entry, outcome in each(
        entries_of(target), lambda e: ways.to(e, interactive=one).rollback(dry_run=dry_run), jobs
    ):
        tell_switched(output, entry, outcome, dry_run=dry_run)
    return output.exit_code
