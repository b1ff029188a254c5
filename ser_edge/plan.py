"""The options of ``ser-edge classify`` for very many recordings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from os.path import dirname, isdir, splitext  # pathlib costs a cold start 4 ms
from typing import Any, NamedTuple, TypeVar

import click

from ser_edge.inputs import STDIN

Function = TypeVar("Function", bound=Callable[..., Any])

JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"


class Plan(NamedTuple):
    """Which recordings, where they are classified, and where the results go.

    Attributes:
        paths: Files and folders.
        listed: A file that names more of them, one a line; "-" for standard input.
        jobs: Processes; None for this one alone.
        dask: Address of a Dask scheduler.
        out: Where results are kept; None prints them.
        resume: Go on with what is there.
    """

    paths: tuple[str, ...] = ()
    listed: str | None = None
    jobs: int | None = None
    dask: str | None = None
    out: str | None = None
    resume: bool = False

    @property
    def large(self) -> bool:
        """Whether it is more than to print what one process answers to a few names."""
        return any(self[1:])

    @property
    def parquet(self) -> bool:
        """Whether results are kept as Parquet."""
        return self.out is not None and splitext(self.out)[1].lower() == PARQUET  # noqa: PTH122 - pathlib costs a cold start 4 ms

    def check(self, style: str) -> None:
        """Makes sure that the options go together and that what they need is installed.

        Raises:
            click.UsageError: They do not.
            MissingExtra: A package is not there.
        """
        from ser_edge.extras import need

        if self.resume and self.out is None:
            raise click.UsageError("--resume needs --out")
        if self.jobs is not None and self.dask is not None:
            raise click.UsageError("--jobs and --dask exclude each other")
        if STDIN in self.paths:
            raise click.UsageError("a recording on standard input (-) is classified by itself")
        if self.out is not None:
            self._check_out(self.out, style)
        if self.parquet:
            need("parquet", "a Parquet archive")
        if self.dask is not None:
            need("cluster", "classifying on a cluster")

    def _check_out(self, out: str, style: str) -> None:
        if style != "text":
            raise click.UsageError(f"--out and --{style} exclude each other")
        if not self.parquet and splitext(out)[1].lower() not in JSON_LINES:  # noqa: PTH122 - as above
            raise click.UsageError(f"--out {out}: end the name in .jsonl or .parquet")
        folder = dirname(out) or "."  # noqa: PTH120 - as above
        if not isdir(folder):  # noqa: PTH112 - as above
            raise click.UsageError(f"--out {out}: there is no folder {folder}; create it first")
        if isdir(out) and not self.parquet:  # noqa: PTH112 - as above
            raise click.UsageError(f"--out {out} is a folder; name a file in it")


def plan_options(function: Function) -> Function:
    """Adds the options and the argument PATHS; the command gets ``plan``, a :class:`Plan`."""

    @functools.wraps(function)
    def wrapper(
        *args: Any,
        paths: tuple[str, ...],
        listed: str | None,
        jobs: int | None,
        dask: str | None,
        out: str | None,
        resume: bool,
        **kwargs: Any,
    ) -> Any:
        if not paths and listed is None:
            raise click.UsageError("name recordings or folders, or a list of them with --list")
        return function(*args, plan=Plan(paths, listed, jobs, dask, out, resume), **kwargs)

    decorated: Any = wrapper
    for option in (
        click.option("--resume", is_flag=True, help="Go on with --out FILE: skip what is in it."),
        click.option(
            "--out",
            metavar="FILE",
            help="Append results to a .jsonl file, or a folder .parquet, as they come. A kill "
            "loses nothing that is in it; each recording is in it once.",
        ),
        click.option(
            "--dask",
            metavar="ADDRESS",
            help="Classify on the workers of a Dask scheduler, as tcp://10.0.0.1:8786, that see "
            "the recordings under the same paths. Give each worker one BLAS thread, as Dask's "
            "nannies do: it is faster and rounds like --jobs. For networks whose every machine "
            "is trusted.",
        ),
        click.option(
            "--jobs", type=click.IntRange(1, 256), help="Processes; by default this one alone."
        ),
        click.option(
            "--list",
            "listed",
            metavar="FILE",
            help="File that names recordings or folders, one a line; - for standard input.",
        ),
        click.argument("paths", nargs=-1, metavar="[PATHS]..."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # Any, as a wrapped command has no type
