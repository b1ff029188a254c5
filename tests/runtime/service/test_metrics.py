"""Prometheus' text format, line by line."""

from __future__ import annotations

import re

import pytest

from ser_edge_runtime.service.metrics import BUCKETS, Metrics

SAMPLE = re.compile(
    r'(?P<name>[a-z_]+)(\{(?P<labels>[a-z]+="(?:[^"\\\n]|\\[\\"n])*"(,[a-z]+="(?:[^"\\\n]|\\[\\"n])*")*)\})?'
    r" (?P<value>\d+(\.\d+)?(e-?\d+)?)"
)
GAUGES = {"waiting": ("Recordings that wait.", 3), "model_reloads_total": ("Models.", 2)}


def samples(metrics: Metrics, model=None) -> dict[str, str]:
    """Values by name and labels; checks that each sample belongs to the type above it."""
    found, family, kind = {}, "", ""
    text = metrics.text(GAUGES, {"name": "m"} if model is None else model)
    assert text.endswith("\n")
    lines = text.splitlines()
    for line in lines:
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert f"# TYPE {family} " in text
            assert text.count(f"# HELP {family} ") == 1
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family
            kind = line.split()[3]
            assert (kind == "counter") == family.endswith("_total")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert match["name"] in {family + suffix for suffix in suffixes}
            key = line.rpartition(" ")[0]
            assert key not in found
            found[key] = match["value"]
    return found


def test_a_service_that_did_nothing():
    found = samples(Metrics())
    assert found["ser_edge_audio_seconds_total"] == "0"
    assert found["ser_edge_classify_seconds_count"] == "0"
    assert found['ser_edge_model_info{name="m"}'] == "1"
    assert found["ser_edge_waiting"] == "3"
    assert found["ser_edge_model_reloads_total"] == "2"


def test_counts():
    metrics = Metrics()
    for status in (200, 200, 413):
        metrics.request("/classify", status)
    metrics.answer("sad")
    metrics.refused("timeout")
    metrics.audio_seconds += 2.5
    found = samples(metrics)
    assert found['ser_edge_requests_total{path="/classify",status="200"}'] == "2"
    assert found['ser_edge_requests_total{path="/classify",status="413"}'] == "1"
    assert found['ser_edge_answers_total{label="sad"}'] == "1"
    assert found['ser_edge_refused_total{reason="timeout"}'] == "1"
    assert found["ser_edge_audio_seconds_total"] == "2.5"
    assert metrics.requests == 3


def test_latencies_fall_into_cumulative_buckets_that_include_their_bounds():
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.0051, 0.2, 100.0):
        metrics.latency(seconds)
    found = samples(metrics)

    def bucket(bound):
        return int(found[f'ser_edge_classify_seconds_bucket{{le="{bound}"}}'])

    assert (bucket("0.005"), bucket("0.01"), bucket("0.1"), bucket("0.25")) == (2, 3, 3, 4)
    assert (bucket("10"), bucket("+Inf")) == (4, 5)
    assert found["ser_edge_classify_seconds_count"] == "5"
    assert float(found["ser_edge_classify_seconds_sum"]) == pytest.approx(100.2111)
    assert list(BUCKETS) == sorted(BUCKETS)


@pytest.mark.parametrize("name", ['a "quoted" name', "back\\slash", "two\nlines", "", "ä"])
def test_any_name_of_a_model_stays_one_label(name):
    found = samples(Metrics(), {"name": name})
    (key,) = [key for key in found if "model_info" in key]
    value = key.partition('name="')[2].removesuffix('"}')
    assert re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value) == name
