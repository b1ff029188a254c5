"""Scores: against scikit-learn, against hand-made numbers, and by their properties."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as oracle

from ser_edge_train import metrics

ALL = np.ones(4, dtype=bool)


@st.composite
def answers(draw, classes=4, smallest=1):
    count = draw(st.integers(smallest, 60))
    one = st.integers(0, classes - 1)
    labels = draw(hnp.arrays(np.int64, count, elements=one))
    predictions = draw(hnp.arrays(np.int64, count, elements=one))
    return labels, predictions


@given(answers())
def test_confusion_and_scores_equal_scikit_learn(pair):
    labels, predictions = pair
    counts = metrics.confusion(labels, predictions, 4)
    every = list(range(4))
    assert np.array_equal(counts, oracle.confusion_matrix(labels, predictions, labels=every))
    assert metrics.accuracy(counts) == pytest.approx(oracle.accuracy_score(labels, predictions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true": that is the case
        balanced = oracle.balanced_accuracy_score(labels, predictions)
    assert metrics.uar(counts) == pytest.approx(balanced)
    macro = oracle.f1_score(labels, predictions, average="macro", zero_division=0)
    assert metrics.macro_f1(counts) == pytest.approx(macro)
    present = np.unique(np.concatenate([labels, predictions]))
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(
        labels, predictions, labels=present, zero_division=0
    )
    assert np.nan_to_num(metrics.precisions(counts))[present] == pytest.approx(precision)
    assert np.nan_to_num(metrics.recalls(counts))[present] == pytest.approx(recall)
    assert metrics.f1s(counts)[present] == pytest.approx(f1)


@given(answers(), st.permutations(range(4)))
def test_scores_do_not_depend_on_the_order_of_the_classes(pair, order):
    labels, predictions = pair
    renamed = np.array(order)
    one = metrics.confusion(labels, predictions, 4)
    other = metrics.confusion(renamed[labels], renamed[predictions], 4)
    for score in (metrics.accuracy, metrics.uar, metrics.macro_f1):
        assert score(one) == pytest.approx(score(other))


def test_leading_axes_are_kept():
    rng = np.random.default_rng(3)
    stack = rng.integers(0, 9, (5, 2, 3, 3))
    for score in (metrics.accuracy, metrics.uar, metrics.macro_f1):
        whole = score(stack)
        assert whole.shape == (5, 2)
        assert whole[4, 1] == pytest.approx(score(stack[4, 1]))
    assert metrics.recalls(stack).shape == (5, 2, 3)


def test_a_class_that_does_not_occur_has_no_recall_and_does_not_count():
    counts = [[8, 2, 0], [1, 9, 0], [0, 0, 0]]
    assert np.isnan(metrics.recalls(counts)[2])
    assert metrics.uar(counts) == pytest.approx(0.85)
    assert np.isnan(metrics.f1s(counts)[2])


def test_a_class_that_is_only_answered_costs_macro_f1():
    counts = [[9, 0, 1], [0, 10, 0], [0, 0, 0]]
    assert metrics.f1s(counts)[2] == 0
    expected = (18 / 19 + 1 + 0) / 3
    assert metrics.macro_f1(counts) == pytest.approx(expected)


def test_no_clip_gives_nan_and_no_warning():
    nothing = np.zeros((3, 3), int)
    assert math.isnan(metrics.accuracy(nothing))
    assert math.isnan(metrics.uar(nothing))
    assert math.isnan(metrics.macro_f1(nothing))
    assert math.isnan(metrics.expected_calibration_error([], []))


@pytest.mark.parametrize(
    ("labels", "predictions"), [([0, 1], [0]), ([0, 3], [0, 0]), ([0, 0], [0, -1]), ([[0]], [[0]])]
)
def test_confusion_refuses_what_is_no_class(labels, predictions):
    with pytest.raises(ValueError, match=r"classes must be|one list"):
        metrics.confusion(labels, predictions, 3)


def test_masked_argmax_answers_among_the_allowed():
    scores = [[9.0, 1.0, 2.0], [9.0, 1.0, 2.0], [1.0, 1.0, 0.0]]
    allowed = [[True, True, True], [False, True, True], [True, True, False]]
    assert metrics.masked_argmax(scores, allowed).tolist() == [0, 2, 0]
    assert metrics.masked_argmax(scores, [False, True, False]).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="at least one class"):
        metrics.masked_argmax(scores, [[True, True, True]] * 2 + [[False] * 3])


def test_masked_argmax_works_below_zero():
    assert metrics.masked_argmax([[-5.0, -9.0, -7.0]], [False, True, True]).tolist() == [2]


@given(
    hnp.arrays(np.float64, (7, 4), elements=st.floats(0, 1)),
    hnp.arrays(np.bool_, (7, 4)),
)
def test_masked_probabilities_sum_to_one_on_the_allowed(values, allowed):
    allowed[:, 1] = True
    masked = metrics.masked_probabilities(values, allowed)
    assert masked.sum(axis=1) == pytest.approx(np.ones(7))
    assert (masked[~allowed] == 0).all()


def test_masked_probabilities_share_what_is_left_of_nothing():
    masked = metrics.masked_probabilities([[1.0, 0.0, 0.0]], [False, True, True])
    assert masked.tolist() == [[0.0, 0.5, 0.5]]


def test_masked_log_softmax_is_the_softmax_of_the_allowed():
    logs = metrics.masked_log_softmax([[1000.0, 0.0, math.log(3.0)]], [False, True, True])
    assert np.exp(logs)[0] == pytest.approx([0.0, 0.25, 0.75])


def test_reliability_bins_are_closed_on_the_right():
    binned = metrics.reliability([0.2, 0.2, 0.21, 1.0, 0.0], [1, 0, 1, 1, 0], bins=5)
    assert binned.counts.tolist() == [3, 1, 0, 0, 1]
    assert binned.accuracy[0] == pytest.approx(1 / 3)
    assert binned.confidence[1] == pytest.approx(0.21)
    assert np.isnan(binned.accuracy[2])


def test_expected_calibration_error_by_hand():
    # Two bins: three clips at 0.9 of which two are right, one at 0.3 which is wrong.
    error = metrics.expected_calibration_error([0.9, 0.9, 0.9, 0.3], [1, 1, 0, 0], bins=2)
    assert error == pytest.approx((3 * (0.9 - 2 / 3) + 1 * 0.3) / 4)


@given(hnp.arrays(np.float64, 40, elements=st.floats(0, 1)), hnp.arrays(np.bool_, 40))
def test_expected_calibration_error_lies_between_nought_and_one(confidence, correct):
    error = metrics.expected_calibration_error(confidence, correct)
    assert 0 <= error <= 1
    gap = abs(confidence.mean() - correct.mean())
    assert error >= gap - 1e-12  # triangle inequality over the bins


def test_a_calibrated_classifier_has_a_small_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.25, 1.0, 60_000)
    correct = rng.uniform(size=60_000) < confidence
    assert metrics.expected_calibration_error(confidence, correct) < 0.01
    assert metrics.expected_calibration_error(confidence**2, correct) > 0.1


def overconfident(temperature, clips=4000, classes=4, seed=0):
    """Logits whose labels were drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (clips, classes)) * temperature
    probabilities = np.exp(metrics.masked_log_softmax(logits / temperature, np.ones(classes, bool)))
    drawn = rng.uniform(size=(clips, 1)) > probabilities.cumsum(axis=1)
    return logits, drawn.sum(axis=1).clip(0, classes - 1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_fit_temperature_finds_the_one_that_made_the_labels(temperature):
    logits, labels = overconfident(temperature)
    fitted = metrics.fit_temperature(logits, labels, ALL)
    assert fitted == pytest.approx(temperature, rel=0.05)
    fine = np.exp(np.linspace(np.log(fitted) - 0.5, np.log(fitted) + 0.5, 201))
    losses = [metrics.negative_log_likelihood(logits, labels, ALL, t) for t in fine]
    best = metrics.negative_log_likelihood(logits, labels, ALL, fitted)
    assert best <= min(losses) + 1e-12


def test_fit_temperature_sees_only_the_allowed_classes():
    logits, labels = overconfident(2.0)
    wild = np.concatenate([logits, np.full((len(logits), 1), 500.0)], axis=1)
    allowed = np.array([True, True, True, True, False])
    assert metrics.fit_temperature(wild, labels, allowed) == pytest.approx(
        metrics.fit_temperature(logits, labels, ALL), rel=1e-4
    )


def test_fit_temperature_stops_at_the_ends_of_its_range():
    right, wrong = np.eye(4) * 5, np.eye(4) * -5
    low, high = metrics.TEMPERATURE_RANGE
    assert metrics.fit_temperature(right, np.arange(4), ALL) == pytest.approx(low, rel=1e-3)
    assert metrics.fit_temperature(wrong, np.arange(4), ALL) == pytest.approx(high, rel=1e-3)


def test_fit_temperature_refuses_what_cannot_be_fitted():
    with pytest.raises(ValueError, match="without clips"):
        metrics.fit_temperature(np.zeros((0, 4)), [], ALL)
    with pytest.raises(ValueError, match="not among"):
        metrics.fit_temperature(np.zeros((1, 4)), [3], [[True, True, True, False]])


def speakers(count, clips, spread, seed, classes=4):
    """Confusion matrices of speakers whose own recall varies by ``spread``."""
    rng = np.random.default_rng(seed)
    matrices = np.zeros((count, classes, classes), int)
    for matrix in matrices:
        recall = np.clip(rng.normal(0.6, spread), 0.05, 0.95)
        for label in range(classes):
            right = rng.binomial(clips, recall)
            matrix[label, label] = right
            matrix[label, (label + 1) % classes] = clips - right
    return matrices


def test_bootstrap_interval_holds_the_score_and_is_repeatable():
    matrices = speakers(20, 10, 0.1, seed=1)
    one = metrics.bootstrap_interval(matrices)
    assert one is not None
    assert one.low < metrics.uar(matrices.sum(axis=0)) < one.high
    assert one == metrics.bootstrap_interval(matrices)
    assert one != metrics.bootstrap_interval(matrices, seed=1)


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        interval = metrics.bootstrap_interval(speakers(24, 20, 0.08, seed), draws=300)
        assert interval is not None
        covered += interval.low <= 0.6 <= interval.high
    assert 0.87 <= covered / 200 <= 0.99


def test_bootstrap_interval_varies_with_speakers_not_with_clips():
    many_clips = metrics.bootstrap_interval(speakers(8, 1000, 0.1, seed=2))
    few_clips = metrics.bootstrap_interval(speakers(8, 50, 0.1, seed=2))
    assert many_clips is not None
    assert few_clips is not None
    assert (many_clips.high - many_clips.low) > 0.5 * (few_clips.high - few_clips.low)
    alike = metrics.bootstrap_interval(np.repeat(speakers(1, 10, 0.1, 3), 12, axis=0))
    assert alike is not None
    assert alike.high - alike.low < 1e-12


def test_bootstrap_interval_agrees_with_drawing_speakers_one_by_one():
    matrices = speakers(6, 10, 0.2, seed=5)
    rng = np.random.default_rng(0)
    values = [metrics.uar(matrices[rng.integers(0, 6, 6)].sum(axis=0)) for _ in range(20_000)]
    interval = metrics.bootstrap_interval(matrices, draws=20_000)
    assert interval == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.005)


