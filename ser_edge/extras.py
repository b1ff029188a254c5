"""Whether the packages that a command needs are installed, found out before work starts."""

from __future__ import annotations

import os
from importlib.util import find_spec

from ser_edge_runtime.errors import MissingExtra

EXTRAS = {
    "train": ("tensorflow", "keras", "sklearn", "matplotlib", "jinja2", "pydantic", "tomli_w"),
    "convert": ("tensorflow", "keras", "flatbuffers", "pydantic"),
    "mic": ("sounddevice",),
    "service": ("uvicorn", "starlette"),
    "parquet": ("pyarrow",),
    "cluster": ("distributed",),
}
"""For each extra the modules that it brings and that commands import."""


def missing(extra: str) -> list[str]:
    """The modules of ``extra`` that are not installed; nothing is imported."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def need(extra: str, what: str, *modules: str) -> None:
    """Stops a command that lacks what it will import.

    Args:
        extra: The extra of ser-edge that brings the modules.
        what: The command's work, as "training".
        modules: Those that are needed; by default all of the extra's.

    Raises:
        MissingExtra: One of them is not installed; says the command that installs it.
    """
    if any(find_spec(module) is None for module in modules or EXTRAS[extra]):
        raise MissingExtra(what, extra)


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's own log off the terminal, unless the user chose a lower level."""
    # It tells of oneDNN's kernels past every level; see ser_edge_train.networks.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") in ("2", "3"):
        import logging

        # Its Python half warns when several networks are asked in one process.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
