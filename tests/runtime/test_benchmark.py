"""Measured with a clock of our own: what a figure is made of, not how fast this machine is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime import benchmark as module
from ser_edge_runtime.benchmark import (
    Change,
    Spread,
    changes,
    differences,
    machine,
    measure,
    read_benchmark,
)
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import (
    MissingFile,
    NotABenchmark,
    UnknownInterpreter,
    UnreadableFile,
    UnreadableModel,
)
from ser_edge_runtime.front_end import FrontEnd
from ser_edge_runtime.model_file import build_model_file, read_model_file
from ser_edge_runtime.sensors import Health

MODEL = Path(__file__).resolve().parent.parent / "data" / "format_v1.tflite"


class Clock:
    """Each look is later than the one before by the next of the durations, then by 1 s."""

    def __init__(self, *durations):
        self.durations = iter(durations)
        self.now = 100.0

    def __call__(self):
        now = self.now
        self.now += next(self.durations, 1.0)
        return now


def run(features, model, pause=1000):
    """What passes between the looks at the clock of one run: start, between, end."""
    return (features, model, pause)


def durations(*runs, imports=7, load=5, pause=1000):
    return (imports, load, pause, *(second for each in runs for second in each))


def test_each_figure_is_made_of_the_runs_it_names():
    clock = Clock(
        *durations(run(30, 20), run(3, 9), run(5, 9), run(7, 9), run(1, 10), run(2, 20), run(3, 30))
    )
    found = measure(MODEL, runs=3, warm_up=3, clock=clock)
    assert (found.imports, found.load, found.first) == (7, 5, 50)
    assert found.warm_up == Spread.of([12, 14, 16])
    assert found.features == Spread.of([1, 2, 3])
    assert found.model == Spread.of([10, 20, 30])
    assert found.whole == Spread.of([11, 22, 33])
    assert found.real_time_factor == 22 / found.clip_seconds


def test_without_a_warm_up_there_is_none():
    found = measure(MODEL, runs=1, warm_up=0, clock=Clock())
    assert found.warm_up is None
    assert found.whole.runs == 1


def test_a_spread_has_the_percentiles_of_numpy():
    seconds = np.random.default_rng(3).random(1000)
    spread = Spread.of(list(seconds))
    assert (spread.runs, spread.least, spread.most) == (1000, seconds.min(), seconds.max())
    for value, share in ((spread.p50, 50), (spread.p95, 95), (spread.p99, 99)):
        assert value == np.percentile(seconds, share)


def test_it_says_what_was_measured_and_where():
    sensed = iter([Health({"cpu": 40.0}, (), 1), Health({"cpu": 50.0}, ("throttled",), 3)])
    told = []
    found = measure(
        MODEL,
        runs=2,
        warm_up=1,
        threads=2,
        clock=Clock(),
        delegate="none",
        sensors=lambda: next(sensed),
        progress=lambda *done: told.append(done),
    )
    assert found.name == str(MODEL)
    assert found.sha256 == sha256_hex(MODEL.read_bytes())
    assert found.delegate == "none: plain kernels run all 2 operators"
    assert found.threads == 2
    assert found.interpreter.split()[0] in ("ai-edge-litert", "tflite-runtime")
    assert (found.before.temperatures, found.after.limits) == ({"cpu": 40.0}, ("throttled",))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_what_cannot_run_is_not_measured(tmp_path):
    with pytest.raises(UnreadableModel) as caught:
        measure(tmp_path / "none.tflite")
    assert "none.tflite" in str(caught.value)
    with pytest.raises(UnknownInterpreter):
        measure(MODEL, interpreter="pytorch")


def test_the_default_model_is_measured_unless_another_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_model", lambda path: str(MODEL))
    assert measure(runs=1, warm_up=0, clock=Clock()).name == str(MODEL)


def test_a_board_is_named_before_its_cores(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: ARMv7\n\nModel\t\t: Raspberry Pi 4\n")
    assert ", Raspberry Pi 4, " in machine(cpuinfo)
    assert " cores" in machine(tmp_path / "none")


@pytest.mark.parametrize(("cores", "words"), [(1, "1 core"), (8, "8 cores"), (None, "? cores")])
def test_cores_are_counted(tmp_path, monkeypatch, cores, words):
    monkeypatch.setattr(module, "cpu_count", lambda: cores)
    assert machine(tmp_path / "none").endswith(f", {words}")


def test_the_clip_is_as_long_as_the_models_and_what_is_skipped_before(tmp_path):
    model = read_model_file(MODEL)
    spec = replace(model.metadata.front_end, offset_seconds=0.6)
    golden = replace(model.golden, features=FrontEnd(spec)(model.golden.samples))
    path = tmp_path / "skipping.tflite"
    metadata = replace(model.metadata, front_end=spec)
    path.write_bytes(build_model_file(model.flatbuffer, metadata, golden))
    assert measure(path, runs=1, warm_up=0, clock=Clock()).clip_seconds == 0.79
    assert measure(MODEL, runs=1, warm_up=0, clock=Clock()).clip_seconds == 0.19


@pytest.fixture(scope="module")
def values():
    return json.loads(json.dumps(measure(MODEL, runs=2, warm_up=1, clock=Clock()).to_dict()))


def test_what_is_written_is_read(values, tmp_path):
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(values) + "\n")
    assert read_benchmark(file) == values


@pytest.mark.parametrize(
    "text",
    ["", "not JSON", "[]", "{}", '{"format": "ser-edge bench 9"}', "[" * 100_000, "\xff"],
    ids=["empty", "text", "list", "object", "other version", "deep", "latin-1"],
)
def test_what_is_no_measurement_is_refused(tmp_path, text):
    file = tmp_path / "bench.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(NotABenchmark, match="no measurement of ser-edge bench; make one with"):
        read_benchmark(file)


@pytest.mark.parametrize("value", ["fast", -1, True, 1e300, float("nan"), []])
def test_figures_that_are_none_are_refused(values, tmp_path, value):
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(values | {"model": {"p50": value}}))
    with pytest.raises(NotABenchmark):
        read_benchmark(file)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(MissingFile):
        read_benchmark(tmp_path / "none.json")
    with pytest.raises(UnreadableFile):
        read_benchmark(tmp_path)


def test_two_measurements_are_compared_figure_by_figure(values):
    slower = json.loads(json.dumps(values))
    slower["model"]["p50"] *= 3
    found = {change.figure: change for change in changes(values, slower)}
    assert found["model.p50"] == Change("model.p50", values["model"]["p50"], slower["model"]["p50"])
    assert found["model.p50"].ratio == pytest.approx(3)
    assert {change.ratio for name, change in found.items() if name != "model.p50"} == {1.0}
    assert {"imports", "load", "first", "whole.p99", "real_time_factor", "memory"} < set(found)


def test_figures_that_one_lacks_are_left_out(values):
    lacking = values | {"warm_up": None, "memory": None}
    assert {c.figure for c in changes(values, values)} - {
        c.figure for c in changes(lacking, values)
    } == {"warm_up.p50", "memory"}


def test_a_ratio_to_nothing_is_infinite():
    assert Change("load", 0.0, 1.0).ratio == float("inf")


def test_what_else_differs_is_told(values):
    assert differences(values, values) == []
    other = values | {"threads": 4, "machine": "Linux armv7l, Raspberry Pi 2, 4 cores"}
    assert differences(values, other) == [
        "threads: 1 before, 4 now",
        f"machine: {values['machine']} before, Linux armv7l, Raspberry Pi 2, 4 cores now",
    ]


def test_the_clock_of_these_tests_counts():
    clock = Clock(2, 3)
    assert [clock() for _ in range(4)] == [100, 102, 105, 106]
