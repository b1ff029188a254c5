"""Accuracy against coverage: by hand, by its limits, and in the report."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.coverage import MIN_SCORES, Coverage, coverage, coverage_of
from ser_edge_train.predictions import ClipRow, Predictions


def test_by_hand():
    scores, right = [0.9, 0.6, 0.6, 0.4], [True, True, False, False]
    assert coverage(scores, right, (0, 0.5, 0.6, 0.7, 0.95)) == [
        Coverage(0.0, 1.0, 0.5),
        Coverage(0.5, 0.75, pytest.approx(2 / 3)),
        # Equal to the least score is enough, as Result.or_uncertain has it.
        Coverage(0.6, 0.75, pytest.approx(2 / 3)),
        Coverage(0.7, 0.25, 1.0),
        Coverage(0.95, 0.0, None),
    ]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_less_is_answered_at_a_higher_least_score(clips):
    scores, right = zip(*clips, strict=True)
    rows = coverage(scores, right)
    assert [row.min_score for row in rows] == list(MIN_SCORES)
    shares = [row.coverage for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert rows[0] == Coverage(0.0, 1.0, np.mean(right))
    for row in rows:
        assert (row.accuracy is None) == (row.coverage == 0)


@pytest.mark.parametrize(("scores", "right"), [([], []), ([0.5], []), ([[0.5]], [[True]])])
def test_what_is_no_list_of_clips(scores, right):
    with pytest.raises(ValueError, match="one list"):
        coverage(scores, right)


def test_answers_are_among_all_classes_as_on_a_device():
    rows = [
        ClipRow("crema-d", "a", "1", "male", "test", "sad"),
        ClipRow("crema-d", "b", "1", "male", "test", "angry"),
    ]
    # CREMA-D has no calm: among its own classes the first answer would be right.
    table = Predictions(
        ("angry", "calm", "sad"), rows, np.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]])
    )
    first, *rest = coverage_of(table)
    assert first == {"min_score": 0.0, "coverage": 1.0, "accuracy": 0.5}
    assert {row["min_score"]: row["accuracy"] for row in rest}[0.6] == 1.0
