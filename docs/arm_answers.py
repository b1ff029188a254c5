"""What this machine answers for 200 clips: ``python docs/arm_answers.py OUT.json CLIP...``.

docs/prove_arm.sh runs it on x86 and on emulated ARM; docs/arm_agreement.py compares.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from time import perf_counter

from ser_edge_runtime import Classifier
from ser_edge_runtime.golden import verify_golden


def main() -> None:
    """Classifies each clip with the default model and writes the probabilities."""
    out, *clips = sys.argv[1:]
    classifier = Classifier.load()
    golden = verify_golden(classifier.model_file, classifier)
    start = perf_counter()
    answers = {
        Path(clip).name: list(classifier.classify_file(clip).scores.values()) for clip in clips
    }
    result = {
        "machine": f"{platform.machine()}, Python of {sys.maxsize.bit_length() + 1} bits",
        "interpreter": classifier.backend,
        "temperature": classifier.model_file.metadata.temperature,
        "golden": golden.passed,
        "seconds": perf_counter() - start,
        "answers": answers,
    }
    Path(out).write_text(json.dumps(result), encoding="utf-8")


main()
