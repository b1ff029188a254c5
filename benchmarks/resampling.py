# ruff: noqa: E402 - the threads of BLAS are set before numpy is imported, which reads them once
"""Resampling 10 s of sound to 16 kHz: ser-edge against SciPy's resample_poly, in one process."""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import statistics
import time
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from ser_edge_runtime.resampling import resample

ROUNDS = 15


def main() -> None:
    for rate in (48_000, 44_100, 24_414, 22_050, 8_000):
        samples = np.random.default_rng(0).standard_normal(10 * rate).astype(np.float32)
        common = gcd(rate, 16_000)
        start = time.perf_counter()
        resample(samples, rate, 16_000)
        first = time.perf_counter() - start
        ours, theirs = [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            resample(samples, rate, 16_000)
            middle = time.perf_counter()
            resample_poly(samples, 16_000 // common, rate // common)
            ours.append(middle - start)
            theirs.append(time.perf_counter() - middle)
        mine, yours = statistics.median(ours), statistics.median(theirs)
        print(
            f"{rate} Hz: ser-edge {mine * 1e3:.1f} ms (first call {first * 1e3:.1f}), "
            f"SciPy {yours * 1e3:.1f} ms with its filter of 60 dB; ratio {mine / yours:.2f}"
        )


if __name__ == "__main__":
    main()
