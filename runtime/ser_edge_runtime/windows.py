"""Windows of a stream: from samples in portions of any size to frames ready for the clip stage.

Recordings and live streams both come this way, so they give the same windows,
bit for bit. A window is given out as soon as its last frame is complete; the
frames are computed once, but for those of a block that is still incomplete
when a window ends in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import WindowError
from ser_edge_runtime.front_end.features import FrameStage, raw_width
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_runtime.segments import CHUNK
from ser_edge_runtime.speech_gate import SpeechGate

Array = npt.NDArray[np.float32]


class Window(NamedTuple):
    """A window that the gate let pass.

    Attributes:
        frames: float32 (n, raw width), from the frame stage.
        seconds: Its length.
        start: Where it begins, in seconds.
        end: Where it ends.
    """

    frames: Array
    seconds: float
    start: float
    end: float


def frame_lengths(spec: FrontEndSpec, segment: float, step: float) -> tuple[int, int]:
    """Frames of ``segment`` seconds, and frames from one window to the next.

    Raises:
        WindowError: One is not above 0 or shorter than frames are.
    """
    if not (0 < segment < math.inf and 0 < step < math.inf):
        raise WindowError(f"segment and step must be above 0 s, not {segment} and {step}")
    length = spec.frame_count(round(segment * spec.sample_rate))
    hop = round(step * spec.sample_rate / spec.hop_length)
    if length < 1:
        shortest = 1 if spec.centred else spec.fft_length
        raise WindowError(
            f"segment {segment} s is too short for a frame; "
            f"give at least {shortest / spec.sample_rate} s"
        )
    if hop < 1:
        raise WindowError(
            f"step {step} s is too short; frames are {spec.hop_length / spec.sample_rate} s apart"
        )
    return length, hop


class Windows:
    """Cuts one recording into windows while it comes in. One thread.

    Windows begin at 0, ``step``, 2 ``step``, ... (to the nearest frame) as long
    as they fit. At the end one more ends with the recording if less than all
    of it was covered; a recording shorter than ``segment`` is one window.
    Memory is bounded by the lengths of a window and of the gate's memory.

    Args:
        spec: The front end.
        sample_rate: The samples', in Hz; another than the spec's is converted.
        segment: Length of a window, in seconds.
        step: From the beginning of a window to that of the next, in seconds.
        gate: Keeps windows without speech back; None lets all pass.

    Attributes:
        cut: How many windows there were so far.
        silent: How many of them the gate kept back.

    Raises:
        WindowError: ``segment`` or ``step`` is too short.
        SampleRateError: No recording has that rate.
    """

    def __init__(
        self,
        spec: FrontEndSpec,
        sample_rate: int,
        segment: float,
        step: float,
        gate: SpeechGate | None,
    ) -> None:
        self._length, self._hop = frame_lengths(spec, segment, step)
        self._spec = spec
        self._segment = segment
        self._gate = gate
        self._frame_rate = spec.sample_rate / spec.hop_length
        self._memory = 0 if gate is None else max(self._length, gate.memory(self._frame_rate))
        self._rate = sample_rate
        self._resampler = None
        if sample_rate != spec.sample_rate:
            # Not needed for recordings at the model's own rate.
            from ser_edge_runtime.resampling import Resampler

            self._resampler = Resampler(sample_rate, spec.sample_rate)
        self._stage = FrameStage(spec)
        self._held: Array = np.empty((0, raw_width(spec)), np.float32)
        self._first = 0  # the number of the first frame held
        self._energies: Array = np.empty(0, np.float32)
        self._first_energy = 0
        self._start = 0  # the first frame of the next window
        self._samples = 0
        self.cut = 0
        self.silent = 0

    @property
    def heard(self) -> float:
        """Seconds of the recording so far."""
        return self._samples / self._rate

    def push(self, samples: Array) -> Iterator[Window]:
        """Takes float32 (k,) and yields the windows that they complete; exhaust it."""
        for at in range(0, len(samples), CHUNK):
            chunk = samples[at : at + CHUNK]
            self._samples += len(chunk)
            if self._resampler is not None:
                chunk = self._resampler.push(chunk)
            self._keep(self._stage.push(chunk))
            yield from self._complete(final=False)

    def flush(self) -> Iterator[Window]:
        """Ends the recording and yields the windows that are left; exhaust it."""
        if not self._samples:
            return
        if self._resampler is not None:
            self._keep(self._stage.push(self._resampler.flush()))
        self._keep(self._stage.flush())
        yield from self._complete(final=True)
        count = self._first + len(self._held)
        covered = self._start - self._hop + self._length if self.cut else -1
        if covered != count:
            start = max(0, count - self._length)
            yield from self._open(self._held, self._energies, start, count, math.inf)

    def _keep(self, frames: Array) -> None:
        if not len(frames):
            return
        self._held = np.concatenate([self._held, frames])
        if self._gate is not None:
            self._energies = np.concatenate([self._energies, frames[:, 0]])

    def _complete(self, *, final: bool) -> Iterator[Window]:
        """The windows whose frames are there and whose end was heard."""
        held, energies = self._held, self._energies
        count = there = self._first + len(held)
        while self._due(final):
            stop = self._start + self._length
            if there < stop <= count + self._stage.waiting:
                waiting = self._stage.peek()
                held = np.concatenate([held, waiting])
                energies = np.concatenate([energies, waiting[:, 0]])
                there += len(waiting)
            if stop > there:
                break
            yield from self._open(held, energies, self._start, stop, self._segment)
            self._start += self._hop
        self._forget(count)

    def _due(self, final: bool) -> bool:
        # Long hops leave the last of a window's samples out of all its frames: wait for them,
        # so that no window ends later than the recording, whatever the portions.
        return final or self._start / self._frame_rate + self._segment <= self.heard

    def _open(
        self, held: Array, energies: Array, start: int, stop: int, seconds: float
    ) -> Iterator[Window]:
        """The window, unless the gate keeps it back; it lasts ``seconds`` if so much was heard."""
        self.cut += 1
        if self._gate is not None:
            oldest = max(stop - self._memory, self._first_energy)
            known = energies[oldest - self._first_energy : stop - self._first_energy]
            if not self._gate.opens(known, stop - start, self._frame_rate):
                self.silent += 1
                return
        begin = start / self._frame_rate
        if begin + seconds <= self.heard:
            end = begin + seconds
        else:
            end = max(begin, self.heard)
            seconds = end - begin
        yield Window(held[start - self._first : stop - self._first], seconds, begin, end)

    def _forget(self, count: int) -> None:
        """Drops the frames that neither the next window nor a last one needs."""
        keep = max(self._first, min(self._start, count - self._length))
        if keep > self._first:
            self._held = self._held[keep - self._first :]
            self._first = keep
        if self._gate is not None:
            keep = min(self._start + self._length, count) - self._memory
            if keep > self._first_energy:
                self._energies = self._energies[keep - self._first_energy :]
                self._first_energy = keep
