"""The clip stage: from one segment's raw frames to its features.

A segment is a whole utterance or a window of a stream. What needs to see all of
it happens here, in this order: offset, trimming, level, length, decibels with
``top_db``, cepstra, deltas, layout. The frames at a segment's inner edges come
from the frame stage as they are, without padding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end import spectrum
from ser_edge_runtime.front_end.features import FrameStage, raw_columns, raw_width
from ser_edge_runtime.front_end.kinds import (
    Chroma,
    Delta,
    Feature,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
    raw_group,
)
from ser_edge_runtime.front_end.spec import FrontEndSpec

Array = npt.NDArray[np.float32]

# Power below which a decibel is not resolved: -100 dB re 1 (librosa's amin).
FLOOR = np.float32(1e-10)


class FrontEnd:
    """Computes the features of utterances. Threads may share it.

    Args:
        spec: What to compute.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self.spec = spec
        self.names = spec.names
        self._columns = raw_columns(spec)
        self._width = raw_width(spec)

    def __repr__(self) -> str:
        return f"FrontEnd({self.spec!r})"

    def __call__(self, samples: Array) -> Array:
        """Features of an utterance, before the normaliser: both stages in one.

        Args:
            samples: float32 (n,) at the spec's sample rate, full scale = 1.

        Returns:
            float32 of the spec's layout: (frames, features), flat, or (features,).
        """
        return self.clip(self.frames(samples))

    def frames(self, samples: Array) -> Array:
        """Raw frames of a recording, float32 (frames, raw width): the frame stage alone."""
        stage = FrameStage(self.spec)
        return np.concatenate([stage.push(samples), stage.flush()])

    def clip(self, frames: Array) -> Array:
        """Features of a segment from its raw frames: the clip stage alone.

        A segment without any frame counts as one frame of silence.

        Args:
            frames: float32 (frames, raw width), from :meth:`frames` or a
                :class:`~ser_edge_runtime.front_end.features.FrameStage`; not changed.

        Returns:
            As :meth:`__call__`.

        Raises:
            ValueError: The frames are of another front end.
        """
        if frames.ndim != 2 or frames.shape[1] != self._width:
            raise ValueError(f"raw frames of width {self._width} expected, not {frames.shape}")
        spec = self.spec
        frames = self._cut_out(frames)
        gain = np.float32(1) if spec.level is None else _gain(frames, spec.level)
        if spec.clip_frames is not None:
            frames = _fit_length(frames, spec.clip_frames, spec.cut)
        computed: dict[str, Array] = {}
        blocks = []
        for feature in spec.features:
            block = self._feature(feature, frames, gain, computed)
            computed.setdefault(feature.kind, block)
            blocks.append(block)
        features = np.concatenate(blocks, axis=1)
        if spec.layout == "flat":
            return features.reshape(-1)
        if spec.layout == "mean":
            return np.asarray(features.mean(axis=0, dtype=np.float32))
        return features

    def sources(self, frames: Array) -> npt.NDArray[np.int64]:
        """Which frame of a segment each row of its features shows, before the layout.

        Args:
            frames: As for :meth:`clip`.

        Returns:
            int64 (rows,): indices of frames, rising; -1 where a row is filled-up silence.
        """
        # The numbers go the way of the frames, as one more column that no step looks at. In
        # float32, where trimming compares; it counts to 2**24, which is 46 hours of 10 ms.
        numbers = np.arange(1, len(frames) + 1, dtype=np.float32)
        numbered = self._cut_out(np.column_stack([frames, numbers]))
        if self.spec.clip_frames is not None:
            numbered = _fit_length(numbered, self.spec.clip_frames, self.spec.cut)
        return numbered[:, -1].astype(np.int64) - 1

    def _cut_out(self, frames: Array) -> Array:
        """The frames without offset and quiet ends; at least one."""
        spec = self.spec
        frames = frames[spec.skipped_frames :]
        if not len(frames):
            frames = np.zeros((1, frames.shape[1]), np.float32)
        if spec.trim_db is not None:
            frames = _trim(frames, spec.trim_db)
        return frames

    def _feature(
        self, feature: Feature, frames: Array, gain: np.float32, computed: dict[str, Array]
    ) -> Array:
        if isinstance(feature, Delta):
            return delta(computed[feature.of], feature.width, feature.order)
        group = raw_group(feature)
        assert group is not None  # only deltas have none
        raw = frames[:, self._columns[group]]
        if isinstance(feature, Rms):
            return np.sqrt(raw) * gain
        if isinstance(feature, Zcr | Chroma):
            return raw
        if isinstance(feature, SpectralContrast):
            bands = feature.bands + 1
            peaks = decibels(raw[:, :bands] * gain, feature.top_db)
            return peaks - decibels(raw[:, bands:] * gain, feature.top_db)
        log_mel = decibels(raw * gain**2, feature.top_db)
        if isinstance(feature, LogMel):
            return log_mel
        assert isinstance(feature, Mfcc)
        return log_mel @ spectrum.cosines(feature.bands, feature.count)


