"""The command ``ser-edge``: finds the command, turns every fault into one line and an exit code.

Exit codes: 0 all well; 1 an input could not be used or a gate failed; 2 the
call's options were wrong; 130 interrupted; 141 the reader of the output left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from ser_edge.commands import COMMANDS
from ser_edge.output import describe_os_error, one_line
from ser_edge_runtime import __version__
from ser_edge_runtime.blas_threads import THREAD_VARIABLES
from ser_edge_runtime.errors import SerEdgeError

INTERRUPTED = 130
BROKEN_PIPE = 141


class Settings:
    """What holds for every command.

    Attributes:
        debug: A fault shows its traceback before its line.
    """

    def __init__(self) -> None:
        self.debug = False


class Interrupted(Exception):
    """Ctrl-C. Click would print an empty line for a bare KeyboardInterrupt."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of a first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"ser_edge.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands from the table, so that ``--help`` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Shows the help where no command is named: click's own makes a fault of its whole text."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command and flushes, so that a full disk or a closed pipe is seen here."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise Interrupted from None
        except BrokenPipeError:
            _drop_output()
            return BROKEN_PIPE
        return result


@click.command(
    "ser-edge",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  ser-edge classify clip.wav
  ser-edge classify recordings/ --json > emotions.jsonl
  ser-edge train --recipe default --no-teacher --data corpora/ --run runs/first
  ser-edge convert runs/first --variant int8 --out model.tflite

Exit codes: 0 all well, 1 an input could not be used or a gate failed, 2 wrong options.""",
)
@click.version_option(__version__, prog_name="ser-edge", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a fault before its line.")
@click.pass_obj
def cli(settings: Settings | None, debug: bool) -> None:
    """Speech emotion recognition for small devices.

    Classify recordings with a TFLite model, train such a model on a workstation,
    convert it for a device, and measure what the conversion cost.
    """
    if settings is not None:
        settings.debug = debug


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs ``ser-edge`` and ends the process with its exit code.

    Args:
        arguments: The words after the program's name; None takes ``sys.argv``.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Runs ``ser-edge`` with ``arguments`` and returns its exit code; faults become one line."""
    # Before any command imports numpy: its BLAS starts a thread for each core, which costs a
    # one-shot command more time than all else together. A user's own choice stays.
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    for stream in (sys.stdout, sys.stderr):
        # File names hold whatever bytes their makers chose; printing them must not fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    settings = Settings()
    try:
        result = cli.main(list(arguments), "ser-edge", standalone_mode=False, obj=settings)
        return result if isinstance(result, int) else 0
    except (Interrupted, KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return INTERRUPTED
    except click.UsageError as fault:
        where = fault.ctx.command_path if fault.ctx else "ser-edge"
        # Click lists an argument's choices a line each.
        words = fault.format_message().replace("\n\t", " ").rstrip(".")
        _say(f"{words}; see: {where} --help")
        return fault.exit_code
    except SerEdgeError as fault:
        _trace(settings)
        _say(str(fault))
        return fault.exit_code
    except OSError as fault:
        _trace(settings)
        _say(describe_os_error(fault))
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return 1
    except MemoryError:
        _trace(settings)
        _say("out of memory; classify fewer or shorter recordings at a time")
        return 1
    except Exception as fault:
        _trace(settings)
        again = "" if settings.debug else "; run it again as: ser-edge --debug ..."
        _say(f"internal error: {type(fault).__name__}: {fault}{again}")
        return 1


def _trace(settings: Settings) -> None:
    if settings.debug:
        import traceback

        traceback.print_exc()


def _drop_output() -> None:
    """Sends nowhere what is still buffered, or the exit would complain about it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(message: str) -> None:
    click.echo(one_line(f"ser-edge: {message}"), err=True)
