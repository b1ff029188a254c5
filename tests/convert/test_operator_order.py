"""Orders of operators in which none writes over what a later one reads, and the check of that."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_convert import comparison
from ser_edge_convert.errors import ConversionMismatch
from ser_edge_convert.graph import read_graph
from ser_edge_convert.graph_builder import GraphBuilder
from ser_edge_convert.operator_order import with_safe_order
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import default_model_path, read_model_file

SHAPE = (4, 3)
CLIP = np.arange(1, 13, dtype=np.float32).reshape(1, *SHAPE)
SHIPPED = sorted(default_model_path().parent.glob("*.tflite"))


def packed(model) -> bytes:
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def times(builder, value, factor):
    return builder.multiply(value, builder.constant(np.full(value.shape, factor, np.float32)))


def row(builder, value):
    return builder.reshape(value, (1, int(np.prod(value.shape))))


def graph(branches) -> bytes:
    """x to x + 0.5, written over an inner tensor; then a branch each, side by side."""
    builder = GraphBuilder()
    inner = builder.add(times(builder, builder.input("x", CLIP.shape), 1.0), 0.5)
    ends = [branch(builder, inner) for branch in branches]
    joined = builder.join([row(builder, end) for end in ends], 1)
    return packed(builder.finish(joined, "y", "x"))


def weighted(builder, value):
    return times(builder, builder.reshape(value, SHAPE), 9.0)


def largest(builder, value):
    return builder.reduce("REDUCE_MAX", value, 1)


def squares(builder, value):
    return builder.unary("SQUARE", value)


def flat(builder, value):
    return builder.reshape(value, SHAPE)


COMPUTED = {
    weighted: lambda x: 9 * x,
    largest: lambda x: x.max(axis=1),
    squares: np.square,
    flat: lambda x: x,
}


def wanted(branches):
    return np.concatenate([COMPUTED[branch](CLIP + 0.5).ravel() for branch in branches])


def kinds(flatbuffer):
    return [operator.name for operator in read_graph(flatbuffer).operators]


@pytest.mark.parametrize(
    "branches",
    [
        (weighted, largest),
        (largest, weighted),
        (weighted, squares),
        (squares, largest, weighted),
        (weighted, largest, squares),
        (flat, largest),
        (largest, flat, squares),
    ],
    ids=lambda branches: "-".join(branch.__name__ for branch in branches),
)
@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
def test_every_kernel_computes_what_the_graph_says(branches, delegate):
    safe = with_safe_order(graph(branches))
    assert np.array_equal(Interpreter(safe, delegate=delegate).invoke(CLIP[0]), wanted(branches))


def test_who_reads_a_reshaped_tensor_comes_last():
    before = kinds(graph((weighted, largest)))
    after = kinds(with_safe_order(graph((weighted, largest))))
    assert before.index("RESHAPE") < before.index("REDUCE_MAX")
    assert len(after) - after[::-1].index("MUL") - 1 > after.index("REDUCE_MAX")
    assert sorted(before) == sorted(after)


@pytest.mark.parametrize("branches", [(largest, weighted), (largest, squares), (flat,)])
def test_a_graph_in_a_safe_order_is_given_back_as_it_came(branches):
    flatbuffer = graph(branches)
    assert with_safe_order(flatbuffer) is flatbuffer


@given(st.lists(st.sampled_from(list(COMPUTED)), min_size=1, max_size=6))
def test_nothing_but_the_order_is_changed(branches):
    before = graph(branches)
    after = with_safe_order(before)
    first = schema.ModelT.InitFromPackedBuf(before, 0).subgraphs[0]
    second = schema.ModelT.InitFromPackedBuf(after, 0).subgraphs[0]
    place = {tuple(operator.outputs): operator for operator in first.operators}
    assert len(place) == len(second.operators)
    for operator in second.operators:
        same = place[tuple(operator.outputs)]
        assert operator.opcodeIndex == same.opcodeIndex
        assert list(operator.inputs) == list(same.inputs)
    made = set(map(int, second.inputs))
    constants = {
        number for number, tensor in enumerate(read_graph(after).tensors) if tensor.constant
    }
    for operator in second.operators:
        assert set(map(int, operator.inputs)) <= made | constants
        made |= set(map(int, operator.outputs))
    assert with_safe_order(after) == after
    assert np.array_equal(Interpreter(after).invoke(CLIP[0]), wanted(branches))


def test_who_needs_the_other_stays_behind_it():
    """The maximum is taken of the weighted: it cannot come before."""
    builder = GraphBuilder()
    inner = builder.add(times(builder, builder.input("x", CLIP.shape), 1.0), 0.5)
    product = weighted(builder, inner)
    shifted = builder.add(inner, builder.reshape(product, CLIP.shape))
    flatbuffer = packed(builder.finish(row(builder, shifted), "y", "x"))
    assert with_safe_order(flatbuffer) is flatbuffer
    assert np.array_equal(Interpreter(flatbuffer).invoke(CLIP[0]), 10 * (CLIP + 0.5).ravel())


@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_answers_the_same_without_xnnpack(model):
    flatbuffer = read_model_file(model).flatbuffer
    assert with_safe_order(flatbuffer) is flatbuffer
    with_it, without = (Interpreter(flatbuffer, delegate=one) for one in ("xnnpack", "none"))
    draw = np.random.default_rng(4)
    for _ in range(5):
        clip = draw.normal(size=with_it.input.shape[1:]).astype(np.float32)
        one, other = with_it.invoke(clip), without.invoke(clip)
        assert np.abs(one - other).max() < 0.1 * np.ptp(one)


# The check of a conversion


def answers(flatbuffer, clips, delegate="xnnpack"):
    return comparison.answers(Interpreter(flatbuffer, delegate=delegate), clips)


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(5).normal(size=(50, *CLIP.shape[1:])).astype(np.float32)


def test_a_file_that_answers_the_same_passes(clips):
    flatbuffer = graph((largest, weighted))
    after = answers(flatbuffer, clips)
    comparison.check_plain_kernels("m", VARIANTS["float32"], flatbuffer, clips, after, 0.0)
    none = np.zeros((0, *SHAPE), np.float32)
    comparison.check_plain_kernels("m", VARIANTS["float32"], flatbuffer, none, none[:, 0], 0.0)


def test_a_file_that_answers_otherwise_is_refused_in_one_line(clips):
    flatbuffer = graph((largest, weighted))
    after = np.roll(answers(flatbuffer, clips), 1, axis=1)
    with pytest.raises(ConversionMismatch) as fault:
        comparison.check_plain_kernels("m", VARIANTS["float32"], flatbuffer, clips, after, 0.0)
    assert str(fault.value).startswith("m: without XNNPACK, as on 32-bit ARM, the float32 file ")
    assert "of 32 clips; it was not kept; " in str(fault.value)
    assert "\n" not in str(fault.value)


def test_near_ties_are_no_other_answer(clips):
    flatbuffer = graph((largest, weighted))
    after = np.roll(answers(flatbuffer, clips), 1, axis=1)
    wide = float(np.ptp(after)) + 1
    comparison.check_plain_kernels("m", VARIANTS["int8"], flatbuffer, clips, after, wide)
