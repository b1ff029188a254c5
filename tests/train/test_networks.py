"""The networks: shapes, sizes, what they refuse, and that they are plain enough to convert."""

from __future__ import annotations

import io
import json
import zipfile

import keras
import numpy as np
import pytest

from ser_edge_train.networks import NetworkError, build
from ser_edge_train.networks.files import NetworkFileError, load_network, save_network
from ser_edge_train.networks.parameters import NETWORKS
from ser_edge_train.recipes import load_recipe, recipe_names

from .small_networks import SHAPE, SMALL, kinds, small


def test_every_network_has_parameters_named_like_it():
    for name, parameters in NETWORKS.items():
        assert parameters().name == name
    assert set(SMALL) == set(NETWORKS)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_gives_logits_of_its_classes(name):
    model = small(name)
    logits = model.predict_on_batch(np.random.default_rng(0).normal(size=(5, *SHAPE)) * 30)
    assert model.input_shape == (None, *SHAPE)
    assert logits.shape == (5, 3)
    # No softmax: they sum to anything and may be negative.
    assert not np.allclose(logits.sum(axis=1), 1)
    assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize("name", SMALL)
def test_equal_arguments_give_equal_weights_and_names(name):
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        models.append(small(name))
    one, other = models
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipes_network_is_small_and_can_be_built(name):
    recipe = load_recipe(name)
    classes = len(recipe.labels) or 60
    model = build(
        recipe.network.name,
        recipe.spec.output_shape,
        classes,
        **recipe.network_parameters,
    )
    assert model.output_shape == (None, classes)
    # cnn1d-mean58 and cnn1d-2376 end in a flattened map, as published; in int8 a value is a byte.
    least, most = 20_000, 2_000_000 if recipe.network.name == "conv_stack" else 300_000
    least, most = {"small": (15_000, 20_000), "accurate": (1_000_000, 2_000_000)}.get(
        name, (least, most)
    )
    assert least < model.count_params() <= most


@pytest.mark.parametrize("name", SMALL)
def test_a_network_learns(name):
    """Two levels of noise are told apart after a few steps."""
    keras.utils.set_random_seed(1)
    model = build(name, SHAPE, 2, **{**SMALL[name], "dropout": 0.0})
    labels = np.arange(32) % 2
    features = np.random.default_rng(0).normal(size=(32, *SHAPE)) + 2.0 * labels[:, None, None]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=False)
    losses = [model.train_on_batch(features, labels) for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0]


# --- their layers ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_no_network_has_a_layer_of_its_own(name):
    for layer in small(name).layers:
        assert type(layer).__module__.startswith("keras.")


def test_a_cnn1d_is_blocks_then_a_mean():
    model = small("cnn1d", hidden=7)
    block = ["Conv1D", "BatchNormalization", "ReLU", "MaxPooling1D"]
    tail = ["GlobalAveragePooling1D", "Dropout", "Dense", "Dense"]
    assert kinds(model) == ["InputLayer", *block, *block, *tail]
    assert model.get_layer("pool2").output.shape == (None, 5, 6)


@pytest.mark.parametrize("shape", [(60,), (40, 1)])
def test_a_cnn1d_reads_features_without_time_as_a_series(shape):
    assert small("cnn1d", shape).input_shape == (None, *shape)


def test_a_cnn_lstms_last_layer_gives_one_state():
    model = small("cnn_lstm")
    recurrent = [layer for layer in model.layers if isinstance(layer, keras.layers.LSTM)]
    assert [layer.units for layer in recurrent] == [5, 3]
    assert [layer.return_sequences for layer in recurrent] == [True, False]
    for layer in recurrent:
        assert type(layer) is keras.layers.LSTM
        assert layer.dropout == layer.recurrent_dropout == 0
        assert not layer.unroll


def test_a_ds_cnns_strides_shape_its_maps():
    model = small(
        "ds_cnn", (40, 16), channels=(6, 6, 8, 8), strides=((1, 2), (2, 1), (1, 1), (2, 2))
    )
    maps = [model.get_layer(f"block{n}_point_relu").output.shape[1:] for n in (1, 2, 3, 4)]
    assert model.get_layer("stem_relu").output.shape[1:] == (20, 8, 4)
    assert maps == [(20, 4, 6), (10, 4, 6), (10, 4, 8), (5, 2, 8)]


def test_a_ds_cnn_keeps_time_longer_than_frequency():
    model = build("ds_cnn", (188, 64), 8)
    frames, bands = model.get_layer("max").input.shape[1:3]
    assert frames > 2 * bands


