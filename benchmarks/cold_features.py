"""The first features of a process, in milliseconds: ``cold_features.py FFT HOP BANDS``."""

import sys
import time

import numpy as np

from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, Mfcc

fft, hop, bands = map(int, sys.argv[1:])
samples = np.sin(np.arange(48_000, dtype=np.float32) * np.float32(0.1)) * np.float32(0.3)
start = time.perf_counter()
spec = FrontEndSpec(
    fft_length=fft, window_length=fft, hop_length=hop, features=(Mfcc(bands=bands, count=40),)
)
FrontEnd(spec)(samples)
print((time.perf_counter() - start) * 1e3)
