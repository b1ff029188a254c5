"""The recipes of the field's known systems: what each computes, learns from and compares with."""

from __future__ import annotations

import dataclasses
import re
import tomllib

import numpy as np
import pytest

from ser_edge_runtime.front_end import FrontEnd
from ser_edge_train.networks.parameters import NETWORKS, ConvStack
from ser_edge_train.partitions import PROTOCOLS
from ser_edge_train.recipes import RecipeError, load_recipe, recipe_names, recipe_text
from ser_edge_train.recipes.published import Published

from .toys import toy_recipe

PUBLISHED = {
    "cnn-lstm-4corpora": [81.62],
    "lstm-4corpora": [79.0],
    "rnn-cremad": [51.38],
    "lstm-cnn-cremad": [60.31],
    "cnn1d-mean58": [80.0, 75.0, 75.0],
    "cnn1d-2376": [95.8],
    "cnn-lstm-ravdess": [80.0],
}
SHAPES = {
    "cnn-lstm-4corpora": (94, 32),
    "lstm-4corpora": (94, 32),
    "rnn-cremad": (94, 40),
    "lstm-cnn-cremad": (94, 40),
    "cnn1d-mean58": (58,),
    "cnn1d-2376": (2376,),
    "cnn-lstm-ravdess": (94, 163),
    "speaker-cremad": (94, 40),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_carries_the_printed_figures(name):
    recipe = load_recipe(name)
    assert [figure.figure for figure in recipe.published] == PUBLISHED[name]
    for figure in recipe.published:
        assert figure.measure == "accuracy"
        assert figure.protocol in PROTOCOLS
        assert figure.system


def test_no_other_recipe_claims_one():
    others = set(recipe_names()) - set(PUBLISHED)
    assert all(load_recipe(name).published is None for name in others)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_keeps_speakers_apart_until_asked_otherwise(name):
    recipe = load_recipe(name)
    assert not PROTOCOLS[recipe.protocol.name].leaky
    for figure in recipe.published:
        as_printed = recipe.with_changes(protocol=figure.protocol, sex=figure.sex)
        assert PROTOCOLS[as_printed.protocol.name].leaky
        assert as_printed.sex == figure.sex


@pytest.mark.parametrize("name", SHAPES)
def test_a_recipes_input_has_the_published_shape(name):
    spec = load_recipe(name).spec
    assert spec.output_shape == SHAPES[name]
    samples = np.random.default_rng(0).normal(scale=0.1, size=int(3.3 * spec.sample_rate))
    features = FrontEnd(spec)(samples.astype(np.float32))
    assert features.shape == SHAPES[name]
    assert np.isfinite(features).all()
    assert features.std() > 0


# --- one by one -----------------------------------------------------------------------------


def test_the_lstm_differs_from_the_cnn_lstm_in_the_network_alone():
    one, other = (load_recipe(name).model_dump() for name in ("cnn-lstm-4corpora", "lstm-4corpora"))
    differing = {key for key in one if one[key] != other[key]}
    assert differing == {"name", "summary", "network", "published"}
    assert (other["network"]["name"], other["network"]["cell"]) == ("rnn", "lstm")


def test_the_rnn_is_as_wide_as_published():
    network = load_recipe("rnn-cremad").network
    assert (network.cell, network.units) == ("simple", (256,))
    assert network.hidden > 0


def test_networks_on_crema_d_and_the_speaker_embedding_see_the_same_features():
    specs = {load_recipe(n).spec for n in ("rnn-cremad", "lstm-cnn-cremad", "speaker-cremad")}
    assert len(specs) == 1
    protocols = {
        load_recipe(n).protocol for n in ("rnn-cremad", "lstm-cnn-cremad", "speaker-cremad")
    }
    assert len(protocols) == 1


@pytest.mark.parametrize("name", ["rnn-cremad", "lstm-cnn-cremad"])
def test_the_commented_table_of_a_speaker_embedding_is_one(name):
    text = recipe_text(name)
    table = re.search(r"^# (\[speaker_embedding\]\n(?:# .*\n)+)", text, re.MULTILINE)
    assert table is not None
    wanted = tomllib.loads(table[1].replace("# run", "run").replace("# join", "join"))
    recipe = toy_recipe(speaker_embedding=wanted["speaker_embedding"])
    assert (recipe.speaker_embedding.run, recipe.speaker_embedding.join) == (
        "runs/speakers-1", "frames",
    )  # fmt: skip


def test_mean58_is_the_mean_of_58_mfccs_of_a_whole_recording_at_22_khz():
    recipe = load_recipe("cnn1d-mean58")
    spec = recipe.spec
    assert (spec.sample_rate, spec.clip_seconds, spec.layout) == (22050, None, "mean")
    assert [feature.kind for feature in spec.features] == ["mfcc"]
    samples = np.random.default_rng(1).normal(scale=0.1, size=40_000).astype(np.float32)
    # Any fixed length shows the frames: the mean is that of all of them.
    whole = dataclasses.replace(spec, layout="sequence", clip_seconds=40_000 / 22050)
    frames = FrontEnd(whole)(samples)
    assert len(frames) == 1 + 40_000 // 512
    np.testing.assert_allclose(FrontEnd(spec)(samples), frames.mean(axis=0), rtol=1e-4, atol=1e-3)


def test_mean58_begins_and_pools_as_published():
    network = load_recipe("cnn1d-mean58").network
    assert isinstance(network, ConvStack)
    assert (network.blocks[0].filters, network.blocks[0].kernel) == (256, 6)
    pooled = [block for block in network.blocks if block.pooling != "none"]
    assert {(block.pooling, block.pool, block.pool_stride) for block in pooled} == {
        ("average", 4, 2)
    }
    assert set(load_recipe("cnn1d-mean58").labels) == {"angry", "happy", "neutral", "sad"}


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.1, 3.6, 8.0])
def test_2376_is_108_frames_of_22_values_whatever_the_length(seconds):
    spec = load_recipe("cnn1d-2376").spec
    assert (spec.sample_rate, spec.offset_seconds, spec.clip_seconds) == (22050, 0.6, 2.5)
    assert (spec.clip_frames, spec.feature_count) == (108, 22)
    names = ["zcr", "rms", *(f"mfcc_{number}" for number in range(20))]
    assert list(spec.names) == names
    samples = np.random.default_rng(2).normal(scale=0.1, size=int(seconds * 22050))
    assert FrontEnd(spec)(samples.astype(np.float32)).shape == (108 * 22,)


