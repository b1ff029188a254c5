"""Follows the emotion through samples in memory: ``python examples/classify_samples.py [MODEL]``.

The samples may come from anywhere: float32, one channel, any usual sample rate. A
classifier is loaded once and used for many recordings.
"""

import sys
from pathlib import Path

import numpy as np

from ser_edge_runtime import Classifier, load_audio

CLIPS = Path(__file__).parent / "clips"


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else None  # None: the default model
    classifier = Classifier.load(model, threads=1)

    pieces = []
    for name in ("1003_DFA_NEU_XX.wav", "1052_TSI_ANG_XX.wav", "1022_IEO_SAD_HI.wav"):
        samples, sample_rate = load_audio(CLIPS / name)  # all of them at 16 kHz
        pieces.append(samples)
    conversation = np.concatenate(pieces)

    for result in classifier.windows(conversation, sample_rate, segment=2.0, step=1.0):
        print(f"{result.start:5.2f} - {result.end:5.2f} s  {result.label:<9}{result.score:6.1%}")


if __name__ == "__main__":
    main()
