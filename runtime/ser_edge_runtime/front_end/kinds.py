"""The features that a front end can compute, one frozen dataclass each.

Their fields are all that is to be known of them; defaults follow librosa 0.11.
"""

from __future__ import annotations

from typing import ClassVar

from ser_edge_runtime.records import record

MEL_NORMS = ("slaney", "none")


@record()
class MelScale:
    """A mel filter bank over the power spectrum.

    Attributes:
        bands: Number of triangular filters.
        fmin: Lower edge of the first filter, in Hz.
        fmax: Upper edge of the last filter, in Hz; None means half the sample rate.
        htk: HTK's formula instead of Slaney's.
        norm: "slaney" gives each filter unit area, "none" unit height.
    """

    bands: int = 64
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = False
    norm: str = "slaney"


@record()
class LogMel(MelScale):
    """Mel power in decibels (re 1), floored ``top_db`` below the segment's loudest value.

    Attributes:
        top_db: Dynamic range kept, in dB; None keeps all above -100 dB (power 1e-10).
    """

    kind: ClassVar[str] = "log_mel"
    top_db: float | None = 80.0


@record()
class Mfcc(MelScale):
    """Mel-frequency cepstral coefficients: orthonormal DCT-II of the log-mel bands.

    Attributes:
        count: Coefficients kept, from the zeroth; at most ``bands``.
        top_db: As in :class:`LogMel`, applied before the DCT.
    """

    kind: ClassVar[str] = "mfcc"
    bands: int = 128
    count: int = 40
    top_db: float | None = 80.0


@record()
class Delta:
    """Slope (or curvature) of another feature over time, by least squares.

    Attributes:
        of: Kind of the feature it follows; that one must stand before it.
        order: 1 for slopes, 2 for curvatures.
        width: Frames of the fit, odd. Segments of fewer frames use the largest
            odd width that fits; if no fit is possible the delta is zero.
    """

    kind: ClassVar[str] = "delta"
    of: str = "mfcc"
    order: int = 1
    width: int = 9


@record()
class Zcr:
    """Share of sample pairs in a frame whose sign differs (values up to 1e-10 count as zero)."""

    kind: ClassVar[str] = "zcr"


@record()
class Rms:
    """Root mean square of a frame's samples, linear, full scale = 1."""

    kind: ClassVar[str] = "rms"


@record()
class Chroma:
    """Power a pitch class, each frame scaled to a largest value of 1.

    Attributes:
        bins: Pitch classes an octave.
        tuning: Deviation from A440 in fractions of a bin. It is given, never
            estimated: an estimate flips with rounding.
    """

    kind: ClassVar[str] = "chroma"
    bins: int = 12
    tuning: float = 0.0


@record()
class SpectralContrast:
    """Peak minus valley of each octave band's magnitude, in dB.

    Attributes:
        bands: Octave bands above the first, which reaches from 0 Hz to ``fmin``.
        fmin: Upper edge of the first band, in Hz.
        quantile: Share of a band's bins averaged for its peak and its valley.
        top_db: As in :class:`LogMel`, for peaks and valleys each.
    """

    kind: ClassVar[str] = "spectral_contrast"
    bands: int = 6
    fmin: float = 200.0
    quantile: float = 0.02
    top_db: float | None = 80.0


Feature = LogMel | Mfcc | Delta | Zcr | Rms | Chroma | SpectralContrast
FEATURES: dict[str, type[Feature]] = {
    feature.kind: feature for feature in (LogMel, Mfcc, Delta, Zcr, Rms, Chroma, SpectralContrast)
}


@record()
class ContrastBands:
    """The bins of a :class:`SpectralContrast`, apart from its decibels."""

    bands: int
    fmin: float
    quantile: float


RawGroup = Rms | Zcr | MelScale | Chroma | ContrastBands


def raw_group(feature: Feature) -> RawGroup | None:
    """The raw columns that a feature is made from; None for deltas: they follow another feature."""
    if isinstance(feature, LogMel | Mfcc):
        return MelScale(feature.bands, feature.fmin, feature.fmax, feature.htk, feature.norm)
    if isinstance(feature, SpectralContrast):
        return ContrastBands(feature.bands, feature.fmin, feature.quantile)
    if isinstance(feature, Delta):
        return None
    return feature


def feature_names(feature: Feature, before: tuple[Feature, ...]) -> tuple[str, ...]:
    """Names of one feature's columns; ``before`` are the features that stand before it."""
    if isinstance(feature, Delta):
        followed = next(f for f in before if f.kind == feature.of)
        prefix = "delta" if feature.order == 1 else f"delta{feature.order}"
        return tuple(f"{prefix}_{name}" for name in feature_names(followed, before))
    if isinstance(feature, Zcr | Rms):
        return (feature.kind,)
    if isinstance(feature, Mfcc):
        count = feature.count
    elif isinstance(feature, LogMel):
        count = feature.bands
    elif isinstance(feature, Chroma):
        count = feature.bins
    else:
        count = feature.bands + 1
    return tuple(f"{feature.kind}_{index}" for index in range(count))
