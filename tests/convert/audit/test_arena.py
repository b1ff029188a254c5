"""The arena's estimate: lifetimes by hand, and that no two living buffers share a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_convert.audit.arena import Buffer, arena_bytes, lifetimes, placements
from ser_edge_convert.graph import Graph, Operator, Tensor, read_graph
from tests.convert.audit.toys import flatbuffer


def tensor(shape, dtype="int8", *, constant=False, variable=False):
    return Tensor("t", shape, dtype, constant, variable, (), (), 4 if constant else 0)


def graph(tensors, operators, inputs=(0,), outputs=None):
    steps = [Operator("ADD", 1, tuple(took), tuple(gave)) for took, gave in operators]
    ends = (operators[-1][1][0],) if outputs is None else outputs
    return Graph(tuple(tensors), tuple(steps), tuple(inputs), tuple(ends), 1)


CHAIN = [((0,), (1,)), ((1,), (2,)), ((2,), (3,))]


def test_a_chain_needs_its_two_largest_neighbours():
    sizes = (160, 320, 64, 16)
    found = arena_bytes(graph([tensor((1, size)) for size in sizes], CHAIN))
    assert found == 160 + 320


def test_a_value_that_is_read_late_stays():
    tensors = [tensor((1, 160)), tensor((1, 160)), tensor((1, 160)), tensor((1, 160))]
    skip = [((0,), (1,)), ((1,), (2,)), ((2, 0), (3,))]
    assert arena_bytes(graph(tensors, CHAIN)) == 320
    assert arena_bytes(graph(tensors, skip)) == 480


@pytest.mark.parametrize(("dtype", "factor"), [("int8", 1), ("int16", 2), ("float32", 4)])
def test_types_have_their_size(dtype, factor):
    tensors = [tensor((1, 16), dtype) for _ in range(4)]
    assert arena_bytes(graph(tensors, CHAIN)) == 2 * 16 * factor


def test_buffers_begin_at_multiples_of_sixteen():
    assert arena_bytes(graph([tensor((1, 1)), tensor((1, 17))], [((0,), (1,))])) == 16 + 32


def test_constants_take_no_room():
    tensors = [tensor((1, 16)), tensor((1000,), constant=True), tensor((1, 16))]
    assert arena_bytes(graph(tensors, [((0, 1), (2,))])) == 32


def test_what_is_left_out_is_no_tensor():
    tensors = [tensor((1, 16)), tensor((1, 16))]
    assert arena_bytes(graph(tensors, [((0, -1), (1,))])) == 32


def test_state_lives_all_the_time():
    tensors = [tensor((1, 16)), tensor((1, 16)), tensor((1, 16)), tensor((1, 64), variable=True)]
    steps = [((0,), (1,)), ((1, 3), (2,))]
    found = lifetimes(graph(tensors, steps))
    assert found is not None
    assert found[3] == Buffer(64, -1, 2)
    assert arena_bytes(graph(tensors, steps)) == 64 + 32


def test_an_output_stays_to_the_end():
    tensors = [tensor((1, 32)), tensor((1, 32)), tensor((1, 32)), tensor((1, 32))]
    early = graph(tensors, CHAIN, outputs=(1, 3))
    assert arena_bytes(early) == 3 * 32


def test_an_axis_of_unknown_size_counts_as_one():
    tensors = [tensor((-1, 16)), tensor((1, 16))]
    assert arena_bytes(graph(tensors, [((0,), (1,))])) == 32


def test_loops_and_strings_cannot_be_told():
    whole = graph([tensor((1, 16)), tensor((1, 16))], [((0,), (1,))])
    assert arena_bytes(Graph(whole.tensors, whole.operators, (0,), (1,), 2)) is None
    strings = [tensor((1, 16), "string"), tensor((1, 16))]
    assert arena_bytes(graph(strings, [((0,), (1,))])) is None


def test_the_toys():
    # 20 frames of 4 features, and their mean or the logits beside them.
    assert arena_bytes(read_graph(flatbuffer("toy_int8"))) == 80 + 16
    assert arena_bytes(read_graph(flatbuffer("toy_float"))) == 320 + 16


@st.composite
def buffers(draw):
    made = []
    for _ in range(draw(st.integers(1, 25))):
        first = draw(st.integers(-1, 12))
        last = draw(st.integers(first, 13))
        made.append(Buffer(16 * draw(st.integers(1, 40)), first, last))
    return made


@given(buffers())
def test_no_two_buffers_share_a_byte_while_both_live(made):
    placed = placements(made)
    assert sorted(map(repr, made)) == sorted(repr(buffer) for _, buffer in placed)
    for place, (start, one) in enumerate(placed):
        assert start >= 0
        for begin, other in placed[:place]:
            if one.meets(other):
                assert start + one.size <= begin or begin + other.size <= start


@given(buffers())
def test_the_arena_lies_between_what_lives_at_once_and_all(made):
    peak = max(start + buffer.size for start, buffer in placements(made))
    at_once = max(
        sum(one.size for one in made if one.first <= time <= one.last) for time in range(-1, 14)
    )
    assert at_once <= peak <= sum(one.size for one in made)
