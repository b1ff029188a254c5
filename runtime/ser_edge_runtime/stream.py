"""Emotions of a live stream, a window every step, from samples in portions of any size."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.classifier import GATE, Classifier, Result, Samples
from ser_edge_runtime.errors import SampleRateChanged
from ser_edge_runtime.speech_gate import SpeechGate
from ser_edge_runtime.windows import Window, Windows, frame_lengths

if TYPE_CHECKING:
    from ser_edge_runtime.delegates import Delegate

Array = npt.NDArray[np.float32]

SEGMENT = 3.0
"""Seconds of a window where the model has no length of its own."""

STEP = 1.0
"""Seconds from one window to the next unless another step is given."""

# Portions shorter than this are gathered: a push of single samples would cost more than the
# classification of all of them.
_GATHERED_SECONDS = 0.02


class Latency(NamedTuple):
    """How late a result came.

    Attributes:
        audio_seconds: Audio that was heard after the end of the result's window.
        compute_seconds: Time that was spent in the push or flush on this result, since the
            one before or the call itself.
    """

    audio_seconds: float
    compute_seconds: float


class StreamingClassifier:
    """Recognises emotions while a recording is still going on.

    The results are those of :meth:`Classifier.windows` on all samples at once,
    bit for bit, whatever the portions; each comes with the push that
    completes its window. Memory is bounded, however long the stream.

    One thread at a time. Several streams may take turns with one classifier.

    Args:
        classifier: What classifies the windows.
        segment: Length of a window, in seconds; None takes the length of the
            model's clips, or 3 s if they have none, and what it skips before them.
        step: From the beginning of a window to that of the next, in seconds.
        gate: Windows without speech have no result; None classifies all.

    Attributes:
        classifier: As given.
        segment: As it is used.
        step: As given.
        gate: As given.
        latencies: One :class:`Latency` for each result of the last push or flush.
        cut: Windows since the stream began, those without speech among them.
        silent: Windows that the gate kept back.

    Raises:
        WindowError: ``segment`` or ``step`` is not above 0 or shorter than frames are.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        segment: float | None = None,
        step: float = STEP,
        gate: SpeechGate | None = GATE,
    ) -> None:
        spec = classifier.front_end.spec
        self.classifier = classifier
        usual = spec.sound_for(spec.clip_seconds or SEGMENT)
        self.segment = usual if segment is None else segment
        self.step = step
        self.gate = gate
        frame_lengths(spec, self.segment, step)
        self.latencies: tuple[Latency, ...] = ()
        self.cut = 0
        self.silent = 0
        self._rate: int | None = None
        self._windows: Windows | None = None
        self._gathered: Array = np.empty(0, np.float32)
        self._waiting = 0

    @classmethod
    def load(
        cls,
        path: str | PathLike[str] | None = None,
        *,
        segment: float | None = None,
        step: float = STEP,
        gate: SpeechGate | None = GATE,
        threads: int = 1,
        interpreter: str | None = None,
        delegate: str | Delegate | None = None,
    ) -> StreamingClassifier:
        """Reads a model file and makes a stream of it.

        Args:
            path: A model file; None takes the one that comes with the package.
            segment: As in the class.
            step: As in the class.
            gate: As in the class.
            threads: As in :class:`Classifier`.
            interpreter: As there.
            delegate: As there.

        Raises:
            ModelFileError: The file cannot be read or breaks a rule of the format.
            InterpreterError: No interpreter can be used, or it refuses the model.
            WindowError: As in the class.
        """
        classifier = Classifier.load(
            path, threads=threads, interpreter=interpreter, delegate=delegate
        )
        return cls(classifier, segment=segment, step=step, gate=gate)

    def __repr__(self) -> str:
        return f"StreamingClassifier({self.classifier!r}, {self.segment} s every {self.step} s)"

    @property
    def seconds(self) -> float:
        """Audio heard since the stream began."""
        if self._rate is None or self._windows is None:
            return 0.0
        return self._windows.heard + self._waiting / self._rate

    def push(self, samples: Samples, sample_rate: int) -> list[Result]:
        """Takes the next samples and classifies the windows that they complete.

        Args:
            samples: Float (n,), mono, full scale = 1; any n, 0 too.
            sample_rate: Theirs, in Hz; any, but the same until :meth:`flush`.

        Returns:
            A result for each window with speech that is complete, in their order.

        Raises:
            ValueError: ``samples`` are not a row of finite numbers; none was taken.
            SampleRateError: No recording has that rate.
            SampleRateChanged: The samples before had another rate.
            InvokeFailed: The interpreter stopped.
        """
        values = np.asarray(samples, dtype=np.float32)
        if values.ndim != 1:
            raise ValueError(f"samples must be one row, not {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("samples must be finite numbers")
        windows = self._at_rate(sample_rate)
        gathered = self._waiting + len(values)
        if gathered < len(self._gathered):
            self._gathered[self._waiting : gathered] = values
            self._waiting = gathered
            self.latencies = ()
            return []
        if self._waiting:
            values = np.concatenate([self._gathered[: self._waiting], values])
            self._waiting = 0
        return self._classified(windows, windows.push(values))

    def flush(self) -> list[Result]:
        """Ends the stream and classifies what is left; the next push begins another one.

        Returns:
            The last results: a window that ends with the stream, if its end was not
            covered yet, or the whole stream if it was shorter than a window.

        Raises:
            InvokeFailed: The interpreter stopped.
        """
        self.latencies = ()
        windows, waiting = self._windows, self._gathered[: self._waiting]
        if windows is None:
            return []
        self._windows, self._rate, self._waiting = None, None, 0
        results = self._classified(windows, windows.push(waiting))
        latencies = self.latencies
        results += self._classified(windows, windows.flush())
        self.latencies = latencies + self.latencies
        return results

    def _at_rate(self, sample_rate: int) -> Windows:
        if self._windows is not None and sample_rate == self._rate:
            return self._windows
        from ser_edge_runtime.resampling import check_rate

        check_rate(sample_rate)
        if self._rate is not None:
            raise SampleRateChanged(self._rate, sample_rate)
        spec = self.classifier.front_end.spec
        self._windows = Windows(spec, sample_rate, self.segment, self.step, self.gate)
        self._rate = sample_rate
        self._gathered = np.empty(max(1, round(_GATHERED_SECONDS * sample_rate)), np.float32)
        self.cut = self.silent = 0
        return self._windows

    def _classified(self, windows: Windows, complete: Iterable[Window]) -> list[Result]:
        results = []
        latencies = []
        began = perf_counter()
        for window in complete:
            results.append(self.classifier.of_window(window))
            now = perf_counter()
            latencies.append(Latency(windows.heard - window.end, now - began))
            began = now
        self.latencies = tuple(latencies)
        self.cut, self.silent = windows.cut, windows.silent
        return results
