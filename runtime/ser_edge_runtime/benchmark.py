"""How long a model takes on this machine, and how much memory."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from os import PathLike, cpu_count
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ser_edge_runtime.backends import available_backends, choose
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.delegates import Delegate
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import MissingFile, NotABenchmark, UnreadableFile
from ser_edge_runtime.model_file import find_model, parse_model_file, read_model_bytes
from ser_edge_runtime.records import record
from ser_edge_runtime.sensors import Health, health, peak_memory

FORMAT = "ser-edge bench 1"
RUNS = 200
WARM_UP = 20
_UNLIMITED_CLIP_SECONDS = 3.0
_FIGURES = (
    "imports", "load", "first", "warm_up.p50",
    *(f"{part}.{p}" for part in ("features", "model", "whole") for p in ("p50", "p95", "p99")),
    "real_time_factor", "memory",
)  # fmt: skip
_CIRCUMSTANCES = (
    "sha256",
    "interpreter",
    "delegate",
    "threads",
    "machine",
    "python",
    "clip_seconds",
)


@record()
class Spread:
    """How runs of one thing were spread, in seconds.

    Attributes:
        runs: How many there were.
        p50: The median.
        p95: Nineteen of twenty were at most as long.
        p99: Ninety-nine of a hundred were at most as long.
        least: The shortest.
        most: The longest.
    """

    runs: int
    p50: float
    p95: float
    p99: float
    least: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """The spread of at least one run; percentiles are interpolated."""
        p50, p95, p99 = (float(value) for value in np.percentile(seconds, [50, 95, 99]))
        return cls(len(seconds), p50, p95, p99, float(min(seconds)), float(max(seconds)))


@record()
class Benchmark:
    """What one measurement found. Times are in seconds.

    Attributes:
        name: The model file.
        sha256: Its digest.
        interpreter: The interpreter's package and release.
        delegate: Which delegate ran how much of the graph.
        threads: Threads of the kernels.
        machine: System, processor and cores.
        python: Its version.
        clip_seconds: Length of the clip that was classified: as long as the model's are,
            and what it skips before them.
        imports: Loading the interpreter's package.
        load: Reading and checking the model file and allocating its tensors.
        first: The first clip, with all that is computed once.
        warm_up: The clips after it; None without any.
        features: The front end, steady.
        model: The normaliser, the graph and the softmax, steady.
        whole: Both, steady.
        real_time_factor: Median of ``whole`` for a second of audio.
        memory: The most bytes that the process held, Python and all; None where unknown.
        before: How the machine fared before.
        after: How it fared afterwards.
    """

    name: str
    sha256: str
    interpreter: str
    delegate: str
    threads: int
    machine: str
    python: str
    clip_seconds: float
    imports: float
    load: float
    first: float
    warm_up: Spread | None
    features: Spread
    model: Spread
    whole: Spread
    real_time_factor: float
    memory: int | None
    before: Health
    after: Health

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, and :func:`read_benchmark` reads it."""
        return {"format": FORMAT, **asdict(self)}


class Change(NamedTuple):
    """One figure of two measurements.

    Attributes:
        figure: Its name, as "model.p50".
        before: What it was.
        after: What it is.
    """

    figure: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """Below 1 is faster, or less."""
        return self.after / self.before if self.before else float("inf")


