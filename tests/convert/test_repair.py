"""The search for layers to leave in floats, and the arithmetic that it goes by; no TensorFlow."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert", reason="needs the extra convert")

from ser_edge_convert.graph import Graph, Operator, Tensor, read_graph
from ser_edge_convert.imitation import (
    round_weights,
    scales_by_name,
    with_rounded_activations,
    with_rounded_weights,
)
from ser_edge_convert.repair import lightest
from ser_edge_convert.tensor_errors import TensorError, activations
from ser_edge_convert.trials import Judge
from ser_edge_runtime.interpreter import Interpreter
from tests.conftest import ROOT

LAYERS = tuple("abcdefgh")
FLOAT = ROOT / "tests" / "data" / "toy_float.tflite"


class Gate:
    """Passes where all of the bad layers are in floats, and counts how often it is asked."""

    def __init__(self, *bad: str) -> None:
        self.bad, self.asked = set(bad), []

    def __call__(self, layers: frozenset[str]) -> bool:
        self.asked.append(layers)
        return self.bad <= layers


@pytest.mark.parametrize(
    "bad", [pair for n in (1, 2, 3) for pair in itertools.combinations("abcdefg", n)]
)
def test_the_bad_layers_are_kept_wherever_they_stand(bad):
    gate = Gate(*bad)
    assert lightest(LAYERS, gate) == set(bad)
    last = LAYERS.index(max(bad)) + 1
    assert len(gate.asked) <= 2 + math.ceil(math.log2(len(LAYERS))) + last - 1


def test_nothing_is_kept_where_nothing_is_bad():
    gate = Gate()
    assert lightest(LAYERS, gate) == frozenset()
    assert gate.asked == [frozenset()]


def test_all_layers_in_floats_is_no_int8_file():
    assert lightest(LAYERS, Gate(*LAYERS)) is None
    assert lightest(("only",), Gate("only")) is None
    assert lightest(("one", "two"), Gate("one")) == {"one"}


def test_of_two_ways_the_lighter_one_is_found():
    weights = {"a": 10, "b": 500, "c": 20, "d": 30}

    def passes(layers):
        # The worst layer and the heavy one, or the worst and two light ones.
        return {"a", "b", "d"} <= layers or {"a", "c", "d"} <= layers

    assert lightest("abcde", passes, weights.__getitem__) == {"a", "c", "d"}
    assert lightest("abcde", passes) == {"a", "b", "d"}


@given(st.dictionaries(st.sampled_from(LAYERS), st.integers(0, 9)), st.sets(st.sampled_from("abc")))
def test_weights_change_nothing_where_only_one_set_will_do(weights, bad):
    assert lightest(LAYERS, Gate(*bad), lambda name: weights.get(name, 0)) == bad


@given(st.sets(st.frozensets(st.sampled_from(LAYERS), max_size=7), min_size=1))
def test_what_is_found_passes_whatever_the_gate(good):
    found = lightest(LAYERS, lambda layers: layers in good)
    assert found is None or found in good


def test_weights_take_255_steps_around_zero_for_each_channel():
    values = np.array([[1.0, -0.5, 0.003], [1000.0, 3.0, -2.0]], np.float32)
    by_channel = round_weights(values, 0)
    np.testing.assert_allclose(by_channel[0], [1.0, -64 / 127, 0.0], rtol=1e-6)
    np.testing.assert_allclose(by_channel[1], [1000.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(round_weights(values, None)[0], [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(round_weights(np.zeros((2, 2), np.float32), 0), np.zeros((2, 2)))
    np.testing.assert_allclose(round_weights(by_channel, 0), by_channel, rtol=1e-6)


@pytest.fixture(scope="module")
def clips():
    shape = Interpreter(FLOAT.read_bytes()).input.shape[1:]
    return np.random.default_rng(1).normal(size=(6, *shape)).astype(np.float32)


def logits(flatbuffer: bytes, clips) -> np.ndarray:
    interpreter = Interpreter(flatbuffer)
    return np.array([interpreter.invoke(clip) for clip in clips])


def test_a_graph_with_rounded_weights_is_near_and_not_the_same(clips):
    rounded = with_rounded_weights(FLOAT.read_bytes())
    exact = logits(FLOAT.read_bytes(), clips)
    found = np.abs(logits(rounded, clips) - exact).max()
    assert 0 < found < 0.05 * np.ptp(exact)
    weights = [t for t in read_graph(rounded).tensors if t.constant and len(t.shape) > 1]
    assert weights
    assert read_graph(rounded).counts == read_graph(FLOAT.read_bytes()).counts


def named(name: str, dtype: str, *scale: float, constant: bool = False) -> Tensor:
    return Tensor(name, (1, 2), dtype, constant, False, scale, tuple(3 for _ in scale), 0)


def test_scales_of_both_ends_have_the_names_of_the_float_graph():
    tensors = (
        named("in", "float32"), named("tfl.quantize", "int8", 0.5), named("w", "int8", 0.1,
        constant=True), named("middle", "int8", 0.25), named("out1", "int8", 0.125),
        named("out", "float32"), named("many", "int8", 0.1, 0.2),
    )  # fmt: skip
    operators = (
        Operator("QUANTIZE", 1, (0,), (1,)), Operator("CONV_2D", 1, (1, 2), (3,)),
        Operator("TANH", 1, (3,), (4,)), Operator("DEQUANTIZE", 1, (4,), (5,)),
    )  # fmt: skip
    found = scales_by_name(Graph(tensors, operators, (0,), (5,), 1))
    assert found["in"] == found["tfl.quantize"] == (0.5, 3)
    assert found["out"] == found["out1"] == (0.125, 3)
    assert found["middle"] == (0.25, 3)
    assert not {"w", "many"} & set(found)


def test_activations_without_a_scale_are_left_alone(clips):
    exact = FLOAT.read_bytes()
    same = with_rounded_activations(exact, exact)
    assert read_graph(same).counts == read_graph(exact).counts
    np.testing.assert_allclose(logits(same, clips), logits(exact, clips), atol=1e-6)


def test_signal_to_noise_and_cosine():
    exact = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    found = TensorError.between(exact, exact + np.float32(0.05))
    assert found.sqnr == pytest.approx(10 * math.log10(25 / 0.01), abs=0.01)
    assert 0.999 < found.cosine < 1
    assert TensorError.between(exact, exact) == TensorError(math.inf, 1.0)
    assert TensorError.between(exact, -exact).cosine == pytest.approx(-1)
    assert TensorError.between(exact, 0 * exact) == TensorError(0.0, 0.0)
    assert TensorError.between(0 * exact, exact).sqnr == -math.inf
    assert TensorError(math.inf, 1.0).to_dict() == {"sqnr_db": None, "cosine": 1.0}


def test_inner_activations_are_read_by_name(clips):
    graph = read_graph(FLOAT.read_bytes())
    last = graph.tensors[graph.outputs[0]].name
    inner = graph.tensors[graph.operators[0].outputs[0]].name
    found = activations(FLOAT.read_bytes(), clips, [last, inner, "nobody"])
    assert set(found) == {last, inner}
    np.testing.assert_allclose(
        found[last].reshape(len(clips), -1), logits(FLOAT.read_bytes(), clips), atol=1e-6
    )


def test_a_judge_compares_with_the_network(clips):
    exact = logits(FLOAT.read_bytes(), clips)
    labels = exact.argmax(axis=1)
    judge = Judge(clips, exact, labels, np.ones(exact.shape, np.bool_), ["toy"] * len(clips))
    loss = judge.loss(FLOAT.read_bytes())
    assert (loss.accuracy, loss.uar, loss.drop, loss.agreement) == (1.0, 1.0, 0.0, 1.0)
    assert loss.max_difference == pytest.approx(0, abs=1e-6)
    rolled = Judge(clips, np.roll(exact, 1, axis=1), np.roll(np.eye(exact.shape[1])[labels], 1,
        axis=1).argmax(axis=1), np.ones(exact.shape, np.bool_), ["toy"] * len(clips))  # fmt: skip
    worse = rolled.loss(FLOAT.read_bytes())
    assert worse.drop == 1.0
    assert worse.agreement < 0.5
    assert set(worse.to_dict()) >= {"accuracy", "uar", "drop", "mean_difference"}
