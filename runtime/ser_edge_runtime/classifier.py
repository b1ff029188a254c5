"""From samples to an emotion: front end, normaliser, graph, temperature and softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SpecTensorMismatch, WindowError
from ser_edge_runtime.front_end.clip import FrontEnd
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import ModelFile, default_model_path, read_model_file
from ser_edge_runtime.records import record
from ser_edge_runtime.segments import Segment, cut, frames_of_recording

Array = npt.NDArray[np.float32]
Samples = npt.NDArray[np.floating]

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
        seconds: Length of the whole recording.
        start: Where in it the window begins, in seconds; 0 for a whole recording.
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
        delegate: Path of a delegate's shared library.

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
        delegate: str | None = None,
    ) -> None:
        metadata = model_file.metadata
        self.model_file = model_file
        self.labels = metadata.labels
        self.front_end = FrontEnd(metadata.front_end)
        self._normaliser = metadata.normaliser
        self._temperature = metadata.temperature
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
        delegate: str | None = None,
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
        model_file = read_model_file(default_model_path() if path is None else path)
        return cls(model_file, threads=threads, interpreter=interpreter, delegate=delegate)

    def __repr__(self) -> str:
        return f"Classifier({self.model_file.name!r}, {self._interpreter.backend})"

    @property
    def backend(self) -> str:
        """Name of the package whose interpreter runs the graph."""
        return self._interpreter.backend

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
        samples, seconds = _checked(samples, sample_rate, self.front_end.spec.sample_rate)
        segments = self._segments(samples, sample_rate, seconds)
        rows = [self._of_frames(segment.frames) for segment in segments]
        probabilities = rows[0] if len(rows) == 1 else np.mean(rows, axis=0)
        return self._result(probabilities, seconds, 0.0, seconds)

    def classify_file(self, path: str | PathLike[str]) -> Result:
        """Classifies a recording on disk; see :meth:`classify`.

        Raises:
            FileError: The file cannot be read as audio; the subclass says why.
        """
        from ser_edge_runtime.audio import load_audio

        return self.classify(*load_audio(path))

    def segments(self, samples: Samples, sample_rate: int) -> Iterator[Segment]:
        """The segments whose probabilities :meth:`classify` averages, one after the other.

        Args:
            samples: As for :meth:`classify`.
            sample_rate: As for :meth:`classify`.

        Raises:
            ValueError: As :meth:`classify`.
            SampleRateError: As :meth:`classify`.
        """
        samples, seconds = _checked(samples, sample_rate, self.front_end.spec.sample_rate)
        return self._segments(samples, sample_rate, seconds)

    def windows(
        self, samples: Samples, sample_rate: int, segment: float, step: float
    ) -> list[Result]:
        """Classifies windows of a recording, from frames that are computed once.

        Windows begin at 0, ``step``, 2 ``step``, ... (to the nearest frame) as
        long as they fit; if they leave an end uncovered, a last one ends with
        the recording. A recording shorter than ``segment`` is one window. A
        window that is not as long as the model's clips is cut or filled by the
        front end like any clip.

        Args:
            samples: Float (n,), mono, full scale = 1; at least one.
            sample_rate: Theirs, in Hz; any.
            segment: Length of a window, in seconds.
            step: From the beginning of a window to that of the next, in seconds.

        Raises:
            ValueError: ``samples`` are not a list of finite numbers.
            WindowError: ``segment`` or ``step`` is not above 0 or shorter than frames are.
            SampleRateError: No recording has that rate.
        """
        spec = self.front_end.spec
        samples, seconds = _checked(samples, sample_rate, spec.sample_rate)
        length, hop = self._frame_lengths(segment, step)
        results = []
        for window in cut(frames_of_recording(samples, sample_rate, spec), length, hop):
            start = window.start * spec.hop_length / spec.sample_rate
            end = seconds if window.last else start + segment
            results.append(self._result(self._of_frames(window.frames), seconds, start, end))
        return results

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
        return softmax(self.logits(features), self._temperature)

    def _segments(self, samples: Array, sample_rate: int, seconds: float) -> Iterator[Segment]:
        spec = self.front_end.spec
        portions = frames_of_recording(samples, sample_rate, spec)
        if spec.clip_seconds is None or seconds <= 2 * spec.clip_seconds:
            return iter([Segment(0, np.concatenate(list(portions)), True)])
        # What the clip stage skips at the beginning of a segment comes on top.
        segment = spec.clip_seconds + spec.offset_seconds
        return cut(portions, *self._frame_lengths(segment, spec.clip_seconds / 2))

    def _of_frames(self, frames: Array) -> Array:
        return self.probabilities(self.front_end.clip(frames))

    def _frame_lengths(self, segment: float, step: float) -> tuple[int, int]:
        spec = self.front_end.spec
        if not (0 < segment < math.inf and 0 < step < math.inf):
            raise WindowError(f"segment and step must be above 0 s, not {segment} and {step}")
        length = spec.frame_count(round(segment * spec.sample_rate))
        hop = round(step * spec.sample_rate / spec.hop_length)
        if length < 1 or hop < 1:
            raise WindowError(
                f"segment {segment} s or step {step} s is too short; "
                f"frames are {spec.hop_length / spec.sample_rate} s apart"
            )
        return length, hop

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


def _checked(samples: Samples, sample_rate: int, usual_rate: int) -> tuple[Array, float]:
    """The samples as float32, and their length in seconds."""
    if sample_rate != usual_rate:
        # Not needed for recordings at the model's own rate.
        from ser_edge_runtime.resampling import check_rate

        sample_rate = check_rate(sample_rate)
    values = np.asarray(samples, dtype=np.float32)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"samples must be one row of at least one, not {np.shape(samples)}")
    if not np.isfinite(values).all():
        raise ValueError("samples must be finite numbers")
    return values, len(values) / sample_rate


def _check_tensor(declared: TensorInfo, actual: TensorInfo, role: str, name: str) -> None:
    # Scales are float32 in the graph and come back through float64: equal all the same.
    if declared != actual:
        raise SpecTensorMismatch(
            name,
            f"its metadata promise the {role} {_described(declared)}, "
            f"the graph has {_described(actual)}",
        )


def _described(tensor: TensorInfo) -> str:
    quantum = f" ({tensor.scale:g}, {tensor.zero_point})" if tensor.quantised else ""
    return f"{'x'.join(map(str, tensor.shape))} {tensor.dtype}{quantum}"
