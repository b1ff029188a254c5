"""``ser-edge flash``: a model onto a device, or onto many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.devices.options import device_options, tell_switched
from ser_edge.options import OutFile
from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    from ser_edge.devices.device import Upload
    from ser_edge.devices.inventory import Entry


@click.command(
    "flash",
    epilog="""\b
Examples:
  ser-edge flash model.tflite /media/card/ser-edge
  ser-edge flash model.tflite ssh://pi@kitchen/var/lib/ser-edge
  ser-edge flash model.tflite adb://R58M12ABCDE/sdcard/ser-edge --dry-run
  ser-edge flash model.tflite devices.toml --jobs 20

The device goes on with the model it has until the new one lies there whole and its golden
vectors hold on the device's own interpreter; then one rename switches. A card and a phone
cannot test it: its first load does. MODEL.sig, if it is there, goes with the model.

Of an inventory each device that is done is written to a report, INVENTORY.report.jsonl; when
it is run again, those that are done are left out. docs/flashing.md has all of it.""",
)
@click.argument("model")
@click.argument("target")
@click.option("--signature", metavar="FILE", help="Detached signature; by default MODEL.sig.")
@click.option("--allow-downgrade", is_flag=True, help="Flash a model older than the current one.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@click.option("--report", type=OutFile(), metavar="FILE", help="Report of an inventory's devices.")
@device_options
@output_options()
def command(
    model: str,
    target: str,
    signature: str | None,
    allow_downgrade: bool,
    dry_run: bool,
    report: Path | None,
    jobs: int,
    here: bool,
    device_command: str,
    ssh: str,
    adb: str,
    output: Output,
) -> int:
    """Put a model on a device, so that it can be taken back.

    TARGET is a folder or mounted card, ssh://user@host/path, adb://serial/path, or an
    inventory of devices (.toml).
    """
    from ser_edge.devices.device import Upload, read_signature
    from ser_edge.devices.inventory import Report, Ways, each, entries_of, is_inventory
    from ser_edge_runtime.digests import sha256_hex
    from ser_edge_runtime.model_file import parse_model_file, read_model_bytes

    data = read_model_bytes(model)
    parse_model_file(data, model)
    upload = Upload(model, data, read_signature(model, signature), allow_downgrade, dry_run)
    ways = Ways(ssh, adb, device_command, here)
    entries = entries_of(target)
    many = is_inventory(target)
    sha256 = sha256_hex(data)
    kept = None
    if many and not dry_run:
        kept = Report(report or Path(f"{target}.report.jsonl"), sha256)
        done = kept.done()
        for entry in entries:
            if entry.name in done:
                output.record(
                    {"device": entry.name, "done": True, "skipped": True},
                    f"{entry.name}: done before",
                )
        entries = [entry for entry in entries if entry.name not in done]
    with output.progress("flashing") as progress:
        for count, (entry, outcome) in enumerate(
            each(entries, _flash(upload, ways, interactive=not many), jobs), 1
        ):
            if kept is not None:
                kept.add(entry, outcome)
            tell_switched(output, entry, outcome, dry_run=dry_run)
            progress(count, len(entries))
    return output.exit_code


def _flash(upload: Upload, ways: Any, *, interactive: bool) -> Any:
    def work(entry: Entry) -> dict[str, Any]:
        found: dict[str, Any] = ways.to(entry, interactive=interactive).install(upload)
        return found

    return work
