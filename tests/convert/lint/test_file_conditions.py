"""What targets ask of a file as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ser_edge_convert.lint.file_conditions import FILE_CONDITIONS, failed
from tests.convert.lint.graphs import one, tensor, weights

FLOAT = tensor(dtype="float32", scales=(), zero_points=())
CASES = [
    ("ends float32 int32", one("TANH", FLOAT, output=FLOAT), None),
    ("ends float32 int32", one("TANH", FLOAT), "int8 at its ends (t), only float32, int32"),
    ("ends float32", one("TANH", tensor(), output=FLOAT), "--variant int8"),
    ("stateless", one("LSTM", tensor(), weights()), None),
    ("stateless", one("LSTM", tensor(), tensor(variable=True)), "keeps a state (t)"),
    ("static", one("TANH", tensor()), None),
    ("static", one("TANH", tensor((-1, 8))), "a dynamic shape (t)"),
    ("static", one("TANH", tensor(), output=tensor((1, -1))), "a batch of one"),
    ("some-of int8 uint8", one("QUANTIZE", FLOAT), None),
    ("some-of int8 uint8", one("TANH", tensor(dtype="uint8"), output=FLOAT), None),
    ("some-of int8", one("TANH", FLOAT, output=FLOAT), "all activations are float32, int8 is"),
    ("some-of int8", one("CONV_2D", FLOAT, weights(), output=FLOAT), "not quantised"),
    ("some-of int8", one("LSTM", FLOAT, tensor(variable=True), output=FLOAT), "not quantised"),
]


@pytest.mark.parametrize(
    ("line", "graph", "words"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_a_condition(line, graph, words):
    fault = failed(line, graph)
    if words is None:
        assert fault is None
    else:
        assert fault is not None
        assert words in fault
        assert "\n" not in fault


def test_every_condition_is_seen_to_hold_and_to_fail():
    for outcome in (True, False):
        seen = {line.split()[0] for line, _, words in CASES if (words is None) == outcome}
        assert seen == set(FILE_CONDITIONS)


def test_an_unknown_condition_is_a_fault_of_the_table():
    with pytest.raises(KeyError):
        failed("blue", one("TANH", tensor()))


def test_a_graph_without_ends_has_no_wrong_ends():
    graph = replace(one("TANH", tensor()), inputs=(), outputs=())
    assert failed("ends float32", graph) is None
