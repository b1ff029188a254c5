"""The CNN over time and frequency, and pooling by attention."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ser_edge_train.networks import NetworkError, build
from ser_edge_train.networks.blocks import GAIN

from .small_networks import SHAPE, kinds, small


def features(count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def inside(model, *names: str) -> list[np.ndarray]:
    """What layers give, after the series that is pooled over time."""
    outputs = [model.get_layer(name).output for name in names]
    series = model.get_layer("attention_score").input
    return keras.Model(model.input, [series, *outputs]).predict_on_batch(features())


# --- its maps -------------------------------------------------------------------------------


def test_its_blocks_are_a_convolution_a_normalisation_and_a_relu():
    model = small("cnn2d", spatial_dropout=0.2)
    block = ["Conv2D", "BatchNormalization", "ReLU", "SpatialDropout2D"]
    assert kinds(model)[:10] == ["InputLayer", "Reshape", *block, *block]
    # An operation that is no layer, under a name that does not count what else was built.
    assert [op.name for op in model.operations if type(op).__name__ == "Mean"] == ["as_series"]
    assert not any(getattr(layer, "use_bias", False) for layer in model.layers[:-1])
    assert "SpatialDropout2D" not in kinds(small("cnn2d"))


def test_its_strides_step_over_time_and_frequency():
    model = small("cnn2d", (40, 16), channels=(4, 6, 8), strides=((2, 2), (1, 2), (3, 1)))
    maps = [model.get_layer(f"relu{n}").output.shape[1:] for n in (1, 2, 3)]
    assert maps == [(20, 8, 4), (20, 4, 6), (7, 4, 8)]


def test_what_is_left_of_frequency_is_averaged():
    series, last = inside(small("cnn2d"), "relu2")
    assert last.shape == (2, 11, 2, 6)
    np.testing.assert_allclose(series, last.mean(axis=2), rtol=1e-5)


def test_the_one_that_a_recipe_gets_without_words_keeps_time_and_fits_300_kb():
    model = build("cnn2d", (188, 64), 8)
    frames, bands = model.get_layer("relu5").output.shape[1:3]
    assert frames > 2 * bands
    assert 200_000 < model.count_params() < 300_000


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"strides": ((2, 2),)}, "2 channels but 1 strides; give one a block"),
        ({"pooling": "median"}, "pooling.*Input should be"),
        ({"kernel": 0}, "kernel: "),
    ],
)
def test_what_it_cannot_be_is_said(parameters, fault):
    with pytest.raises(NetworkError, match=fault):
        small("cnn2d", **parameters)


def test_it_needs_time():
    with pytest.raises(NetworkError, match="network cnn2d: it needs features over time"):
        small("cnn2d", (64,))


def test_a_series_goes_on_over_time_with_the_bands_side_by_side():
    stages = ({"channels": 5, "kernel": 3, "blocks": 2}, {"channels": 7, "stride": 1, "blocks": 0})
    model = small("cnn2d", merge=9, series=stages, spatial_dropout=0.1)
    last, beside = model.get_layer("relu2"), model.get_layer("bands_beside")
    assert last.output.shape[1:] == (11, 2, 6)
    assert beside.output.shape[1:] == (11, 12)
    assert model.get_layer("merge_conv").kernel.shape == (1, 12, 9)
    shapes = [model.get_layer(f"stage{n}_relu").output.shape[1:] for n in (1, 2)]
    assert shapes == [(6, 5), (6, 7)]
    assert kinds(model).count("Add") == 2
    assert model.get_layer("logits").kernel.shape == (14, 3)
    dropped = [layer.rate for layer in model.layers if "SpatialDropout" in type(layer).__name__]
    assert dropped == [0.1] * 6


def test_a_series_sees_each_band_of_a_frame():
    model = small("cnn2d", series=({"channels": 5},), pooling="max")
    before = model.get_layer("relu2").output
    wanted = [before, model.get_layer("bands_beside").output]
    maps, beside = keras.Model(model.input, wanted).predict_on_batch(features())
    np.testing.assert_array_equal(beside.reshape(maps.shape), maps)


def test_the_features_less_their_means_stand_beside_them():
    model = small("cnn2d", centred=True)
    shown = features()
    both = keras.Model(model.input, model.get_layer("beside_centred").output)
    maps = both.predict_on_batch(shown)
    np.testing.assert_array_equal(maps[..., 0], shown)
    np.testing.assert_allclose(maps[..., 1], shown - shown.mean(axis=1, keepdims=True), atol=1e-6)
    assert model.get_layer("conv1").kernel.shape == (3, 3, 2, 4)
    # The bands that a microphone lifts are the same in the second map.
    lifted = both.predict_on_batch(shown + np.linspace(-3, 3, SHAPE[1], dtype=np.float32))
    np.testing.assert_allclose(lifted[..., 1], maps[..., 1], atol=1e-5)
    assert np.abs(lifted[..., 0] - maps[..., 0]).max() > 2.9


# --- squeeze and excitation -----------------------------------------------------------------


@pytest.mark.parametrize("network", ["cnn2d", "res_cnn1d"])
def test_what_a_residual_convolution_adds_is_weighed_by_what_all_channels_are(network):
    stage = {"channels": 12, "kernel": 3, "squeeze": 4}
    model = small(network, **{"series" if network == "cnn2d" else "stages": (stage,)})
    names = [layer.name for layer in model.layers if layer.name.endswith("_weighed")]
    block = names[0].removesuffix("_weighed")
    assert len(names) == 1
    wanted = ("relu", "squeezed", "excite", "weighed", "add")
    outputs = [model.get_layer(f"{block}_{name}").output for name in wanted]
    found = keras.Model(model.input, outputs).predict_on_batch(features())
    before, squeezed, shares, weighed, added = found
    assert squeezed.shape == (2, 3)
    assert ((shares > 0) & (shares < 1)).all()
    kernel, offsets = model.get_layer(f"{block}_squeezed").get_weights()
    means = before.mean(axis=1)
    np.testing.assert_allclose(squeezed, np.maximum(means @ kernel + offsets, 0), atol=1e-5)
    np.testing.assert_allclose(weighed, before * shares[:, None], rtol=1e-5)
    rest = added - weighed
    earlier = model.get_layer(f"{block}_add").input[0]
    np.testing.assert_allclose(
        rest, keras.Model(model.input, earlier).predict_on_batch(features()), atol=1e-5
    )


def test_without_squeeze_nothing_is_weighed():
    plain = small("res_cnn1d")
    assert not any(layer.name.endswith("_weighed") for layer in plain.layers)
    wide = small("res_cnn1d", stages=({"channels": 4, "kernel": 3, "squeeze": 64},))
    assert wide.get_layer("stage1_block1_squeezed").units == 1


# --- attention ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pooling", "width"),
    [("mean", 6), ("max", 6), ("mean+max", 12), ("attention", 6), ("attention+max", 12)],
)
def test_it_pools_as_asked(pooling, width):
    assert small("cnn2d", pooling=pooling).get_layer("logits").kernel.shape == (width, 3)


def test_attention_begins_as_the_mean():
    series, pooled = inside(small("cnn2d", pooling="attention"), "attention")
    np.testing.assert_allclose(pooled, GAIN * series.mean(axis=1), rtol=1e-5)


def test_attention_weighs_frames_by_a_softmax_of_their_scores():
    model = small("cnn2d", pooling="attention+max")
    kernel = np.random.default_rng(3).normal(size=(6, 1)).astype(np.float32)
    model.get_layer("attention_score").set_weights([kernel[None]])
    series, pooled = inside(model, "pooled")
    scores = np.exp(series @ kernel)
    expected = (series * scores).sum(axis=1) / scores.sum(axis=1)
    np.testing.assert_allclose(pooled[:, :6], GAIN * expected, rtol=1e-4)
    np.testing.assert_array_equal(pooled[:, 6:], series.max(axis=1))


def test_beside_the_maximum_attention_keeps_its_size():
    """One scale in int8 serves both: neither may be many times the other."""
    model = small("cnn2d", pooling="attention+max")
    _, pooled = inside(model, "pooled")
    means, maxima = pooled[:, :6].max(), pooled[:, 6:].max()
    assert 0.3 < means / maxima < 5


def test_attention_learns_which_frames_tell():
    """One loud frame among noise says the class; its weight grows."""
    rng = np.random.default_rng(5)
    labels = np.arange(64) % 2
    shown = 0.3 * rng.normal(size=(64, *SHAPE)).astype(np.float32)
    shown[np.arange(64), rng.integers(4, 17, 64)] += np.where(labels[:, None], 4.0, -4.0)
    keras.utils.set_random_seed(1)
    model = build("cnn2d", SHAPE, 2, channels=(4, 6), strides=((1, 2), (1, 2)),
                  pooling="attention", dropout=0.0)  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss, jit_compile=False)
    for _ in range(30):
        model.train_on_batch(shown, labels)
    weights = keras.Model(model.input, model.get_layer("attention_weights").output)
    told = weights.predict_on_batch(shown)
    loud = np.abs(shown).mean(axis=2).argmax(axis=1)
    near = np.abs(np.arange(SHAPE[0])[None] - loud[:, None]) <= 2
    assert (told * near).sum(axis=1).mean() > 1.5 * 5 / SHAPE[0]


@pytest.mark.parametrize("name", ["res_cnn1d", "lstm_cnn", "rnn"])
def test_other_networks_over_time_can_attend_too(name):
    model = small(name, pooling="attention+max")
    assert {"Softmax", "MaxPooling1D"} <= set(kinds(model))
