"""How far the activations of a quantised graph are from those of its float graph."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.graph import read_graph

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorError:
    """How a tensor differs from what it should be, over all its values on all clips.

    Attributes:
        sqnr: Signal to quantisation noise, 10 log10(sum x^2 / sum (x - y)^2), in dB;
            infinite where they are the same.
        cosine: Cosine of the angle between both; 1 where they are the same.
    """

    sqnr: float
    cosine: float

    @classmethod
    def between(cls, exact: Array, other: Array) -> TensorError:
        """Compares ``other`` with ``exact``; both of one shape."""
        x, y = exact.astype(np.float64).ravel(), other.astype(np.float64).ravel()
        signal, noise = float(x @ x), float((x - y) @ (x - y))
        if noise == 0:
            return cls(math.inf, 1.0)
        norms = math.sqrt(signal * float(y @ y))
        sqnr = 10 * math.log10(signal / noise) if signal > 0 else -math.inf
        return cls(sqnr, float(x @ y) / norms if norms > 0 else 0.0)

    def to_dict(self) -> dict[str, float | None]:
        """For a report; a ratio that is not finite is None."""
        sqnr = round(self.sqnr, 2) if math.isfinite(self.sqnr) else None
        return {"sqnr_db": sqnr, "cosine": round(self.cosine, 6)}


def activations(flatbuffer: bytes, features: Array, names: Collection[str]) -> dict[str, Array]:
    """Values of some tensors, dequantised, each clip from a zero state.

    Args:
        flatbuffer: The graph.
        features: float32 (clips, ...).
        names: Of tensors; one that the graph does not compute is left out.

    Returns:
        float32 (clips, ...) for each name.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    wanted, source = set(names), read_graph(flatbuffer).inputs[0]
    # A delegate keeps inner values to itself.
    interpreter = Interpreter(
        model_content=flatbuffer,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    details = [d for d in interpreter.get_tensor_details() if d["name"] in wanted]
    rows: dict[str, list[Array]] = {detail["name"]: [] for detail in details}
    for clip in features:
        interpreter.reset_all_variables()
        interpreter.set_tensor(source, np.asarray(clip, np.float32)[np.newaxis])
        interpreter.invoke()
        for detail in details:
            rows[detail["name"]].append(_dequantised(interpreter, detail))
    return {name: np.stack(values) for name, values in rows.items()}


def _dequantised(interpreter: Any, detail: dict[str, Any]) -> Array:
    values = interpreter.get_tensor(detail["index"])
    if values.dtype == np.float32:
        return np.array(values)
    scale, zero_point = detail["quantization"]
    return np.asarray((values.astype(np.float32) - zero_point) * scale, np.float32)
