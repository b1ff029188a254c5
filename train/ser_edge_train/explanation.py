"""Which stretch of time decided: what a model's answer loses without it.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional
Networks", ECCV 2014, section 4.2), over time: the features of one stretch are
replaced by the normaliser's mean, which the network sees as zero, and the
probability of the answer is looked at again. It asks the model file itself, as it
runs on a device: any graph, any quantisation, no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import SerEdgeError, WindowError
from ser_edge_runtime.front_end import FrontEnd

Array = npt.NDArray[np.float32]

STRETCH_SECONDS = 0.3
STEP_SECONDS = 0.05
# The deciding stretch is where the curve is at least so high, measured by its peak.
HEIGHT = 0.5
_MOST_FRAMES = 10**9


class LabelUnknown(SerEdgeError):
    """A class was named that the model does not have."""

    exit_code = 2


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording.

    Attributes:
        start: Where it begins, in seconds.
        end: Where it ends, in seconds.
        drop: What the probability of the explained class loses without it; below 0
            where it gains.
    """

    start: float
    end: float
    drop: float


@dataclass(frozen=True)
class Explanation:
    """What an answer rests on, over time.

    Attributes:
        label: The class that is explained.
        score: Its probability.
        scores: Probability of each class, in label order.
        seconds: Length of the recording.
        heard: Start and end, in seconds, of what the front end shows the model.
        times: Middle of each frame that was heard, in seconds, rising, (frames,).
        drops: Mean drop of the stretches that cover a frame, (frames,).
        stretches: Every stretch that was replaced, by their beginning.
        deciding: The stretch around the curve's peak in which it is at least half as
            high, replaced as one; None where no stretch lowers the probability.
        without: Probability of each class without the deciding stretch; None without one.
    """

    label: str
    score: float
    scores: dict[str, float]
    seconds: float
    heard: tuple[float, float]
    times: npt.NDArray[np.float64]
    drops: npt.NDArray[np.float64]
    stretches: tuple[Stretch, ...]
    deciding: Stretch | None
    without: dict[str, float] | None

    def to_json(self) -> dict[str, Any]:
        """Plain values: everything but the curve, which the stretches determine."""
        return {
            "label": self.label,
            "score": self.score,
            "scores": dict(self.scores),
            "seconds": self.seconds,
            "heard": list(self.heard),
            "deciding": None if self.deciding is None else vars(self.deciding).copy(),
            "without": self.without,
            "stretches": [vars(stretch).copy() for stretch in self.stretches],
        }


