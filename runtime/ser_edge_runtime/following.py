"""A live stream whose model may be replaced while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ser_edge_runtime.classifier import Classifier, Result, Samples
from ser_edge_runtime.errors import WindowError
from ser_edge_runtime.service.served_model import ServedModel
from ser_edge_runtime.stream import Latency, StreamingClassifier


class FollowingStream:
    """A :class:`~ser_edge_runtime.stream.StreamingClassifier` that follows its model's file.

    A new model is taken up between two results. If its front end is that of the model before,
    the windows go on; otherwise what was heard is classified to its end by the model before,
    and the new one begins with what comes next. Times go on in any case.

    One thread at a time.

    Args:
        served: The model, of one worker, that nobody else uses.
        make: Makes a stream of a classifier.

    Attributes:
        latencies: One for each result of the last push or flush.
    """

    def __init__(
        self, served: ServedModel, make: Callable[[Classifier], StreamingClassifier]
    ) -> None:
        self._served = served
        self._make = make
        self._loaded = served.loaded
        self._stream = make(self._classifier())
        self._begun = 0.0
        self._cut = self._silent = 0
        self.latencies: tuple[Latency, ...] = ()

    @property
    def classifier(self) -> Classifier:
        """What classifies the windows now."""
        return self._stream.classifier

    @property
    def seconds(self) -> float:
        """Audio heard since the beginning."""
        return self._begun + self._stream.seconds

    @property
    def cut(self) -> int:
        """Windows since the beginning, those without speech among them."""
        return self._cut + self._stream.cut

    @property
    def silent(self) -> int:
        """Windows that the gate kept back."""
        return self._silent + self._stream.silent

    def push(self, samples: Samples, sample_rate: int) -> list[Result]:
        """As :meth:`StreamingClassifier.push`, with the model as its file is now."""
        last = self._follow()
        latencies = self.latencies if last else ()
        results = last + self._in_time(self._stream.push(samples, sample_rate))
        self.latencies = latencies + self._stream.latencies
        return results

    def flush(self) -> list[Result]:
        """As :meth:`StreamingClassifier.flush`."""
        results = self._in_time(self._stream.flush())
        self.latencies = self._stream.latencies
        return results

    def _follow(self) -> list[Result]:
        """Takes up another model; the last results of the one before, if its windows ended."""
        self._served.refresh()
        if self._served.loaded is self._loaded:
            return []
        self._loaded = self._served.loaded
        classifier, stream = self._classifier(), self._stream
        if classifier.front_end.spec == stream.classifier.front_end.spec:
            stream.classifier = classifier
            return []
        try:
            following = self._make(classifier)
        except WindowError as fault:
            self._served.on_change(fault)
            return []
        heard = stream.seconds
        results = self.flush()
        self._begun += heard
        self._cut += stream.cut
        self._silent += stream.silent
        self._stream = following
        return results

    def _classifier(self) -> Classifier:
        with self._loaded.classifier() as classifier:
            return classifier

    def _in_time(self, results: list[Result]) -> list[Result]:
        begun = self._begun
        return [replace(r, start=r.start + begun, end=r.end + begun) for r in results]
