"""The frame stage: from samples to raw frames, causal, a frame knows nothing of the others.

Raw frames are linear (energies and magnitudes, no decibels), so that level,
``top_db`` and everything else that looks at a whole segment can follow in the
clip stage, on frames that were computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from numpy.fft import rfft

from ser_edge_runtime.front_end import spectrum
from ser_edge_runtime.front_end.framing import Framer, frames_of
from ser_edge_runtime.front_end.kinds import Chroma, ContrastBands, MelScale, RawGroup, Zcr
from ser_edge_runtime.front_end.spec import FrontEndSpec, raw_groups

Array = npt.NDArray[np.float32]

# Samples this small are taken as zero when signs are compared (librosa's default).
ZERO = np.float32(1e-10)

# The smallest normal float32. Not from numpy.finfo: loading tflite-runtime 2.14 on arm64 makes
# the processor flush subnormals to zero, of which finfo then warns.
_SMALLEST = np.float32(2.0**-126)


def raw_columns(spec: FrontEndSpec) -> dict[RawGroup, slice]:
    """Where each raw group stands in a raw frame; the mean square is column 0."""
    columns, start = {}, 0
    for group in raw_groups(spec):
        width = _width(group)
        columns[group] = slice(start, start + width)
        start += width
    return columns


def raw_width(spec: FrontEndSpec) -> int:
    """Values of a raw frame."""
    return sum(_width(group) for group in raw_groups(spec))


def _width(group: RawGroup) -> int:
    if isinstance(group, MelScale):
        return group.bands
    if isinstance(group, Chroma):
        return group.bins
    if isinstance(group, ContrastBands):
        return 2 * (group.bands + 1)
    return 1


class FrameStage:
    """Turns samples, pushed in any portions, into raw frames. One recording each, one thread.

    The frames do not depend on the portions, bit for bit.

    Args:
        spec: The front end; only its frame part matters here.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        self._width = raw_width(spec)
        self._framer = Framer(spec)
        self._window = spectrum.window(spec.window, spec.window_length, spec.fft_length)
        self._steps = _spectral_steps(spec)
        self._crossings: _Crossings | None = None
        if Zcr() in raw_groups(spec):
            self._crossings = _Crossings(spec)

    def push(self, samples: Array) -> Array:
        """Raw frames that ``samples`` complete.

        Args:
            samples: float32 (n,) at the spec's sample rate, full scale = 1; any n.

        Returns:
            float32 (k, raw width), k >= 0.
        """
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        if self._crossings is not None:
            self._crossings.push(samples)
        return self._stack(self._framer.push(samples))

    def flush(self) -> Array:
        """Ends the recording; the frames that are left, as :meth:`push` gives them."""
        if self._crossings is not None:
            self._crossings.end()
        return self._stack(self._framer.flush())

    @property
    def waiting(self) -> int:
        """Frames that are complete and that :meth:`push` holds back until their block is."""
        return self._framer.waiting

    def peek(self) -> Array:
        """The :attr:`waiting` frames, bit for bit as a later :meth:`push` returns them again.

        For whoever must not wait: it costs the computation of a whole block.
        """
        if self._crossings is not None:
            self._crossings.peek()
        block, real = self._framer.peek()
        return self._block(block)[:real]

    def _stack(self, blocks: Iterator[tuple[Array, int]]) -> Array:
        done = [self._block(samples)[:real] for samples, real in blocks]
        if not done:
            return np.empty((0, self._width), np.float32)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _block(self, samples: Array) -> Array:
        spec = self._spec
        frames = frames_of(samples, spec.fft_length, spec.hop_length)
        raw = np.empty((len(frames), self._width), np.float32)
        raw[:, 0] = np.einsum("ij,ij->i", frames, frames) / np.float32(spec.fft_length)
        if self._crossings is not None:
            raw[:, self._crossings.column] = self._crossings.next_block()
        if self._steps:
            # In float64, as librosa does: in float32 the quiet bins beside a loud one drown.
            bins = rfft(frames * self._window)
            power = (bins.real**2 + bins.imag**2).astype(np.float32)
            for columns, step in self._steps:
                raw[:, columns] = step(power)
        return raw


Step = Callable[[Array], Array]


def _spectral_steps(spec: FrontEndSpec) -> list[tuple[slice, Step]]:
    """What is computed from a block's power spectrum (frames, bins), and where it goes."""
    rate, length = spec.sample_rate, spec.fft_length
    steps: list[tuple[slice, Step]] = []
    for group, columns in raw_columns(spec).items():
        if isinstance(group, MelScale):
            steps.append((columns, _product(spectrum.mel_filters(group, rate, length))))
        elif isinstance(group, Chroma):
            steps.append((columns, _chroma(spectrum.chroma_filters(group, rate, length))))
        elif isinstance(group, ContrastBands):
            steps.append((columns, _contrast(spectrum.contrast_bins(group, rate, length))))
    return steps


def _product(filters: Array) -> Step:
    return lambda power: power @ filters


def _chroma(filters: Array) -> Step:
    def step(power: Array) -> Array:
        classes = power @ filters
        largest = classes.max(axis=1, keepdims=True)
        # A frame of silence stays as it is: there is nothing to scale it by.
        largest[largest < _SMALLEST] = 1
        return np.asarray(classes / largest)

    return step


def _contrast(bands: tuple[tuple[int, int, int], ...]) -> Step:
    def step(power: Array) -> Array:
        magnitude = np.sqrt(power)
        raw = np.empty((len(power), 2 * len(bands)), np.float32)
        for band, (first, end, count) in enumerate(bands):
            ordered = np.sort(magnitude[:, first:end], axis=1)
            raw[:, band] = ordered[:, -count:].mean(axis=1)
            raw[:, len(bands) + band] = ordered[:, :count].mean(axis=1)
        return raw

    return step


class _Crossings:
    """Zero-crossing rates of the same blocks that the framer yields, in whole numbers.

    A crossing is a sample whose sign differs from that of the one before. The
    first sample of a frame is none, nor is anything in the zeros at the ends.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._framer = Framer(spec)
        self._length = spec.fft_length
        self._hop = spec.hop_length
        self._last: bool | None = None
        self._ready: list[Array] = []
        self.column = raw_columns(spec)[Zcr()].start

    def push(self, samples: Array) -> None:
        if not len(samples):
            return
        negative = samples < -ZERO
        before = np.empty_like(negative)
        before[0] = negative[0] if self._last is None else self._last
        before[1:] = negative[:-1]
        self._last = bool(negative[-1])
        crossings = (negative != before).astype(np.float32)
        self._ready.extend(block for block, _ in self._framer.push(crossings))

    def peek(self) -> None:
        self._ready.append(self._framer.peek()[0])

    def end(self) -> None:
        self._ready.extend(block for block, _ in self._framer.flush())

    def next_block(self) -> Array:
        """Rates (frames,) of the next block."""
        total = np.cumsum(self._ready.pop(0), dtype=np.int64)
        first = np.arange(0, len(total) - self._length + 1, self._hop)
        counts = total[first + self._length - 1] - total[first]
        return (counts / self._length).astype(np.float32)
