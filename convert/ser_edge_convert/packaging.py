"""The last step of a conversion: a TFLite graph and all that is known of it become a model file.

It runs last because what comes after a converter (Ethos-U's and Edge TPU's
compilers, C arrays) keeps the graph and loses the appended zip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.errors import NoNumbers
from ser_edge_convert.tflite_metadata import add_tflite_metadata
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.delegates import NONE
from ser_edge_runtime.front_end import FrontEndSpec, Normaliser
from ser_edge_runtime.golden import Golden
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.metadata import FORMAT_VERSION, Metadata, check_fit
from ser_edge_runtime.model_file import ModelFile, build_model_file

Array = npt.NDArray[np.float32]

# How far probabilities may be from the golden ones on another machine, whichever
# kernels run there: XNNPACK's or the plain ones. What lies between these two is measured
# for each model and added, see tolerance_of. XNNPACK of tflite-runtime 2.14 takes no
# convolution whose weights alone are int8, so that its plain kernels run those.
TOLERANCES = {
    "float32": 1e-4,
    "float16": 1e-3,
    "dynamic": 5e-3,
    "int8": 5e-2,
    "int8-io": 5e-2,
    "int16x8": 5e-3,
}

# Kernels further apart than int8's room do not round differently; they disagree, and a file
# must not promise both.
_MOST_BETWEEN_KERNELS = TOLERANCES["int8"]

# A longer clip would show nothing more and make every model file bigger.
_GOLDEN_SECONDS = 0.25
# What fits into the member of the file, whatever the front end skips first.
_MOST_GOLDEN_SAMPLES = 500_000


def package(
    flatbuffer: bytes,
    *,
    name: str,
    labels: Sequence[str],
    front_end: FrontEndSpec,
    normaliser: Normaliser,
    temperature: float,
    target: str,
    variant: str,
    provenance: dict[str, Any],
    scores: dict[str, Any],
    licence: str,
    intended_use: str,
) -> bytes:
    """Makes a model file; the same inputs on the same machine give the same bytes.

    Args:
        flatbuffer: The exported TFLite model, ending in logits.
        name: The model's name, one line.
        labels: Name of each class, in the order of the outputs.
        front_end: What computes the features.
        normaliser: Fitted on the training part.
        temperature: The logits are divided by it before the softmax.
        target: Where the model is meant to run, as "cpu".
        variant: Its arithmetic, one of :data:`TOLERANCES`.
        provenance: Digests, seeds and versions; JSON values.
        scores: Measured scores with their protocol; JSON values.
        licence: Licence of the weights.
        intended_use: What the model is for and what it is not for.

    Returns:
        The bytes of the file; it was read back before they are returned.

    Raises:
        ModelFileError: The parts do not fit together; the subclass says where.
        InterpreterError: The graph cannot be run, so no golden vectors can be made.
        NoNumbers: It runs, and what it computes is not finite.
        KeyError: ``variant`` is none.
    """
    room = TOLERANCES[variant]
    graph = add_tflite_metadata(
        flatbuffer,
        name=name,
        description=f"Speech emotion recognition. {intended_use}".strip(),
        licence=licence,
        input_description=_input_description(front_end),
        output_description="A logit for each emotion, before temperature and softmax.",
    )
    interpreter = Interpreter(graph)
    metadata = Metadata(
        format_version=FORMAT_VERSION,
        name=name,
        labels=tuple(labels),
        front_end=front_end,
        normaliser=normaliser,
        temperature=float(temperature),
        input=interpreter.input,
        output=interpreter.output,
        target=target,
        variant=variant,
        flatbuffer_sha256="",
        provenance=provenance,
        scores=scores,
        licence=licence,
        intended_use=intended_use,
    )
    check_fit(metadata, name)
    model = ModelFile(name, graph, metadata, golden_npz=b"")
    golden = golden_vectors(Classifier(model), Classifier(model, delegate=NONE), room)
    return build_model_file(graph, metadata, golden)


def golden_vectors(classifier: Classifier, plain: Classifier, room: float) -> Golden:
    """What a model makes of the synthetic clip, and how far another machine may be away.

    Args:
        classifier: The model, on the machine that packs it.
        plain: The same under no delegate: what machines compute that lack XNNPACK, or whose
            XNNPACK lacks an operator.
        room: As for :func:`tolerance_of`.

    Raises:
        NoNumbers: What the graph computes is not finite.
    """
    spec = classifier.front_end.spec
    seconds = min(_GOLDEN_SECONDS + spec.offset_seconds, _MOST_GOLDEN_SAMPLES / spec.sample_rate)
    samples = synthetic_clip(spec.sample_rate, seconds)
    features = classifier.front_end(samples)
    # Of the graph itself: a wrong temperature is a fault of the metadata, and said as one.
    if not np.isfinite(classifier.logits(features)).all():
        raise NoNumbers("computes no numbers for the golden clip; train or export it again")
    probabilities = classifier.probabilities(features)
    tolerance = tolerance_of(probabilities, plain.probabilities(features), room)
    return Golden(samples, spec.sample_rate, features, probabilities, tolerance)


def tolerance_of(golden: Array, plain: Array, room: float) -> float:
    """How far a machine's probabilities may be from the golden ones.

    Under weights of 8 bits, activations that are floats in the graph are quantised as it
    runs, and each kind of kernels does so in its own way.

    Args:
        golden: (classes,), what XNNPACK made of the clip.
        plain: (classes,), what the kernels that run without it made of it.
        room: For other processors' kernels of either kind, one of :data:`TOLERANCES`.

    Returns:
        ``room`` and what lies between the two; ``room`` alone where that is more than
        rounding does, so that who has the other kernels is told.
    """
    between = float(np.max(np.abs(golden - plain)))
    return room + between if between <= _MOST_BETWEEN_KERNELS else room


def synthetic_clip(sample_rate: int, seconds: float) -> Array:
    """A tone that rises and swells over noise: something in every band, nobody's voice.

    The tone sweeps from 1/160 to 1/5 of the sample rate and swells four times a
    second; the noise comes from a linear congruential generator (Knuth's MMIX
    constants). All is rounded to 16 bits, so it is the same on every machine.

    Args:
        sample_rate: Hz.
        seconds: Length.

    Returns:
        float32 (n,), multiples of 1/32768, peak about 0.55.
    """
    count = round(sample_rate * seconds)
    position = np.arange(count) / max(count, 1)
    turns = count * (position / 160 + (1 / 5 - 1 / 160) * position**2 / 2)
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * seconds * position)
    tone = 0.5 * swell * np.sin(2 * np.pi * turns)
    noise = np.empty(count)
    state = 1
    for index in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        noise[index] = state / 2**63 - 1
    return (np.rint(32768 * (tone + 0.05 * noise)) / 32768).astype(np.float32)


def _input_description(spec: FrontEndSpec) -> str:
    shape = " x ".join(map(str, spec.output_shape))
    kinds = ", ".join(dict.fromkeys(feature.kind for feature in spec.features))
    return (
        f"Normalised features ({shape}: {kinds}) of mono speech at {spec.sample_rate} Hz, not "
        "samples; the appended zip says how they are computed."
    )
