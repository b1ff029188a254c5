"""Who trains with whom: read from options or from TF_CONFIG, and checked before anything starts."""

from __future__ import annotations

import json

import pytest

from ser_edge.distribution import STRATEGIES as OFFERED
from ser_edge_train.distribution import (
    STRATEGIES,
    VARIABLE,
    Distribution,
    DistributionError,
    split_address,
)

TWO = "10.0.0.1:2222,10.0.0.2:2223"


def config(**cluster: object) -> dict[str, str]:
    task = cluster.pop("task", {"type": "worker", "index": 1})
    return {VARIABLE: json.dumps({"cluster": cluster, "task": task})}


def test_the_command_offers_every_strategy():
    assert OFFERED == STRATEGIES


def test_by_default_nothing_is_spread():
    plain = Distribution.chosen("none", None, None, {})
    assert plain == Distribution()
    assert plain.chief


def test_workers_are_read_from_options():
    found = Distribution.chosen("multi-worker", " 10.0.0.1:2222, 10.0.0.2:2223,", 1, {})
    assert found.workers == ("10.0.0.1:2222", "10.0.0.2:2223")
    assert (found.worker, found.chief) == (1, False)
    assert Distribution.chosen("multi-worker", TWO, 0, {}).chief


def test_workers_are_read_from_the_environment():
    found = Distribution.chosen("multi-worker", None, None, config(worker=["a:1", "b:2"]))
    assert (found.workers, found.worker) == (("a:1", "b:2"), 1)


@pytest.mark.parametrize(
    ("task", "place"),
    [(("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)],
)
def test_a_chief_of_its_own_stands_before_the_workers(task, place):
    environment = config(
        worker=["a:1", "b:2"], chief=["c:3"], task={"type": task[0], "index": task[1]}
    )
    found = Distribution.chosen("multi-worker", None, None, environment)
    assert (found.workers, found.worker) == (("c:3", "a:1", "b:2"), place)


def test_options_go_before_the_environment():
    found = Distribution.chosen("multi-worker", TWO, 0, config(worker=["a:1", "b:2"]))
    assert found.workers[0] == "10.0.0.1:2222"


@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_the_environment_of_another_program_is_left_alone(strategy):
    environment = config(worker=["a:1", "b:2"])
    assert Distribution.chosen(strategy, None, None, environment) == Distribution(strategy)


@pytest.mark.parametrize(
    ("strategy", "workers", "worker", "words"),
    [
        ("several", None, None, "several: no strategy; one of none, mirrored, multi-worker"),
        ("multi-worker", None, None, "multi-worker needs addresses"),
        ("multi-worker", TWO, None, "--workers and --worker go together"),
        ("multi-worker", None, 1, "--workers and --worker go together"),
        ("multi-worker", "", 0, "multi-worker needs addresses"),
        ("multi-worker", TWO, 2, "no worker 2: with 2 addresses they are 0 to 1"),
        ("multi-worker", "a:1,a:1", 0, "two workers have one address"),
        ("multi-worker", "a", 0, "a: not host:port"),
        ("none", TWO, 0, "they need --strategy multi-worker"),
        ("mirrored", TWO, 1, "they need --strategy multi-worker"),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(strategy, workers, worker, words):
    with pytest.raises(DistributionError) as caught:
        Distribution.chosen(strategy, workers, worker, {})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "TF_CONFIG: not a cluster with a task"),
        ("[]", "TF_CONFIG: not a cluster with a task"),
        ('{"cluster": {"worker": ["a:1"]}}', "TF_CONFIG: not a cluster with a task"),
        ('{"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}', "not a cluster"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}', "not a"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
         "its jobs are ps, worker and the task is 'ps'; only chief and worker train"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
         "its jobs are worker and the task is 'evaluator'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
         "TF_CONFIG: no worker 1 in its cluster"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
         "a: not host:port"),
    ],
)  # fmt: skip
def test_a_variable_that_says_nothing_useful_is_told_in_one_line(text, words):
    with pytest.raises(DistributionError) as caught:
        Distribution.chosen("multi-worker", None, None, {VARIABLE: text})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_addresses_have_a_host_and_a_port():
    assert split_address("host.example:2222") == ("host.example", 2222)
    assert split_address("::1:2222") == ("::1", 2222)
    for wrong in ("", "host", ":2222", "host:", "host:0", "host:65536", "host:-1", "host:x"):
        with pytest.raises(DistributionError):
            split_address(wrong)
