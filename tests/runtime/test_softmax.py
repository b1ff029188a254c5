"""The softmax behind every answer: a distribution, its order, its axis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.classifier import softmax


def test_softmax_is_a_distribution_whatever_the_logits():
    for logits in ([0, 0], [1e4, -1e4], [-1e30, -1e30], [3e38, 0]):
        probabilities = softmax(np.array(logits, np.float32))
        assert probabilities.dtype == np.float32
        assert probabilities.sum() == pytest.approx(1)
        assert (probabilities >= 0).all()


@given(
    st.lists(st.floats(-50, 50, width=32, allow_subnormal=False), min_size=2, max_size=9),
    st.floats(0.01, 100, allow_subnormal=False),
    st.floats(-50, 50, allow_subnormal=False),
)
def test_softmax_keeps_the_order_and_ignores_a_shift(logits, temperature, shift):
    values = np.array(logits, np.float64)
    probabilities = softmax(values, temperature)
    assert probabilities[values.argmax()] == probabilities.max()
    np.testing.assert_allclose(softmax(values + shift, temperature), probabilities, atol=1e-6)


def test_softmax_works_along_the_last_axis():
    rows = np.array([[0, 1], [5, 5]], np.float32)
    np.testing.assert_array_equal(softmax(rows)[1], [0.5, 0.5])
    np.testing.assert_array_equal(softmax(rows)[0], softmax(rows[0]))
