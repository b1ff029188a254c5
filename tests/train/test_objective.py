"""Loss, recall and optimizer against the same things written out in numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ser_edge_train.metrics import confusion, masked_argmax, uar
from ser_edge_train.networks import build
from ser_edge_train.objective import MaskedCrossentropy, UnweightedAverageRecall, make_optimizer

from .toys import toy_recipe

CLASSES = 4


def example(seed: int = 0, count: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, masks that hold them, and logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    allowed = rng.integers(0, 2, (count, CLASSES)).astype(bool)
    allowed[np.arange(count), labels] = True
    return labels, allowed, rng.normal(scale=3, size=(count, CLASSES)).astype(np.float32)


def targets(labels: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    return np.concatenate([np.eye(CLASSES)[labels], allowed], axis=1).astype(np.float32)


def losses(y_true: np.ndarray, logits: np.ndarray, smoothing: float = 0.0) -> np.ndarray:
    return np.asarray(MaskedCrossentropy(smoothing).call(y_true, keras.ops.array(logits)))


def expected_loss(label: int, allowed: np.ndarray, logits: np.ndarray, smoothing: float) -> float:
    """One utterance's loss, in float64, over the allowed classes alone."""
    places = np.flatnonzero(allowed)
    values = logits[places].astype(np.float64)
    logs = values - np.log(np.exp(values).sum())
    target = (1 - smoothing) * (places == label) + smoothing / len(places)
    return float(-(target * logs).sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_loss_is_a_softmax_over_the_allowed_classes(smoothing):
    labels, allowed, logits = example()
    found = losses(targets(labels, allowed), logits, smoothing)
    wanted = [
        expected_loss(label, mask, row, smoothing)
        for label, mask, row in zip(labels, allowed, logits, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_with_all_classes_allowed_it_is_the_plain_cross_entropy():
    labels, _, logits = example()
    everything = np.ones((len(labels), CLASSES), bool)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    np.testing.assert_allclose(
        losses(targets(labels, everything), logits), plain(labels, logits), rtol=1e-5, atol=1e-6
    )


def test_a_forbidden_class_neither_costs_nor_learns():
    import tensorflow as tf

    labels, allowed, logits = example()
    louder = np.float32(logits + 50.0 * ~allowed)
    y_true = targets(labels, allowed)
    assert np.array_equal(losses(y_true, logits, 0.1), losses(y_true, louder, 0.1))
    variable = tf.Variable(louder)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(MaskedCrossentropy(0.1).call(y_true, variable))
    gradient = np.asarray(tape.gradient(loss, variable))
    assert (gradient[~allowed] == 0).all()
    assert (gradient[allowed] != 0).any()


def test_a_clip_that_could_be_one_class_only_costs_nothing():
    allowed = np.eye(CLASSES, dtype=bool)[[2]]
    logits = np.float32([[9, 9, -9, 9]])
    assert losses(targets(np.array([2]), allowed), logits, 0.3)[0] == 0


def test_extreme_logits_stay_finite():
    allowed = np.array([[True, True, False, False]])
    for scale in (1e4, -1e4):
        found = losses(targets(np.array([0]), allowed), np.float32([[scale, -scale, 9e4, 0]]), 0.1)
        assert np.isfinite(found).all()


def test_sample_weights_scale_the_mean():
    labels, allowed, logits = example()
    y_true = targets(labels, allowed)
    weights = np.linspace(0, 2, len(labels)).astype(np.float32)
    each = losses(y_true, logits)
    found = float(MaskedCrossentropy()(y_true, logits, sample_weight=weights))
    assert found == pytest.approx(float((each * weights).mean()), rel=1e-5)


def test_a_blend_costs_the_blend_of_both_losses():
    everything = np.ones((1, CLASSES))
    logits = example()[2][:1]
    one, other = (losses(np.concatenate([np.eye(CLASSES)[[k]], everything], 1), logits)
                  for k in (0, 3))  # fmt: skip
    blend = 0.7 * np.eye(CLASSES)[[0]] + 0.3 * np.eye(CLASSES)[[3]]
    found = losses(np.concatenate([blend, everything], axis=1), logits)
    np.testing.assert_allclose(found, 0.7 * one + 0.3 * other, rtol=1e-5)


# --- recall ---------------------------------------------------------------------------------


def test_the_recall_is_that_of_the_reports():
    labels, allowed, logits = example()
    metric = UnweightedAverageRecall(CLASSES)
    for part in np.array_split(np.arange(len(labels)), 3):
        metric.update_state(targets(labels[part], allowed[part]), logits[part])
    answers = masked_argmax(logits, allowed)
    wanted = uar(confusion(labels, answers, CLASSES))
    assert float(metric.result()) == pytest.approx(wanted, abs=1e-6)


def test_classes_that_do_not_occur_do_not_count():
    metric = UnweightedAverageRecall(CLASSES)
    everything = np.ones((3, CLASSES), bool)
    metric.update_state(targets(np.array([0, 0, 1]), everything), np.eye(CLASSES)[[0, 2, 1]])
    assert float(metric.result()) == pytest.approx((0.5 + 1.0) / 2)


def test_before_anything_was_counted_it_is_zero_and_again_after_a_reset():
    metric = UnweightedAverageRecall(CLASSES)
    assert float(metric.result()) == 0
    labels, allowed, _ = example()
    metric.update_state(targets(labels, allowed), np.eye(CLASSES)[labels])
    assert float(metric.result()) == 1
    metric.reset_state()
    assert float(metric.result()) == 0


def test_weights_do_not_move_a_recall():
    labels, allowed, logits = example()
    results = []
    for weights in (None, np.linspace(0, 9, len(labels))):
        metric = UnweightedAverageRecall(CLASSES)
        metric.update_state(targets(labels, allowed), logits, sample_weight=weights)
        results.append(float(metric.result()))
    assert results[0] == results[1]


# --- optimizer ------------------------------------------------------------------------------


def optimizer_of(steps: int = 10, **changes: object):
    recipe = toy_recipe(fit__reduce_learning_rate=None, **changes)
    model = build("cnn1d", (21, 8), 3, filters=(4,))
    return make_optimizer(recipe.fit, steps, model), model


@pytest.mark.parametrize("name", ["adamw", "adam", "rmsprop", "sgd"])
def test_the_recipe_names_the_optimizer(name):
    optimizer, _ = optimizer_of(fit__optimizer={"name": name, "learning_rate": 0.25})
    assert type(optimizer).__name__.lower() == name
    assert float(optimizer.learning_rate.numpy()) == 0.25
    assert optimizer.built


def test_momentum_is_passed_on():
    values = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.8}
    sgd, _ = optimizer_of(fit__optimizer=values)
    rmsprop, _ = optimizer_of(fit__optimizer={**values, "name": "rmsprop"})
    assert (sgd.momentum, sgd.nesterov) == (0.8, True)
    assert rmsprop.momentum == 0.8


def test_only_kernels_decay():
    optimizer, model = optimizer_of(
        fit__optimizer={"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    )
    before = [np.array(v.numpy()) for v in model.trainable_variables]
    still = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    optimizer.apply(still, model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        factor = 1 - 0.1 * 0.5 if len(old.shape) > 1 else 1.0
        np.testing.assert_allclose(variable.numpy(), factor * old, rtol=1e-6)


def test_a_cosine_falls_to_zero_after_its_warmup():
    optimizer, _ = optimizer_of(
        steps=4,
        fit__epochs=5,
        fit__optimizer={"name": "sgd", "learning_rate": 0.2},
        fit__schedule={"name": "cosine", "warmup_epochs": 1},
    )
    rates = []
    for step in range(21):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate.numpy()))
    assert rates[0] == 0
    assert rates[4] == pytest.approx(0.2)
    assert rates[:5] == sorted(rates[:5])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[12] == pytest.approx(0.1)
    assert rates[20] == pytest.approx(0, abs=1e-7)


def test_a_cosine_without_warmup_begins_at_the_full_rate():
    optimizer, _ = optimizer_of(
        fit__optimizer={"name": "sgd", "learning_rate": 0.2}, fit__schedule={"name": "cosine"}
    )
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.2)
