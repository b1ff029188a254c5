"""Runs and model files to audit, made without Keras: toy graphs that answer toy recordings.

The network of a run is ``toy_float.tflite``; its float file is that graph itself,
its int8 file ``toy_int8.tflite``, the same weights in steps of 1/64. Most clips are
labelled with what the float graph says of them.
"""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.calibration import choose
from ser_edge_convert.packaging import package
from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, LogMel, Normaliser
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions, softmax
from ser_edge_train.recipes import recipe_from_dict
from ser_edge_train.report.content import build_report
from ser_edge_train.run_directory import RunDirectory
from tests.train.sample_run import sample_history

DATA = Path(__file__).resolve().parents[2] / "data"
LABELS = ("calm", "happy", "sad")
SPEAKERS = ("s1", "s2", "s3", "s4", "s5", "s6")
TAKES = 12
TEMPERATURE = 1.5
CALIBRATION = 20
SPEC = FrontEndSpec(
    sample_rate=8000, fft_length=256, window_length=200, hop_length=80,
    features=(LogMel(bands=4),), clip_seconds=0.19,
)  # fmt: skip
RECIPE = {
    "name": "toy",
    "corpora": ["toy"],
    "labels": list(LABELS),
    "seed": 3,
    "protocol": {"name": "speaker-folds", "fold": 1},
    "front_end": SPEC.to_dict() | {"trim_db": "none", "level": "none"},
    "network": {"name": "cnn_lstm"},
    "fit": {"epochs": 40},
}


@dataclass(frozen=True)
class World:
    """Recordings, and what the float graph says of them.

    Attributes:
        manifest: The clips.
        normaliser: Fitted on all of them.
        logits: The float graph's, in the manifest's order.
    """

    manifest: Manifest
    normaliser: Normaliser
    logits: npt.NDArray[np.float32]


def make_world(folder: Path) -> World:
    """Six speakers, twelve short sounds each."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(7)
    clips, features = [], []
    front_end = FrontEnd(SPEC)
    for speaker in SPEAKERS:
        for take in range(TAKES):
            path = folder / f"{speaker}-{take}.wav"
            write_sound(path, generator)
            samples, rate = load_audio(path)
            features.append(front_end(samples))
            clips.append(
                Clip("toy", path.stem, path.name, speaker, "", "sad", "", "", str(take),
                     0.19, audio_digest(samples, rate), "")
            )  # fmt: skip
    normaliser = Normaliser.fit([np.stack(features)])
    graph = Interpreter(flatbuffer("toy_float"))
    logits = np.array([graph.invoke(normaliser(one)) for one in features])
    # One in five is labelled with the second best answer.
    ranks = np.argsort(-logits, axis=1)
    emotions = [LABELS[rank[1 if place % 5 == 0 else 0]] for place, rank in enumerate(ranks)]
    named = [replace(clip, emotion=word) for clip, word in zip(clips, emotions, strict=True)]
    order = sorted(range(len(named)), key=lambda place: named[place].key)
    return World(Manifest(folder, tuple(named)), normaliser, logits[order])


def write_sound(path: Path, generator: np.random.Generator) -> None:
    """Noise of a slope and a tone of its own, 0.19 s."""
    count = round(0.19 * SPEC.sample_rate)
    time = np.arange(count) / SPEC.sample_rate
    tone = np.sin(2 * np.pi * generator.uniform(150, 3500) * time)
    noise = np.convolve(generator.normal(size=count + 8), generator.normal(size=9), "valid")
    sound = 0.2 * generator.uniform() * tone + 0.03 * generator.uniform() * noise
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SPEC.sample_rate)
        stream.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def part_of(speaker: str, fold: int) -> str:
    """Two speakers are tested in a fold, the next one validates."""
    place = (SPEAKERS.index(speaker) - 2 * (fold - 1)) % len(SPEAKERS)
    return "test" if place < 2 else "validation" if place == 2 else "train"


def make_run(
    folder: Path,
    world: World,
    fold: int = 1,
    *,
    parts: tuple[str, ...] = ("validation", "test"),
    divide: Callable[[Clip], str] | None = None,
    **changes: Any,
) -> RunDirectory:
    """A finished run in ``folder``, which is not there yet."""
    part = divide or (lambda clip: part_of(clip.speaker, fold))
    recipe = recipe_from_dict(
        {**RECIPE, **changes, "protocol": {"name": "speaker-folds", "fold": fold}}, "toy"
    )
    run = RunDirectory(folder)
    run.create(recipe)
    manifest = world.manifest
    partition = Partition.of(manifest.usable, part)
    manifest.write(run.manifest)
    partition.write(run.partition)
    run.front_end.write_text(SPEC.to_json())
    run.normaliser.write_text(world.normaliser.to_json())
    run.model.write_bytes(f"weights of fold {fold}".encode())
    run.history.write_text(sample_history())
    chosen = [place for place, clip in enumerate(manifest.clips) if part(clip) in parts]
    clips = [manifest.clips[place] for place in chosen]
    Predictions.of_clips(
        clips,
        [part(clip) for clip in clips],
        recipe.labels,
        softmax(world.logits[chosen], TEMPERATURE),
    ).write(run.predictions)
    report = build_report(run, manifest, temperature=TEMPERATURE, parameters=19)
    run.report_json.write_text(json.dumps(report))
    return run


def make_model(path: Path, run: RunDirectory, variant: str = "float32", **changes: Any) -> Path:
    """A model file of a run: float, or int8 and calibrated on training speakers."""
    graph = changes.pop("graph", "toy_int8" if variant.startswith("int8") else "toy_float")
    provenance = {"network": hashlib.sha256(run.model.read_bytes()).hexdigest()}
    if variant.startswith("int"):
        manifest, partition = Manifest.read(run.manifest), Partition.read(run.partition)
        provenance["calibration"] = calibration_of(manifest, partition)
    provenance |= changes.pop("provenance", {})
    values: dict[str, Any] = {
        "name": "toy",
        "labels": LABELS,
        "front_end": SPEC,
        "normaliser": Normaliser.from_json(run.normaliser.read_text()),
        "temperature": TEMPERATURE,
        "target": "cpu",
        "variant": variant,
        "provenance": provenance,
        "scores": {},
        "licence": "MIT",
        "intended_use": "Tests.",
    }
    path.write_bytes(package(flatbuffer(graph), **{**values, **changes}))
    return path


def calibration_of(manifest: Manifest, partition: Partition, **changes: Any) -> dict[str, Any]:
    """What a conversion writes of its calibration clips."""
    chosen = choose(manifest, partition, CALIBRATION, labels=LABELS)
    return {**chosen.summary(), "audio": chosen.short_digests(), **changes}


def flatbuffer(name: str) -> bytes:
    return (DATA / f"{name}.tflite").read_bytes()
