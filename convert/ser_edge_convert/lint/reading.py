"""Reads what is to be linted: a model file, or any plain ``.tflite``."""

from __future__ import annotations

from pathlib import Path

from ser_edge_runtime.errors import ModelTooLarge, NoMetadata, UnreadableModel
from ser_edge_runtime.model_file import LARGEST_FILE, parse_model_file


def read_flatbuffer(path: str | Path) -> tuple[bytes, str]:
    """A file's graph and the target that it says it was made for.

    Args:
        path: A model file, or a ``.tflite`` of any origin.

    Returns:
        Plain TensorFlow Lite, and the name of the target; empty where nothing says.

    Raises:
        ModelFileError: It cannot be read, is no TensorFlow Lite, or is a damaged model file.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as fault:
        raise UnreadableModel(name, (fault.strerror or "cannot be read").lower()) from None
    if len(data) > LARGEST_FILE:
        raise ModelTooLarge(name, f"over {LARGEST_FILE >> 20} MiB")
    try:
        model = parse_model_file(data, name)
    except NoMetadata:
        return data, ""
    return model.flatbuffer, model.metadata.target
