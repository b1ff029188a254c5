"""Reads what a network's file says of itself, without Keras."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser_edge_convert.errors import BadNetwork

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "Bidirectional"})


def layer_classes(path: Path) -> tuple[str, ...]:
    """Class names of all layers in the file, nested ones included, in their order.

    Raises:
        BadNetwork: The file is missing, or not what Keras 3 saves.
    """
    return tuple(str(node["class_name"]) for node in _layers(_config(path)))


def foreign_classes(path: Path) -> tuple[str, ...]:
    """Class names of the layers that are not Keras' own, in their order.

    Raises:
        BadNetwork: As :func:`layer_classes`.
    """
    return tuple(
        str(node["class_name"])
        for node in _layers(_config(path))
        if not str(node.get("module")).startswith("keras")
    )


def _config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except OSError as fault:
        raise BadNetwork(
            f"{path}: {fault.strerror or fault}; name a .keras file, the folder of a SavedModel, "
            "or a run whose training has ended"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError):
        # RuntimeError: encrypted, compressed in a way that Python lacks, or nested too deeply.
        raise BadNetwork(
            f"{path}: not a file that Keras 3 saved; give a run directory or a .keras file"
        ) from None


def is_recurrent(path: Path) -> bool:
    """Whether the network in the file has a layer with a state over time.

    What a SavedModel holds is known when TensorFlow has loaded it; here it has none.

    Raises:
        BadNetwork: As :func:`layer_classes`.
    """
    if is_saved_model(path):
        return False
    return not RECURRENT.isdisjoint(layer_classes(path))


def is_saved_model(path: Path) -> bool:
    """Whether ``path`` is the folder of a TensorFlow SavedModel."""
    return (path / "saved_model.pb").is_file()


def network_digest(path: Path) -> str:
    """SHA-256 of a file, or over the names and digests of all files of a folder, in hex.

    Raises:
        BadNetwork: It cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            lines = (f"{file.relative_to(path).as_posix()},{_digest(file)}\n" for file in files)
            return hashlib.sha256("".join(lines).encode()).hexdigest()
        return _digest(path)
    except OSError as fault:
        denied = isinstance(fault, PermissionError)
        step = "check its permissions" if denied else "name the network's file or folder"
        raise BadNetwork(f"{fault.filename or path}: {fault.strerror or fault}; {step}") from None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _layers(config: Any) -> Iterator[dict[str, Any]]:
    # No recursion: what JSON can be read may be nested deeper than generators can.
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            name, inner = node.get("class_name"), node.get("config")
            if isinstance(name, str) and isinstance(inner, dict) and "name" in inner:
                yield node
            waiting.extend(reversed(node.values()))
        elif isinstance(node, list):
            waiting.extend(reversed(node))
