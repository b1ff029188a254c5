"""A training's only output: a folder whose files have fixed names."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.recipes.schema import Recipe, parse_recipe

_held: set[Path] = set()


class RunError(FileError):
    """A run directory that cannot be used as asked."""


class RunBusy(RunError):
    """Another training works in the run directory."""


class RunDirectory:
    """The names of a run's files, and the rules of when it may be written.

    Making one touches nothing. Threads may share it; two trainings may not share
    its folder (see :meth:`lock`).

    Args:
        path: The folder; it need not be there yet.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.toml"
        self.manifest = self.path / "manifest.csv"
        self.partition = self.path / "partition.csv"
        self.front_end = self.path / "front_end.json"
        self.normaliser = self.path / "normaliser.json"
        self.model = self.path / "model.keras"
        self.history = self.path / "history.csv"
        self.checkpoints = self.path / "checkpoints"
        self.checkpoint = self.checkpoints / "last.npz"
        self.predictions = self.path / "predictions.csv"
        self.report_json = self.path / "report.json"
        self.report_html = self.path / "report.html"
        # Features in the order of the fit, laid out for it; gone when the training has ended.
        self.scratch = self.path / ".scratch"
        self._lock = self.path / ".lock"

    @classmethod
    def open(cls, path: str | PathLike[str]) -> RunDirectory:
        """A run that is there.

        Raises:
            RunError: The folder is missing or holds no run.
        """
        run = cls(path)
        if not run.path.is_dir():
            raise RunError(path, "no such folder", "name a folder that `ser-edge train` wrote")
        if not run.recipe.is_file():
            raise RunError(
                path, "not a run (no recipe.toml)", "name a folder that `ser-edge train` wrote"
            )
        return run

    @property
    def clean(self) -> RunDirectory:
        """Where a protocol that leaks has the training that does not, if it was made."""
        return RunDirectory(self.path / "clean")

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    def read_recipe(self) -> Recipe:
        """The recipe of the run, as resolved.

        Raises:
            RunError: The file is missing or cannot be read.
            RecipeError: It is no recipe.
        """
        try:
            text = self.recipe.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise RunError(
                self.path, "its recipe.toml cannot be read", "train anew in another folder"
            ) from None
        return parse_recipe(text, self.recipe)

    def create(self, recipe: Recipe) -> None:
        """Begins a run: makes the folder and writes the recipe as resolved.

        Raises:
            RunError: The folder holds a run already, or other things, or cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            there = sorted(
                entry.name
                for entry in self.path.iterdir()
                # What a killed process may have left of this very step.
                if entry != self._lock and not entry.match(".recipe.toml.*.part")
            )
        except OSError as fault:
            raise RunError(
                self.path, f"cannot be used ({fault.strerror})", "name another folder"
            ) from None
        if self.recipe.name in there:
            raise RunError(
                self.path, "holds a run already", "go on with it by --resume or name another folder"
            )
        if there:
            raise RunError(
                self.path, f"holds other things ({there[0]})", "name an empty or a new folder"
            )
        # The recipe first: with it a run can be gone on with, whatever else is missing.
        write_text_atomically(self.recipe, recipe.to_toml())
        self.checkpoints.mkdir()

    def check_resumable(self, recipe: Recipe) -> None:
        """Makes sure that ``recipe`` is the one the run began with.

        Raises:
            RunError: There is no run, or its recipe differs; names the first field that does.
        """
        RunDirectory.open(self.path)
        field = first_difference(self.read_recipe().model_dump(), recipe.model_dump())
        if field is not None:
            raise RunError(
                self.path,
                f"began with another recipe ({field} differs)",
                "resume with its own recipe.toml or train anew in another folder",
            )

    def clear_scratch(self) -> None:
        """Removes what only a running training needs."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other trainings out of the folder, which must be there, until the block ends.

        The system drops the lock when the process ends, however it ends. What a
        killed training left half written is removed.

        Raises:
            RunBusy: Another training holds it.
        """
        key = self.path.resolve()
        busy = RunBusy(
            self.path, "another training works in it", "wait for it or name another folder"
        )
        # Asked before the file is opened: closing it a second time would drop the lock.
        if key in _held:
            raise busy
        with self._lock.open("a+b") as stream:
            if not _try_lock(stream):
                raise busy
            _held.add(key)
            try:
                self._tidy()
                yield
            finally:
                _held.discard(key)

    def _tidy(self) -> None:
        self.checkpoints.mkdir(exist_ok=True)
        for folder in (self.path, self.checkpoints):
            for left_over in folder.glob(".*.part"):
                left_over.unlink(missing_ok=True)


def _try_lock(stream: IO[bytes]) -> bool:
    # A lock of the process (lockf), not of the open file (flock): forked workers that outlive a
    # killed training must not hold on to it. It knows no second holder within the process, hence
    # _held.
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def first_difference(one: object, other: object, field: str = "") -> str | None:
    """The name of the first field in which two tables differ, as ``fit.epochs``; None if in none.

    Args:
        one: Plain values.
        other: Plain values too; fields that it has alone come last.
        field: The name of both.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            name = f"{field}.{key}" if field else str(key)
            found = first_difference(one.get(key), other.get(key), name)
            if found is not None:
                return found
        return None
    return None if one == other else field
