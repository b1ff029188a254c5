"""One TensorFlow Lite file from samples to probabilities, for apps that have no feature code.

Front end and normaliser become operators in float32; the model's own graph,
byte for byte the operators that were measured, follows in its own arithmetic;
temperature and softmax end it. Nothing is converted anew, so neither Keras nor
TensorFlow is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.errors import ConversionMismatch, ConversionRefused, OutputFailed
from ser_edge_convert.front_end_graph import add_front_end
from ser_edge_convert.graph import read_graph
from ser_edge_convert.graph_builder import GraphBuilder
from ser_edge_convert.operator_order import order_safely
from ser_edge_convert.packaging import synthetic_clip
from ser_edge_convert.tflite_metadata import audio_metadata, with_metadata
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime import stored_zip
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import ModelFile

# Of a front end that takes utterances of any length.
USUAL_SECONDS = 6.0
# A minute of frames is tens of megabytes of an interpreter's memory.
MOST_SECONDS = 60.0
# How far a probability may be from the model file's. Features differ in the last bits of
# float32; one that falls on the other side of a quantised network's step may move a logit by a
# step. More is another function.
TOLERANCE = 0.01
QUANTISED_TOLERANCE = 0.05
LABELS = "labels.txt"


@dataclass(frozen=True)
class WaveformModel:
    """A file from samples to probabilities.

    Attributes:
        data: Its bytes: a ``.tflite`` with TFLite metadata and its labels appended.
        sample_rate: Hz of the samples it takes.
        samples: How many it takes, float32 (1, samples), full scale = 1.
        difference: Largest difference of a probability from the model file's, on
            synthetic clips.
    """

    data: bytes
    sample_rate: int
    samples: int
    difference: float


def usual_seconds(model: ModelFile) -> float:
    """Length of the longest recording that the classifier takes whole, in seconds."""
    clip = model.metadata.front_end.clip_seconds
    return USUAL_SECONDS if clip is None else min(2 * clip, MOST_SECONDS)


def embed_front_end(model: ModelFile, seconds: float | None = None) -> WaveformModel:
    """Puts a model's front end into its graph. The same model gives the same bytes.

    Args:
        model: A model whose graph keeps no state.
        seconds: Length of the samples it shall take; None: :func:`usual_seconds`. A
            shorter recording is filled up with zeros at its end.

    Raises:
        ConversionRefused: The model or the length cannot be had; says why.
        ConversionMismatch: The file does not answer as the model does.
        InterpreterError: The file does not run.
    """
    metadata = model.metadata
    spec = metadata.front_end
    if read_graph(model.flatbuffer).keeps_state:
        raise ConversionRefused(
            f"{model.name}: its LSTM operator keeps its state from one clip to the next, and apps "
            "do not reset it; convert for --target web, which unrolls it"
        )
    network = schema.ModelT.InitFromPackedBuf(model.flatbuffer, 0)
    if len(network.subgraphs) != 1:
        raise ConversionRefused(
            f"{model.name}: its graph has loops or branches, which cannot stand behind a front "
            "end; convert for --target web, which unrolls them"
        )
    length = usual_seconds(model) if seconds is None else seconds
    shortest = (spec.fft_length + spec.hop_length) / spec.sample_rate + spec.offset_seconds
    if not shortest <= length <= MOST_SECONDS:
        raise ConversionRefused(
            f"{model.name}: a front end cannot be put in front of it for {length:g} s; "
            f"choose {np.ceil(100 * shortest) / 100:g} to {MOST_SECONDS:g} seconds"
        )
    samples = round(length * spec.sample_rate)
    builder = GraphBuilder()
    value = add_front_end(
        builder, builder.input("samples", (1, samples)), spec, metadata.normaliser
    )
    if metadata.input.quantised:
        value = builder.quantise(value, metadata.input)
    value = builder.splice(network, value)
    if metadata.output.quantised:
        value = builder.dequantise(value)
    value = builder.multiply(value, 1 / metadata.temperature)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    value = builder.apply("SOFTMAX", [value], value.shape, options=options)
    joined = builder.finish(value, "probabilities", "samples")
    order_safely(joined)
    flatbuffer = with_metadata(
        joined,
        audio_metadata(
            name=metadata.name,
            description=_description(model),
            licence=metadata.licence,
            sample_rate=spec.sample_rate,
            labels_file=LABELS,
        ),
    )
    difference = _difference(flatbuffer, model, samples)
    labels = "".join(f"{label}\n" for label in metadata.labels).encode()
    data = flatbuffer + stored_zip.build({LABELS: labels}, len(flatbuffer))
    return WaveformModel(data, spec.sample_rate, samples, difference)


def write_waveform_model(
    model: ModelFile, path: str | PathLike[str], seconds: float | None = None
) -> WaveformModel:
    """Writes what :func:`embed_front_end` makes.

    Raises:
        OutputFailed: The file cannot be written; nothing is left of it.
        SerEdgeError: As :func:`embed_front_end`.
    """
    made = embed_front_end(model, seconds)
    try:
        write_atomically(Path(path), made.data)
    except OSError as fault:
        raise OutputFailed(
            path, f"cannot be written ({fault.strerror or fault})", "free space, or name another"
        ) from None
    return made


def filled(samples: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """The row that a waveform model takes: the samples, then zeros, (1, length).

    Raises:
        ValueError: There are more samples than that.
    """
    if len(samples) > length:
        raise ValueError(f"{len(samples)} samples do not fit into {length}")
    row = np.zeros((1, length), np.float32)
    row[0, : len(samples)] = samples
    return row


def _description(model: ModelFile) -> str:
    return (
        "Speech emotion recognition from samples to probabilities. A recording shorter than the "
        "input is filled up with zeros at its end. Made from the model file whose graph has the "
        f"SHA-256 {model.metadata.flatbuffer_sha256}. {model.metadata.intended_use}"
    ).strip()


def _clips(rate: int, length: int) -> Sequence[npt.NDArray[np.float32]]:
    """Clips that fill the input, leave some of it and leave most of it."""
    return [synthetic_clip(rate, part * length / rate)[:length] for part in (1.0, 0.6, 0.2)]


def _difference(flatbuffer: bytes, model: ModelFile, length: int) -> float:
    interpreter, classifier = Interpreter(flatbuffer), Classifier(model)
    worst = 0.0
    for clip in _clips(model.metadata.front_end.sample_rate, length):
        features = classifier.front_end(clip)
        expected = classifier.probabilities(features)
        found = interpreter.invoke(filled(clip, length)[0])
        worst = max(worst, float(np.abs(found - expected).max()))
    floats = VARIANTS[model.metadata.variant].weights.startswith("float")
    allowed = TOLERANCE if floats else QUANTISED_TOLERANCE
    if not worst <= allowed:
        raise ConversionMismatch(
            f"{model.name}: with the front end in the graph a probability differs by {worst:.4f}, "
            f"more than {allowed}; nothing was written; report it with the model as a fault "
            "of ser-edge"
        )
    return worst