def decibels(power: Array, top_db: float | None) -> Array:
    """10 log10 of ``power``, at least -100 dB and at most ``top_db`` below the largest value."""
    level = np.float32(10) * np.log10(np.maximum(power, FLOOR))
    if top_db is not None:
        level = np.maximum(level, level.max() - np.float32(top_db))
    return np.asarray(level, dtype=np.float32)


def delta(values: Array, width: int, order: int) -> Array:
    """Slope (order 1) or curvature (order 2) of a least-squares line or parabola over time.

    Savitzky and Golay (1964) with a polynomial of the same order: its derivative
    of that order is one number a window, so the first and last frames, whose own
    windows would reach outside, take that of the nearest whole window.

    Args:
        values: float32 (frames, features).
        width: Frames of a window, odd; if there are fewer, the largest odd number
            of them; if those are too few for a fit, the result is zero.
        order: 1 or 2.

    Returns:
        float32 (frames, features), in units a frame (or a frame squared).
    """
    frames = len(values)
    width = min(width, frames if frames % 2 else frames - 1)
    if width < order + 1:
        return np.zeros_like(values)
    position = np.arange(width) - width // 2
    basis = position.astype(np.float64) if order == 1 else position**2 - np.mean(position**2)
    weights = (order * basis / np.sum(basis**2)).astype(np.float32)
    whole = frames - width + 1
    slopes = np.zeros((whole, values.shape[1]), np.float32)
    for offset, weight in enumerate(weights):
        slopes += weight * values[offset : offset + whole]
    return np.pad(slopes, ((width // 2, width // 2), (0, 0)), mode="edge")


def _trim(frames: Array, trim_db: float) -> Array:
    """Cuts off the ends that are ``trim_db`` below the loudest frame."""
    energy = frames[:, 0]
    loud = np.flatnonzero(energy > energy.max() * np.float32(10 ** (-trim_db / 10)))
    return frames[loud[0] : loud[-1] + 1] if len(loud) else frames


def _gain(frames: Array, level: float) -> np.float32:
    """The factor that brings a segment to root mean square ``level``; 1 for silence."""
    energy = frames[:, 0].mean(dtype=np.float64)
    return np.float32(level / np.sqrt(energy)) if energy > FLOOR else np.float32(1)


def _fit_length(frames: Array, length: int, cut: str) -> Array:
    """Cuts ``frames`` to ``length`` or fills them up with silence."""
    surplus = len(frames) - length
    centred = cut == "centre"
    if surplus >= 0:
        start = surplus // 2 if centred else 0
        return frames[start : start + length]
    filled = np.zeros((length, frames.shape[1]), np.float32)
    start = -surplus // 2 if centred else 0
    filled[start : start + len(frames)] = frames
    return filled
