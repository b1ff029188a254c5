"""Models whose answer is known to rest on some frames alone, made without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.packaging import package
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser
from ser_edge_runtime.model_file import parse_model_file
from tests.scripts import load_script

RATE, HOP, BANDS = 8000, 80, 4
SECONDS, FRAMES = 1.0, 101
LABELS = ("planted", "other", "third")
USUAL = -40.0
"""The normaliser's mean of every band, in decibels: louder than silence, softer than noise."""


def _toys() -> Any:
    return load_script(Path(__file__).resolve().parents[1] / "data" / "make_toy_models.py")


def planted_graph(weights: np.ndarray, flat: bool = False) -> bytes:
    """One dense layer: the first class weighs every frame (FRAMES,), the others nothing."""
    toys = _toys()
    graph = toys.Graph()
    shape = [1, FRAMES * BANDS] if flat else [1, FRAMES, BANDS]
    features = graph.tensor("features", shape)
    values = np.zeros((len(LABELS), FRAMES * BANDS), np.float32)
    values[0] = np.repeat(weights, BANDS) / BANDS
    kernel = graph.tensor("kernel", list(values.shape), toys.FLOAT, values)
    bias = graph.tensor("bias", [len(LABELS)], toys.FLOAT, np.zeros(len(LABELS)))
    options = schema.FullyConnectedOptionsT()
    logits = graph.tensor("logits", [1, len(LABELS)])
    code = schema.BuiltinOperator.FULLY_CONNECTED
    graph.operator(code, [features, kernel, bias], [logits], options)
    return graph.bytes([features], [logits])


def mean_graph() -> bytes:
    """For the layout "mean": the first class weighs the mean of all bands."""
    toys = _toys()
    graph = toys.Graph()
    features = graph.tensor("features", [1, BANDS])
    values = np.zeros((len(LABELS), BANDS), np.float32)
    values[0] = 4.0
    kernel = graph.tensor("kernel", list(values.shape), toys.FLOAT, values)
    bias = graph.tensor("bias", [len(LABELS)], toys.FLOAT, np.zeros(len(LABELS)))
    return graph.bytes([features], [toys.dense(graph, features, kernel, bias, "logits")])


def classifier_of(flatbuffer: bytes, *, layout: str = "sequence", **front_end: Any) -> Classifier:
    """A classifier of SECONDS with a packaged graph."""
    spec = FrontEndSpec(
        sample_rate=RATE, fft_length=256, window_length=200, hop_length=HOP,
        features=(LogMel(bands=BANDS),), clip_seconds=SECONDS, layout=layout, **front_end,
    )  # fmt: skip
    assert spec.clip_frames == FRAMES
    count = spec.output_shape[-1]
    data = package(
        flatbuffer, name="planted", labels=LABELS, front_end=spec,
        normaliser=Normaliser(np.full(count, USUAL), np.full(count, 20.0)), temperature=1.0,
        target="cpu", variant="float32", provenance={}, scores={}, licence="MIT: a toy",
        intended_use="Tests.",
    )  # fmt: skip
    return Classifier(parse_model_file(data, "planted.tflite"))


def planted(start: int, end: int, *, flat: bool = False, **front_end: Any) -> Classifier:
    """A model that hears frames ``start`` to ``end`` (not in it) and nothing else."""
    weights = np.zeros(FRAMES, np.float32)
    weights[start:end] = 4.0 / (end - start)
    layout = "flat" if flat else "sequence"
    return classifier_of(planted_graph(weights, flat), layout=layout, **front_end)


def noise(seconds: float, seed: int = 0, level: float = 0.3) -> np.ndarray:
    """White noise, louder than USUAL in every band."""
    count = round(seconds * RATE)
    return (level * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)