def test_one_speaker_has_no_interval():
    one = speakers(1, 10, 0.1, seed=0)
    assert metrics.bootstrap_interval(one) is None
    assert metrics.bootstrap_interval(np.zeros((0, 4, 4))) is None
    assert metrics.paired_bootstrap_interval(one, one) is None


def test_a_speaker_without_some_class_does_not_break_the_draws():
    matrices = speakers(3, 5, 0.1, seed=4)
    matrices[:2, 3] = 0  # only the third speaker has class 3: a third of the draws lack it
    interval = metrics.bootstrap_interval(matrices)
    assert interval is not None
    assert np.isfinite(interval).all()


def test_paired_interval_of_equal_models_is_nought():
    matrices = speakers(10, 20, 0.2, seed=6)
    assert metrics.paired_bootstrap_interval(matrices, matrices) == (0.0, 0.0)


def test_paired_interval_is_narrower_than_the_speakers_spread():
    before = speakers(12, 40, 0.15, seed=7)
    after = before.copy()
    moved = np.minimum(after[:, 0, 0], 1)  # every speaker loses one clip of class 0
    after[:, 0, 0] -= moved
    after[:, 0, 1] += moved
    drop = metrics.paired_bootstrap_interval(before, after)
    alone = metrics.bootstrap_interval(before)
    assert drop is not None
    assert alone is not None
    assert drop.low == pytest.approx(1 / 40 / 4)
    assert drop.high - drop.low < 0.1 * (alone.high - alone.low)
    assert metrics.paired_bootstrap_interval(after, before).high == pytest.approx(-drop.low)


