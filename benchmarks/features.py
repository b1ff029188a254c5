# ruff: noqa: E402 - the threads of BLAS are set before numpy is imported, which reads them once
"""Features of a 3 s clip, 40 MFCC: ser-edge against librosa, warm, in one process.

Bounds: at most 0.7 of librosa's time once warm; the first call of a fresh
process at most 5 ms. Exits 1 if one does not hold.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
from processes import verdict

from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, Mfcc

HERE = Path(__file__).resolve().parent
SHAPES = ((512, 160, 64), (2048, 512, 128))


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clip", type=Path, default=HERE.parent / "examples/clips/1001_DFA_ANG_XX.wav"
    )
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    recorded, rate = load_audio(options.clip)
    samples = np.resize(recorded, 3 * rate)
    held = True
    for fft, hop, bands in SHAPES:
        spec = FrontEndSpec(
            sample_rate=rate,
            fft_length=fft,
            window_length=fft,
            hop_length=hop,
            features=(Mfcc(bands=bands, count=40),),
        )
        front_end = FrontEnd(spec)

        def ours(front_end: FrontEnd = front_end) -> np.ndarray:
            return front_end(samples)

        def theirs(fft: int = fft, hop: int = hop, bands: int = bands) -> np.ndarray:
            return librosa.feature.mfcc(
                y=samples, sr=rate, n_mfcc=40, n_fft=fft, hop_length=hop, n_mels=bands
            )

        reference = theirs().T
        frames = min(len(reference), len(ours()))
        difference = np.max(np.abs(ours()[:frames] - reference[:frames]))
        if difference > 1e-4 * np.ptp(reference):
            raise SystemExit(f"not the same features: they differ by {difference}")
        for _ in range(5):
            ours()
            theirs()
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(options.rounds)]
        mine, yours = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"FFT {fft}, hop {hop}, {bands} mels, {options.rounds} rounds, medians")
        print(f"     ser-edge {mine * 1e3:.2f} ms, librosa {yours * 1e3:.2f} ms")
        held &= verdict("time, ser-edge / librosa", mine / yours, 0.7)
        cold = [
            float(
                subprocess.run(
                    [sys.executable, str(HERE / "cold_features.py"), *map(str, (fft, hop, bands))],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(10)
        ]
        held &= verdict("first call of a process", statistics.median(cold), 5, " ms")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
