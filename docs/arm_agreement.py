"""Compares answers of two machines: ``python docs/arm_agreement.py X86.json ARM.json``.

The graph's last int8 tensor holds the logits; its scale is the quantum. A clip whose two
highest logits lie within two quanta on either machine is a near tie. Exit code 1 where
another clip has another top-1.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import default_model_path, read_model_file


def quantum() -> float:
    """The scale of the logits where they are int8, in the default model."""
    runner = Interpreter(read_model_file(default_model_path()).flatbuffer, delegate="none")._runner
    last = next(op for op in runner._get_ops_details() if op["op_name"] == "DEQUANTIZE")
    details = {tensor["index"]: tensor for tensor in runner.get_tensor_details()}
    return float(details[int(last["inputs"][0])]["quantization"][0])


def gap(probabilities: list[float], temperature: float) -> float:
    """Between the two highest logits."""
    second, first = sorted(probabilities)[-2:]
    return temperature * (math.log(first) - math.log(second)) if second > 0 else math.inf


def main() -> int:
    """Prints the comparison."""
    one, other = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:])
    step = quantum()
    same = ties = 0
    worst, lost = 0.0, []
    for clip, expected in one["answers"].items():
        found = other["answers"][clip]
        worst = max(worst, *(abs(a - b) for a, b in zip(expected, found, strict=True)))
        near = min(gap(answer, one["temperature"]) for answer in (expected, found)) <= 2 * step
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
        f"two quanta of {step:.4g}); largest |dp| {worst:.2e}"
    )
    for clip in lost:
        print(f"another top-1 without a tie: {clip}")
    return int(bool(lost) or not other["golden"])


sys.exit(main())
