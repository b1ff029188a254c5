"""Computes a front end's features, without a model: ``python examples/compute_features.py [CLIP]``.

It is the same code that training, conversion and the device run.
"""

import sys
from pathlib import Path

from ser_edge_runtime import FrontEnd, FrontEndSpec, load_audio
from ser_edge_runtime.resampling import resample

EXAMPLE = Path(__file__).parent / "clips" / "1011_IEO_HAP_HI.wav"


def main() -> None:
    clip = sys.argv[1] if len(sys.argv) > 1 else EXAMPLE
    spec = FrontEndSpec.from_json('{"features": [{"kind": "mfcc", "count": 13}, {"kind": "rms"}]}')
    samples, sample_rate = load_audio(clip)

    features = FrontEnd(spec)(resample(samples, sample_rate, spec.sample_rate))

    print(f"{features.shape[0]} frames of {features.shape[1]} features, spec {spec.digest[:12]}")
    for name, mean in zip(spec.names, features.mean(axis=0), strict=True):
        print(f"  {name:<8}{mean:10.3f}")


if __name__ == "__main__":
    main()
