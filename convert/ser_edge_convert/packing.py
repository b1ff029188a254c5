"""Makes a model file of a plain ``.tflite``: somebody's own, or what a device's compiler left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from ser_edge_convert.description_files import read_front_end, read_labels, read_normaliser
from ser_edge_convert.errors import ConversionFailed, NoNumbers, PackingRefused
from ser_edge_convert.graph import Graph, Tensor, read_graph
from ser_edge_convert.graph_ends import variant_of, without_softmax
from ser_edge_convert.packaging import package
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import (
    FileError,
    InvokeFailed,
    ModelRejected,
    SerEdgeError,
    UnsupportedTensors,
)
from ser_edge_runtime.golden import verify_golden
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import (
    LARGEST_FILE,
    MEMBERS,
    ModelFile,
    build_model_file,
    parse_model_file,
)

LICENCE = "not stated"
INTENDED_USE = "Not stated by whoever packed it."


@dataclass(frozen=True)
class Packed:
    """A model file that was made of a plain one.

    Attributes:
        data: Its bytes.
        variant: How its numbers are written.
        softmax: Whether it ended in a softmax, which was taken off.
        golden: "held" where an interpreter ran it and the golden vectors hold, "made" where
            they were made of it; otherwise why nothing could be run here.
    """

    data: bytes
    variant: str
    softmax: bool
    golden: str


def pack(
    plain: Path,
    *,
    front_end: Path,
    labels: Path,
    normaliser: Path | None = None,
    temperature: float = 1.0,
    name: str | None = None,
    target: str = "cpu",
    licence: str = LICENCE,
    intended_use: str = INTENDED_USE,
) -> Packed:
    """Puts front end, labels and golden vectors on a plain ``.tflite``.

    A softmax at its end is taken off: the runtime applies it.

    Args:
        plain: A TFLite model of one input (the features, normalised) and one row of outputs.
        front_end: A front end, JSON.
        labels: Name of each class, a line each, in the order of the outputs.
        normaliser: A normaliser, JSON; None for features that are fed as they are.
        temperature: The logits are divided by it before the softmax.
        name: The model's name; None takes the file's.
        target: Where it is meant to run.
        licence: Licence of the weights.
        intended_use: What the model is for and what it is not for.

    Raises:
        PackingRefused: It is no TFLite model, one that cannot be run or computes no numbers, or
            a model file already.
        DescriptionFault: A file that describes it is not as it must be.
        ModelFileError: Graph, front end and labels do not belong together.
        InterpreterError: No interpreter here runs it.
    """
    data, _ = _read(plain)
    spec = read_front_end(front_end)
    named = read_labels(labels)
    normalised = read_normaliser(normaliser, spec)
    graph, softmax = without_softmax(data)
    variant = variant_of(read_graph(graph))
    try:
        packed = package(
            graph,
            name=name or plain.resolve().stem,
            labels=named,
            front_end=spec,
            normaliser=normalised,
            temperature=temperature,
            target=target,
            variant=variant,
            provenance={"packed_from": hashlib.sha256(data).hexdigest()},
            scores={},
            licence=licence,
            intended_use=intended_use,
        )
    except (ModelRejected, UnsupportedTensors, InvokeFailed, NoNumbers) as fault:
        words, _, step = str(fault).partition("; ")
        raise PackingRefused(plain, words, step or "export it again") from None
    return Packed(packed, variant, softmax, "made")


def pack_like(compiled: Path, model: ModelFile, *, target: str | None = None) -> Packed:
    """Gives a compiler's output what the model file had from which it was compiled.

    The graph's bytes stay as the compiler wrote them. The golden vectors are the
    model's own; they are held against the compiled graph where an interpreter here
    can run it.

    Args:
        compiled: What ``edgetpu_compiler``, ``vela`` or another compiler wrote.
        model: What it was given.
        target: Where the result is meant to run; None takes the model's own.

    Raises:
        PackingRefused: It is no TFLite model, a model file already, takes and gives other
            tensors than the model, or computes something else.
        ModelFileError: The parts do not fit together.
    """
    data, graph = _read(compiled)
    before = model.metadata
    fed, given = (_info(graph.tensors[p]) for p in (graph.inputs[0], graph.outputs[0]))
    for role, one, other in (("input", fed, before.input), ("output", given, before.output)):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise PackingRefused(
                compiled,
                f"its {role} is {_words(one)}, that of {model.name} is {_words(other)}",
                "name the model file that it was compiled from",
            )
    metadata = replace(
        before,
        input=fed,
        output=given,
        target=target or before.target,
        provenance=dict(before.provenance) | {"compiled_from": before.flatbuffer_sha256},
    )
    packed = build_model_file(data, metadata, model.golden)
    return Packed(packed, before.variant, False, _golden(compiled, packed))


def _golden(compiled: Path, packed: bytes) -> str:
    made = parse_model_file(packed, str(compiled))
    try:
        report = verify_golden(made, Classifier(made))
    except SerEdgeError as fault:
        # Its next step is another graph; here the graph is right, and this machine is not the one.
        return str(fault).rpartition("; ")[0] or str(fault)
    if not report.passed:
        raise PackingRefused(
            compiled,
            f"computes something else: a probability of the golden clip differs by "
            f"{report.probability_difference:.3f}, at most {report.tolerance:g} is allowed",
            "name the model file that it was compiled from",
        )
    return "held"


def _read(path: Path) -> tuple[bytes, Graph]:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise PackingRefused(path, f"is over {LARGEST_FILE >> 20} MiB", "name a smaller model")
        if MEMBERS[0].encode() in data:
            raise PackingRefused(
                path, "is a model file already", "see what it holds with: ser-edge info"
            )
        graph = read_graph(data)
    except ConversionFailed:
        raise PackingRefused(path, "is no whole TensorFlow Lite model", "export it again") from None
    except FileError:
        raise
    except OSError as fault:
        raise PackingRefused(
            path, (fault.strerror or "cannot be read").lower(), "name the .tflite file"
        ) from None
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise PackingRefused(
            path,
            f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs",
            "export it with one of each",
        )
    return data, graph


def _info(tensor: Tensor) -> TensorInfo:
    """A graph's end as metadata describe it."""
    scale = tensor.scales[0] if tensor.scales and tensor.dtype != "float32" else 0.0
    zero = tensor.zero_points[0] if tensor.zero_points and tensor.dtype != "float32" else 0
    return TensorInfo(tensor.shape, tensor.dtype, scale, zero)


def _words(tensor: TensorInfo) -> str:
    return f"{tensor.dtype} {' x '.join(map(str, tensor.shape))}"
