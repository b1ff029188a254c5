"""The front end as TensorFlow Lite operators: what :class:`FrontEnd` computes, step for step.

The graph takes a fixed number of samples; a shorter recording is filled up with
zeros, and zeros at the end are taken for that. Frames that lie behind the
recording's end count as not there, exactly as in the numpy code. Which frames are
trimmed, cut or filled depends on the recording: their numbers are computed in the
graph, and only those frames are transformed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.graph_builder import GraphBuilder, Operand, Value
from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Normaliser,
    Rms,
    SpectralContrast,
    Zcr,
    spectrum,
)
from ser_edge_runtime.front_end.clip import FLOOR
from ser_edge_runtime.front_end.features import ZERO
from ser_edge_runtime.front_end.kinds import ContrastBands, Feature, MelScale, raw_group

# log10(2) in two parts, the first short enough to be multiplied by any exponent without rounding.
_LOG2_HIGH = float.fromhex("0x1.3441p-2")
_LOG2_LOW = math.log10(2) - _LOG2_HIGH
# Of 2: from the floor of decibels to the power of the loudest frames that can be.
_POWERS = 64
_TINY = float(np.finfo(np.float32).tiny)


def add_front_end(
    builder: GraphBuilder, samples: Value, spec: FrontEndSpec, normaliser: Normaliser
) -> Value:
    """Adds the operators from samples to normalised features.

    Args:
        builder: The graph they join.
        samples: float32 (1, n) at the spec's sample rate; n of at least one frame.
        spec: What to compute.
        normaliser: Fitted for it.

    Returns:
        float32 (1, *spec.output_shape).
    """
    front_end = _FrontEndGraph(builder, samples, spec)
    features = front_end.features()
    features = builder.subtract(features, builder.constant(normaliser.mean))
    features = builder.divide(features, builder.constant(normaliser.scale))
    return builder.reshape(features, (1, *spec.output_shape))


@dataclass(frozen=True)
class _Segment:
    """Which frames the clip stage is left with.

    Attributes:
        rows: Number of the frame in each row, int32 (rows,).
        real: 1.0 for rows that show a frame, 0.0 for filled-up silence, (rows, 1).
        length: Rows that count; the others, behind them, are only there to keep shapes static.
        gain: Factor that brings the segment to its level.
    """

    rows: Value
    real: Value
    length: Operand
    gain: Operand


class _FrontEndGraph:
    """One recording's way through the graph. One thread."""

    def __init__(self, builder: GraphBuilder, samples: Value, spec: FrontEndSpec) -> None:
        self.to = builder
        self.spec = spec
        self.samples = builder.reshape(samples, (samples.shape[1],))
        self.count = spec.frame_count(samples.shape[1])
        # 1.0 up to the last sample that is not zero.
        options = schema.CumsumOptionsT()
        options.reverse = True
        sounding = builder.differs(self.samples, 0.0)
        axis = builder.constant(np.int32(0))
        left = builder.apply("CUMSUM", [sounding, axis], sounding.shape, options=options)
        self.inside = builder.less(0.0, left)
        self.frames = self._framed(self.samples)
        energy = builder.reduce("SUM", builder.multiply(self.frames, self.frames), 1)
        self.energy = builder.multiply(energy, 1 / spec.fft_length)
        self.segment = self._segment()
        self._power: Value | None = None

    def features(self) -> Value:
        """Of the spec's layout, not normalised."""
        computed: dict[str, Value] = {}
        blocks = []
        for feature in self.spec.features:
            block = self._feature(feature, computed)
            computed.setdefault(feature.kind, block)
            blocks.append(block)
        features = self.to.join(blocks, 1)
        if self.spec.layout == "flat":
            return self.to.reshape(features, (features.shape[0] * features.shape[1],))
        if self.spec.layout == "mean":
            numbers = np.arange(features.shape[0], dtype=np.float32)[:, np.newaxis]
            counts = self.to.less(self.to.constant(numbers), self.segment.length)
            total = self.to.reduce("SUM", self.to.multiply(features, counts), 0)
            mean = self.to.divide(total, self.segment.length)
            return self.to.reshape(mean, (features.shape[1],))
        return features

    def _framed(self, samples: Value) -> Value:
        """Frames (count, frame length) of a row of samples."""
        spec = self.spec
        margin = spec.fft_length // 2 if spec.centred else 0
        step = math.gcd(spec.hop_length, spec.fft_length)
        needed = (self.count - 1) * spec.hop_length + spec.fft_length
        end = max(0, needed - margin - samples.shape[0])
        padded = self.to.pad(samples, margin, end)
        pieces = self.to.cut(padded, (0,), (needed,))
        pieces = self.to.reshape(pieces, (needed // step, step))
        first = np.arange(self.count) * (spec.hop_length // step)
        numbers = first[:, np.newaxis] + np.arange(spec.fft_length // step)
        rows = self.to.gather(pieces, self.to.constant(numbers.reshape(-1)))
        return self.to.reshape(rows, (self.count, spec.fft_length))

    def _segment(self) -> _Segment:
        """Offset, trimming, level and length, as in :meth:`FrontEnd.clip`."""
        to, spec = self.to, self.spec
        length = to.reduce("SUM", self.inside)
        if not spec.centred:
            length = to.subtract(length, spec.fft_length)
        hops = to.unary("FLOOR", to.divide(length, float(spec.hop_length)))
        count = to.add(hops, 1.0)
        skipped = spec.skipped_frames
        numbers = to.constant(np.arange(self.count, dtype=np.float32)[:, np.newaxis])
        within = to.multiply(to.less(numbers, count), to.less(skipped - 0.5, numbers))
        energy = to.multiply(self.energy, within)
        first: Operand = float(skipped)
        end: Operand = count
        if spec.trim_db is not None:
            threshold = to.multiply(to.reduce("REDUCE_MAX", energy), 10 ** (-spec.trim_db / 10))
            loud = to.less(threshold, energy)
            late = to.subtract(float(self.count), numbers)
            farthest = to.reduce("REDUCE_MAX", to.multiply(loud, late))
            first = to.subtract(float(self.count), farthest)
            end = to.reduce("REDUCE_MAX", to.multiply(loud, to.add(numbers, 1.0)))
        # Where nothing is loud or nothing is left, all is silence, whichever frames are taken.
        length = to.larger(to.subtract(end, first), 1.0)
        gain: Operand = 1.0
        if spec.level is not None:
            # Whether a frame lies between the ends of what is kept.
            kept = to.multiply(to.less(to.subtract(first, 0.5), numbers), to.less(numbers, end))
            mean = to.divide(to.reduce("SUM", to.multiply(energy, kept)), length)
            audible = to.less(float(FLOOR), mean)
            loudness = to.unary("SQRT", to.larger(mean, float(FLOOR)))
            wanted = to.divide(spec.level, loudness)
            gain = to.add(to.multiply(audible, to.subtract(wanted, 1.0)), 1.0)
        return self._fitted(first, length, count, gain)

    def _fitted(self, first: Operand, length: Value, count: Value, gain: Operand) -> _Segment:
        to, spec = self.to, self.spec
        rows = self.count if spec.clip_frames is None else spec.clip_frames
        place: Value = to.constant(np.arange(rows, dtype=np.float32)[:, np.newaxis])
        if spec.clip_frames is not None and spec.cut == "centre":
            surplus = to.subtract(length, float(rows))
            halves = [
                to.unary("FLOOR", to.multiply(to.larger(to.multiply(surplus, sign), 0.0), 0.5))
                for sign in (1.0, -1.0)
            ]
            place = to.add(place, to.subtract(halves[0], halves[1]))
        number = to.add(place, first)
        real = to.multiply(to.less(-0.5, place), to.less(place, length))
        real = to.multiply(real, to.less(number, count))
        clipped = to.clip(number, 0.0, float(self.count - 1))
        chosen = to.reshape(to.cast(clipped, "int32"), (rows,))
        whole: Operand = length if spec.clip_frames is None else float(rows)
        return _Segment(chosen, real, whole, gain)

    def _chosen(self, rows: Value) -> Value:
        """Those rows that the segment shows, with silence where it has none."""
        return self.to.multiply(self.to.gather(rows, self.segment.rows), self.segment.real)

    @property
    def power(self) -> Value:
        """Power spectrum of the segment's frames, (rows, bins)."""
        if self._power is None:
            self._power = self._spectrum(self._chosen(self.frames))
        return self._power

    def _spectrum(self, frames: Value) -> Value:
        to, length = self.to, self.spec.fft_length
        window = spectrum.window(self.spec.window, self.spec.window_length, length)
        rows, bins = frames.shape[0], length // 2 + 1
        if length & (length - 1) == 0:
            windowed = to.reshape(to.multiply(frames, to.constant(window)), (rows, 1, length))
            # It transforms the last two axes, the first of them over one value, that is not at all.
            points = to.constant(np.array([1, length], np.int32))
            transform = to.apply(
                "RFFT2D", [windowed, points], (rows, 1, bins), "complex64", schema.Rfft2dOptionsT()
            )
            parts = [to.apply(part, [transform], (rows, 1, bins)) for part in ("REAL", "IMAG")]
        else:
            # The operator knows powers of two only.
            angles = -2j * np.pi * (np.outer(np.arange(length), np.arange(bins)) % length) / length
            matrix = window[:, np.newaxis] * np.exp(angles)
            parts = [to.product(frames, matrix.real), to.product(frames, matrix.imag)]
        squares = [to.multiply(part, part) for part in parts]
        return to.reshape(to.add(squares[0], squares[1]), (rows, bins))

    def _feature(self, feature: Feature, computed: dict[str, Value]) -> Value:
        to, spec, gain = self.to, self.spec, self.segment.gain
        rate, length = spec.sample_rate, spec.fft_length
        group = raw_group(feature)
        if isinstance(feature, Delta):
            return self._delta(computed[feature.of], feature.width, feature.order)
        if isinstance(feature, Rms):
            return to.multiply(to.unary("SQRT", self._chosen(self.energy)), gain)
        if isinstance(feature, Zcr):
            return self._chosen(self._crossings())
        if isinstance(feature, Chroma):
            classes = to.product(self.power, spectrum.chroma_filters(feature, rate, length))
            largest = to.reduce("REDUCE_MAX", classes, 1)
            # A frame of silence stays as it is: there is nothing to scale it by.
            silent = to.less(largest, _TINY)
            return to.divide(
                classes, to.add(to.multiply(largest, to.subtract(1.0, silent)), silent)
            )
        if isinstance(feature, SpectralContrast):
            assert isinstance(group, ContrastBands)
            peaks, valleys = self._contrast(spectrum.contrast_bins(group, rate, length))
            peaks = self._decibels(to.multiply(peaks, gain), feature.top_db)
            return to.subtract(peaks, self._decibels(to.multiply(valleys, gain), feature.top_db))
        assert isinstance(feature, LogMel | Mfcc)
        assert isinstance(group, MelScale)
        mel = to.product(self.power, spectrum.mel_filters(group, rate, length))
        if isinstance(gain, Value):
            mel = to.multiply(mel, to.multiply(gain, gain))
        log_mel = self._decibels(mel, feature.top_db)
        if isinstance(feature, LogMel):
            return log_mel
        return to.product(log_mel, spectrum.cosines(feature.bands, feature.count))

    def _decibels(self, power: Value, top_db: float | None) -> Value:
        to = self.to
        level = to.multiply(log10(to, to.larger(power, float(FLOOR))), 10.0)
        if top_db is None:
            return level
        return to.larger(level, to.subtract(to.reduce("REDUCE_MAX", level), top_db))

    def _crossings(self) -> Value:
        """Zero-crossing rate of every frame, (count, 1)."""
        to, samples = self.to, self.samples.shape[0]
        negative = to.less(self.samples, -float(ZERO))
        later, earlier = (to.cut(negative, (start,), (samples - 1,)) for start in (1, 0))
        # What follows the recording's end is no sample, so there is no crossing to it.
        crossing = to.multiply(
            to.differs(later, earlier), to.cut(self.inside, (1,), (samples - 1,))
        )
        frames = self._framed(to.pad(crossing, 1, 0))
        first = to.cut(frames, (0, 0), (self.count, 1))
        total = to.subtract(to.reduce("SUM", frames, 1), first)
        return to.multiply(total, 1 / self.spec.fft_length)

    def _contrast(self, bands: tuple[tuple[int, int, int], ...]) -> tuple[Value, Value]:
        to = self.to
        magnitude = to.unary("SQRT", self.power)
        peaks, valleys = [], []
        for first, end, count in bands:
            band = to.cut(magnitude, (0, first), (magnitude.shape[0], end - first))
            peaks.append(to.reduce("MEAN", to.largest(band, count), 1))
            lowest = to.largest(to.multiply(band, -1.0), count)
            valleys.append(to.multiply(to.reduce("MEAN", lowest, 1), -1.0))
        return to.join(peaks, 1), to.join(valleys, 1)

    def _delta(self, values: Value, width: int, order: int) -> Value:
        """As :func:`ser_edge_runtime.front_end.clip.delta`, for a length known only at run time."""
        to, (rows, columns) = self.to, values.shape
        widest = width // 2
        length = self.segment.length
        if not isinstance(length, Value):
            length = to.constant(np.float32(length))
        # Half the largest odd width that fits into the segment.
        fits = to.unary("FLOOR", to.multiply(to.subtract(length, 1.0), 0.5))
        half = to.smaller(fits, float(widest))
        table = np.array([_slope(number, widest, order) for number in range(widest + 1)])
        row = to.reshape(to.cast(half, "int32"), (1,))
        weights = to.reshape(to.gather(to.constant(table), row), (1, width, 1))
        centres = to.constant(np.arange(rows, dtype=np.float32)[:, np.newaxis])
        last = to.subtract(to.subtract(length, 1.0), half)
        centres = to.smaller(to.larger(centres, half), last)
        offsets = to.constant(np.arange(-widest, widest + 1, dtype=np.float32)[np.newaxis])
        numbers = to.clip(to.add(centres, offsets), 0.0, float(rows - 1))
        numbers = to.reshape(to.cast(numbers, "int32"), (rows * width,))
        windows = to.reshape(to.gather(values, numbers), (rows, width, columns))
        slopes = to.reduce("SUM", to.multiply(windows, weights), 1)
        return to.reshape(slopes, (rows, columns))


def log10(to: GraphBuilder, values: Value) -> Value:
    """Decimal logarithm, rounded as C libraries do: there is no operator but the natural one.

    That times a constant would be off by a bit as often as not, and each such bit may take an
    int8 network's input over to the next step. So, as in Sun's fdlibm, what is left of a value
    without its power of two is transformed, and the logarithm of that power, in two parts, added.

    Args:
        to: The graph that it joins.
        values: Above 0.
    """
    exponent = to.unary("FLOOR", to.multiply(to.unary("LOG", values), 1 / math.log(2)))
    # So that what is left is just below 1 for small values, just above for large ones.
    exponent = to.clip(to.add(exponent, to.less(exponent, 0.0)), -_POWERS, _POWERS)
    table = to.constant(2.0 ** -np.arange(-_POWERS, _POWERS + 1))
    factor = to.gather(table, to.cast(to.add(exponent, _POWERS), "int32"))
    near_one = to.unary("LOG", to.multiply(values, factor))
    small = to.add(to.multiply(exponent, _LOG2_LOW), to.multiply(near_one, 1 / math.log(10)))
    return to.add(small, to.multiply(exponent, _LOG2_HIGH))


def _slope(half: int, widest: int, order: int) -> npt.NDArray[np.float32]:
    """Weights of a fit over 2 * half + 1 frames in the middle of 2 * widest + 1."""
    weights = np.zeros(2 * widest + 1, np.float32)
    if 2 * half + 1 < order + 1:
        return weights
    position = np.arange(-half, half + 1, dtype=np.float64)
    basis = position if order == 1 else position**2 - np.mean(position**2)
    weights[widest - half : widest + half + 1] = order * basis / np.sum(basis**2)
    return weights
