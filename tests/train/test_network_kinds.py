"""What each kind of network is made of, in its order, width and size."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from .small_networks import SHAPE, SMALL, kinds, small

# --- conv_stack -----------------------------------------------------------------------------


def test_a_conv_stacks_blocks_are_as_published_and_its_last_map_is_a_row():
    first_block, second_block = SMALL["conv_stack"]["blocks"]
    model = small("conv_stack", blocks=({**first_block, "dropout": 0.1}, second_block))
    first = ["Conv1D", "BatchNormalization", "MaxPooling1D", "Dropout"]
    tail = ["Flatten", "Dropout", "Dense", "BatchNormalization", "Dense"]
    assert kinds(model) == ["InputLayer", *first, "Conv1D", "AveragePooling1D", *tail]
    assert model.get_layer("conv1").activation is keras.activations.relu
    assert model.get_layer("hidden").activation is keras.activations.relu


def test_a_conv_stacks_pooling_may_overlap():
    """Windows of four every two steps: (58 - 4) / 2 + 1; without a stride of its own 58 / 4."""
    block = {"filters": 3, "kernel": 6, "pooling": "average", "pool": 4}
    overlapping = small("conv_stack", (58,), blocks=({**block, "pool_stride": 2},))
    apart = small("conv_stack", (58,), blocks=(block,))
    assert overlapping.get_layer("pool1").output.shape == (None, 28, 3)
    assert apart.get_layer("pool1").output.shape == (None, 14, 3)


def test_a_conv_stack_pools_the_mean_or_the_largest_value():
    for pooling, reduce in (("average", np.mean), ("max", np.max)):
        model = small(
            "conv_stack", (8, 2), blocks=({"filters": 3, "kernel": 1, "pooling": pooling},)
        )
        layers = [model.get_layer(name).output for name in ("conv1", "pool1")]
        features = np.random.default_rng(0).normal(size=(2, 8, 2)).astype(np.float32)
        before, after = keras.Model(model.input, layers).predict_on_batch(features)
        expected = reduce(before.reshape(2, 4, 2, 3), axis=2)
        np.testing.assert_allclose(after, expected, rtol=1e-6)


def test_a_conv_stack_reads_flat_features_as_a_series():
    model = small("conv_stack", (60,))
    assert model.get_layer("as_series").output.shape == (None, 60, 1)
    assert model.get_layer("conv1").kernel.shape == (3, 1, 4)


def test_a_conv_stacks_size():
    """3 * 8 * 4 + 4, its norm 16; 2 * 4 * 6 + 6; 4 steps of 6 to 7, its norm 28; 7 to 3."""
    convolutions = (3 * 8 * 4 + 4) + 16 + (2 * 4 * 6 + 6)
    assert small("conv_stack").count_params() == convolutions + (24 * 7 + 7) + 28 + (7 * 3 + 3)


# --- rnn, lstm_cnn --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "layer", "gates"),
    [("simple", keras.layers.SimpleRNN, 1), ("lstm", keras.layers.LSTM, 4)],
)
def test_an_rnns_layers_are_straight_over_the_frames(cell, layer, gates):
    model = small("rnn", cell=cell)
    assert kinds(model) == [
        "InputLayer", layer.__name__, "Dropout", layer.__name__, "Dropout", "Dense", "Dense",
    ]  # fmt: skip
    first, second = (each for each in model.layers if isinstance(each, layer))
    assert type(first) is type(second) is layer
    assert first.output.shape == (None, SHAPE[0], 6)
    assert second.output.shape == (None, 5)
    for each in (first, second):
        assert each.dropout == each.recurrent_dropout == 0
        assert not each.unroll
    recurrent = gates * (8 * 6 + 6 * 6 + 6) + gates * (6 * 5 + 5 * 5 + 5)
    assert model.count_params() == recurrent + (5 * 4 + 4) + (4 * 3 + 3)


@pytest.mark.parametrize(
    ("pooling", "expected", "width"),
    [
        ("mean", ["GlobalAveragePooling1D"], 5),
        ("max", ["MaxPooling1D", "Flatten"], 5),
        ("mean+max", ["GlobalAveragePooling1D", "MaxPooling1D", "Flatten", "Concatenate"], 10),
    ],
)
def test_an_rnn_can_pool_its_last_layers_states_over_time(pooling, expected, width):
    model = small("rnn", cell="simple", pooling=pooling)
    last, rest = model.layers[3], kinds(model)[4:]
    assert last.output.shape == (None, SHAPE[0], 5)
    # Keras lists the two ways of pooling in an order of its own.
    assert sorted(rest[: len(expected)]) == sorted(expected)
    assert rest[len(expected) :] == ["Dropout", "Dense", "Dense"]
    assert model.layers[3 + len(expected)].output.shape == (None, width)


def test_the_mean_over_time_of_an_rnn_hears_every_frame():
    features = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    model = small("rnn", cell="simple", pooling="mean", dropout=0.0)
    states = keras.Model(model.input, model.layers[2].output).predict_on_batch(features)
    pooled = keras.Model(model.input, model.layers[3].output).predict_on_batch(features)
    np.testing.assert_allclose(pooled, states.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_an_lstm_cnn_is_an_lstm_then_convolutions_then_dense_layers():
    model = small("lstm_cnn")
    expected = [
        "InputLayer", "LSTM", "Dropout", "Conv1D", "BatchNormalization", "ReLU", "MaxPooling1D",
        "GlobalAveragePooling1D", "MaxPooling1D", "Flatten", "Concatenate", "Dropout", "Dense",
        "Dense",
    ]  # fmt: skip
    # Branches of one depth stand in no order.
    assert sorted(kinds(model)) == sorted(expected)
    assert kinds(model)[:7] == expected[:7]
    lstm = model.get_layer("lstm")
    assert type(lstm) is keras.layers.LSTM
    assert lstm.output.shape == (None, SHAPE[0], 5)
    assert model.get_layer("hidden").kernel.shape == (8, 6)


# --- res_cnn1d ------------------------------------------------------------------------------


def test_a_res_cnn1ds_stages_are_a_convolution_and_residual_blocks():
    stages = ({"channels": 4, "stride": 2, "blocks": 2}, {"channels": 6, "stride": 1, "blocks": 0})
    model = small("res_cnn1d", stages=stages)
    convolution = ["Conv1D", "BatchNormalization", "ReLU"]
    block = [*convolution, "SpatialDropout1D", "Add"]
    pooled = ["GlobalAveragePooling1D", "MaxPooling1D", "Flatten", "Concatenate", "Dropout"]
    expected = [*convolution, *block, *block, "SpatialDropout1D", *convolution, "SpatialDropout1D"]
    assert sorted(kinds(model)) == sorted(["InputLayer", *expected, *pooled, "Dense"])
    assert model.get_layer("stage1_block2_add").output.shape == (None, 11, 4)
    assert model.get_layer("stage2_relu").output.shape == (None, 11, 6)
    assert model.get_layer("logits").kernel.shape == (12, 3)
    assert not any(getattr(layer, "use_bias", False) for layer in model.layers[:-1])


def test_a_res_cnn1ds_size():
    """Two stages of 128, each a convolution and a residual one, over 64 bands."""
    first, inner = 5 * 64 * 128, 5 * 128 * 128
    assert small("res_cnn1d", (100, 64), stages=({"channels": 128},) * 2).count_params() == (
        first + 3 * inner + 4 * 4 * 128 + 256 * 3 + 3
    )


def test_a_res_cnn1d_adds_what_a_block_finds_and_pools_all_frames():
    model = small("res_cnn1d")
    names = ("stage1_relu", "stage1_block1_relu", "stage1_block1_add", "stage2_block1_add")
    wanted = [model.get_layer(name).output for name in (*names, "pooled")]
    features = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    before, found, added, last, pooled = keras.Model(model.input, wanted).predict_on_batch(features)
    np.testing.assert_array_equal(added, before + found)
    np.testing.assert_allclose(pooled[:, :6], last.mean(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(pooled[:, 6:], last.max(axis=1))


def test_a_res_cnn1ds_first_logits_are_close():
    logits = small("res_cnn1d").predict_on_batch(np.random.default_rng(0).normal(size=(9, *SHAPE)))
    assert np.abs(logits).max() < 0.5
    assert np.std(
        small("res_cnn1d", (40, 8), stages=({"channels": 500},)).get_layer("logits").kernel
    ) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(("pooling", "width"), [("mean", 6), ("max", 6), ("mean+max", 12)])
def test_a_res_cnn1d_pools_as_asked(pooling, width):
    assert small("res_cnn1d", pooling=pooling).get_layer("logits").kernel.shape == (width, 3)


def test_no_spatial_dropout_leaves_no_such_layer():
    assert "SpatialDropout1D" not in kinds(small("res_cnn1d", spatial_dropout=0.0))
