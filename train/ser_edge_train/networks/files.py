"""Networks in ``.keras`` files: the same network gives the same bytes."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.files import write_atomically
from ser_edge_train.frameworks import keras


class NetworkFileError(FileError):
    """A ``.keras`` file that cannot be read."""


def save_network(model: Any, path: str | PathLike[str]) -> None:
    """Writes ``model`` to ``path``, whole or not at all, without a date in it.

    Raises:
        OSError: The folder is missing, not writable or full.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "model.keras"
        model.save(draft)
        write_atomically(path, _without_dates(draft.read_bytes()))


def load_network(path: str | PathLike[str]) -> Any:
    """Loads what :func:`save_network` wrote: an uncompiled model.

    Raises:
        NetworkFileError: It is missing or no Keras model.
    """
    if not Path(path).is_file():
        raise NetworkFileError(path, "no such file", "is the training finished?")
    try:
        model = keras.models.load_model(path, compile=False)
    # Keras lets through whatever zipfile, h5py or json raised.
    except Exception as fault:
        raise NetworkFileError(
            path, f"not a Keras model ({type(fault).__name__})", "train it anew"
        ) from None
    # XLA compiles for seconds and then runs these small convolutions slower.
    model.jit_compile = False
    return model


def _renumbered(config: bytes) -> bytes:
    """Objects that layers share are named by their memory address: by their order instead."""
    places: dict[bytes, int] = {}

    def place(match: re.Match[bytes]) -> bytes:
        return b'"shared_object_id": %d' % places.setdefault(match[1], len(places))

    return re.sub(rb'"shared_object_id": (\d+)', place, config)


def _without_dates(archive: bytes) -> bytes:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as target,
    ):
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "metadata.json":
                metadata = json.loads(content)
                metadata.pop("date_saved", None)
                content = json.dumps(metadata, sort_keys=True).encode()
            elif name == "config.json":
                content = _renumbered(content)
            # A ZipInfo of its own has 1980 for a date.
            target.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()
