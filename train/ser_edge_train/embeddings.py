"""What a large encoder makes of recordings: a row of numbers each, in an ``.npz`` file.

Arrays: ``embedding`` (recordings, values), of any kind of number; and ``path``, each
recording's file below the manifest's root, or ``audio_sha256``, its digest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import FileError
from ser_edge_train.errors import LONGEST_QUOTE, quoted
from ser_edge_train.manifest import Clip
from ser_edge_train.npz import array_of

NAMES = ("audio_sha256", "path")
_LEAST_SPREAD = 1e-6
_LONGEST_WORDS = 200
_MOST_NAMES = 8


class EmbeddingsError(FileError):
    """A file of embeddings that cannot be used; says why."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A row of numbers for each recording. Immutable; threads may share it.

    Attributes:
        by: "audio_sha256" or "path": what ``names`` are.
        names: Of each recording.
        values: float32 (recordings, values).
    """

    by: str
    names: tuple[str, ...]
    values: npt.NDArray[np.float32]

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Embeddings:
        """Reads an ``.npz`` file.

        Raises:
            EmbeddingsError: It is missing, no such file, or its arrays do not fit together.
        """
        arrays = _arrays(Path(path))
        by = next((name for name in NAMES if name in arrays), None)
        if by is None or "embedding" not in arrays:
            raise EmbeddingsError(
                path,
                f"holds {_listed(sorted(arrays))}",
                "it needs the arrays embedding and path (or audio_sha256)",
            )
        names, values = arrays[by], arrays["embedding"]
        if names.ndim != 1:
            raise EmbeddingsError(path, f"{by} has shape {names.shape}", "it needs a name a row")
        if values.ndim != 2 or not values.shape[1] or len(values) != len(names):
            raise EmbeddingsError(
                path,
                f"embedding has shape {values.shape} for {len(names)} recordings",
                "it needs a row a recording",
            )
        # What is finite as float64 may be none as float32.
        with np.errstate(over="ignore"):
            kept = values.astype(np.float32) if values.dtype.kind in "iuf" else None
        if kept is None or not np.isfinite(kept).all():
            raise EmbeddingsError(path, "embedding holds no finite numbers", "make it anew")
        return cls(by, tuple(map(str, names.tolist())), kept)

    def rows(self, clips: Iterable[Clip]) -> npt.NDArray[np.int64]:
        """The row of each clip, (clips,); -1 where there is none."""
        place = {_plain(name): row for row, name in enumerate(self.names)}
        of = (clip.audio_sha256 if self.by == "audio_sha256" else clip.path for clip in clips)
        return np.array([place.get(_plain(name), -1) for name in of], dtype=np.int64)


def standardised(
    values: npt.NDArray[np.float64], groups: Sequence[Hashable]
) -> npt.NDArray[np.float64]:
    """Each column less its mean over a group of rows, by its standard deviation there.

    Args:
        values: (recordings, values).
        groups: Which group each row belongs to, as its speaker.

    Returns:
        (recordings, values), of each group with mean 0; with deviation 1 unless all its
        rows are equal.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    found = np.empty_like(values)
    for rows in members.values():
        own = values[rows]
        found[rows] = (own - own.mean(axis=0)) / np.maximum(own.std(axis=0), _LEAST_SPREAD)
    return found


def _listed(names: Sequence[str]) -> str:
    """Names of arrays as an error shows them: some of them, odd ones in quotes."""
    plain = [name.isidentifier() and len(name) <= LONGEST_QUOTE for name in names]
    some = [name if fine else quoted(name) for name, fine in zip(names, plain, strict=True)]
    some = some[:_MOST_NAMES]
    rest = [f"{len(names) - len(some)} others"] if len(names) > len(some) else []
    return ", ".join([*some, *rest]) or "nothing"


def _plain(name: str) -> str:
    return str(PurePosixPath(name))


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("one array alone")
            return {name: array_of(file, name) for name in file.files}
    except FileNotFoundError:
        raise EmbeddingsError(path, "no such file", "check the name") from None
    except Exception as fault:
        # Whatever the parsers within numpy and zipfile come upon: TokenError, zlib.error, ...
        words = "".join(filter(str.isprintable, str(fault)))[:_LONGEST_WORDS]
        words = words or type(fault).__name__
        raise EmbeddingsError(path, f"no .npz file ({words})", "make it anew") from None
