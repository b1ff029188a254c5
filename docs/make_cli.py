"""Writes docs/cli.md from the commands' own help: ``python docs/make_cli.py``.

With ``-`` it prints the page instead. A test holds that the committed file is that page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ser_edge.cli import cli
from ser_edge.commands import COMMANDS

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 88

INTRODUCTION = """\
# The command line

What `ser-edge COMMAND --help` prints, written by `docs/make_cli.py`.

Results go to standard output, everything else to standard error. A fault is one line that
names the file, what is wrong and what to do next. `ser-edge --debug COMMAND` shows the
traceback as well.

| exit code | meaning |
|---|---|
| 0 | all well |
| 1 | an input could not be used, or a gate failed; the rest of the work was done |
| 2 | the options were wrong |
| 130 | interrupted with Ctrl-C |
| 141 | the reader of the output left |
"""


def page() -> str:
    """The whole of docs/cli.md."""
    sections = [INTRODUCTION, _section("ser-edge", _help(cli, "ser-edge", None))]
    with click.Context(
        cli, info_name="ser-edge", terminal_width=WIDTH, **cli.context_settings
    ) as parent:
        for name in COMMANDS:
            command = cli.get_command(parent, name)
            assert command is not None
            sections.append(_section(f"ser-edge {name}", _help(command, name, parent)))
    return "\n".join(sections)


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    settings = cli.context_settings
    with click.Context(
        command, parent, info_name=name, terminal_width=WIDTH, **settings
    ) as context:
        text = command.get_help(context)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
