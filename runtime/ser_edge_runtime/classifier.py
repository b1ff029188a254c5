"""From samples to an emotion: front end, normaliser, graph, temperature and softmax."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace
from itertools import chain
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SpecTensorMismatch
from ser_edge_runtime.front_end.clip import FrontEnd
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import ModelFile, find_model, read_model_file
from ser_edge_runtime.records import record
from ser_edge_runtime.segments import Heard, Segment, cut, frames_of_recording
from ser_edge_runtime.speech_gate import SpeechGate

if TYPE_CHECKING:
    from ser_edge_runtime.delegates import Delegate, Delegated
    from ser_edge_runtime.voice import Voice
    from ser_edge_runtime.windows import Window

Array = npt.NDArray[np.float32]
Samples = npt.NDArray[np.floating]

GATE = SpeechGate()
"""What tells speech from silence unless another gate is given."""

UNCERTAIN = "uncertain"
"""The answer of :meth:`Result.or_uncertain` where no class is probable enough."""


@record()
class Result:
    """What a recording, or a window of one, sounds like.

    Attributes:
        label: The most probable class; of equal ones the first.
        score: Its probability.
        scores: Probability of each class, in label order; they sum to 1
            within float32's rounding.
        seconds: Length of what was classified: of the recording, or of the window.
        start: Where in the recording it begins, in seconds; 0 for a whole recording.
        end: Where it ends, in seconds; ``seconds`` for a whole recording.
    """

    label: str
    score: float
    scores: dict[str, float]
    seconds: float
    start: float
    end: float

    def or_uncertain(self, min_score: float) -> Result:
        """This result, or one labelled "uncertain" if its score is below ``min_score``.

        The score and the classes' probabilities stay. The model's card says how many
        answers are left, and how many of those are right, for several values.

        Args:
            min_score: A probability, 0 to 1.
        """
        return replace(self, label=UNCERTAIN) if self.score < min_score else self


class Classifier:
    """Recognises emotions in recordings with one model.

    One thread at a time: the interpreter's tensors belong to the object. For
    more threads load one each; they may share a
    :class:`~ser_edge_runtime.model_file.ModelFile`.

    Args:
        model_file: A model that was read.
        threads: Threads that the interpreter's kernels may use.
        interpreter: The package to use, as in
            :class:`~ser_edge_runtime.interpreter.Interpreter`.
        delegate: Path of a delegate's shared library, or a
            :class:`~ser_edge_runtime.delegates.Delegate`.

    Attributes:
        model_file: The model.
        labels: Its classes, in the order of the outputs.
        front_end: What computes its features, before the normaliser.

    Raises:
        InterpreterError: No interpreter can be used, or it refuses the model.
        SpecTensorMismatch: The graph's tensors are not what the metadata say.
    """

    def __init__(
        self,
        model_file: ModelFile,
        *,
        threads: int = 1,
        interpreter: str | None = None,
        delegate: str | Delegate | None = None,
    ) -> None:
        metadata = model_file.metadata
        self.model_file = model_file
        self.labels = metadata.labels
        self.front_end = FrontEnd(metadata.front_end)
        self._normaliser = metadata.normaliser
        self._temperature = metadata.temperature
        self._lean: Array | None = None
        self._interpreter = Interpreter(
            model_file.flatbuffer, backend=interpreter, threads=threads, delegate=delegate
        )
        for role in ("input", "output"):
            _check_tensor(
                getattr(metadata, role), getattr(self._interpreter, role), role, model_file.name
            )

    @classmethod
    def load(
        cls,
        path: str | PathLike[str] | None = None,
        *,
        threads: int = 1,
        interpreter: str | None = None,
        delegate: str | Delegate | None = None,
    ) -> Classifier:
        """Reads a model file, checks it, and makes a classifier of it.

        Args:
            path: A model file; None takes the one that comes with the package.
            threads: As in the class.
            interpreter: As in the class.
            delegate: As in the class.

        Raises:
            ModelFileError: The file cannot be read or breaks a rule of the format.
            InterpreterError: No interpreter can be used, or it refuses the model.
        """
        model_file = read_model_file(find_model(path))
        return cls(model_file, threads=threads, interpreter=interpreter, delegate=delegate)

    def __repr__(self) -> str:
        return f"Classifier({self.model_file.name!r}, {self._interpreter.backend})"

    @property
    def backend(self) -> str:
        """Name of the package whose interpreter runs the graph."""
        return self._interpreter.backend

    @property
    def delegated(self) -> Delegated:
        """Which delegate runs how many of the graph's operators."""
        return self._interpreter.delegated

    def for_speaker(self, voice: Voice) -> Classifier:
        """This classifier for one speaker; both share an interpreter, so a thread for the two.

        Raises:
            OtherModel: The voice was enrolled with another model.
        """
        voice.check_model(self.model_file.metadata, self.model_file.name)
        adapted = copy(self)
        adapted._lean = np.asarray(self._temperature * voice.lean, np.float32)
        return adapted

    def classify(self, samples: Samples, sample_rate: int) -> Result:
        """Classifies a recording as a whole.

        A recording of more than twice the model's clip length is cut into
        segments of that length, each half a length after the one before, and
        their probabilities are averaged; see :mod:`ser_edge_runtime.segments`.

        Args:
            samples: Float (n,), mono, full scale = 1; at least one.
            sample_rate: Theirs, in Hz; any.

        Raises:
            ValueError: ``samples`` are not a list of finite numbers.
            SampleRateError: No recording has that rate.
        """
        samples = _checked(samples, sample_rate, self.front_end.spec.sample_rate)
        return self._whole(Heard([samples]), sample_rate)

    def classify_file(self, path: str | PathLike[str]) -> Result:
        """Classifies a recording on disk; see :meth:`classify`.

        It is decoded a portion at a time: hours take no more memory than minutes.

        Raises:
            FileError: The file cannot be read as audio, or holds silence; the subclass says
                why.
        """
        from ser_edge_runtime.audio import AudioFile, check_sound

        with AudioFile(path) as sound:
            heard = Heard(sound)
            result = self._whole(heard, sound.sample_rate)
        check_sound(heard.loudest, path)
        return result

    def segments(self, samples: Samples, sample_rate: int) -> Iterator[Segment]:
        """The segments whose probabilities :meth:`classify` averages, one after the other.

        Args:
            samples: As for :meth:`classify`.
            sample_rate: As for :meth:`classify`.

        Raises:
            ValueError: As :meth:`classify`.
            SampleRateError: As :meth:`classify`.
        """
        samples = _checked(samples, sample_rate, self.front_end.spec.sample_rate)
        return self._segments([samples], sample_rate)

    def windows(
        self,
        samples: Samples,
        sample_rate: int,
        segment: float,
        step: float,
        gate: SpeechGate | None = GATE,
    ) -> list[Result]:
        """Classifies windows of a recording, from frames that are computed once.

        Windows begin at 0, ``step``, 2 ``step``, ... (to the nearest frame) as
        long as they fit; if they leave an end uncovered, a last one ends with
        the recording. A recording shorter than ``segment`` is one window. A
        window that is not as long as the model's clips, and what it skips before
        them, is cut or filled by the front end like any clip. A
        :class:`~ser_edge_runtime.stream.StreamingClassifier` gives the same
        results, bit for bit, while the recording is still going on.

        Args:
            samples: Float (n,), mono, full scale = 1; at least one.
            sample_rate: Theirs, in Hz; any.
            segment: Length of a window, in seconds.
            step: From the beginning of a window to that of the next, in seconds.
            gate: Windows without speech have no result; None classifies all.

        Raises:
            ValueError: ``samples`` are not a list of finite numbers.
            WindowError: ``segment`` or ``step`` is not above 0 or shorter than frames are.
            SampleRateError: No recording has that rate.
        """
        samples = _checked(samples, sample_rate, self.front_end.spec.sample_rate)
        return list(self.windows_of([samples], sample_rate, segment, step, gate))

    def windows_of(
        self,
        portions: Iterable[Array],
        sample_rate: int,
        segment: float,
        step: float,
        gate: SpeechGate | None = GATE,
    ) -> Iterator[Result]:
        """Like :meth:`windows`, for a recording of any length, a portion at a time.

        Args:
            portions: The recording, float32 (k,) each, finite, as an
                :class:`~ser_edge_runtime.audio.AudioFile` gives them.
            sample_rate: As for :meth:`windows`.
            segment: As there.
            step: As there.
            gate: As there.

        Yields:
            The results, each as soon as its window was read.

        Raises:
            WindowError: As :meth:`windows`, at once.
            SampleRateError: As :meth:`windows`, at once.
        """
        from ser_edge_runtime.windows import Windows

        windows = Windows(self.front_end.spec, sample_rate, segment, step, gate)
        pushed = chain.from_iterable(map(windows.push, portions))
        # Not windows.flush() itself: that would end the recording before it began.
        ended = chain.from_iterable(flush() for flush in [windows.flush])
        return map(self.of_window, chain(pushed, ended))

    def of_window(self, window: Window) -> Result:
        """Classifies one of the :class:`~ser_edge_runtime.windows.Windows` of this front end."""
        probabilities = self._of_frames(window.frames)
        return self._result(probabilities, window.seconds, window.start, window.end)

    def logits(self, features: Array) -> Array:
        """The graph's outputs for one segment.

        The graph's state is reset before, so equal features give equal logits.

        Args:
            features: float32 of the front end's shape, not normalised.

        Returns:
            float32 (classes,).

        Raises:
            ValueError: ``features`` has another shape.
            InvokeFailed: The interpreter stopped.
        """
        self._interpreter.reset()
        return self._interpreter.invoke(self._normaliser(features))

    def probabilities(self, features: Array) -> Array:
        """Probabilities (classes,), float32, of one segment; see :meth:`logits`."""
        logits = self.logits(features)
        if self._lean is not None:
            logits = logits + self._lean
        return softmax(logits, self._temperature)

    def _whole(self, heard: Heard, sample_rate: int) -> Result:
        segments = self._segments(heard, sample_rate)
        rows = [self._of_frames(segment.frames) for segment in segments]
        probabilities = rows[0] if len(rows) == 1 else np.mean(rows, axis=0)
        seconds = heard.samples / sample_rate
        return self._result(probabilities, seconds, 0.0, seconds)

    def _segments(self, portions: Iterable[Array], sample_rate: int) -> Iterator[Segment]:
        spec = self.front_end.spec
        if spec.clip_seconds is None:
            frames = frames_of_recording(portions, sample_rate, spec)
            return iter([Segment(0, np.concatenate(list(frames)), True)])
        # How long the recording is shows only as it is read.
        rest = iter(portions)
        first: list[Array] = []
        while sum(map(len, first)) / sample_rate <= 2 * spec.clip_seconds:
            portion = next(rest, None)
            if portion is None:
                frames = frames_of_recording(first, sample_rate, spec)
                return iter([Segment(0, np.concatenate(list(frames)), True)])
            first.append(portion)
        from ser_edge_runtime.windows import frame_lengths

        lengths = frame_lengths(spec, spec.sound_for(spec.clip_seconds), spec.clip_seconds / 2)
        return cut(frames_of_recording(chain(first, rest), sample_rate, spec), *lengths)

    def _of_frames(self, frames: Array) -> Array:
        return self.probabilities(self.front_end.clip(frames))

    def _result(self, probabilities: Array, seconds: float, start: float, end: float) -> Result:
        scores = dict(zip(self.labels, probabilities.tolist(), strict=True))
        best = int(probabilities.argmax())
        label = self.labels[best]
        return Result(label, scores[label], scores, seconds, start, end)


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Probabilities of ``logits`` (..., classes) divided by ``temperature``; float32.

    Guo et al. (2017), temperature scaling; the largest logit is subtracted first.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def _checked(samples: Samples, sample_rate: int, usual_rate: int) -> Array:
    """The samples as float32."""
    if sample_rate != usual_rate:
        # Not needed for recordings at the model's own rate.
        from ser_edge_runtime.resampling import check_rate

        check_rate(sample_rate)
    values = np.asarray(samples, dtype=np.float32)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"samples must be one row of at least one, not {np.shape(samples)}")
    if not np.isfinite(values).all():
        raise ValueError("samples must be finite numbers")
    return values


def _check_tensor(declared: TensorInfo, actual: TensorInfo, role: str, name: str) -> None:
    # Scales are float32 in the graph and come back through float64: equal all the same.
    if declared != actual:
        raise SpecTensorMismatch(
            name,
            f"its metadata promise the {role} {_described(declared)}, "
            f"the graph has {_described(actual)}",
        )


def _described(tensor: TensorInfo) -> str:
    quantum = f" ({tensor.scale!r}, {tensor.zero_point})" if tensor.quantised else ""
    return f"{'x'.join(map(str, tensor.shape))} {tensor.dtype}{quantum}"
