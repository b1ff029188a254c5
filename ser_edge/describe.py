"""A front end in words, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_edge_runtime import FrontEndSpec
    from ser_edge_runtime.front_end.kinds import Feature


def describe_front_end(spec: FrontEndSpec) -> list[str]:
    """What ``spec`` computes, a sentence part a line: samples, frames, features, segment."""
    milliseconds = 1000 / spec.sample_rate
    return [
        f"{spec.sample_rate} Hz, one channel",
        f"a frame every {spec.hop_length * milliseconds:g} ms "
        f"({spec.window} window of {spec.window_length * milliseconds:g} ms, "
        f"FFT of {spec.fft_length} points)",
        f"{_and([_feature(feature) for feature in spec.features])} "
        f"({spec.feature_count} values a frame)",
        _segment(spec),
    ]


def _feature(feature: Feature) -> str:
    from ser_edge_runtime.front_end.kinds import Chroma, Delta, LogMel, Mfcc, SpectralContrast, Zcr

    if isinstance(feature, LogMel):
        return f"{feature.bands} log-mel bands"
    if isinstance(feature, Mfcc):
        return f"{feature.count} MFCC of {feature.bands} mel bands"
    if isinstance(feature, Delta):
        return f"{'slope' if feature.order == 1 else 'curvature'} of {feature.of}"
    if isinstance(feature, Chroma):
        return f"chroma of {feature.bins} bins"
    if isinstance(feature, SpectralContrast):
        return f"spectral contrast of {feature.bands + 1} bands"
    return "zero-crossing rate" if isinstance(feature, Zcr) else "RMS"


def _segment(spec: FrontEndSpec) -> str:
    parts = []
    if spec.offset_seconds:
        parts.append(f"after the first {spec.offset_seconds:g} s")
    if spec.trim_db is not None:
        parts.append(f"ends below {spec.trim_db:g} dB trimmed")
    if spec.level is not None:
        parts.append(f"scaled to RMS {spec.level:g}")
    if spec.clip_seconds is None:
        parts.append("whole recording")
    else:
        parts.append(f"{spec.clip_seconds:g} s from the {spec.cut}")
    shape = {"sequence": "as a sequence", "flat": "as one row", "mean": "averaged over time"}
    return ", ".join([*parts, shape[spec.layout]])


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
