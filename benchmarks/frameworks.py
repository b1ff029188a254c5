"""Loading Keras as `train` and `convert` do, against ``import keras``.

Bound: 0.8 of its time, where scikit-learn and matplotlib are installed. Exits 1 if it does not
hold.
"""

from __future__ import annotations

import argparse
import sys

from processes import interleaved, verdict

SIDES = {"import keras": "import keras", "ours": "import ser_edge_train.frameworks"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    commands = {name: [sys.executable, "-c", line] for name, line in SIDES.items()}
    runs = interleaved(commands, options.rounds)
    for name, run in runs.items():
        print(f"     {name}: {run.seconds * 1e3:.0f} ms, {run.mebibytes:.1f} MiB")
    ours, plain = (runs[name].seconds for name in ("ours", "import keras"))
    return 0 if verdict("time, ours / import keras", ours / plain, 0.8) else 1


if __name__ == "__main__":
    raise SystemExit(main())
