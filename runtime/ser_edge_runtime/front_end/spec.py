"""What the front end computes, in one frozen, hashable value.

A :class:`FrontEndSpec` fully determines the features of an utterance; nothing in
it is fitted to data (that is the :class:`~ser_edge_runtime.front_end.normaliser.Normaliser`).
Its fields fall into two parts. The *frame part* says how samples become raw
frames (linear energies, one frame at a time, whatever comes later). The *clip
part* says how one segment's raw frames become features: trimming, level,
decibels with ``top_db``, cepstra, deltas, length, layout. Feature stores are
keyed by the frame part alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from functools import cached_property
from typing import Any

from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import SpecError
from ser_edge_runtime.front_end.kinds import (
    FEATURES,
    MEL_NORMS,
    Chroma,
    Delta,
    Feature,
    LogMel,
    Mfcc,
    RawGroup,
    Rms,
    SpectralContrast,
    feature_names,
    raw_group,
)
from ser_edge_runtime.records import record
from ser_edge_runtime.wording import shown

WINDOWS = ("hann", "hamming", "rectangular")
LAYOUTS = ("sequence", "flat", "mean")
CUTS = ("centre", "start")


@record()
class FrontEndSpec:
    """A complete description of the features of an utterance. Immutable; threads may share it.

    Attributes:
        sample_rate: Hz of the samples that the frames are cut from.
        fft_length: Samples of a frame and points of its Fourier transform; even.
        window_length: Samples under the window, centred in the frame.
        hop_length: Samples from one frame to the next.
        window: "hann", "hamming" (both periodic) or "rectangular".
        centred: Frame t is centred on sample t * hop_length, half a frame of
            zeros being added at both ends of the recording; otherwise frame t
            begins there and the last incomplete frame is dropped.
        features: The columns, in order.
        trim_db: Frames at both ends that are this many dB below the segment's
            loudest are cut off; None keeps them.
        level: Root mean square to which a segment is scaled; None leaves it.
        offset_seconds: Skipped at the segment's beginning.
        clip_seconds: Length in seconds to which a segment is cut or, with frames
            of silence, filled; None keeps its length.
        cut: Which part of a longer segment stays: "centre" (filling goes to both
            sides) or "start" (filling goes to the end).
        layout: "sequence" (frames, features), "flat" (frames * features,), or
            "mean" over time (features,).

    Raises:
        SpecError: A field is out of range or contradicts another; says which.
    """

    sample_rate: int = 16000
    fft_length: int = 512
    window_length: int = 400
    hop_length: int = 160
    window: str = "hann"
    centred: bool = True
    features: tuple[Feature, ...] = (LogMel(),)
    trim_db: float | None = None
    level: float | None = None
    offset_seconds: float = 0.0
    clip_seconds: float | None = 3.0
    cut: str = "centre"
    layout: str = "sequence"

    def __post_init__(self) -> None:
        _check_spec(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FrontEndSpec:
        """Builds a spec from plain values as JSON or TOML give them; missing fields get defaults.

        Raises:
            SpecError: A field is unknown, of the wrong type or out of range.
        """
        if not isinstance(values, dict):
            raise SpecError("front end: a table of fields is expected")
        values = dict(values)
        features = values.pop("features", None)
        if features is not None:
            if not isinstance(features, list | tuple):
                raise SpecError("front end: features: a list of tables is expected")
            values["features"] = tuple(_feature_from_dict(feature) for feature in features)
        spec: FrontEndSpec = _build(cls, values, "front end")
        return spec

    @classmethod
    def from_json(cls, text: str) -> FrontEndSpec:
        """Reads what :meth:`to_json` wrote.

        Raises:
            SpecError: The text is not JSON or not a valid spec.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as fault:
            raise SpecError(f"front end: not JSON ({fault})") from None
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, features as tables with their ``kind``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["features"] = [{"kind": f.kind, **asdict(f)} for f in self.features]
        return values

    def to_json(self) -> str:
        """The canonical JSON: sorted keys, no spaces; equal specs give equal text."""
        return _canonical(self.to_dict())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex: the identity of the spec."""
        return sha256_hex(self.to_json().encode())

    @cached_property
    def frame_digest(self) -> str:
        """SHA-256 of the frame part alone: specs that share it share stored frames."""
        frame_part = {
            name: getattr(self, name)
            for name in (
                "sample_rate", "fft_length", "window_length", "hop_length", "window", "centred",
            )
        }  # fmt: skip
        frame_part["groups"] = [[type(group).__name__, asdict(group)] for group in raw_groups(self)]
        return sha256_hex(_canonical(frame_part).encode())

    def frame_count(self, samples: int) -> int:
        """Frames of a recording of ``samples`` samples at :attr:`sample_rate`."""
        if self.centred:
            return 1 + samples // self.hop_length if samples > 0 else 0
        return max(0, 1 + (samples - self.fft_length) // self.hop_length)

    @cached_property
    def clip_frames(self) -> int | None:
        """Frames of a segment after cutting and filling; None if its length is kept."""
        if self.clip_seconds is None:
            return None
        return self.frame_count(round(self.clip_seconds * self.sample_rate))

    @cached_property
    def skipped_frames(self) -> int:
        """Frames of :attr:`offset_seconds`, which the clip stage leaves out."""
        return round(self.offset_seconds * self.sample_rate / self.hop_length)

    def sound_for(self, seconds: float) -> float:
        """How long a sound must be for ``seconds`` of it to be left without its offset."""
        if not self.skipped_frames:
            return seconds
        samples = round(seconds * self.sample_rate) + self.skipped_frames * self.hop_length
        return samples / self.sample_rate

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each feature of a frame: ``mfcc_0``, ``delta_mfcc_0``, ``zcr``, ..."""
        return tuple(
            name
            for position, feature in enumerate(self.features)
            for name in feature_names(feature, self.features[:position])
        )

    @cached_property
    def feature_count(self) -> int:
        """Features of a frame."""
        return len(self.names)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of an utterance's features.

        Raises:
            SpecError: The length is not fixed (``clip_seconds`` is None) and the layout needs it.
        """
        if self.layout == "mean":
            return (self.feature_count,)
        if self.clip_frames is None:
            raise SpecError(
                "front end: clip_seconds is None, so features have no fixed shape; "
                "set clip_seconds or layout = 'mean'"
            )
        if self.layout == "flat":
            return (self.clip_frames * self.feature_count,)
        return (self.clip_frames, self.feature_count)


def raw_groups(spec: FrontEndSpec) -> tuple[RawGroup, ...]:
    """What the frame stage computes for ``spec``, in the order of the raw columns.

    Mean square comes first, always: level and trimming need it.
    """
    groups: list[RawGroup] = [Rms()]
    for feature in spec.features:
        group = raw_group(feature)
        if group is not None and group not in groups:
            groups.append(group)
    return tuple(groups)


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _feature_from_dict(values: Any) -> Feature:
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in FEATURES:
        raise SpecError(
            f"front end: features: each needs a kind, one of {', '.join(sorted(FEATURES))}"
        )
    values = {name: value for name, value in values.items() if name != "kind"}
    feature: Feature = _build(FEATURES[kind], values, f"front end: feature {kind}")
    return feature


def _build(cls: type[Any], values: dict[str, Any], where: str) -> Any:
    known = {field.name for field in fields(cls)}
    for name in values:
        if name not in known:
            raise SpecError(
                f"{where}: unknown field {shown(name)}; known are {', '.join(sorted(known))}"
            )
    return cls(**values)


def _coerce(owner: Any, where: str) -> None:
    """Holds every field of ``owner`` to its declared type; whole numbers become floats."""
    for field in fields(owner):
        value = getattr(owner, field.name)
        declared = str(field.type)
        if declared.startswith("tuple") or (declared.endswith("| None") and value is None):
            continue
        if declared.startswith("float") and type(value) in (int, float):
            try:
                number = float(value)
            except OverflowError:
                raise SpecError(f"{where}: {field.name} is too large a number") from None
            if not math.isfinite(number):
                raise SpecError(f"{where}: {field.name} must be finite, not {value}")
            object.__setattr__(owner, field.name, number)
        elif type(value).__name__ != declared.split(" ")[0]:
            raise SpecError(f"{where}: {field.name} must be {declared}, not {shown(value)}")


def _require(condition: bool, where: str, rule: str) -> None:
    if not condition:
        raise SpecError(f"{where}: {rule}")


def _check_spec(spec: FrontEndSpec) -> None:
    where = "front end"
    _coerce(spec, where)
    _require(1000 <= spec.sample_rate <= 384_000, where, "sample_rate must be 1000 to 384000 Hz")
    _require(16 <= spec.fft_length <= 65536, where, "fft_length must be 16 to 65536 samples")
    _require(spec.fft_length % 2 == 0, where, "fft_length must be even")
    _require(
        2 <= spec.window_length <= spec.fft_length, where, "window_length must be 2 to fft_length"
    )
    _require(1 <= spec.hop_length <= spec.fft_length, where, "hop_length must be 1 to fft_length")
    _require(spec.window in WINDOWS, where, f"window must be one of {', '.join(WINDOWS)}")
    _require(spec.cut in CUTS, where, f"cut must be one of {', '.join(CUTS)}")
    _require(spec.layout in LAYOUTS, where, f"layout must be one of {', '.join(LAYOUTS)}")
    _require(spec.trim_db is None or spec.trim_db > 0, where, "trim_db must be above 0")
    _require(spec.level is None or 0 < spec.level <= 1, where, "level must be above 0, at most 1")
    _require(0 <= spec.offset_seconds <= 3600, where, "offset_seconds must be 0 to 3600")
    if spec.clip_seconds is not None:
        _require(0 < spec.clip_seconds <= 3600, where, "clip_seconds must be above 0, at most 3600")
        _require((spec.clip_frames or 0) > 0, where, "clip_seconds is shorter than one frame")
    _require(
        isinstance(spec.features, tuple) and len(spec.features) > 0,
        where,
        "features must be a tuple of at least one feature",
    )
    for position, feature in enumerate(spec.features):
        _check_feature(feature, spec.features[:position], spec)


def _check_feature(feature: Feature, before: tuple[Feature, ...], spec: FrontEndSpec) -> None:
    _require(type(feature) in FEATURES.values(), "front end", f"{shown(feature)} is not a feature")
    where = f"front end: feature {feature.kind}"
    nyquist = spec.sample_rate / 2
    _coerce(feature, where)
    _require(
        not any(type(other) is type(feature) for other in before) or isinstance(feature, Delta),
        where,
        "stands twice",
    )
    if isinstance(feature, LogMel | Mfcc):
        fmax = nyquist if feature.fmax is None else feature.fmax
        _require(1 <= feature.bands <= 1024, where, "bands must be 1 to 1024")
        _require(0 <= feature.fmin < fmax <= nyquist, where, "0 <= fmin < fmax <= sample_rate / 2")
        _require(feature.norm in MEL_NORMS, where, f"norm must be one of {', '.join(MEL_NORMS)}")
    if isinstance(feature, LogMel | Mfcc | SpectralContrast):
        _require(feature.top_db is None or feature.top_db > 0, where, "top_db must be above 0")
    if isinstance(feature, Mfcc):
        _require(1 <= feature.count <= feature.bands, where, "count must be 1 to bands")
    if isinstance(feature, Delta):
        _require(
            any(f.kind == feature.of and not isinstance(f, Delta) for f in before),
            where,
            f"no {shown(feature.of)} stands before it",
        )
        _require(feature.order in (1, 2), where, "order must be 1 or 2")
        _require(feature not in before, where, "stands twice")
        _require(
            3 <= feature.width <= 101 and feature.width % 2 == 1,
            where,
            "width must be odd, 3 to 101",
        )
    if isinstance(feature, Chroma):
        _require(1 <= feature.bins <= 96, where, "bins must be 1 to 96")
        _require(-0.5 <= feature.tuning < 0.5, where, "tuning must be -0.5 to 0.5 of a bin")
    if isinstance(feature, SpectralContrast):
        _require(1 <= feature.bands <= 16, where, "bands must be 1 to 16")
        _require(0 < feature.quantile < 0.5, where, "quantile must be above 0, below 0.5")
        top = feature.fmin * 2.0 ** (feature.bands - 1)
        _require(
            feature.fmin > 0 and top < nyquist,
            where,
            "fmin * 2^(bands - 1) must lie below sample_rate / 2",
        )
