"""Golden numbers: the front end gives what it gave, on machines without librosa too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEnd,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)

from ...signals import voice

ALL = (LogMel(bands=24), Mfcc(bands=64, count=13), Delta(), Delta(order=2), Zcr(), Rms(),
       Chroma(), SpectralContrast())  # fmt: skip
SPECS = {
    "open": FrontEndSpec(features=ALL, clip_seconds=None),
    "coarse": FrontEndSpec(
        fft_length=2048, window_length=2048, hop_length=512, features=ALL, clip_seconds=2.0
    ),
    "trimmed": FrontEndSpec(features=ALL, trim_db=20.0, level=0.1, clip_seconds=1.0, cut="start"),
}
FRAMES = [0, 1, 20, -2, -1]
TABLE = Path(__file__).resolve().parents[2] / "data" / "front_end_golden.json"


def golden_features(spec: FrontEndSpec) -> np.ndarray:
    return FrontEnd(spec)(voice(1.3))


@pytest.mark.parametrize("name", SPECS)
def test_golden_numbers(name: str) -> None:
    golden = json.loads(TABLE.read_text())[name]
    assert SPECS[name].digest == golden["digest"]
    ours, rows = golden_features(SPECS[name])[FRAMES], np.array(golden["rows"])
    # Decibels of up to 100 in float32, whose sums come in another order on another CPU.
    np.testing.assert_allclose(ours, rows, rtol=1e-4, atol=2e-3)


def test_golden_numbers_can_fail() -> None:
    golden = np.array(json.loads(TABLE.read_text())["open"]["rows"])
    other = FrontEndSpec(features=ALL, clip_seconds=None, window="hamming")
    assert np.abs(golden_features(other)[FRAMES] - golden).max() > 0.1