def test_2376_begins_at_six_tenths_of_a_second():
    """What is said before is not seen, what is said after is."""
    spec = load_recipe("cnn1d-2376").spec
    quiet, early, late = (np.full(4 * 22050, 1e-3, np.float32) for _ in range(3))
    early[: int(0.5 * 22050)] = np.random.default_rng(3).normal(size=int(0.5 * 22050))
    late[2 * 22050 : 2 * 22050 + 9000] = np.random.default_rng(3).normal(size=9000)
    front_end = FrontEnd(spec)
    np.testing.assert_array_equal(front_end(early), front_end(quiet))
    assert np.abs(front_end(late) - front_end(quiet)).max() > 1


def test_2376_is_trained_as_published():
    recipe = load_recipe("cnn1d-2376")
    network, waveform = recipe.network, recipe.augmentation.waveform
    assert isinstance(network, ConvStack)
    assert len(network.blocks) == 3
    assert all(block.batch_norm and block.pooling == "max" for block in network.blocks)
    assert (network.hidden, network.hidden_norm) == (512, True)
    how = recipe.fit
    assert (how.optimizer.name, how.batch_size, how.epochs) == ("rmsprop", 64, 50)
    assert (waveform.copies, waveform.use) == (2, "all")
    assert set(waveform.effects) == {"noise", "pitch", "stretch", "shift"}
    assert len(recipe.labels) == 7


def test_the_ravdess_recipe_is_everything_at_once_on_six_emotions():
    recipe = load_recipe("cnn-lstm-ravdess")
    kinds = [feature.kind for feature in recipe.spec.features]
    assert kinds == ["mfcc", "delta", "chroma", "spectral_contrast", "log_mel"]
    assert set(recipe.labels) == {"calm", "happy", "fear", "disgust", "angry", "sad"}
    assert recipe.corpora == ("ravdess",)
    assert recipe.fit.class_weights == "balanced"
    assert recipe.fit.optimizer.name == "adam"
    assert recipe.fit.optimizer.learning_rate < 1e-3


# --- their files ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PUBLISHED, "speaker-cremad"])
def test_a_file_explains_itself_and_names_nobody(name):
    text = recipe_text(name)
    assert text.count("#") >= 5
    assert "http" not in text
    assert "/home" not in text
    assert max(map(len, text.splitlines())) <= 140


def test_a_file_that_is_shown_to_be_copied_names_commands_that_exist():
    from ser_edge.commands import COMMANDS

    for name in recipe_names():
        for command in re.findall(r"ser-edge ([a-z]+)", recipe_text(name)):
            assert command in COMMANDS, (name, command)


def test_networks_of_recipes_are_known():
    assert {load_recipe(name).network.name for name in recipe_names()} <= set(NETWORKS)


# --- the table ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"figure": 0.0}, "published.0.figure: "),
        ({"figure": 101.0}, "published.0.figure: "),
        ({"measure": "luck"}, "published.0.measure: "),
        ({"sex": "both"}, "published.0.sex: "),
        ({"system": ""}, "published.0.system: "),
        ({"author": "x"}, "published.0.author: no such field"),
    ],
)
def test_a_printed_figures_faults(changes, expected):
    values = {"figure": 80.0, "protocol": "random", "system": "a network"}
    with pytest.raises(RecipeError) as fault:
        toy_recipe(published=[values | changes])
    assert expected in str(fault.value)


def test_a_printed_figure_survives_toml():
    figure = {"figure": 80.5, "protocol": "random", "system": "a network", "sex": "male"}
    recipe = toy_recipe(published=[figure])
    assert recipe.published == (Published(**figure),)
    assert tomllib.loads(recipe.to_toml())["published"] == [figure | {"measure": "accuracy"}]
