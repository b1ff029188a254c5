"""``ser-edge classify clip.wav`` against the bare floor, and against librosa with Keras.

Bounds: at most 1.5 times the floor's time and 12 MiB more; at least 20 times
faster than librosa with Keras, at most a tenth of its peak memory. Exits 1 if
one does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from processes import interleaved, once, verdict

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model",
        type=Path,
        default=ROOT / "runtime/ser_edge_runtime/models/default.tflite",
    )
    parser.add_argument("--clip", type=Path, default=ROOT / "examples/clips/1001_DFA_ANG_XX.wav")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--recipe", default="default", help="the model's recipe")
    parser.add_argument("--without-keras", action="store_true", help="the floor alone")
    options = parser.parse_args()

    python = sys.executable
    tool = str(Path(python).with_name("ser-edge"))
    classify = [tool, "classify", str(options.clip), "--model", str(options.model)]
    print(f"{options.rounds} rounds, medians, one BLAS thread")
    floor = {
        "bare": [python, str(HERE / "bare.py"), str(options.model)],
        "ser-edge": classify,
    }
    runs = interleaved(floor, options.rounds)
    held = True
    for name, run in runs.items():
        print(f"     {name}: {run.seconds * 1e3:.0f} ms, {run.mebibytes:.1f} MiB")
    ours, bare = runs["ser-edge"], runs["bare"]
    held &= verdict("time, ser-edge / bare", ours.seconds / bare.seconds, 1.5)
    held &= verdict("peak memory, ser-edge - bare", ours.mebibytes - bare.mebibytes, 12, " MiB")

    if not options.without_keras:
        with tempfile.TemporaryDirectory() as folder:
            prepare = [python, str(HERE / "prepare.py"), str(options.model), folder]
            once([*prepare, options.recipe])
            files = [f"{folder}/network.keras", f"{folder}/recipe.json"]
            plain = [python, str(HERE / "librosa_keras.py"), *files, str(options.clip)]
            runs = interleaved({"librosa + Keras": plain, "ser-edge": classify}, options.rounds)
        for name, run in runs.items():
            print(f"     {name}: {run.seconds * 1e3:.0f} ms, {run.mebibytes:.1f} MiB")
        ours, theirs = runs["ser-edge"], runs["librosa + Keras"]
        faster = theirs.seconds / ours.seconds
        held &= verdict("times faster than librosa + Keras", faster, 20, at_least=True)
        share = ours.mebibytes / theirs.mebibytes
        held &= verdict("peak memory, ser-edge / librosa + Keras", share, 0.1)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
