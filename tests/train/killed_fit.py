"""Fits the toy in a process of its own, which is killed with SIGKILL at a given instant.

``python -m tests.train.killed_fit RUN step 2 3`` dies after the third batch of epoch 2,
``... write 3`` with the third checkpoint on the disk under its draft's name.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from ser_edge_train.fitting import fit
from ser_edge_train.run_directory import RunDirectory
from tests.train.toys import Listener, toy_data, toy_recipe


class Killer(Listener):
    def end(self) -> None:
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_instead_of_renaming_checkpoint(number: int) -> None:
    rename = Path.replace
    renamed = 0

    def replace(draft: Path, target: Any) -> Any:
        nonlocal renamed
        if Path(target).name == "last.npz":
            renamed += 1
            if renamed == number:
                die()
        return rename(draft, target)

    Path.replace = replace  # type: ignore[method-assign]


def main(path: str, instant: str, *numbers: str) -> None:
    listener = Killer()
    if instant == "step":
        listener.at_step = (int(numbers[0]), int(numbers[1]))
    else:
        die_instead_of_renaming_checkpoint(int(numbers[0]))
    run, recipe = RunDirectory(path), toy_recipe()
    if not run.recipe.exists():
        run.create(recipe)
    with run.lock():
        fit(recipe, *toy_data(recipe), run, resume=True, progress=listener)


if __name__ == "__main__":
    main(*sys.argv[1:])
