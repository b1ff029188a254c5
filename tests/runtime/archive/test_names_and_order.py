"""Which recordings are done, and in which order answers come out."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.archive.answers import Answer
from ser_edge_runtime.archive.names import Names
from ser_edge_runtime.archive.order import AHEAD, AsTheyCome, InOrder


@given(st.lists(st.text(max_size=3).filter(str.isascii)), st.text(max_size=3).filter(str.isascii))
def test_names_are_a_set(given_names, other):
    names = Names(given_names)
    assert len(names) == len(set(given_names))
    assert all(name in names for name in given_names)
    assert (other in names) == (other in given_names)
    repeated = {name for name, count in Counter(given_names).items() if count > 1}
    assert len(names.repeated) == len(repeated)
    assert all((name in names.repeated) == (name in repeated) for name in given_names)


def test_no_name_is_in_an_empty_set():
    assert len(Names()) == len(Names().repeated) == 0
    assert "a" not in Names()


def test_names_that_are_not_utf8():
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    assert name in Names([name])
    assert "café.wav" not in Names([name])


def answers(count):
    return [Answer(str(number), ()) for number in range(count)]


@given(st.permutations(range(12)))
def test_answers_in_the_order_of_the_recordings(numbers):
    order, out = InOrder(), []
    for number in numbers:
        out += order.put(number, answers(12)[number])
    assert out == answers(12)


@given(st.permutations(range(5)))
def test_answers_as_they_come(numbers):
    order, out = AsTheyCome(), []
    for number in numbers:
        out += order.put(number, answers(5)[number])
    assert [answer.path for answer in out] == [str(number) for number in numbers]
    assert order.room


def test_who_waits_for_the_first_answer_is_told_when_too_many_wait():
    order = InOrder()
    for number in range(1, AHEAD + 1):
        assert order.room
        assert list(order.put(number, Answer("", ()))) == []
    assert not order.room
    assert len(list(order.put(0, Answer("", ())))) == AHEAD + 1
    assert order.room