def test_paired_interval_refuses_other_clips():
    before = speakers(3, 10, 0.1, seed=8)
    with pytest.raises(ValueError, match="same clips"):
        metrics.paired_bootstrap_interval(before, before[:2])
    with pytest.raises(ValueError, match="same clips"):
        metrics.paired_bootstrap_interval(before, before * 2)


@settings(max_examples=25)
@given(st.integers(2, 8), st.integers(0, 2**31))
def test_any_interval_is_ordered_and_within_bounds(count, seed):
    interval = metrics.bootstrap_interval(speakers(count, 5, 0.2, seed), metrics.macro_f1, draws=50)
    assert interval is not None
    assert 0 <= interval.low <= interval.high <= 1


def test_the_interval_of_each_class_is_that_of_its_own_recall():
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 9, (7, 3, 3))
    intervals = metrics.bootstrap_intervals(counts, seed=5)
    assert intervals is not None
    for place, found in enumerate(intervals):
        alone = metrics.bootstrap_interval(
            counts, lambda drawn, place=place: metrics.recalls(drawn)[..., place], seed=5
        )
        assert found == alone


def test_a_class_that_nobody_said_has_no_interval():
    counts = np.ones((4, 2, 2), np.int64)
    counts[:, 1] = 0
    intervals = metrics.bootstrap_intervals(counts)
    assert intervals is not None
    assert intervals[1] is None
    assert intervals[0] == (0.5, 0.5)


def test_one_speaker_gives_no_class_an_interval():
    assert metrics.bootstrap_intervals(np.ones((1, 2, 2), np.int64)) is None
