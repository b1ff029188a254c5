"""Whether the calibration clips showed the converter what other clips will bring."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.graph import Graph, Tensor

# Beyond it a calibration is said to saturate. A range is the least and the greatest value of the
# calibration clips, so as many others as there were of them leave it a little now and then.
MOST_OUTSIDE = 0.01
# An unrolled network has a tensor for every step: thousands of ranges belong into the report alone.
MOST_RANGES = 400
ROWS = 256

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """The values that a quantised tensor can hold.

    Attributes:
        position: Of the tensor in the graph.
        name: As the converter called it.
        low: The least value.
        high: The greatest value.
        step: Between two values.
    """

    position: int
    name: str
    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Coverage:
    """What a calibration covered, measured on validation clips.

    Attributes:
        ranges: Of every quantised activation, in the order of the tensors.
        absent: Classes of the network that no calibration clip has.
        outside: Share of the values of the validation clips that lie more than half a step
            beyond the range, at "input" (the features) and at "output" (the network's own
            logits); an end that is not quantised is left out.
        whole: Whether all training clips were calibration clips.
    """

    ranges: tuple[Range, ...]
    absent: tuple[str, ...]
    outside: dict[str, float]
    whole: bool = False

    @property
    def warnings(self) -> list[str]:
        """A line for each thing that is amiss, with the next step."""
        lines = []
        if self.absent:
            more = "" if self.whole else ", or raise --calibration-size"
            lines.append(
                f"calibration: no clip of the class {', '.join(self.absent)}; "
                f"add training clips of it{more}"
            )
        step = "train on more clips, these are all" if self.whole else "raise --calibration-size"
        lines.extend(
            f"calibration saturates: {100 * share:.1f} % of the {end} values of validation "
            f"clips lie beyond the range of the calibration clips; {step}"
            for end, share in self.outside.items()
            if share > MOST_OUTSIDE
        )
        return lines

    def summary(self) -> dict[str, Any]:
        """What a model file keeps: ranges by the tensor's position, unless there are too many."""
        ranges = {str(found.position): _rounded(found) for found in self.ranges}
        return {
            "outside": self.outside,
            "absent_classes": list(self.absent),
            "ranges": ranges if len(ranges) <= MOST_RANGES else None,
        }

    def listing(self) -> list[dict[str, Any]]:
        """What a report keeps: every range with the tensor's name."""
        return [
            {"position": found.position, "tensor": found.name}
            | dict(zip(("low", "high"), _rounded(found), strict=True))
            for found in self.ranges
        ]


def measure(
    graph: Graph,
    features: Features,
    logits: Features,
    *,
    classes: Collection[str],
    labels: Collection[str],
    whole: bool = False,
) -> Coverage:
    """Measures what a calibration covered.

    Args:
        graph: What the calibration led to.
        features: Normalised features of the validation clips, (clips, ...).
        logits: What the network, in floats, says of them.
        classes: Classes of the calibration clips.
        labels: Classes of the network.
        whole: Whether the calibration clips are all training clips.
    """
    ranges = {found.position: found for found in _ranges(graph)}
    ends = {
        "input": (ranges.get(_fed(graph)), features),
        "output": (ranges.get(_given(graph)), logits),
    }
    return Coverage(
        tuple(ranges.values()),
        tuple(label for label in labels if label not in classes),
        {
            end: round(_outside(values, found), 6)
            for end, (found, values) in ends.items()
            if found is not None
        },
        whole,
    )


def _ranges(graph: Graph) -> list[Range]:
    made = {position for op in graph.operators for position in op.outputs} | set(graph.inputs)
    return [
        _range(position, tensor)
        for position, tensor in enumerate(graph.tensors)
        if position in made and len(tensor.scales) == 1 and tensor.dtype in ("int8", "int16")
    ]


def _range(position: int, tensor: Tensor) -> Range:
    limits = np.iinfo(tensor.dtype)
    scale, zero = tensor.scales[0], tensor.zero_points[0]
    low, high = scale * (limits.min - zero), scale * (limits.max - zero)
    return Range(position, tensor.name, low, high, scale)


def _fed(graph: Graph) -> int:
    """The position of the features in integers: behind the first QUANTIZE if there is one."""
    position = graph.inputs[0]
    for operator in graph.operators:
        if operator.name == "QUANTIZE" and position in operator.inputs:
            return operator.outputs[0]
    return position


def _given(graph: Graph) -> int:
    """The position of the logits in integers: before the last DEQUANTIZE if there is one."""
    position = graph.outputs[0]
    for operator in graph.operators:
        if operator.name == "DEQUANTIZE" and position in operator.outputs:
            return operator.inputs[0]
    return position


def _outside(values: Features, found: Range) -> float:
    count = 0
    for start in range(0, len(values), ROWS):
        rows = np.asarray(values[start : start + ROWS])
        low, high = found.low - found.step / 2, found.high + found.step / 2
        count += int(np.count_nonzero((rows < low) | (rows > high)))
    return count / values.size if values.size else 0.0


def _rounded(found: Range) -> list[float]:
    return [float(f"{value:.6g}") for value in (found.low, found.high)]
