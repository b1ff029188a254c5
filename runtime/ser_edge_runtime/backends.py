"""The packages that bring a TFLite interpreter, and which of them is used.

ai-edge-litert comes first; tflite-runtime is for 32-bit ARM and Python below
3.12; TensorFlow is used if asked for by name, or if the program has loaded it
already: importing it takes seconds and half a gigabyte.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ser_edge_runtime.chatter import without_chatter
from ser_edge_runtime.errors import NoInterpreter, UnknownInterpreter

BACKENDS = ("ai-edge-litert", "tflite-runtime", "tensorflow")
VARIABLE = "SER_EDGE_INTERPRETER"
_NUMPY_2 = "it was built for numpy 1: pip install 'numpy<2'"


class Backend(NamedTuple):
    """An interpreter package that was imported.

    Attributes:
        name: One of :data:`BACKENDS`.
        interpreter: Its Interpreter class.
        load_delegate: Its function of that name: a library's path, and its options.
        without_xnnpack: The kind of operators that leaves XNNPACK out.
    """

    name: str
    interpreter: Callable[..., Any]
    load_delegate: Callable[[str, dict[str, str]], Any]
    without_xnnpack: Any


class Unusable(Exception):
    """A package that is missing or does not work; the text says which and what to do."""


def choose(name: str | None = None) -> Backend:
    """Imports the interpreter that is to be used.

    Args:
        name: One of :data:`BACKENDS`; None takes the environment variable
            ``SER_EDGE_INTERPRETER`` and, where that is not set, the first that works.

    Raises:
        UnknownInterpreter: There is none of that name.
        NoInterpreter: The named one, or every one, is missing or broken.
    """
    name = name or os.environ.get(VARIABLE) or None
    if name is not None:
        if name not in BACKENDS:
            raise UnknownInterpreter(
                f"interpreter {name!r} is unknown; choose one of {', '.join(BACKENDS)}"
            )
        try:
            return _IMPORTS[name]()
        except Unusable as fault:
            raise NoInterpreter(f"{name} cannot be used: {fault}") from None
    faults = []
    for candidate in BACKENDS:
        if candidate == "tensorflow" and "tensorflow" not in sys.modules:
            continue
        try:
            return _IMPORTS[candidate]()
        except Unusable as fault:
            faults.append(f"{candidate}: {fault}")
    raise NoInterpreter("no TFLite interpreter can be used: " + "; ".join(faults))


def available_backends() -> list[tuple[str, str | None, str | None]]:
    """Each interpreter package: its name, its version if installed, and why it cannot be used.

    TensorFlow is looked for, not imported.
    """
    from importlib import metadata
    from importlib.util import find_spec

    rows: list[tuple[str, str | None, str | None]] = []
    for name in BACKENDS:
        version = None
        for distribution in (name, f"{name}-cpu"):
            try:
                version = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
        fault = None
        try:
            if name != "tensorflow":
                _IMPORTS[name]()
            elif find_spec("tensorflow") is None:
                raise Unusable(_missing("ser-edge[train]"))
        except Unusable as why:
            fault = str(why)
        rows.append((name, version, fault))
    return rows


def _missing(requirement: str) -> str:
    return f"not installed: pip install '{requirement}'"


def _backend(name: str, module: Any) -> Backend:
    return Backend(
        name,
        module.Interpreter,
        module.load_delegate,
        module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )


def _import_litert() -> Backend:
    try:
        from ai_edge_litert import interpreter

        return _backend("ai-edge-litert", interpreter)
    except ModuleNotFoundError as fault:
        if fault.name != "ai_edge_litert":
            raise Unusable(_broken(fault)) from None
        raise Unusable(_missing("ai-edge-litert")) from None
    except Exception as fault:
        raise Unusable(_broken(fault)) from None


def _import_tflite_runtime() -> Backend:
    try:
        import tflite_runtime

        # Its metadata allow numpy 2; it then imports, printing pages, and dies
        # with a SystemError when a model is loaded. 2.14 is the last release.
        if int(np.__version__.split(".")[0]) >= 2 and _release(tflite_runtime) <= (2, 14):
            raise Unusable(_NUMPY_2)
        from tflite_runtime import interpreter

        return _backend("tflite-runtime", interpreter)
    except ModuleNotFoundError as fault:
        if fault.name != "tflite_runtime":
            raise Unusable(_broken(fault)) from None
        raise Unusable(_missing("ser-edge[tflite-runtime]")) from None
    except Unusable:
        raise
    except Exception as fault:
        raise Unusable(_broken(fault)) from None


def _import_tensorflow() -> Backend:
    if "tensorflow" not in sys.modules:
        # TensorFlow's own log; a level that the user chose stays.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with without_chatter():
            import tensorflow as tf

        experimental = tf.lite.experimental
        return Backend(
            "tensorflow",
            _without_notice(tf.lite.Interpreter),
            experimental.load_delegate,
            experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    except ModuleNotFoundError as fault:
        if fault.name != "tensorflow":
            raise Unusable(_broken(fault)) from None
        raise Unusable(_missing("ser-edge[train]")) from None
    except Exception as fault:
        raise Unusable(_broken(fault)) from None


def _without_notice(interpreter: Callable[..., Any]) -> Callable[..., Any]:
    """Leaves out the notice that tf.lite.Interpreter will go: who asks for it knows."""

    def create(**arguments: Any) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
            return interpreter(**arguments)

    return create


def _release(package: Any) -> tuple[int, ...]:
    parts = str(getattr(package, "__version__", "2.14")).split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())


def _broken(fault: BaseException) -> str:
    return f"it does not import ({one_line(fault)}): install it again"


def one_line(fault: BaseException) -> str:
    """An exception's text in one line of at most 300 characters."""
    return " ".join(str(fault).split())[:300] or type(fault).__name__


_IMPORTS: dict[str, Callable[[], Backend]] = {
    "ai-edge-litert": _import_litert,
    "tflite-runtime": _import_tflite_runtime,
    "tensorflow": _import_tensorflow,
}
