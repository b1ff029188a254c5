"""A speaker embedding as a model file: by itself, and within an emotion network of one graph."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert.conversion import convert
from ser_edge_convert.graph import read_graph
from ser_edge_runtime import Classifier
from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.training import train
from tests.train.voices import emotion_recipe, speaker_recipe, voices

# The gate is another test's: toys are trained on 84 clips.
ANY_LOSS = {"max_drop": 1.0, "calibration_size": 40}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("speakers")


@pytest.fixture(scope="module")
def manifest(place):
    return voices(place / "voices")


@pytest.fixture(scope="module")
def speakers(place, manifest):
    recipe = speaker_recipe(fit__epochs=15)
    return train(recipe, manifest, place / "run", store_root=place / "store", processes=1).run


@pytest.fixture(scope="module")
def by_itself(place, speakers):
    return convert(
        speakers, place / "speakers.tflite", store=place / "store", variant="int8", **ANY_LOSS
    )


@pytest.fixture(scope="module", params=["frames", "pooled"])
def joined(request, place, manifest, speakers):
    """An emotion run with the embedding, and its int8 model file."""
    recipe = emotion_recipe(speakers.path, request.param, fit__epochs=4)
    run = train(
        recipe, manifest, place / request.param, store_root=place / "store", processes=1
    ).run
    out = place / f"{request.param}.tflite"
    done = convert(run, out, store=place / "store", variant="int8", **ANY_LOSS)
    return request.param, run, done


def test_a_speaker_runs_file_names_speakers(by_itself, speakers, manifest):
    model = read_model_file(by_itself.path)
    assert model.metadata.labels == speakers.read_recipe().labels
    classifier = Classifier.load(by_itself.path)
    heard = [clip for clip in manifest.clips if f"own/{clip.speaker}" in classifier.labels]
    right = sum(
        classifier.classify(*load_audio(manifest.path_of(clip))).label == f"own/{clip.speaker}"
        for clip in heard
    )
    # Chance is one in six.
    assert right > 0.5 * len(heard)


def test_a_speaker_runs_file_is_int8_and_compared_with_keras(by_itself):
    graph = read_graph(read_model_file(by_itself.path).flatbuffer)
    assert graph.inner_floats == ()
    assert (
        by_itself.report["agreement"]["clips"] == by_itself.report["validation"]["before"]["clips"]
    )
    assert by_itself.report["agreement"]["share"] >= 0.9


def test_it_is_calibrated_on_every_speaker(by_itself, speakers):
    labels = speakers.read_recipe().labels
    classes = by_itself.report["calibration"]["classes"]
    assert set(classes) == set(labels)
    assert max(classes.values()) - min(classes.values()) <= 1


def test_a_joined_network_is_one_graph_with_one_input(joined):
    join, _, done = joined
    graph = read_graph(read_model_file(done.path).flatbuffer)
    assert len(graph.inputs) == len(graph.outputs) == 1
    assert graph.subgraphs == 1
    assert graph.inner_floats == ()
    assert graph.counts["RSQRT"] == 1
    assert ("TILE" in graph.counts or "BROADCAST_TO" in graph.counts) is (join == "frames")


def test_a_joined_network_runs_on_a_device_as_any_other(joined, manifest):
    _, run, done = joined
    assert done.report["agreement"]["share"] >= 0.75
    classifier = Classifier.load(done.path)
    assert classifier.labels == run.read_recipe().labels == ("angry", "sad")
    result = classifier.classify_file(manifest.path_of(manifest.clips[0]))
    assert np.isclose(sum(result.scores.values()), 1)


def test_a_joined_file_says_whose_embedding_it_has(joined):
    """The recipe's digest covers the embedding's: another network is another recipe."""
    _, run, done = joined
    recipe = run.read_recipe()
    assert recipe.speaker_embedding.network_sha256 is not None
    assert read_model_file(done.path).metadata.provenance["recipe"]["digest"] == recipe.digest
    other = recipe.resolved(network_sha256="0" * 64)
    assert other.digest != recipe.digest


def test_a_joined_network_is_exact_in_float(place, joined):
    _, run, _ = joined
    out = place / "float.tflite"
    done = convert(run, out, store=place / "store", variant="float32", **ANY_LOSS)
    assert done.report["agreement"]["max_difference"] < 1e-4
