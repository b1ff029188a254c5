"""One TFLite interpreter, whichever package it comes from: floats in, logits out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.backends import Backend, available_backends, choose, one_line
from ser_edge_runtime.chatter import without_chatter
from ser_edge_runtime.delegates import (
    XNNPACK,
    Delegate,
    Delegated,
    as_delegate,
    delegated_runner,
    say,
    taken_operators,
)
from ser_edge_runtime.errors import (
    DelegateFailed,
    InvalidThreads,
    InvokeFailed,
    ModelRejected,
    NoInterpreter,
    UnsupportedTensors,
)
from ser_edge_runtime.metadata import DTYPES, TensorInfo

__all__ = ["Interpreter", "available_backends"]

Array = npt.NDArray[np.float32]

# Past this, creating a pool of threads ends in a segmentation fault
# (ai-edge-litert 2.3.0 with 100000); no target has as many cores.
MOST_THREADS = 256


class Interpreter:
    """Runs a graph of one input and one output, quantised or not.

    One thread at a time: a graph's tensors and its state belong to the object.

    Args:
        flatbuffer: Verified TFLite bytes. They must be known to be whole: of
            damaged ones an interpreter may refuse some and crash on others.
        backend: "ai-edge-litert", "tflite-runtime" or "tensorflow"; None takes
            the environment variable ``SER_EDGE_INTERPRETER`` and, where that is
            not set, the first that works.
        threads: How many threads the kernels may use, 1 to 256.
        delegate: Path of a shared library with a TFLite external delegate, or a
            :class:`~ser_edge_runtime.delegates.Delegate`; None is XNNPACK.

    Attributes:
        backend: Name of the package that runs it.
        input: The graph's input.
        output: The graph's output.

    Raises:
        InvalidThreads: ``threads`` is out of range.
        UnknownInterpreter: ``backend`` is no known name.
        NoInterpreter: No interpreter, or not the named one, can be used.
        DelegateFailed: The delegate cannot be loaded or does not take the graph, or not
            all of it, and may not fall back.
        ModelRejected: The interpreter refuses the graph.
        UnsupportedTensors: The graph has other inputs and outputs than one each.
    """

    def __init__(
        self,
        flatbuffer: bytes,
        *,
        backend: str | None = None,
        threads: int = 1,
        delegate: str | Delegate | None = None,
    ) -> None:
        if type(threads) is not int or not 1 <= threads <= MOST_THREADS:
            raise InvalidThreads(f"threads must be 1 to {MOST_THREADS}, not {threads}")
        chosen = choose(backend)
        self.backend = chosen.name
        self._asked = as_delegate(delegate)
        self._runner, self._delegated = _create(chosen, flatbuffer, threads, self._asked)
        try:
            inputs, outputs = self._runner.get_input_details(), self._runner.get_output_details()
        except UnicodeDecodeError as fault:
            raise ModelRejected(_refusal(chosen, fault)) from None
        if len(inputs) != 1 or len(outputs) != 1:
            raise UnsupportedTensors(
                f"the graph has {len(inputs)} inputs and {len(outputs)} outputs; "
                "export it with one of each"
            )
        self.input, self.output = _tensor(inputs[0], "input"), _tensor(outputs[0], "output")
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]

    def __repr__(self) -> str:
        return f"Interpreter({self.backend}, {self.input} -> {self.output})"

    @property
    def delegated(self) -> Delegated:
        """Which delegate runs how many of the graph's operators."""
        if self._delegated is None:
            self._delegated = Delegated(self._asked.library, *_operators(self._runner))
        return self._delegated

    def invoke(self, features: Array) -> Array:
        """Runs the graph once.

        State that the graph keeps goes on from the call before; see :meth:`reset`.

        Args:
            features: float32 of the input's shape without the batch axis.

        Returns:
            float32 of the output's shape without the batch axis, dequantised.

        Raises:
            ValueError: ``features`` has another shape.
            InvokeFailed: The interpreter stopped.
        """
        if np.shape(features) != self.input.shape[1:]:
            raise ValueError(f"shape {self.input.shape[1:]} expected, not {np.shape(features)}")
        try:
            self._runner.set_tensor(self._input_index, quantise(features, self.input)[np.newaxis])
            self._runner.invoke()
            values = self._runner.get_tensor(self._output_index)
        except (RuntimeError, ValueError) as fault:
            raise InvokeFailed(f"{self.backend} failed on the graph: {one_line(fault)}") from None
        return dequantise(values[0], self.output)

    def reset(self) -> None:
        """Sets the state that the graph keeps between invokes (of fused LSTMs) to zero."""
        self._runner.reset_all_variables()


