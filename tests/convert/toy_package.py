"""What a toy graph needs to become a model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser

DATA = Path(__file__).resolve().parent.parent / "data"

SPEC = FrontEndSpec(
    sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
    features=(LogMel(bands=4),), clip_seconds=0.19,
)  # fmt: skip


def graph(name):
    return (DATA / f"{name}.tflite").read_bytes()


def parts(**change):
    return {
        "name": "toy",
        "labels": ["calm", "happy", "sad"],
        "front_end": SPEC,
        "normaliser": Normaliser(np.full(4, -35, np.float32), np.full(4, 9, np.float32)),
        "temperature": 1.5,
        "target": "cpu",
        "variant": "float32",
        "provenance": {"seed": 1},
        "scores": {"uar": 0.5},
        "licence": "MIT",
        "intended_use": "Tests.",
        **change,
    }
