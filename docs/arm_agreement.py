"""Compares answers of two machines: ``python docs/arm_agreement.py X86.json ARM.json``.

A clip is a near tie where its two best answers lie so close on either machine that the other may
swap them. Of a file whose logits are int8 that is two quanta, the scale of its last int8 tensor;
of one that gives floats, twice the tolerance of its golden probabilities, by which an interpreter
may move each. Exit code 1 where another clip has another top-1.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from ser_edge_convert.graph import read_graph
from ser_edge_runtime.model_file import default_model_path, read_model_file


def near_tie(
    probabilities: Sequence[float], temperature: float, step: float, tolerance: float
) -> bool:
    """Whether the two best of an answer may change places on another machine.

    Args:
        probabilities: Of one clip.
        temperature: The model's.
        step: The quantum of its logits; 0: they are floats.
        tolerance: Of its golden probabilities.
    """
    second, first = sorted(probabilities)[-2:]
    if not step:
        return first - second <= 2 * tolerance
    gap = temperature * (math.log(first) - math.log(second)) if second > 0 else math.inf
    return gap <= 2 * step


def main() -> int:
    """Prints the comparison."""
    one, other = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:])
    model = read_model_file(default_model_path())
    step, tolerance = read_graph(model.flatbuffer).output_quantum, model.golden.tolerance
    same = ties = 0
    worst, lost = 0.0, []
    for clip, expected in one["answers"].items():
        found = other["answers"][clip]
        worst = max(worst, *(abs(a - b) for a, b in zip(expected, found, strict=True)))
        near = any(
            near_tie(answer, one["temperature"], step, tolerance) for answer in (expected, found)
        )
        ties += near
        if expected.index(max(expected)) == found.index(max(found)):
            same += 1
        elif not near:
            lost.append(clip)
    for side in (one, other):
        held = "hold" if side["golden"] else "DO NOT HOLD"
        print(
            f"{side['machine']}, {side['interpreter']}: {len(side['answers'])} clips in "
            f"{side['seconds']:.1f} s, golden vectors {held}"
        )
    print(
        f"same top-1 on {same} of {len(one['answers'])} clips; {ties} near ties (top two within "
        + (f"two quanta of {step:.4g}" if step else f"{2 * tolerance:g} of each other")
        + f"); largest |dp| {worst:.2e}"
    )
    for clip in lost:
        print(f"another top-1 without a tie: {clip}")
    return int(bool(lost) or not other["golden"])


if __name__ == "__main__":
    sys.exit(main())
