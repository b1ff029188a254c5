"""Names the emotion in a recording: ``python examples/classify_file.py [CLIP [MODEL]]``."""

import sys
from pathlib import Path

from ser_edge_runtime import Classifier

EXAMPLE = Path(__file__).parent / "clips" / "1011_IEO_HAP_HI.wav"


def main() -> None:
    clip = sys.argv[1] if len(sys.argv) > 1 else EXAMPLE
    model = sys.argv[2] if len(sys.argv) > 2 else None  # None: the default model

    result = Classifier.load(model).classify_file(clip)

    print(f"{result.label} ({result.score:.0%}) in {result.seconds:.2f} s of speech")
    for label, probability in result.scores.items():
        print(f"  {label:<9}{probability:6.1%}")


if __name__ == "__main__":
    main()
