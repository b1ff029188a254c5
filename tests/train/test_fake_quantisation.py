"""Networks that round as int8 does: what is rounded, what is learnt, what comes back."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from ser_edge_train.networks.fake_quantisation import (
    RoundedActivation,
    RoundedKernels,
    give_back,
    quantised_copy,
    rounded_activation,
    rounded_kernel,
)

from .small_networks import SHAPE, SMALL, small


def clips(count: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def gradient(function, values):
    import tensorflow as tf

    variable = tf.Variable(values)
    with tf.GradientTape() as tape:
        total = ops.sum(function(variable))
    return np.asarray(tape.gradient(total, variable))


def test_a_kernel_has_255_steps_for_each_channel():
    kernel = np.array([[1.0, 1000.0], [-0.5, 3.0], [0.003, -2.0]], np.float32)
    rounded = np.asarray(rounded_kernel(kernel, (0,)))
    np.testing.assert_allclose(rounded[:, 0], [1.0, -64 / 127, 0.0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(rounded[:, 1], [1000.0, 0.0, 0.0], rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(np.asarray(rounded_kernel(rounded, (0,))), rounded, rtol=1e-6)
    assert np.asarray(rounded_kernel(np.zeros((3, 2), np.float32), (0,))).sum() == 0


def test_the_gradient_of_a_kernel_is_that_of_the_identity():
    kernel = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(gradient(lambda k: rounded_kernel(k, (0,)), kernel), 1)


def test_an_activation_has_256_steps_and_zero_is_one_of_them():
    values = np.linspace(-1.3, 2.2, 5001, dtype=np.float32)
    rounded = np.asarray(rounded_activation(values, -1.0, 2.0))
    assert len(np.unique(rounded)) == 256
    assert rounded[np.abs(values).argmin()] == 0
    assert np.ptp(rounded) == pytest.approx(3, abs=1e-5)
    inside = (values > -0.98) & (values < 1.98)
    assert np.abs(rounded - values)[inside].max() <= 3 / 255 / 2 + 1e-6


def test_a_range_above_zero_is_widened_to_it():
    rounded = np.asarray(rounded_activation(np.array([0.1, 5.0], np.float32), 3.0, 5.0))
    np.testing.assert_allclose(rounded, [5 / 255 * 5, 5.0], atol=1e-6)


def test_outside_of_the_range_no_gradient_passes():
    values = np.array([-2.0, -0.5, 0.5, 3.0], np.float32)
    found = gradient(lambda v: rounded_activation(v, -1.0, 2.0), values)
    np.testing.assert_array_equal(found, [0, 1, 1, 0])


def test_the_range_follows_the_batches_in_training_alone():
    layer = RoundedActivation()
    layer(np.array([[-1.0, 4.0]], np.float32), training=True)
    assert (float(layer.low), float(layer.high)) == (-1.0, 4.0)
    layer(np.array([[-2.0, 4.0]], np.float32), training=True)
    assert float(layer.low) == pytest.approx(-1.1)
    layer(np.array([[-9.0, 9.0]], np.float32))
    assert float(layer.low) == pytest.approx(-1.1)


# The others are made of the same layers.
@pytest.mark.parametrize("name", sorted(SMALL.keys() - {"cnn1d", "lstm_cnn"}))
def test_every_network_rounds_a_little_and_learns(name):
    import tensorflow as tf

    model = small(name)
    copy = quantised_copy(model)
    copy(clips(), training=True)
    exact, rounded = np.asarray(model(clips())), np.asarray(copy(clips()))
    assert 0 < np.abs(exact - rounded).max() < 0.1 * np.ptp(exact) + 1e-3
    with tf.GradientTape() as tape:
        total = ops.sum(copy(clips(), training=True) ** 2)
    gradients = tape.gradient(total, copy.trainable_variables)
    assert all(np.abs(np.asarray(found)).max() > 0 for found in gradients)
    assert len(np.unique(rounded)) <= 256


def test_what_the_converter_folds_is_not_rounded_between():
    names = {layer.name for layer in quantised_copy(small("res_cnn1d")).layers[-1].layers}
    assert {"stage1_relu_rounded", "stage1_block1_add_rounded", "logits_rounded"} <= names
    assert not {"stage1_conv_rounded", "stage1_norm_rounded", "max_flat_rounded"} & names


def test_an_activation_before_a_normalisation_is_rounded():
    # conv_stack normalises after its ReLU: nothing is folded there.
    names = {layer.name for layer in quantised_copy(small("conv_stack")).layers[-1].layers}
    assert {"conv1_rounded", "norm1_rounded"} <= names


def test_an_activation_layer_before_a_normalisation_is_rounded():
    names = {layer.name for layer in quantised_copy(small("tdnn")).layers[-1].layers}
    assert {"tdnn1_relu_rounded", "embedding_relu_rounded", "embedding_norm_rounded"} <= names
    assert not {"tdnn1_conv_rounded", "tdnn1_norm_rounded", "embedding_rounded"} & names


@pytest.mark.parametrize(
    ("between", "rounded"),
    [
        (keras.layers.ReLU, True),
        (keras.layers.LeakyReLU, True),
        (lambda **name: keras.layers.Activation("tanh", **name), True),
        (lambda **name: keras.layers.Activation("linear", **name), False),
    ],
    ids=["ReLU", "LeakyReLU", "tanh", "linear"],
)
def test_what_bends_is_never_folded_into_what_follows(between, rounded):
    inputs = keras.Input((4,))
    bent = between(name="between")(keras.layers.Dense(3, name="dense")(inputs))
    model = keras.Model(inputs, keras.layers.BatchNormalization(name="norm")(bent))
    names = {layer.name for layer in quantised_copy(model).layers[-1].layers}
    assert ("between_rounded" in names) is rounded
    assert "dense_rounded" not in names
    assert "norm_rounded" in names


def test_normalisations_stand_still():
    copy = quantised_copy(small("cnn1d"))
    before = [np.array(w) for w in copy.get_layer("cnn1d").get_layer("norm1").get_weights()]
    copy(clips(seed=3), training=True)
    after = copy.get_layer("cnn1d").get_layer("norm1").get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_gates_of_an_lstm_have_a_scale_each():
    layer = keras.layers.LSTM(2)
    layer.build((None, 3, 2))
    kernel, recurrent, bias = layer.get_weights()
    kernel[:, 2:4] *= 1000
    layer.set_weights([kernel, recurrent, bias])
    values = np.random.default_rng(2).normal(size=(5, 3, 2)).astype(np.float32)
    found = np.asarray(RoundedKernels(layer)(values))
    np.testing.assert_allclose(found, np.asarray(layer(values)), atol=0.05)
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)


def test_a_depthwise_kernel_has_a_scale_for_each_channel():
    layer = keras.layers.DepthwiseConv2D(2, use_bias=False)
    layer.build((None, 4, 4, 2))
    kernel = np.ones((2, 2, 2, 1), np.float32) * np.array([1.0, 500.0])[:, np.newaxis]
    kernel[0, 0] /= 3
    layer.set_weights([kernel])
    values = np.ones((1, 4, 4, 2), np.float32)
    np.testing.assert_allclose(
        np.asarray(RoundedKernels(layer)(values)), np.asarray(layer(values)), rtol=5e-3
    )


@pytest.mark.parametrize("name", ["cnn_lstm", "ds_cnn"])
def test_the_weights_come_back_into_a_plain_network(name, tmp_path):
    model, other = small(name), small(name)
    copy = quantised_copy(model)
    for variable in copy.trainable_variables:
        variable.assign(variable * 1.5)
    give_back(copy, other)
    assert {type(layer).__module__.split(".")[0] for layer in other.layers} == {"keras"}
    learnt = sum(bool(np.any(variable)) for variable in copy.trainable_variables)
    scaled = 0
    for old, new in zip(model.get_weights(), other.get_weights(), strict=True):
        if not np.array_equal(old, new):
            scaled += 1
            np.testing.assert_allclose(new, 1.5 * old, rtol=1e-6)
    assert scaled == learnt > 0
    other.save(tmp_path / "plain.keras")
    again = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_allclose(np.asarray(again(clips())), np.asarray(other(clips())), atol=1e-6)
