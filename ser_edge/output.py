"""Where every command prints: text, JSON lines, CSV, faults and progress.

Results go to stdout, everything else to stderr, so that a pipe carries results
alone.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

PROGRESS_AFTER = 2.0
"""Seconds of work after which a progress line appears."""
LINE_AFTER = 60.0
"""Seconds without a line after which work that no terminal shows says where it is."""
_REDRAW_EVERY = 0.1
_BAR = 24


def one_line(text: str) -> str:
    """``text`` with line breaks and other control characters escaped: file names may hold any."""
    return "".join(c if c.isprintable() or 0xD800 <= ord(c) < 0xE000 else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def describe_os_error(fault: OSError) -> str:
    """One line for a fault of the operating system: the file, if it has one, and its words."""
    words = fault.strerror or str(fault) or type(fault).__name__
    if fault.filename is None:
        return f"cannot read or write: {words}"
    return f"{os.fsdecode(fault.filename)}: {words}"


class Output:
    """One command's output. Not for use by several threads.

    Args:
        style: "text", "json" (an object a line) or "csv".
        columns: CSV's columns, in order; a record's other values are left out.
    """

    def __init__(self, style: str = "text", columns: Sequence[str] = ()) -> None:
        self.style = style
        self.columns = tuple(columns)
        self._failed = False
        self._header_written = False
        self._progress: Progress | None = None

    @property
    def exit_code(self) -> int:
        """0, or 1 after :meth:`error`."""
        return int(self._failed)

    def record(self, values: Mapping[str, Any], text: str | None = None) -> None:
        """Prints one result: ``values`` as JSON or CSV, ``text`` otherwise (None: nothing)."""
        if self.style == "json":
            import json

            # Pure ASCII: any terminal, any locale, any bytes in a file name.
            self._print(json.dumps(values, allow_nan=False))
        elif self.style == "csv":
            self._csv_row(values)
        elif text is not None:
            self._print(one_line(text))

    def text(self, line: str = "") -> None:
        """Prints one line where the style is text."""
        if self.style == "text":
            self._print(one_line(line))

    def error(self, fault: object, values: Mapping[str, Any] | None = None) -> None:
        """Reports a fault that does not end the work: a line on stderr, exit code 1.

        Args:
            fault: What is wrong, one line that names the file and the next step.
            values: The record that stands for the lost result in JSON and CSV; none for text.
        """
        self._failed = True
        if values is not None:
            self.record(values)
        self.note(f"ser-edge: {fault}")

    def note(self, line: str) -> None:
        """Prints one line to stderr, whatever the style."""
        self._clear()
        click.echo(one_line(line), err=True)

    def progress(self, what: str, *, shown: bool = True) -> Progress:
        """A progress line for work called ``what``, unless ``shown`` is false; use ``with``."""
        self._progress = Progress(what, shown=shown)
        return self._progress

    def _csv_row(self, values: Mapping[str, Any]) -> None:
        import csv
        import io

        buffer = io.StringIO()
        writer = csv.DictWriter(
            buffer, self.columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        if not self._header_written:
            writer.writeheader()
            self._header_written = True
        writer.writerow(dict(values))
        self._print(buffer.getvalue().removesuffix("\n"))

    def _print(self, line: str) -> None:
        self._clear()
        click.echo(line)

    def _clear(self) -> None:
        if self._progress is not None:
            self._progress.clear()


class Progress:
    """A line on stderr that says how far the work is; called with (done, total).

    On a terminal it is redrawn in place, from the third second on. Elsewhere, in a log as a
    rule, a plain line is written whenever a minute has passed without one.

    Args:
        what: The work, as "scanning".
        stream: Where to draw; None takes stderr.
        clock: Seconds, monotonic.
        shown: False draws nothing at all.
    """

    def __init__(
        self,
        what: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        shown: bool = True,
    ) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._start = self._stage_start = self._line_at = clock()
        self._drawn_at = float("-inf")
        self._width = 0
        self._shown = shown
        self._terminal = self._stream.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def __call__(self, done: int, total: int, remark: str = "") -> None:
        """Says ``done`` of ``total``, with a remark behind, where it is time to."""
        now = self._clock()
        if not self._shown:
            return
        if not self._terminal:
            if now - self._line_at >= LINE_AFTER:
                self._stream.write(self._line(now, done, total, remark) + "\n")
                self._stream.flush()
                self._line_at = now
            return
        if now - self._start < PROGRESS_AFTER or now - self._drawn_at < _REDRAW_EVERY:
            return
        self._drawn_at = now
        line = self._line(now, done, total, remark, bar=True)
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def _line(self, now: float, done: int, total: int, remark: str, *, bar: bool = False) -> str:
        line = self._what
        if total > 0:
            filled = ("#" * round(min(1.0, done / total) * _BAR)).ljust(_BAR, ".")
            line += f" [{filled}] {done}/{total}" if bar else f" {done}/{total}"
        if 0 < done < total:
            line += f"  {clock_time((now - self._stage_start) * (total - done) / done)} left"
        return f"{line}  {one_line(remark)}" if remark else line

    def stage(self, what: str, done: int, total: int, remark: str = "") -> None:
        """Like a call, for work of several stages; ``total`` is 0 where it is not known."""
        if what != self._what:
            self._what, self._stage_start = what, self._clock()
        self(done, total, remark)

    def clear(self) -> None:
        """Wipes the line, so that other lines can be printed."""
        self._line_at = self._clock()
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0
            self._drawn_at = float("-inf")


def clock_time(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def output_options(*, csv: Sequence[str] = ()) -> Callable[[Function], Function]:
    """Adds ``--json`` (and ``--csv``, if there are columns); the command gets ``output``.

    Args:
        csv: The columns of CSV, in order; more may be set on ``output.columns`` before
            the first record.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(*args: Any, as_json: bool, as_csv: bool = False, **kwargs: Any) -> Any:
            if as_json and as_csv:
                raise click.UsageError("--json and --csv exclude each other")
            style = "json" if as_json else "csv" if as_csv else "text"
            return function(*args, output=Output(style, csv), **kwargs)

        decorated: Any = wrapper
        if csv:
            decorated = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")(decorated)
        return click.option(  # type: ignore[no-any-return] # as a wrapped command has no type
            "--json", "as_json", is_flag=True, help="Print JSON, one object a line."
        )(decorated)

    return decorate