def quantise(values: Array, tensor: TensorInfo) -> npt.NDArray[Any]:
    """Real values as ``tensor`` holds them: scaled, rounded half to even, clipped to its type."""
    if not tensor.quantised:
        return np.ascontiguousarray(values, dtype=np.float32)
    limits = np.iinfo(tensor.dtype)
    whole = np.rint(values / np.float32(tensor.scale)) + tensor.zero_point
    return np.asarray(np.clip(whole, limits.min, limits.max), dtype=tensor.dtype)


def dequantise(values: npt.NDArray[Any], tensor: TensorInfo) -> Array:
    """What ``tensor`` holds as real values, float32."""
    if not tensor.quantised:
        return np.asarray(values, dtype=np.float32)
    return (values.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


def _create(
    backend: Backend, flatbuffer: bytes, threads: int, delegate: Delegate
) -> tuple[Any, Delegated | None]:
    with without_chatter():
        if not delegate.external:
            return _plain(backend, flatbuffer, threads, xnnpack=delegate.library == XNNPACK), None
        try:
            return delegated_runner(backend, flatbuffer, threads, delegate)
        except DelegateFailed as fault:
            if not delegate.fallback:
                raise
            reason = fault.fault
        runner = _plain(backend, flatbuffer, threads, xnnpack=True)
    say(f"{delegate.library}: {reason}; the CPU runs the model")
    return runner, Delegated(delegate.library, 0, _operators(runner)[1], reason)


def _plain(backend: Backend, flatbuffer: bytes, threads: int, *, xnnpack: bool) -> Any:
    options = {} if xnnpack else {"experimental_op_resolver_type": backend.without_xnnpack}
    try:
        runner = backend.interpreter(model_content=flatbuffer, num_threads=threads, **options)
        runner.allocate_tensors()
    except SystemError as fault:
        # What a module compiled for another numpy raises.
        raise NoInterpreter(
            f"{backend.name} and numpy {np.__version__} do not fit together "
            f"({one_line(fault)}); install matching releases of both"
        ) from None
    except (RuntimeError, ValueError) as fault:
        raise ModelRejected(_refusal(backend, fault)) from None
    return runner


def _operators(runner: Any) -> tuple[int, int]:
    return taken_operators(runner._get_ops_details())


def _refusal(backend: Backend, fault: Exception) -> str:
    return f"{backend.name} refuses the graph ({one_line(fault)}); convert it for this target again"


def _tensor(details: dict[str, Any], role: str) -> TensorInfo:
    dtype = np.dtype(details["dtype"]).name
    scale, zero_point = details["quantization"]
    tensor = TensorInfo(
        tuple(int(axis) for axis in details["shape"]),
        dtype,
        float(scale) if dtype != "float32" else 0.0,
        int(zero_point) if dtype != "float32" else 0,
    )
    if dtype not in DTYPES or (tensor.quantised and tensor.scale <= 0):
        raise UnsupportedTensors(
            f"the graph's {role} is {dtype}; export it as float32 or quantised int8"
        )
    if len(tensor.shape) < 2 or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        raise UnsupportedTensors(
            f"the graph's {role} has the shape {list(tensor.shape)}; export it for a batch of one"
        )
    return tensor
