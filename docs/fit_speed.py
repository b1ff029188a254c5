"""Fits how fast a voice sounds: ``python docs/fit_speed.py MANIFEST [CLIPS]``.

A header with the wrong sample rate makes a voice too fast or too slow. Recordings of the
corpora are measured at 1/3 to 3 times their speed; the octaves of speed are then fitted by
ridge regression on pitch, brightness and tempo (``Measures.voice``). Printed are the numbers
for ``recording_measures.py``, and, for speakers that were not fitted on, how often a speed
beyond the limits is told. The distribution of the other measures over recordings as they
are is printed as well: the limits in ``recording_check.py`` lie outside of it.
"""

from __future__ import annotations

import random
import sys

import numpy as np

from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.recording_check import FASTEST, SLOWEST
from ser_edge_runtime.recording_measures import measure
from ser_edge_train.manifest import Manifest

SPEEDS = (1 / 3, 0.5, 1, 2, 44.1 / 16, 3)
RIDGE = 1.0
SHARES = (0, 0.01, 0.05, 0.5, 0.95, 0.99, 1)


def main(path: str, count: int) -> None:
    manifest = Manifest.read(path)
    clips = random.Random(5).sample(list(manifest.usable), count)
    rows, octaves, halves, plain = [], [], [], []
    for clip in clips:
        samples, rate = load_audio(manifest.root / clip.path)
        for speed in SPEEDS:
            measures = measure(samples, round(rate * speed))
            if speed == 1:
                plain.append(measures)
            if measures.voice:
                rows.append(measures.voice)
                octaves.append(np.log2(speed))
                halves.append(half_of(clip.speaker_key))
    features, target, half = np.array(rows), np.array(octaves), np.array(halves)
    print(
        f"{count} recordings, {len({c.speaker_key for c in clips})} speakers, {len(SPEEDS)} speeds"
    )
    guesses = np.zeros(len(target))
    for one in (0, 1):
        weights, constant = fit(features[half != one], target[half != one])
        guesses[half == one] = features[half == one] @ weights + constant
    print("\nspeed   told as beyond the limits, speakers not fitted on")
    low, high = np.log2(SLOWEST), np.log2(FASTEST)
    for speed in SPEEDS:
        guess = guesses[np.isclose(target, np.log2(speed))]
        share = ((guess < low) | (guess > high)).mean()
        print(f"{speed:5.2f}   {100 * share:5.1f} %   median guess {2 ** np.median(guess):.2f}")
    weights, constant = fit(features, target)
    print(
        f"\nSPEED: Final = Speed(\n    ({', '.join(f'{w:.4f}' for w in weights)}), "
        f"{constant:.4f}\n)"
    )
    print(f"\nrecordings as they are, quantiles {SHARES}")
    for name in ("seconds", "peak", "level", "clipped", "snr", "bandwidth", "hum", "held"):
        values = [getattr(measures, name) for measures in plain]
        print(f"{name:<10}", " ".join(f"{v:9.4f}" for v in np.quantile(values, SHARES)))


def half_of(key: tuple[str, str]) -> int:
    return sum(map(ord, "".join(key))) % 2


def fit(features: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    mean, scale = features.mean(axis=0), features.std(axis=0)
    values = (features - mean) / scale
    gram = values.T @ values + RIDGE * np.eye(values.shape[1])
    weights = np.linalg.solve(gram, values.T @ (target - target.mean())) / scale
    return weights, float(target.mean() - mean @ weights)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300)
