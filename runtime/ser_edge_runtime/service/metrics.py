"""What a service counts, in Prometheus' text format.

The format is version 0.0.4 of "Exposition formats" in Prometheus' documentation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latencies' classes, in seconds."""

Labels = Mapping[str, str]


class Metrics:
    """Counts of one service, from its start on. For the event loop's thread alone.

    Attributes:
        audio_seconds: Length of all recordings that were classified.
    """

    def __init__(self) -> None:
        self.audio_seconds = 0.0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._answers: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._latencies = [0] * (len(BUCKETS) + 1)
        self._latency_sum = 0.0

    @property
    def requests(self) -> int:
        """How many requests were answered, well or not."""
        return self._requests.total()

    def request(self, path: str, status: int) -> None:
        """Counts a request that was answered; ``path`` is one of few."""
        self._requests[path, status] += 1

    def answer(self, label: str) -> None:
        """Counts a recording, or a segment of one, that got a label."""
        self._answers[label] += 1

    def refused(self, reason: str) -> None:
        """Counts a connection that ended without a request: "timeout", "invalid" or "full"."""
        self._refused[reason] += 1

    def latency(self, seconds: float) -> None:
        """Counts the time of one classified recording, from its request's header to the answer."""
        self._latencies[bisect_left(BUCKETS, seconds)] += 1
        self._latency_sum += seconds

    def text(self, gauges: Mapping[str, tuple[str, float]], model: Labels) -> str:
        """All metrics.

        Args:
            gauges: Help and value of further ones, by name; those that end in ``_total``
                are counters.
            model: What is known of the model in use.
        """
        return "".join(f"{line}\n" for line in self._lines(gauges, model))

    def _lines(self, gauges: Mapping[str, tuple[str, float]], model: Labels) -> Iterator[str]:
        yield from _head("requests_total", "counter", "Requests by path and status.")
        for (path, status), count in sorted(self._requests.items()):
            yield _sample("requests_total", count, {"path": path, "status": str(status)})
        yield from _head("answers_total", "counter", "Recordings and segments by label.")
        for label, count in sorted(self._answers.items()):
            yield _sample("answers_total", count, {"label": label})
        yield from _head("refused_total", "counter", "Connections that ended without a request.")
        for reason, count in sorted(self._refused.items()):
            yield _sample("refused_total", count, {"reason": reason})
        yield from _head("audio_seconds_total", "counter", "Seconds of audio classified.")
        yield _sample("audio_seconds_total", self.audio_seconds)
        yield from self._histogram()
        yield from _head("model_info", "gauge", "The model in use; always 1.")
        yield _sample("model_info", 1, model)
        for name, (words, value) in gauges.items():
            yield from _head(name, "counter" if name.endswith("_total") else "gauge", words)
            yield _sample(name, value)

    def _histogram(self) -> Iterator[str]:
        name = "classify_seconds"
        yield from _head(name, "histogram", "From a recording's request to its answer.")
        count = 0
        for bound, more in zip((*BUCKETS, float("inf")), self._latencies, strict=True):
            count += more
            yield _sample(f"{name}_bucket", count, {"le": _number(bound)})
        yield _sample(f"{name}_sum", self._latency_sum)
        yield _sample(f"{name}_count", count)


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP ser_edge_{name} {words}"
    yield f"# TYPE ser_edge_{name} {kind}"


def _sample(name: str, value: float, labels: Labels | None = None) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in (labels or {}).items())
    return f"ser_edge_{name}{{{inside}}} {_number(value)}" if inside else (
        f"ser_edge_{name} {_number(value)}"
    )  # fmt: skip


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
