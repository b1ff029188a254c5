"""Made ``format_v1.tflite`` and ``format_v2.tflite`` beside this file, each once.

Such a file is what a version of the format looks like. Every later runtime must
read it, so it is never made again: a later format gets a file of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ser_edge_convert.packaging import package
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser
from ser_edge_runtime.metadata import FORMAT_VERSION

HERE = Path(__file__).parent


def toy() -> bytes:
    """The same model in the newest format."""
    return package(
        (HERE / "toy_float.tflite").read_bytes(),
        name="toy",
        labels=("calm", "loud", "élevé"),
        front_end=FrontEndSpec(
            sample_rate=8000,
            fft_length=256,
            window_length=200,
            hop_length=80,
            features=(LogMel(bands=4),),
            clip_seconds=0.19,
        ),
        normaliser=Normaliser(
            np.array([-30.5, -32.25, -35.125, -40.1], np.float32),
            np.array([9.5, 8.25, 7.1, 6.3], np.float32),
        ),
        temperature=1.25,
        target="cpu",
        variant="float32",
        provenance={"recipe": "toy", "seed": 7, "versions": {"numpy": "2.4.6"}},
        scores={"protocol": "none", "uar": 0.25},
        licence="MIT: a toy",
        intended_use="Tests of the file format.\nNothing else.",
    )


if __name__ == "__main__":
    with (HERE / f"format_v{FORMAT_VERSION}.tflite").open("xb") as stream:
        stream.write(toy())
