"""Reads what is to be linted: a model file, or any plain ``.tflite``."""

from __future__ import annotations

from pathlib import Path

from ser_edge_runtime.errors import NoMetadata
from ser_edge_runtime.model_file import parse_model_file, read_model_bytes


def read_flatbuffer(path: str | Path) -> tuple[bytes, str]:
    """A file's graph and the target that it says it was made for.

    Args:
        path: A model file, a folder with slots, or a ``.tflite`` of any origin.

    Returns:
        Plain TensorFlow Lite, and the name of the target; empty where nothing says.

    Raises:
        ModelFileError: It cannot be read, is no TensorFlow Lite, or is a damaged model file.
    """
    data = read_model_bytes(path)
    try:
        model = parse_model_file(data, str(path))
    except NoMetadata:
        return data, ""
    return model.flatbuffer, model.metadata.target
