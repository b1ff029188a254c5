"""``ser-edge bench``: text, JSON and the comparison of two results."""

from __future__ import annotations

import json

import pytest

from ser_edge.commands.bench import lines
from ser_edge_runtime.benchmark import Benchmark, Spread
from ser_edge_runtime.sensors import Health

STEADY = Spread(200, 0.002, 0.003, 0.0045, 0.001, 1.5)


def found(**changed):
    values = {
        "name": "model.tflite", "sha256": "0123456789abcdef", "interpreter": "ai-edge-litert 2.3.0",
        "delegate": "xnnpack: runs 14 of 15 operators", "threads": 1,
        "machine": "Linux aarch64, Raspberry Pi 4, 4 cores", "python": "3.11.2",
        "clip_seconds": 3.0, "imports": 0.0181, "load": 0.0252, "first": 1.25,
        "warm_up": Spread(20, 0.004, 0.005, 0.006, 0.003, 0.007), "features": STEADY,
        "model": STEADY, "whole": STEADY, "real_time_factor": 0.0006667,
        "memory": 41 << 20, "before": Health({}, None, None), "after": Health({}, None, None),
    }  # fmt: skip
    return Benchmark(**values | changed)


def text(**changed):
    return "\n".join(lines(found(**changed)))


def test_a_measurement_for_people():
    assert (
        text()
        == """\
model        model.tflite (0123456789ab)
machine      Linux aarch64, Raspberry Pi 4, 4 cores, Python 3.11.2
interpreter  ai-edge-litert 2.3.0, 1 thread
delegate     xnnpack: runs 14 of 15 operators
clip         3 s
imports      18.10 ms
load         25.20 ms
first clip   1.25 s
warm-up      4.00 ms (median of 20)
200 runs              p50         p95         p99
  features        2.00 ms     3.00 ms     4.50 ms
  model           2.00 ms     3.00 ms     4.50 ms
  whole           2.00 ms     3.00 ms     4.50 ms
real time    factor 0.00067: 1500 times faster than sound
memory       41.0 MiB, at its peak, of the whole process
temperature  the system does not tell
throttling   the system does not tell"""
    )


def test_what_was_not_measured_is_left_out_or_said():
    shown = text(warm_up=None, memory=None, threads=4)
    assert "warm-up" not in shown
    assert "memory       the system does not tell" in shown
    assert ", 4 threads" in shown


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (((), None), ((), None), "none"),
        ((None, 3), (None, 3), "none"),
        ((None, 3), (None, 5), "2 times slowed down by heat meanwhile: the times are not"),
        ((("throttled",), None), (("throttled", "under-voltage"), None),
         "throttled, under-voltage: the times are not"),
    ],
)  # fmt: skip
def test_throttling(before, after, words):
    assert f"throttling   {words}" in text(before=Health({}, *before), after=Health({}, *after))


def test_temperatures_before_and_after():
    shown = text(
        before=Health({"cpu": 41.04, "gone": 20.0}, None, None),
        after=Health({"cpu": 55.0, "new": 20.0}, None, None),
    )
    assert "temperature  cpu 41.0 to 55.0 °C\n" in shown


def test_json_can_be_compared_with(ser_edge, model, tmp_path):
    first = ser_edge("bench", model, "--runs", "2", "--warm-up", "0", "--json")
    assert (first.returncode, first.stderr) == (0, "")
    file = tmp_path / "first.json"
    file.write_text(first.stdout)
    assert json.loads(first.stdout)["whole"]["runs"] == 2
    second = ser_edge(
        "bench", model, "--runs", "2", "--warm-up", "0", "--against", file, "--delegate", "none"
    )
    assert (second.returncode, second.stderr) == (0, "")
    assert f"against {file} (below 1 is faster, or less):" in second.stdout
    assert "  model.p50 " in second.stdout
    assert "not alike: delegate: xnnpack" in second.stdout


def test_json_holds_the_comparison_too(model, tmp_path):
    from click.testing import CliRunner

    from ser_edge.commands.bench import command

    file = tmp_path / "first.json"
    file.write_text(json.dumps(found().to_dict()))
    arguments = [str(model), "--runs", "1", "--warm-up", "0", "--json", "--against", str(file)]
    against = json.loads(CliRunner().invoke(command, arguments).output)["against"]
    assert {"figure": "first", "before": 1.25}.items() < against["changes"][2].items()
    assert any(line.startswith("machine: ") for line in against["differences"])


def test_faults_are_one_line(ser_edge, one_line, model, tmp_path):
    one_line(ser_edge("bench", "none.tflite"), 1, "none.tflite")
    one_line(ser_edge("bench", model, "--against", model), 1, "no measurement of ser-edge bench")
