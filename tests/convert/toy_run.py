"""A finished run, made without training: tones that four made-up emotions have."""

from __future__ import annotations

import json
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, LogMel, Normaliser
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes import recipe_from_dict
from ser_edge_train.run_directory import RunDirectory

LABELS = ("angry", "happy", "neutral", "sad")
SPEAKERS = {"s1": "train", "s2": "train", "s3": "train", "s4": "validation", "s5": "test"}
TAKES = 6
SPEC = FrontEndSpec(
    features=(LogMel(bands=10, top_db=60.0),), hop_length=400, clip_seconds=0.5, layout="sequence"
)
RECIPE = {
    "name": "toy",
    "corpora": ["toy"],
    "labels": list(LABELS),
    "merge": {"calm": "neutral"},
    "seed": 3,
    "protocol": {"name": "speaker-folds", "fold": 1},
    "front_end": SPEC.to_dict() | {"trim_db": "none", "level": "none"},
    "network": {"name": "cnn_lstm"},
    "fit": {"epochs": 1},
}


def make_run(folder: Path, *, trained: bool = True) -> RunDirectory:
    """Recordings, manifest, partition, front end, normaliser and a network that mostly works.

    Without ``trained`` the network's file only says that it has dense layers: no Keras is needed.
    """
    recordings = folder / "recordings"
    recordings.mkdir(parents=True)
    manifest = Manifest(recordings, tuple(_clips(recordings)))
    partition = Partition.of(manifest.usable, lambda clip: SPEAKERS[clip.speaker])
    recipe = recipe_from_dict(RECIPE, "toy.toml")
    run = RunDirectory(folder / "run")
    run.create(recipe)
    manifest.write(run.manifest)
    partition.write(run.partition)
    features = np.stack([features_of(manifest, clip) for clip in manifest.clips])
    train = np.array([clip.key in partition.part("train") for clip in manifest.clips])
    normaliser = Normaliser.fit([features[train]])
    run.front_end.write_text(SPEC.to_json())
    run.normaliser.write_text(normaliser.to_json())
    if not trained:
        with zipfile.ZipFile(run.model, "w") as archive:
            config = {"class_name": "Functional", "config": {"name": "n", "layers": []}}
            archive.writestr("config.json", json.dumps(config))
        return run
    labels = [recipe.merge.get(clip.emotion, clip.emotion) for clip in manifest.clips]
    classes = np.array([LABELS.index(label) for label in labels])
    network(normaliser(features[train]), classes[train]).save(run.model)
    return run


def features_of(manifest: Manifest, clip: Clip) -> npt.NDArray[np.float32]:
    samples, _ = load_audio(manifest.path_of(clip))
    return FrontEnd(SPEC)(samples)


def network(features: npt.NDArray[np.float32], classes: npt.NDArray[np.int64]) -> Any:
    """Random convolution and LSTM layers under an output solved by least squares."""
    import keras

    keras.utils.set_random_seed(5)
    inputs = keras.Input(features.shape[1:])
    x = keras.layers.Conv1D(16, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.LSTM(24, return_sequences=True)(x)
    x = keras.layers.LSTM(24)(x)
    body = keras.Model(inputs, x)
    last = keras.layers.Dense(len(LABELS))
    model = keras.Model(inputs, last(x))
    states = np.asarray(body(features), np.float64)
    ridge = states.T @ states + 1e-2 * np.eye(states.shape[1])
    kernel = np.linalg.solve(ridge, states.T @ (8.0 * np.eye(len(LABELS))[classes] - 2.0))
    last.set_weights([kernel.astype(np.float32), np.zeros(len(LABELS), np.float32)])
    return model


def _clips(folder: Path) -> list[Clip]:
    clips = []
    for speaker_number, speaker in enumerate(SPEAKERS):
        for label_number, label in enumerate(LABELS):
            for take in range(TAKES):
                # One neutral in two is called calm: the recipe merges it.
                emotion = "calm" if label == "neutral" and take % 2 else label
                stem = f"{speaker}-{label}-{take}"
                seed = [speaker_number, label_number, take]
                path = folder / f"{stem}.wav"
                _write(path, _tone(np.random.default_rng(seed), label_number, speaker_number))
                samples, rate = load_audio(path)
                digest = audio_digest(samples, rate)
                clips.append(
                    Clip("toy", stem, path.name, speaker, "", emotion, "", "", str(take), 0.5,
                         digest, "")
                )  # fmt: skip
    return clips


def _tone(generator: np.random.Generator, label: int, speaker: int) -> npt.NDArray[np.float64]:
    time = np.arange(8000) / 16000
    # Neighbouring emotions overlap, so that a network is right often and not always.
    pitch = 300 * 2 ** (label * 0.8 + 0.1 * speaker + generator.normal(scale=0.28))
    tone = 0.3 * np.sin(2 * np.pi * pitch * time) * np.sin(np.pi * time / 0.5)
    return tone + 0.02 * generator.normal(size=len(time))


def _write(path: Path, samples: npt.NDArray[np.float64]) -> None:
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(16000)
        stream.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
