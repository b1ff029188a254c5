"""All that an epoch leaves for the next, in one file that is whole or not there.

Keras' own backup keeps weights and optimizer. A fit that should end bit for bit
like an unbroken one also needs the seed states of its dropout layers, what early
stopping and the plateau schedule remember, and the best weights so far.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.files import write_atomically
from ser_edge_train.npz import array_of

FORMAT = 1
_GROUPS = ("model", "optimizer", "best")
Arrays = tuple[npt.NDArray[Any], ...]


class CheckpointError(FileError):
    """A checkpoint that cannot be read, or that belongs to another training."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a fit after an epoch.

    Attributes:
        epoch: Epochs that have ended.
        finished: Nothing is left to fit: all epochs, or early stopping.
        recipe_digest: Of the recipe that is being fitted.
        best_epoch: The epoch of ``best``, from 1.
        history: A row of metrics for each epoch.
        callbacks: What each callback remembers, plain JSON values.
        model: Every variable of the network, seed states included.
        optimizer: Every variable of the optimizer.
        best: The network's weights (without seed states) at ``best_epoch``.
    """

    epoch: int
    finished: bool
    recipe_digest: str
    best_epoch: int
    history: tuple[Mapping[str, float], ...]
    callbacks: Mapping[str, Mapping[str, Any]]
    model: Arrays
    optimizer: Arrays
    best: Arrays

    def write(self, path: str | PathLike[str]) -> None:
        """Writes it to ``path``: a kill at any instant leaves the former one or this one.

        Raises:
            OSError: The folder is missing, not writable or full.
        """
        head = {
            "format": FORMAT,
            "epoch": self.epoch,
            "finished": self.finished,
            "recipe_digest": self.recipe_digest,
            "best_epoch": self.best_epoch,
            "history": [dict(row) for row in self.history],
            "callbacks": {name: dict(state) for name, state in self.callbacks.items()},
        }
        arrays: dict[str, Any] = {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)}
        for group in _GROUPS:
            for index, values in enumerate(getattr(self, group)):
                arrays[f"{group}_{index:04d}"] = np.asarray(values)
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        write_atomically(path, stream.getvalue())

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Checkpoint:
        """Reads what :meth:`write` wrote.

        Raises:
            CheckpointError: It is missing, damaged or of another format.
        """
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as arrays:
                head = json.loads(arrays["head"].tobytes())
                groups: dict[str, Any] = {
                    group: tuple(
                        array_of(arrays, name)
                        for name in sorted(arrays.files)
                        if name.startswith(f"{group}_")
                    )
                    for group in _GROUPS
                }
            if head.pop("format") != FORMAT:
                raise CheckpointError(path, "of another format", "start anew in another folder")
            history = tuple(head.pop("history"))
            return cls(history=history, **head, **groups)
        except FileNotFoundError:
            raise CheckpointError(path, "missing", "start anew in another folder") from None
        except CheckpointError:
            raise
        except Exception as fault:
            # Whatever the parsers within numpy, zipfile and json come upon in changed bytes.
            raise CheckpointError(
                path, f"damaged ({type(fault).__name__})", "start anew in another folder"
            ) from None


def values_of(variables: Sequence[Any]) -> Arrays:
    """Copies of Keras variables as arrays."""
    return tuple(np.array(variable.numpy()) for variable in variables)


def assign(variables: Sequence[Any], values: Arrays, path: str | PathLike[str]) -> None:
    """Sets Keras variables.

    Raises:
        CheckpointError: Numbers or shapes differ: the checkpoint is of another network.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [tuple(value.shape) for value in values]:
        raise CheckpointError(path, "of another network", "start anew in another folder")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
