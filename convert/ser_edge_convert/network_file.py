"""Reads what a ``.keras`` file says of itself, without Keras."""

from __future__ import annotations

import json
import zipfile
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
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except OSError as fault:
        raise BadNetwork(f"{path}: {fault.strerror or fault}; train the run first") from None
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise BadNetwork(
            f"{path}: not a file that Keras 3 saved; give a run directory or a .keras file"
        ) from None
    return tuple(_classes(config))


def is_recurrent(path: Path) -> bool:
    """Whether the network in the file has a layer with a state over time.

    Raises:
        BadNetwork: As :func:`layer_classes`.
    """
    return not RECURRENT.isdisjoint(layer_classes(path))


def _classes(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        name, config = node.get("class_name"), node.get("config")
        if isinstance(name, str) and isinstance(config, dict) and "name" in config:
            yield name
        for value in node.values():
            yield from _classes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _classes(value)
