"""Options of the commands that reach devices, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ser_edge.output import Output
from ser_edge_runtime.errors import SerEdgeError

if TYPE_CHECKING:
    from ser_edge.devices.inventory import Entry

Function = TypeVar("Function", bound=Callable[..., Any])


def device_options(function: Function) -> Function:
    """Adds ``--jobs``, ``--here``, ``--device-command``, ``--ssh`` and ``--adb``."""
    for option in (
        click.option(
            "--adb",
            default="adb",
            show_default=True,
            metavar="COMMAND",
            help="Android's adb, with options if need be.",
        ),
        click.option(
            "--ssh",
            default="ssh",
            show_default=True,
            metavar="COMMAND",
            help="The OpenSSH client, with options if need be.",
        ),
        click.option(
            "--device-command",
            default="ser-edge",
            show_default=True,
            metavar="COMMAND",
            help="What ser-edge is called on a device behind ssh.",
        ),
        click.option(
            "--here",
            is_flag=True,
            help="A folder is this machine's own, not a card's: test the model now.",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(1, 256),
            default=8,
            show_default=True,
            help="Devices of an inventory at a time.",
        ),
    ):
        function = option(function)
    return function


def tell_switched(
    output: Output, entry: Entry, outcome: dict[str, Any] | SerEdgeError, *, dry_run: bool
) -> None:
    """Prints what a device has in use since a flash or a rollback, or why it failed."""
    from ser_edge.devices.reports import slot_words

    if isinstance(outcome, SerEdgeError):
        output.error(outcome, {"device": entry.name, "done": False, "error": str(outcome)})
    else:
        what = "would be in use" if dry_run else "is in use"
        output.record(
            {"device": entry.name, "done": not dry_run, **outcome},
            f"{entry.name}: {slot_words(outcome['current'])} {what}",
        )
