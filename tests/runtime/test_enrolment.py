"""The offset of a voice: by hand, by its limits, and against a search that knows no Newton."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.enrolment import (
    FEWEST,
    NONE_BELOW,
    WHOLE_FROM,
    balance,
    lean,
    trust,
    variety,
)

from .machines import SUBNORMALS


def logs_of(*rows):
    values = np.array(rows, float)
    return np.log(values / values.sum(axis=1, keepdims=True))


def shares(logs):
    powers = np.exp(logs)
    return powers / powers.sum(axis=1, keepdims=True)


@st.composite
def answers(draw):
    classes, clips = draw(st.integers(2, 8)), draw(st.integers(1, 12))
    seed, spread = draw(st.integers(0, 999)), draw(st.floats(0, 30, allow_subnormal=SUBNORMALS))
    return spread * np.random.default_rng(seed).standard_normal((clips, classes))


def test_even_answers_need_no_offset():
    assert balance(np.log(np.full((12, 4), 0.25))) == pytest.approx(0)
    assert balance(logs_of([8, 1, 1], [1, 8, 1], [1, 1, 8])) == pytest.approx(0)


def test_a_class_that_is_heard_too_often_is_taken_back():
    offset = balance(np.tile(logs_of([8, 1, 1]), (20, 1)))
    assert offset[0] < 0 < offset[1] == pytest.approx(offset[2])


@settings(deadline=None, max_examples=30)
@given(answers())
def test_at_the_offset_the_answers_pull_as_much_as_what_holds_them_back(logs):
    offset = balance(logs, 2.0)
    pull = len(logs) / logs.shape[1] - shares(logs + offset).sum(axis=0)
    assert pull == pytest.approx(2.0 * offset, abs=1e-6)
    assert offset.sum() == pytest.approx(0, abs=1e-9)


def test_a_search_in_small_steps_finds_the_same():
    logs = 3 * np.random.default_rng(1).standard_normal((15, 5))
    offset = np.zeros(5)
    for _ in range(4000):
        offset -= 0.02 * (shares(logs + offset).sum(axis=0) - 3 + offset)
    assert balance(logs) == pytest.approx(offset, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(answers(), st.floats(-50, 50, allow_subnormal=SUBNORMALS))
def test_only_differences_between_classes_count(logs, added):
    assert balance(logs + added) == pytest.approx(balance(logs), abs=1e-6)
    assert variety(logs + added) == pytest.approx(variety(logs), abs=1e-9)


def test_more_clips_move_more_and_holding_back_moves_less():
    one = logs_of([8, 1, 1], [6, 3, 1])
    assert np.abs(balance(np.tile(one, (10, 1)))).max() > np.abs(balance(one)).max()
    assert np.abs(balance(one, 10.0)).max() < np.abs(balance(one)).max()


def test_many_certain_answers_stay_finite():
    logs = np.tile([0.0, -100.0, -100.0], (1000, 1))
    offset = balance(logs)
    assert np.isfinite(offset).all()
    assert offset[0] < -60


def test_variety_counts_classes_from_one_to_all():
    certain = np.full((4, 4), -100.0) + 100 * np.eye(4)
    assert variety(certain) == pytest.approx(1)
    assert variety(certain[:2]) == pytest.approx(1 / 3)
    assert variety(certain[[0, 0, 0]]) == pytest.approx(0)
    assert variety(np.zeros((1, 4))) == pytest.approx(1)
    assert variety(np.zeros((1, 1))) == 0


@pytest.mark.parametrize("classes", [2, 3, 6, 8, 20])
def test_who_sounds_alike_is_not_corrected_whatever_the_classes(classes):
    alike = np.tile([0.0, *[-100.0] * (classes - 1)], (30, 1))
    assert trust(alike) == 0
    assert not lean(alike).any()
    assert np.abs(balance(alike)).max() > 1
    assert trust(np.zeros((1, classes))) == 1


@settings(deadline=None, max_examples=30)
@given(answers())
def test_trust_rises_with_variety_from_nothing_to_all(logs):
    expected = np.interp(variety(logs), [NONE_BELOW, WHOLE_FROM], [0, 1])
    assert trust(logs) == pytest.approx(expected)
    assert lean(logs) == pytest.approx(expected * balance(logs), abs=1e-9)


def test_a_model_that_leans_on_a_voice_is_put_right():
    # A voice of which every clip sounds 1.5 sadder than others': what enrolment is for.
    random = np.random.default_rng(0)
    truth = np.arange(400) % 4
    logs = random.standard_normal((400, 4)) + 3 * np.eye(4)[truth]
    leaning = logs + 2.5 * np.eye(4)[1]
    offset = lean(leaning[:FEWEST])

    def right(values):
        return np.mean(values[FEWEST:].argmax(axis=1) == truth[FEWEST:])

    assert right(leaning) < right(leaning + offset) - 0.05
    assert right(leaning + lean(leaning[:40])) > right(logs) - 0.03
