"""A speaker embedding, trained, joined to an emotion network, and refused where it has heard."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Manifest
from ser_edge_train.networks import build, tdnn
from ser_edge_train.networks.files import NetworkFileError, load_network, save_network
from ser_edge_train.networks.parameters import Tdnn
from ser_edge_train.networks.speaker_branch import (
    PREFIX,
    SpeakerBranch,
    embeddings,
    fold_normaliser,
)
from ser_edge_train.partitions import Partition
from ser_edge_train.plan import make_plan
from ser_edge_train.run_directory import RunDirectory, RunError
from ser_edge_train.speaker_embedding import SpeakerEmbeddingError
from ser_edge_train.training import train

from .small_networks import SMALL, small
from .toys import Listener, Stopped
from .voices import SMALL_TDNN, emotion_recipe, speaker_recipe, voices

SHAPE = (21, 8)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def speakers(manifest, store, tmp_path_factory):
    """A finished speaker run of fold 1."""
    path = tmp_path_factory.mktemp("runs") / "speakers"
    return train(speaker_recipe(), manifest, path, store_root=store, processes=1)


@pytest.fixture(scope="module", params=["frames", "pooled"])
def joined(request, speakers, manifest, store, tmp_path_factory):
    """A finished emotion run of the same fold that takes it."""
    path = tmp_path_factory.mktemp("runs") / request.param
    recipe = emotion_recipe(speakers.run.path, request.param)
    return train(recipe, manifest, path, store_root=store, processes=1)


def normaliser_of(run: RunDirectory) -> Normaliser:
    return Normaliser.from_json(run.normaliser.read_text())


def branch_weights(model: Any) -> dict[str, list[np.ndarray]]:
    return {
        layer.name: layer.get_weights()
        for layer in model.layers
        if layer.name.startswith(PREFIX) and layer.name != f"{PREFIX}scale" and layer.weights
    }


# --- the speaker run ------------------------------------------------------------------------


def test_a_speaker_run_holds_its_speakers_as_labels(speakers):
    recipe = speakers.run.read_recipe()
    assert recipe.target == "speaker"
    assert len(recipe.labels) == speakers.report["protocol"]["parts"]["train"]["speakers"]
    assert load_network(speakers.run.model).output_shape == (None, len(recipe.labels))
    predictions = speakers.run.predictions.read_text().splitlines()
    assert predictions[0].count("p_own/voice") == len(recipe.labels)
    assert {line.split(",")[4] for line in predictions[1:]} == {"validation"}


def test_a_speaker_run_learns_who_speaks(speakers):
    scores = speakers.report["scores"]["validation"]["overall"]
    assert scores["uar"] > 2 / len(speakers.run.read_recipe().labels)


def test_a_speaker_run_scored_on_its_test_part_has_none(manifest, store, tmp_path):
    done = train(
        speaker_recipe(fit__epochs=1), manifest, tmp_path / "run", store_root=store, processes=1,
        score_test=True,
    )  # fmt: skip
    assert set(done.report["scores"]) == {"validation"}


@pytest.mark.parametrize("named", ["by the recipe's name", "by the run's own"])
def test_a_speaker_run_stopped_and_resumed_ends_like_an_unbroken_one(
    named, speakers, manifest, store, tmp_path
):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(Stopped):
        train(
            speaker_recipe(), manifest, run, store_root=store, processes=1,
            progress=Listener(at_epoch=3),
        )  # fmt: skip
    recipe = speaker_recipe() if named == "by the recipe's name" else run.read_recipe()
    train(recipe, manifest, run, store_root=store, processes=1, resume=True)
    assert run.model.read_bytes() == speakers.run.model.read_bytes()
    assert run.predictions.read_bytes() == speakers.run.predictions.read_bytes()


# --- its statistics and its normaliser ------------------------------------------------------


def test_a_tdnn_pools_the_mean_and_the_deviation():
    model = small("tdnn")
    names = ("tdnn2_relu", "statistics")
    both = keras.Model(model.input, [model.get_layer(name).output for name in names])
    features = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    found, pooled = both.predict_on_batch(features)
    variance = found.var(axis=1)
    np.testing.assert_allclose(pooled[:, :6], found.mean(axis=1), rtol=1e-4)
    expected = variance / np.sqrt(variance + tdnn.SMALLEST_VARIANCE)
    np.testing.assert_allclose(pooled[:, 6:], expected, rtol=1e-3, atol=1e-6)
    wide = variance > 100 * tdnn.SMALLEST_VARIANCE
    np.testing.assert_allclose(pooled[:, 6:][wide], found.std(axis=1)[wide], rtol=0.01)


def test_a_tdnns_size_and_what_its_layers_see():
    model = small("tdnn")
    layers = (3 * 8 * 4 + 4 + 4 * 4) + (3 * 4 * 6 + 4 * 6)
    dense = (12 * 5 + 5) + 4 * 5 + (5 * 4 + 4) + (4 * 3 + 3)
    assert model.count_params() == layers + dense
    assert model.get_layer("tdnn2_relu").output.shape == (None, 21 - 2 - 4, 6)
    assert Tdnn(**SMALL["tdnn"]).context == 7
    assert model.get_layer(tdnn.EMBEDDING).output.shape == (None, 5)


def test_a_tdnn_needs_the_frames_that_it_sees():
    with pytest.raises(Exception, match="its layers see 7 frames but an input has 6"):
        small("tdnn", (6, 8))


def test_a_kernel_takes_up_another_normaliser():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 8, 5)).astype(np.float32)
    bias = rng.normal(size=5).astype(np.float32)
    theirs, ours = (Normaliser(rng.normal(size=8) * 20, rng.uniform(0.1, 30, 8)) for _ in range(2))
    features = (rng.normal(size=(2, 12, 8)) * 25).astype(np.float32)
    folded, moved = fold_normaliser(kernel, bias, theirs, ours)
    layer = keras.layers.Conv1D(5, 3, padding="valid")
    layer.build((None, 12, 8))
    answers = []
    for weights, normaliser in (((kernel, bias), theirs), ((folded, moved), ours)):
        layer.set_weights(list(weights))
        answers.append(np.asarray(layer(normaliser(features))))
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-4, atol=1e-4 * np.ptp(answers[0]))


def test_equal_normalisers_leave_a_kernel_as_it_is():
    kernel, bias = np.ones((3, 2, 4), np.float32), np.ones(4, np.float32)
    same = Normaliser(np.array([3.0, 4.0]), np.array([2.0, 0.5]))
    folded, moved = fold_normaliser(kernel, bias, same, same)
    np.testing.assert_array_equal(folded, kernel)
    np.testing.assert_array_equal(moved, bias)


# --- joined ---------------------------------------------------------------------------------


def test_a_branch_says_within_a_network_what_it_said_alone(joined, speakers, manifest, store):
    """Other normaliser, same recordings: the same embedding."""
    recipe = joined.run.read_recipe()
    clips = Partition.read(joined.run.partition).clips(manifest, "validation")
    features = np.array(FeatureStore(store, recipe.spec).matrix(clips, joined.run.path / "f.npy"))
    alone = embeddings(speakers.run.model, features, normaliser_of(speakers.run))
    model = load_network(joined.run.model)
    inner = keras.Model(model.input, model.get_layer(PREFIX + tdnn.EMBEDDING).output)
    within = inner.predict_on_batch(normaliser_of(joined.run)(features))
    assert normaliser_of(joined.run) != normaliser_of(speakers.run)
    np.testing.assert_allclose(within, alone, rtol=1e-3, atol=1e-3 * np.ptp(alone))


def test_a_branch_is_not_trained(joined, speakers):
    model = load_network(joined.run.model)
    trained = load_network(speakers.run.model)
    found = branch_weights(model)
    assert set(found) == {
        "speaker_tdnn1_conv", "speaker_tdnn1_norm", "speaker_tdnn2_conv", "speaker_tdnn2_norm",
        "speaker_embedding",
    }  # fmt: skip
    for name, weights in found.items():
        assert not model.get_layer(name).trainable
        if name != "speaker_tdnn1_conv":  # that one holds the normaliser too
            alone = trained.get_layer(name.removeprefix(PREFIX)).get_weights()
            for one, other in zip(weights, alone, strict=True):
                np.testing.assert_array_equal(one, other)
    assert model.get_layer(f"{PREFIX}scale").trainable


def test_a_joined_network_has_one_input_and_sees_the_embedding(joined):
    model = load_network(joined.run.model)
    assert model.input_shape == (None, *SHAPE)
    if joined.run.read_recipe().speaker_embedding.join == "frames":
        assert model.get_layer("conv1").kernel.shape[1] == 8 + 6
    else:
        assert model.get_layer("conv1").kernel.shape[1] == 8
        assert model.get_layer("logits").kernel.shape[0] == 4 + 6


def test_a_joined_run_names_the_network_that_it_took(joined, speakers):
    asked = joined.run.read_recipe().speaker_embedding
    assert asked.network_sha256 == hashlib.sha256(speakers.run.model.read_bytes()).hexdigest()
    assert joined.report["scores"]["validation"]["overall"]["clips"] > 0


def test_a_joined_fit_stopped_and_resumed_ends_like_an_unbroken_one(
    joined, speakers, manifest, store, tmp_path
):
    run = RunDirectory(tmp_path / "run")
    recipe = emotion_recipe(speakers.run.path, joined.run.read_recipe().speaker_embedding.join)
    with pytest.raises(Stopped):
        train(recipe, manifest, run, store_root=store, processes=1, progress=Listener(at_epoch=1))
    train(recipe, manifest, run, store_root=store, processes=1, resume=True)
    assert run.model.read_bytes() == joined.run.model.read_bytes()


@pytest.mark.parametrize("join", ["frames", "pooled"])
@pytest.mark.parametrize("name", [name for name in SMALL if name != "tdnn"])
def test_every_network_takes_an_embedding(name, join, speakers):
    branch = SpeakerBranch.load(
        speakers.run.model, Tdnn(**SMALL_TDNN), normaliser_of(speakers.run),
        Normaliser.identity(8), join,
    )  # fmt: skip
    model = build(name, SHAPE, 3, speaker_branch=branch, **SMALL[name])
    features = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    assert model.predict_on_batch(features).shape == (2, 3)
    assert (f"{PREFIX}beside" in {layer.name for layer in model.layers}) is (join == "frames")
    assert ("joined" in {layer.name for layer in model.layers}) is (join == "pooled")


def test_a_network_that_is_no_tdnn_holds_no_embedding(tmp_path):
    save_network(small("cnn1d"), tmp_path / "model.keras")
    identity = Normaliser.identity(8)
    with pytest.raises(NetworkFileError, match="holds no speaker embedding"):
        SpeakerBranch.load(tmp_path / "model.keras", Tdnn(), identity, identity, "frames")
    with pytest.raises(NetworkFileError, match="holds no speaker embedding"):
        embeddings(tmp_path / "model.keras", np.zeros((1, *SHAPE)), identity)


# --- refusals -------------------------------------------------------------------------------


def refusal(manifest: Manifest, run: Path, **changes: Any) -> str:
    with pytest.raises(RunError) as fault:
        make_plan(emotion_recipe(run, **changes), manifest)
    assert "\n" not in str(fault.value)
    return str(fault.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol__fold": 2},
        {"protocol": {"name": "leave-one-speaker-out", "fold": 1}},
        {"protocol": {"name": "random"}},
        {"seed": 8},
    ],
)
def test_an_embedding_that_has_heard_the_test_is_refused(changes, speakers, manifest):
    message = refusal(manifest, speakers.run.path, **changes)
    assert "its training has heard" in message
    assert "speakers of this recipe (first: own voice" in message
    assert "with the protocol and the fold of this recipe" in message


def test_a_validation_speaker_alone_is_enough(speakers, manifest):
    """Tested are two whom the embedding does not know, validated is one whom it does."""
    heard = {clip.speaker for clip in make_plan(speaker_recipe(), manifest).clips("train")}
    unheard = sorted({clip.speaker for clip in manifest.clips} - heard)
    parts = dict.fromkeys(unheard, "test") | {min(heard): "validation"}
    given = Partition.of(manifest.clips, lambda clip: parts.get(clip.speaker, "train"))
    recipe = emotion_recipe(speakers.run.path, protocol={"name": "given"})
    with pytest.raises(SpeakerEmbeddingError, match="heard 1 of the validation speakers"):
        make_plan(recipe, manifest, given)


def test_speakers_under_other_names_are_known_by_their_recordings(speakers, manifest):
    renamed = Manifest(
        manifest.root,
        tuple(
            dataclasses.replace(clip, corpus="mine", stem=f"x{clip.stem}", speaker=f"x{n % 10}")
            for n, clip in enumerate(manifest.clips)
        ),
    )
    assert "clips of this recipe under another name" in refusal(renamed, speakers.run.path)


def test_nothing_is_written_for_a_refused_embedding(speakers, manifest, store, tmp_path):
    recipe = emotion_recipe(speakers.run.path, protocol__fold=2)
    with pytest.raises(SpeakerEmbeddingError):
        train(recipe, manifest, tmp_path / "run", store_root=store, processes=1)
    assert not (tmp_path / "run").exists()


def test_an_emotion_run_is_no_speaker_embedding(joined, manifest):
    assert "is no speaker embedding" in refusal(manifest, joined.run.path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hop_length", 200),
        ("clip_seconds", 0.21),
        ("cut", "start"),
        ("features", [{"kind": "log_mel", "bands": 9}]),
    ],
)
def test_another_front_end_is_refused_with_the_field(field, value, speakers, manifest):
    message = refusal(manifest, speakers.run.path, **{f"front_end__{field}": value})
    assert f"its front end is another ({field} differs)" in message


def test_a_run_that_is_missing_or_not_finished_is_refused(speakers, manifest, tmp_path):
    assert "no such folder" in refusal(manifest, tmp_path / "gone")
    unfinished = RunDirectory(tmp_path / "unfinished")
    unfinished.create(speaker_recipe())
    assert "holds no trained model" in refusal(manifest, unfinished.path)


def test_another_network_than_the_one_begun_with_is_refused(speakers, manifest):
    message = refusal(manifest, speakers.run.path, speaker_embedding__network_sha256="0" * 64)
    assert "its network is not the one that this training began with" in message


def test_a_manifest_that_lost_a_clip_proves_nothing(speakers, manifest, tmp_path):
    run = RunDirectory(tmp_path / "copy")
    run.path.mkdir()
    for name in ("recipe", "model", "partition", "normaliser"):
        getattr(run, name).write_bytes(getattr(speakers.run, name).read_bytes())
    Manifest(manifest.root, manifest.clips[100:]).write(run.manifest)
    assert "nobody knows whom it has heard" in refusal(manifest, run.path)


def test_a_report_of_a_joined_run_is_plain_json(joined):
    assert json.loads(joined.run.report_json.read_text())["model"]["network"] == "cnn1d"