@pytest.mark.parametrize(
    ("pooling", "width"), [("mean", 6), ("max", 6), ("mean+max", 12)]
)  # fmt: skip
def test_a_ds_cnn_pools_as_asked(pooling, width):
    model = small("ds_cnn", pooling=pooling)
    assert model.get_layer("logits").kernel.shape == (width, 3)


def test_a_ds_cnns_pooling_is_the_mean_and_the_largest_value():
    model = small("ds_cnn")
    last = model.get_layer("block2_point_relu").output
    features = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    both = keras.Model(model.input, [last, model.get_layer("pooled").output])
    found, pooled = both.predict_on_batch(features)
    np.testing.assert_allclose(pooled[:, :6], found.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(pooled[:, 6:], found.max(axis=(1, 2)), rtol=1e-6)


def test_residuals_join_only_equal_shapes():
    plain, residual = (small("ds_cnn", residual=wanted) for wanted in (False, True))
    assert "Add" not in kinds(plain)
    assert [layer.name for layer in residual.layers if "add" in layer.name] == ["block2_add"]
    assert residual.count_params() == plain.count_params()


@pytest.mark.parametrize("name", SMALL)
def test_no_dropout_leaves_no_dropout_layer(name):
    assert "Dropout" in kinds(small(name))
    assert "Dropout" not in kinds(small(name, dropout=0.0))


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "expected"),
    [
        ("mlp", SHAPE, {}, "network mlp: unknown; known are cnn1d, cnn2d, cnn_lstm, "),
        ("cnn1d", SHAPE, {"kernel": 0}, "network cnn1d: kernel: Input should be greater than"),
        ("cnn1d", SHAPE, {"width": 3}, "network cnn1d: width: "),
        ("cnn1d", (5, 8), {"filters": (4, 4, 4)}, "block 3 pools 2 frames but has 1"),
        ("cnn_lstm", (64,), {}, "network cnn_lstm: it needs features over time"),
        ("ds_cnn", (64,), {}, "network ds_cnn: it needs features over time"),
        ("res_cnn1d", (64,), {}, "network res_cnn1d: it needs features over time"),
        ("res_cnn1d", SHAPE, {"stages": ({"kernel": 3},)}, "stages.0.channels: Field required"),
        ("res_cnn1d", SHAPE, {"stages": ()}, "network res_cnn1d: stages: "),
        ("ds_cnn", SHAPE, {"channels": (4,)}, "1 channels but 7 strides"),
        ("ds_cnn", SHAPE, {"pooling": "median"}, "network ds_cnn: pooling: "),
        (
            "ds_cnn",
            (40_000, 8),
            {"channels": (4,), "strides": ((1, 1),), "stem": 1},
            "the last map is too large to pool",
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(name, shape, parameters, expected):
    with pytest.raises(NetworkError) as fault:
        build(name, shape, 3, **parameters)
    assert expected in str(fault.value)
    assert "\n" not in str(fault.value)
    assert fault.value.exit_code == 2


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_network_answers_the_same(name, tmp_path):
    model = small(name)
    save_network(model, tmp_path / "model.keras")
    loaded = load_network(tmp_path / "model.keras")
    features = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    assert np.array_equal(loaded.predict_on_batch(features), model.predict_on_batch(features))


@pytest.mark.parametrize("name", SMALL)
def test_the_same_network_gives_the_same_bytes(name, tmp_path):
    files = []
    for number in range(2):
        keras.utils.set_random_seed(7)
        path = tmp_path / f"{number}.keras"
        save_network(small(name), path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_a_saved_network_has_no_date(tmp_path):
    save_network(small("cnn_lstm"), tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert set(json.loads(archive.read("metadata.json"))) == {"keras_version"}
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_missing_network_file_is_named(tmp_path):
    with pytest.raises(NetworkFileError, match=r"gone\.keras: no such file"):
        load_network(tmp_path / "gone.keras")


def test_other_files_are_no_networks(tmp_path):
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    save_network(small("cnn1d"), tmp_path / "good.keras")
    half = (tmp_path / "good.keras").read_bytes()[:5000]
    for content in (b"", b"text", empty.getvalue(), half):
        path = tmp_path / "bad.keras"
        path.write_bytes(content)
        with pytest.raises(NetworkFileError, match=r"bad\.keras: not a Keras model"):
            load_network(path)
