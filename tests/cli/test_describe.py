from __future__ import annotations

from ser_edge.describe import describe_front_end
from ser_edge_runtime.front_end import FrontEndSpec
from ser_edge_runtime.front_end.kinds import (
    Chroma,
    Delta,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)


def test_the_default_front_end_in_words():
    assert describe_front_end(FrontEndSpec()) == [
        "16000 Hz, one channel",
        "a frame every 10 ms (hann window of 25 ms, FFT of 512 points)",
        "64 log-mel bands (64 values a frame)",
        "3 s from the centre, as a sequence",
    ]


def test_every_feature_and_every_field_of_the_segment_has_words():
    spec = FrontEndSpec(
        features=(
            Mfcc(),
            Delta(),
            Delta(order=2),
            LogMel(bands=40),
            Zcr(),
            Rms(),
            Chroma(),
            SpectralContrast(),
        ),
        trim_db=30,
        level=0.05,
        offset_seconds=0.5,
        clip_seconds=None,
        layout="mean",
    )
    words = describe_front_end(spec)
    assert words[2] == (
        "40 MFCC of 128 mel bands, slope of mfcc, curvature of mfcc, 40 log-mel bands, "
        "zero-crossing rate, RMS, chroma of 12 bins and spectral contrast of 7 bands "
        "(181 values a frame)"
    )
    assert words[3] == (
        "after the first 0.5 s, ends below 30 dB trimmed, scaled to RMS 0.05, "
        "whole recording, averaged over time"
    )


def test_a_flat_layout_and_a_cut_at_the_start():
    words = describe_front_end(FrontEndSpec(layout="flat", cut="start", clip_seconds=2.5))
    assert words[3] == "2.5 s from the start, as one row"
