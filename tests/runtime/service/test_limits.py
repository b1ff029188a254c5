"""What is held is counted, and given back whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.service.limits import Admission, Limits
from ser_edge_runtime.service.refusal import Refusal


def refused(block) -> int:
    with pytest.raises(Refusal) as caught, block:
        raise AssertionError("let in")
    return caught.value.status


def test_clients_have_a_share_each_and_give_it_back():
    admission = Admission(Limits(most_of_a_client=2))
    with admission.client("a"), admission.client("a"):
        assert refused(admission.client("a")) == 429
        with admission.client("b"):
            pass
    with admission.client("a"), admission.client("a"):
        pass
    # Nothing is kept of clients that are gone, however many there were.
    assert not admission._of_client


def test_those_that_wait_are_counted():
    admission = Admission(Limits(most_waiting=1))
    with admission.wait():
        assert admission.waiting == 1
        assert refused(admission.wait()) == 503
    assert admission.waiting == 0


def test_a_fault_gives_back_what_was_held():
    admission = Admission(Limits(most_bytes=10, most_uploaded=10))

    def fail():
        with admission.client("a"), admission.upload() as upload, admission.wait():
            upload.grow(10)
            assert (admission.uploaded, admission.waiting) == (10, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (admission.uploaded, admission.waiting) == (0, 0)
    assert not admission._of_client


def test_one_recording_and_all_recordings_have_limits_of_their_own():
    admission = Admission(Limits(most_bytes=10, most_uploaded=15))
    with admission.upload() as first, admission.upload() as second:
        first.check(10)
        with pytest.raises(Refusal) as caught:
            first.check(11)
        assert caught.value.status == 413
        assert caught.value.retry_after is None
        first.grow(10)
        second.grow(5)
        with pytest.raises(Refusal) as caught:
            second.grow(1)
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
        with pytest.raises(Refusal) as caught:
            first.grow(1)
        assert caught.value.status == 413
        assert admission.uploaded == 15


@given(st.lists(st.lists(st.integers(1, 40), max_size=6), max_size=6))
def test_never_more_is_held_than_allowed_and_in_the_end_nothing(uploads):
    limits = Limits(most_bytes=60, most_uploaded=100)
    admission = Admission(limits)
    for chunks in uploads:
        with admission.upload() as outer, admission.upload() as inner:
            for number, chunk in enumerate(chunks):
                try:
                    (outer, inner)[number % 2].grow(chunk)
                except Refusal:
                    continue
                assert outer.size + inner.size == admission.uploaded <= limits.most_uploaded
                assert max(outer.size, inner.size) <= limits.most_bytes
        assert admission.uploaded == 0
