"""Delegates: libraries that run a graph, or some of its operators, on an accelerator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ser_edge_runtime.backends import Backend, one_line
from ser_edge_runtime.errors import DelegateFailed
from ser_edge_runtime.records import record

XNNPACK = "xnnpack"
"""The delegate for CPUs that every interpreter brings and applies unless told otherwise."""

NONE = "none"
"""No delegate, not even XNNPACK."""

_REPLACED = "DELEGATE"


@record()
class Delegate:
    """Which delegate is to run a graph.

    Attributes:
        library: Path or name of the shared library of a TFLite external delegate, as
            ``libedgetpu.so.1``; or :data:`XNNPACK`, or :data:`NONE`.
        options: Names and values that the library is given.
        fallback: Whether the CPU may run the graph where the library cannot be used,
            and those operators that it does not take. It is then said in one line
            to the logger ``ser_edge_runtime.delegates``.
    """

    library: str
    options: tuple[tuple[str, str], ...] = ()
    fallback: bool = False

    @property
    def external(self) -> bool:
        """Whether it is a library of its own."""
        return self.library not in (XNNPACK, NONE)


@record()
class Delegated:
    """What became of a delegate.

    Attributes:
        library: As in :class:`Delegate`.
        taken: How many operators it runs.
        operators: How many operators the graph has.
        fault: Why it is not used; None if it is.
    """

    library: str
    taken: int
    operators: int
    fault: str | None = None

    @property
    def words(self) -> str:
        """What a person wants to know of it."""
        if self.fault is not None:
            return f"{self.library}: not used ({self.fault})"
        if self.library == NONE:
            return f"none: plain kernels run all {self.operators} operators"
        return f"{self.library}: runs {self.taken} of {self.operators} operators"


def as_delegate(choice: str | Delegate | None) -> Delegate:
    """``choice``, where a text is a library without options and None is XNNPACK."""
    if choice is None:
        return Delegate(XNNPACK)
    return Delegate(choice) if isinstance(choice, str) else choice


def delegated_runner(
    backend: Backend, flatbuffer: bytes, threads: int, delegate: Delegate
) -> tuple[Any, Delegated]:
    """An interpreter of a package, with an external delegate in it.

    Args:
        backend: The package.
        flatbuffer: Verified TFLite bytes.
        threads: Threads of the kernels that stay on the CPU.
        delegate: An external one.

    Returns:
        The package's interpreter with its tensors allocated, and what the delegate runs.

    Raises:
        DelegateFailed: The library is missing or broken, does not take the graph, or takes
            a part of it while ``delegate.fallback`` is false.
    """
    library = delegate.library
    try:
        _check_library(library)
        loaded = backend.load_delegate(library, dict(delegate.options))
    except Exception as fault:
        raise DelegateFailed(
            library,
            f"cannot be loaded as a delegate ({one_line(fault)})",
            "name the shared library of a TFLite external delegate for this machine, or "
            "let the CPU run the model with --delegate-fallback",
        ) from None
    try:
        runner = backend.interpreter(
            model_content=flatbuffer, num_threads=threads, experimental_delegates=[loaded]
        )
        # Now, while every operator that was replaced was replaced by this delegate:
        # allocating the tensors lets XNNPACK have the others.
        taken, operators = taken_operators(runner._get_ops_details())
        runner.allocate_tensors()
    except (RuntimeError, ValueError) as fault:
        raise DelegateFailed(
            library,
            f"does not take the graph ({one_line(fault)})",
            "let the CPU run the model with --delegate-fallback",
        ) from None
    if taken < operators:
        fault_words = f"takes {taken} of the graph's {operators} operators"
        if not delegate.fallback:
            raise DelegateFailed(
                library, fault_words, "let the CPU run the others with --delegate-fallback"
            )
        say(f"{library}: {fault_words}; the CPU runs the others")
    return runner, Delegated(library, taken, operators)


def taken_operators(operations: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How many operators of a graph delegates run, and how many there are.

    Args:
        operations: What an interpreter's ``_get_ops_details`` returns: the graph's own
            operators, and one called DELEGATE for each group that a delegate took. Those
            of a group are not marked; they are what lies between its inputs and outputs.
    """
    own = [operation for operation in operations if operation["op_name"] != _REPLACED]
    makers = {int(t): number for number, op in enumerate(own) for t in op["outputs"]}
    taken: set[int] = set()
    for group in operations:
        if group["op_name"] != _REPLACED:
            continue
        known = {int(tensor) for tensor in group["inputs"]}
        wanted = [int(tensor) for tensor in group["outputs"]]
        while wanted:
            tensor = wanted.pop()
            if tensor in known:
                continue
            known.add(tensor)
            if tensor in makers:
                taken.add(makers[tensor])
                wanted += [int(before) for before in own[makers[tensor]]["inputs"]]
    return len(taken), len(own)


def say(line: str) -> None:
    """Tells whoever listens to the logger; without a listener it goes to standard error."""
    import logging  # costs a cold start 5 ms

    logging.getLogger(__name__).warning("%s", line)


def hear(prefix: str) -> None:
    """Prints each different line of :func:`say` once, to standard error, after ``prefix``."""
    import logging

    heard: set[str] = set()

    def first_time(line: logging.LogRecord) -> bool:
        text = line.getMessage()
        new = text not in heard
        heard.add(text)
        return new

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(prefix + "%(message)s"))
    handler.addFilter(first_time)
    logging.getLogger(__name__).addHandler(handler)


def _check_library(path: str) -> None:
    """Loads ``path`` first: what fails inside load_delegate prints a traceback on its way out."""
    import ctypes

    library = ctypes.PyDLL(path)
    for symbol in ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate"):
        getattr(library, symbol)