def measure(
    path: str | PathLike[str] | None = None,
    *,
    runs: int = RUNS,
    warm_up: int = WARM_UP,
    threads: int = 1,
    interpreter: str | None = None,
    delegate: str | Delegate | None = None,
    clock: Callable[[], float] = perf_counter,
    sensors: Callable[[], Health] = health,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Benchmark:
    """Classifies the same clip of noise over and over.

    ``imports`` and ``memory`` mean what they say in a process that did nothing before.

    Args:
        path: A model file; None takes the one that comes with the package.
        runs: How many steady runs, at least 1.
        warm_up: How many runs between the first and the steady ones.
        threads: As in :class:`Classifier`.
        interpreter: As there.
        delegate: As there.
        clock: Seconds, monotonic.
        sensors: Tells how the machine fares.
        progress: Called with the runs that are done, and all there are.

    Raises:
        ModelFileError: The file cannot be read or breaks a rule of the format.
        InterpreterError: No interpreter can be used, or it refuses the model.
    """
    before = sensors()
    times = [clock()]
    backend = choose(interpreter).name
    times.append(clock())
    source = find_model(path)
    data = read_model_bytes(source)
    classifier = Classifier(
        parse_model_file(data, source),
        threads=threads,
        interpreter=interpreter,
        delegate=delegate,
    )
    times.append(clock())
    spec = classifier.front_end.spec
    seconds = spec.sound_for(spec.clip_seconds or _UNLIMITED_CLIP_SECONDS)
    noise = np.random.default_rng(0).standard_normal(round(seconds * spec.sample_rate))
    samples = (0.1 * noise).astype(np.float32)
    pairs = []
    for done in range(1 + warm_up + runs):
        progress(done, 1 + warm_up + runs)
        start = clock()
        features = classifier.front_end(samples)
        between = clock()
        classifier.probabilities(features)
        pairs.append((between - start, clock() - between))
    wholes = [sum(pair) for pair in pairs]
    steady = pairs[1 + warm_up :]
    whole = Spread.of(wholes[1 + warm_up :])
    versions = {name: version for name, version, _ in available_backends()}
    return Benchmark(
        name=str(source),
        sha256=sha256_hex(data),
        interpreter=f"{backend} {versions.get(backend) or 'of unknown release'}",
        delegate=classifier.delegated.words,
        threads=threads,
        machine=machine(),
        python=platform.python_version(),
        clip_seconds=seconds,
        imports=times[1] - times[0],
        load=times[2] - times[1],
        first=wholes[0],
        warm_up=Spread.of(wholes[1 : 1 + warm_up]) if warm_up else None,
        features=Spread.of([features for features, _ in steady]),
        model=Spread.of([model for _, model in steady]),
        whole=whole,
        real_time_factor=whole.p50 / seconds,
        memory=peak_memory(),
        before=before,
        after=sensors(),
    )


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """This machine: its system, its processor and how many cores it has."""
    name = platform.processor() or platform.machine()
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            # "Model" is the board of a Raspberry Pi, and comes last.
            if key.strip() in ("model name", "Model") and value.strip():
                name = value.strip()
    except OSError:
        pass
    cores = cpu_count()
    words = f"{cores or '?'} core{'' if cores == 1 else 's'}"
    return f"{platform.system()} {platform.machine()}, {name}, {words}"


def read_benchmark(path: str | PathLike[str]) -> Mapping[str, Any]:
    """A measurement that ``ser-edge bench --json`` printed, checked as far as it is compared.

    Raises:
        MissingFile: There is no such file.
        UnreadableFile: It cannot be read.
        NotABenchmark: It holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFile(path, "no such file", "check the name") from None
    except OSError as fault:
        raise UnreadableFile(path, fault.strerror or "unreadable", "name a file") from None
    except UnicodeDecodeError:
        raise NotABenchmark(path) from None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise NotABenchmark(path) from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise NotABenchmark(path)
    for figure in _FIGURES:
        value = _figure(values, figure)
        if value is not None and (type(value) not in (int, float) or not 0 <= value < 1e18):
            raise NotABenchmark(path)
    return values


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """The figures that both measurements have; arguments as :meth:`Benchmark.to_dict` has them."""
    for figure in _FIGURES:
        old, new = _figure(before, figure), _figure(after, figure)
        if old is not None and new is not None:
            yield Change(figure, old, new)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What else differs between two measurements, so that a ratio may not be the model's."""
    return [
        f"{name}: {before.get(name)} before, {after.get(name)} now"
        for name in _CIRCUMSTANCES
        if before.get(name) != after.get(name)
    ]


def _figure(values: Mapping[str, Any], figure: str) -> Any:
    value: Any = values
    for key in figure.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