def explain(
    classifier: Classifier,
    samples: npt.NDArray[np.floating],
    sample_rate: int,
    *,
    label: str | None = None,
    stretch: float = STRETCH_SECONDS,
    step: float = STEP_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Finds the stretch of a recording that its answer rests on.

    Stretches begin at the first frame heard and each ``step`` after it, as long as
    they fit; if they leave an end uncovered, a last one ends with the last frame.
    Long recordings are classified in overlapping segments: a stretch is replaced in
    each that holds a part of it, and all are averaged, as for the answer itself.

    Args:
        classifier: The model; not used by another thread meanwhile.
        samples: Float (n,), mono, full scale = 1; at least one.
        sample_rate: Theirs, in Hz; any.
        label: The class to explain; None takes the model's answer.
        stretch: Length of a stretch, in seconds.
        step: From the beginning of a stretch to that of the next, in seconds.
        progress: Called with (stretches done, stretches in all).

    Raises:
        LabelUnknown: The model has no class ``label``.
        WindowError: ``stretch`` or ``step`` is not above 0 or shorter than a frame.
        ValueError: ``samples`` are not a list of finite numbers.
        SampleRateError: No recording has that rate.
    """
    if label is not None and label not in classifier.labels:
        raise LabelUnknown(
            f"{classifier.model_file.name}: the model has no class {label!r}, "
            f"only {', '.join(classifier.labels)}"
        )
    clock = _Clock.of(classifier, len(samples) / sample_rate)
    length, hop = clock.frames("stretch", stretch), clock.frames("step", step)
    views = [
        _View.of(classifier, segment.start, segment.frames)
        for segment in classifier.segments(samples, sample_rate)
    ]
    whole = np.mean([view.probabilities for view in views], axis=0)
    explained = int(whole.argmax()) if label is None else classifier.labels.index(label)
    shown = np.unique(np.concatenate([view.sources[view.sources >= 0] for view in views]))
    if not len(shown):
        # Nothing but an offset longer than the recording: the model heard silence.
        shown = np.zeros(1, np.int64)
    first, last = int(shown[0]), int(shown[-1]) + 1

    def without(start: int, end: int) -> npt.NDArray[Any]:
        return np.asarray(np.mean([view.without(start, end) for view in views], axis=0))

    def drop(start: int, end: int) -> float:
        return float(whole[explained]) - float(without(start, end)[explained])

    spans = list(_spans(first, last, length, hop))
    drops = []
    for done, (start, end) in enumerate(spans, start=1):
        drops.append(drop(start, end))
        if progress is not None:
            progress(done, len(spans))
    curve = _curve(spans, drops, first, last)
    deciding, remaining = None, None
    if curve.max() > 0:
        start, end = _around_peak(curve)
        start, end = first + start, first + end
        deciding = Stretch(*clock.seconds(start, end), drop(start, end))
        remaining = _by_label(classifier, without(start, end))
    return Explanation(
        classifier.labels[explained],
        float(whole[explained]),
        _by_label(classifier, whole),
        clock.length,
        clock.seconds(first, last),
        np.array([clock.middle(frame) for frame in range(first, last)]),
        curve,
        tuple(
            Stretch(*clock.seconds(*span), value) for span, value in zip(spans, drops, strict=True)
        ),
        deciding,
        remaining,
    )


@dataclass(frozen=True)
class _Clock:
    """From frames to seconds: a frame stands for the hop around its window's middle."""

    hop: float
    offset: float
    length: float

    @classmethod
    def of(cls, classifier: Classifier, seconds: float) -> _Clock:
        spec = classifier.front_end.spec
        # A centred frame's window lies around its hop, another one's begins there.
        offset = 0.0 if spec.centred else spec.window_length / 2 / spec.sample_rate
        return cls(spec.hop_length / spec.sample_rate, offset, seconds)

    def frames(self, name: str, seconds: float) -> int:
        if not math.isfinite(seconds):
            raise WindowError(f"a {name} of {seconds} s is no length; give at least {self.hop} s")
        # Beyond the recording it does not matter by how much.
        count = round(min(max(seconds, 0.0) / self.hop, _MOST_FRAMES))
        if count < 1:
            raise WindowError(f"a {name} of {seconds} s is too short; give at least {self.hop} s")
        return count

    def middle(self, frame: int) -> float:
        return min(max(frame * self.hop + self.offset, 0.0), self.length)

    def seconds(self, start: int, end: int) -> tuple[float, float]:
        """Where frames ``start`` to ``end`` (not in it) begin and end."""
        return self.edge(start), self.edge(end)

    def edge(self, frame: int) -> float:
        return min(max((frame - 0.5) * self.hop + self.offset, 0.0), self.length)


@dataclass(frozen=True, eq=False)
class _View:
    """A segment as the model sees it: its features over time, and what they show."""

    classifier: Classifier
    features: Array
    sources: npt.NDArray[np.int64]
    probabilities: Array

    @classmethod
    def of(cls, classifier: Classifier, start: int, frames: Array) -> _View:
        front_end = classifier.front_end
        over_time = FrontEnd(replace(front_end.spec, layout="sequence")).clip(frames)
        sources = front_end.sources(frames)
        answer = classifier.probabilities(_laid_out(classifier, over_time))
        return cls(classifier, over_time, np.where(sources < 0, -1, sources + start), answer)

    def without(self, start: int, end: int) -> Array:
        """Probabilities with the recording's frames ``start`` to ``end`` (not in it) replaced."""
        hidden = (self.sources >= start) & (self.sources < end)
        if not hidden.any():
            return self.probabilities
        mean = self.classifier.model_file.metadata.normaliser.mean
        # One mean a feature, or ("flat") one a feature and frame.
        usual = np.broadcast_to(mean.reshape(-1, self.features.shape[1]), self.features.shape)
        changed = np.where(hidden[:, np.newaxis], usual, self.features)
        return self.classifier.probabilities(_laid_out(self.classifier, changed))


def _laid_out(classifier: Classifier, over_time: Array) -> Array:
    """Features (frames, features) as the model's front end lays them out."""
    layout = classifier.front_end.spec.layout
    if layout == "flat":
        return over_time.reshape(-1)
    if layout == "mean":
        return np.asarray(over_time.mean(axis=0, dtype=np.float32))
    return over_time


def _spans(first: int, last: int, length: int, hop: int) -> Iterator[tuple[int, int]]:
    """Stretches of ``length`` frames within ``first`` to ``last``; one, if it is no longer."""
    if last - first <= length:
        yield first, last
        return
    start = first
    while start + length <= last:
        yield start, start + length
        start += hop
    if start - hop + length < last:
        yield last - length, last


def _curve(
    spans: list[tuple[int, int]], drops: list[float], first: int, last: int
) -> npt.NDArray[np.float64]:
    """Mean drop of the stretches over each frame; where steps leave a gap, 0."""
    total, count = np.zeros(last - first), np.zeros(last - first)
    for (start, end), value in zip(spans, drops, strict=True):
        total[start - first : end - first] += value
        count[start - first : end - first] += 1
    return np.asarray(total / np.maximum(count, 1))


def _around_peak(curve: npt.NDArray[np.float64]) -> tuple[int, int]:
    peak = int(curve.argmax())
    high = curve >= HEIGHT * curve[peak]
    start, end = peak, peak + 1
    while start > 0 and high[start - 1]:
        start -= 1
    while end < len(curve) and high[end]:
        end += 1
    return start, end


def _by_label(classifier: Classifier, probabilities: npt.NDArray[Any]) -> dict[str, float]:
    return dict(zip(classifier.labels, probabilities.tolist(), strict=True))
