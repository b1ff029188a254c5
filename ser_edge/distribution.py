"""``--strategy``, ``--workers`` and ``--worker``: a training over devices or over machines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ser_edge.output import Output
    from ser_edge_train.distribution import Distribution
    from ser_edge_train.replicas import Replicas
    from ser_edge_train.run_directory import RunDirectory

Function = TypeVar("Function", bound=Callable[..., Any])

STRATEGIES = ("none", "mirrored", "multi-worker")


def distribution_options(function: Function) -> Function:
    """Adds the three options."""
    for option in (
        click.option(
            "--worker",
            type=click.IntRange(0),
            help="Which of --workers this process is, from 0; worker 0 writes the run.",
        ),
        click.option(
            "--workers",
            metavar="HOST:PORT,...",
            help="Addresses of all workers, the same for each of them; by default those of "
            "TF_CONFIG. The ports are open to whoever reaches them: for trusted networks.",
        ),
        click.option(
            "--strategy",
            type=click.Choice(STRATEGIES),
            default="none",
            metavar="NAME",
            help="Spread the fit: mirrored over this machine's GPUs, multi-worker over "
            "several processes or machines that run this command at the same time; by "
            "default none. The batches stay those of the recipe, and each is divided.",
        ),
    ):
        function = option(function)
    return function


def read_distribution(strategy: str, workers: str | None, worker: int | None) -> Distribution:
    """What the options say.

    Raises:
        click.UsageError: They do not go together.
    """
    from ser_edge_train.distribution import Distribution, DistributionError

    try:
        return Distribution.chosen(strategy, workers, worker, os.environ)
    except DistributionError as fault:
        raise click.UsageError(str(fault)) from None


@contextmanager
def joined(
    distribution: Distribution, run: RunDirectory, store: Path, output: Output
) -> Iterator[tuple[Replicas | None, RunDirectory]]:
    """Meets the other workers.

    Args:
        distribution: Who they are.
        run: The run directory.
        store: The feature store's folder.
        output: Told whom this process waits for.

    Yields:
        The replicas, if there are any, and where to write: the run directory, or for
        any worker but worker 0 a folder in the store that is gone afterwards.
    """
    if distribution.strategy == "none":
        yield None, run
        return
    from ser_edge_train.replicas import open_replicas
    from ser_edge_train.run_directory import RunDirectory

    several = len(distribution.workers) > 1
    if several:
        place = f"worker {distribution.worker} of {len(distribution.workers)}"
        output.text(f"{place}: waiting for the others")
    replicas = open_replicas(distribution)
    if replicas is not None:
        number = "1 replica" if replicas.count == 1 else f"{replicas.count} replicas"
        output.text(f"the fit is spread over {number}")
    if distribution.chief:
        yield replicas, run
        return
    name = sha256(str(run.path.absolute()).encode()).hexdigest()[:8]
    own = RunDirectory(store / f".worker-{distribution.worker}-{name}")
    if own.path.is_dir():
        # Left by one that was killed; if it is alive, this says so.
        with own.lock():
            pass
        shutil.rmtree(own.path)
    try:
        yield replicas, own
    finally:
        shutil.rmtree(own.path, ignore_errors=True)


def silence_servers(distribution: Distribution) -> None:
    """Leaves standard error to Python where TensorFlow's servers would write on it.

    What they think of a lost worker, and of each other when the process ends, they write
    past TF_CPP_MIN_LOG_LEVEL (2.21). With a lower level all of it is shown.
    Not undone: the servers live as long as the process. To be called before anything
    keeps ``sys.stderr``, and after ``quiet_tensorflow``.
    """
    quiet = os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("2", "3")
    if len(distribution.workers) < 2 or not quiet:
        return
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        return  # there is none, as a daemon has none
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=encoding, errors=errors)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
