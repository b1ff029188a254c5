"""Writes front_end_golden.json: what the front end gave when parity with librosa was proven.

Run it only when the front end is meant to change: python tests/data/make_front_end_golden.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.runtime.front_end.test_golden import FRAMES, SPECS, golden_features  # noqa: E402  # path first

table = {
    name: {
        "digest": spec.digest,
        "rows": [[float(f"{value:.7g}") for value in row] for row in golden_features(spec)[FRAMES]],
    }
    for name, spec in SPECS.items()
}
(HERE / "front_end_golden.json").write_text(json.dumps(table) + "\n")
