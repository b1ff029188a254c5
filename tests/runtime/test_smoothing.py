from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import Result, Smoothing
from ser_edge_runtime.errors import WindowError


def result(end, calm, label=None):
    scores = {"calm": calm, "loud": 1 - calm}
    label = label or max(scores, key=scores.get)
    return Result(label, scores[label], scores, 3.0, end - 3.0, end)


def labels(smoothing, *calm, step=1.0):
    return [smoothing.push(result(3 + step * at, c)).label for at, c in enumerate(calm)]


def test_the_first_result_is_taken_as_it_is():
    first = result(3.0, 0.7)
    assert Smoothing().push(first) == first


def test_scores_are_an_exponential_average_over_time():
    smoothing = Smoothing(half_life=2.0)
    smoothing.push(result(3.0, 1.0))
    assert smoothing.push(result(5.0, 0.0)).scores["calm"] == pytest.approx(0.5)
    assert smoothing.push(result(9.0, 0.0)).scores["calm"] == pytest.approx(0.125)
    kept = smoothing.push(result(9.0, 1.0))
    assert kept.scores["calm"] == pytest.approx(0.125), "no time has passed"


def test_the_window_stays_and_the_score_is_that_of_the_label():
    smoothing = Smoothing(half_life=1.0, margin=0.3)
    smoothing.push(result(3.0, 0.9))
    second = smoothing.push(result(4.0, 0.2))
    assert (second.start, second.end, second.seconds) == (1.0, 4.0, 3.0)
    assert second.score == second.scores[second.label]
    assert list(second.scores) == ["calm", "loud"]


def test_a_lead_below_the_margin_changes_no_label():
    smoothing = Smoothing(half_life=0.0, margin=0.2)
    assert labels(smoothing, 0.9, 0.45, 0.41, 0.39) == ["calm", "calm", "calm", "loud"]


def test_the_way_back_needs_the_margin_too():
    smoothing = Smoothing(half_life=0.0, margin=0.2)
    assert labels(smoothing, 0.9, 0.3, 0.55, 0.59, 0.61) == [
        "calm", "loud", "loud", "loud", "calm",
    ]  # fmt: skip


def test_without_averaging_margin_and_hold_it_changes_nothing():
    smoothing = Smoothing(half_life=0.0, margin=0.0)
    for at, calm in enumerate([0.9, 0.1, 0.51, 0.49, 0.5]):
        one = result(3.0 + at, calm)
        pushed = smoothing.push(one)
        assert pushed.scores == one.scores
        if calm != 0.5:
            assert pushed == one


def test_one_odd_window_changes_nothing_two_do():
    smoothing = Smoothing(half_life=0.0, margin=0.1, hold=1.0)
    assert labels(smoothing, 0.9, 0.1, 0.9, 0.1, 0.1, 0.9) == [
        "calm", "calm", "calm", "calm", "loud", "loud",
    ]  # fmt: skip


def test_the_hold_is_time_not_a_number_of_windows():
    smoothing = Smoothing(half_life=0.0, margin=0.1, hold=1.0)
    assert labels(smoothing, 0.9, 0.1, 0.1, 0.1, 0.1, step=0.4) == ["calm"] * 4 + ["loud"]


def test_a_rival_that_changes_begins_anew():
    smoothing = Smoothing(half_life=0.0, margin=0.0, hold=1.0)

    def push(end, best):
        scores = dict.fromkeys("abc", 0.1) | {best: 0.8}
        return smoothing.push(Result(best, 0.8, scores, 3.0, end - 3, end)).label

    assert [push(3, "a"), push(4, "b"), push(5, "c"), push(6, "c")] == ["a", "a", "a", "c"]


def test_after_a_long_silence_nothing_is_remembered():
    smoothing = Smoothing(half_life=5.0, margin=0.5, forget=10.0)
    smoothing.push(result(3.0, 0.95))
    assert smoothing.push(result(13.0, 0.1)).label == "calm"
    late = result(23.1, 0.1)
    assert smoothing.push(late) == late


def test_a_reset_begins_another_stream():
    smoothing = Smoothing()
    smoothing.push(result(100.0, 0.9))
    with pytest.raises(ValueError, match="after one of 100"):
        smoothing.push(result(3.0, 0.2))
    smoothing.reset()
    assert smoothing.push(result(3.0, 0.2)).label == "loud"


@given(
    st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=30),
    st.floats(0, 10, allow_subnormal=False),
    st.floats(0, 1, allow_subnormal=False),
)
def test_scores_stay_probabilities_and_every_label_is_a_class(calm, half_life, margin):
    smoothing = Smoothing(half_life=half_life, margin=margin)
    for at, value in enumerate(calm):
        pushed = smoothing.push(result(3.0 + at, value))
        assert sum(pushed.scores.values()) == pytest.approx(1)
        assert all(-1e-9 <= score <= 1 + 1e-9 for score in pushed.scores.values())
        best = max(pushed.scores.values())
        assert best - pushed.score <= margin + 1e-9


@pytest.mark.parametrize(
    "values",
    [{"half_life": -1}, {"margin": 1.1}, {"margin": float("nan")}, {"hold": -1}, {"forget": -1}],
    ids=str,
)
def test_values_out_of_range_are_refused_by_name(values):
    with pytest.raises(WindowError, match=next(iter(values))):
        Smoothing(**values)
