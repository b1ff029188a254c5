"""The metadata that other TFLite tools look for: a TFLITE_METADATA buffer inside the flatbuffer.

The table layouts (slot numbers below) are those of metadata_schema.fbs, file
identifier M001, in github.com/tensorflow/tflite-support. The packages with
generated code for them are broken or gone on current Python releases, and the
few tables that are needed are quickly written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.graph import text_of

BUFFER_NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
# The schema's first release has all that is written here.
_PARSER_VERSION = "1.0.0"
# AudioProperties came with this one.
_AUDIO_PARSER_VERSION = "1.3.0"
_FEATURE_PROPERTIES = 1
_AUDIO_PROPERTIES = 4
_SAMPLE_RATE, _CHANNELS = 0, 1
_AXIS_LABELS = 2
# schema.fbs asks for buffers at multiples of 16; kernels on small devices rely on it.
_ALIGNMENT = 16

Offset = int
Fields = dict[int, Offset]


@dataclass(frozen=True)
class _Tensor:
    """What is said of an input or output.

    Attributes:
        name: Its name.
        description: What it holds.
        kind: Which of the schema's ContentProperties it has.
        properties: Numbers of that table by slot.
    """

    name: str
    description: str
    kind: int
    properties: dict[int, int]


def add_tflite_metadata(
    flatbuffer: bytes,
    *,
    name: str,
    description: str,
    licence: str,
    input_description: str,
    output_description: str,
    labels_file: str = "labels.txt",
) -> bytes:
    """Puts a TFLITE_METADATA buffer into a TFLite model, in place of one that is there.

    The input is declared as features: audio properties would make tools feed
    samples to a graph that takes what the front end computes.

    Args:
        flatbuffer: A TFLite model with one subgraph, one input and one output.
        name: The model's name.
        description: What it is.
        licence: Licence of the weights.
        input_description: What has to be fed.
        output_description: What comes out.
        labels_file: Name of the appended zip's member that names the outputs.

    Returns:
        The model with the buffer; the same input gives the same bytes.
    """
    fed = _Tensor("features", input_description, _FEATURE_PROPERTIES, {})
    given = _Tensor("logits", output_description, _FEATURE_PROPERTIES, {})
    content = _model_metadata(name, description, licence, fed, given, labels_file, _PARSER_VERSION)
    return with_metadata(schema.ModelT.InitFromPackedBuf(flatbuffer, 0), content)


def audio_metadata(
    *, name: str, description: str, licence: str, sample_rate: int, labels_file: str = "labels.txt"
) -> bytes:
    """What goes into the buffer of a model that takes mono samples and gives probabilities.

    Args:
        name: The model's name.
        description: What it is.
        licence: Licence of the weights.
        sample_rate: Hz of the samples.
        labels_file: Name of the appended zip's member that names the outputs.
    """
    described = f"Mono speech at {sample_rate} Hz, full scale = 1, zeros after its end."
    properties = {_SAMPLE_RATE: sample_rate, _CHANNELS: 1}
    fed = _Tensor("samples", described, _AUDIO_PROPERTIES, properties)
    given = _Tensor("probabilities", "A probability for each emotion.", _FEATURE_PROPERTIES, {})
    return _model_metadata(
        name, description, licence, fed, given, labels_file, _AUDIO_PARSER_VERSION
    )


def with_metadata(model: schema.ModelT, content: bytes) -> bytes:
    """The bytes of a model with ``content`` as its TFLITE_METADATA buffer, in place of another.

    Args:
        model: Unpacked; it is changed.
        content: As :func:`audio_metadata` gives it.
    """
    entries = [e for e in model.metadata or [] if text_of(e.name) != BUFFER_NAME]
    kept = {text_of(e.name): e.buffer for e in model.metadata or []}
    if BUFFER_NAME in kept:
        index = kept[BUFFER_NAME]
    else:
        index = len(model.buffers)
        model.buffers.append(schema.BufferT())
    model.buffers[index].data = np.frombuffer(content, np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = BUFFER_NAME, index
    model.metadata = [*entries, entry]
    for buffer in model.buffers:
        buffer.Pack = _aligned_pack(buffer)
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read_tflite_metadata(flatbuffer: bytes) -> bytes | None:
    """The TFLITE_METADATA buffer of a model; None if it has none."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for entry in model.metadata or []:
        if text_of(entry.name) == BUFFER_NAME:
            return bytes(bytearray(model.buffers[entry.buffer].data))
    return None


def _aligned_pack(buffer: Any) -> Callable[[Any], Offset]:
    """BufferT.Pack with the alignment of schema.fbs, which the generated code leaves out."""

    def pack(builder: Any) -> Offset:
        data = None
        if buffer.data is not None and len(buffer.data):
            content = np.asarray(buffer.data, np.uint8).tobytes()
            builder.StartVector(1, len(content), _ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return Offset(schema.BufferEnd(builder))

    return pack


def _model_metadata(
    name: str,
    description: str,
    licence: str,
    fed: _Tensor,
    given: _Tensor,
    labels_file: str,
    parser_version: str,
) -> bytes:
    builder = flatbuffers.Builder(1024)

    def text(value: str) -> Offset:
        return Offset(builder.CreateString(value))

    def content(tensor: _Tensor) -> Offset:
        builder.StartObject(len(tensor.properties))
        for slot, value in tensor.properties.items():
            builder.PrependUint32Slot(slot, value, 0)
        properties = builder.EndObject()
        # Content: content_properties_type 0, content_properties 1, range 2
        builder.StartObject(3)
        builder.PrependUint8Slot(0, tensor.kind, 0)
        builder.PrependUOffsetTRelativeSlot(1, properties, 0)
        return Offset(builder.EndObject())

    def labels() -> Offset:
        file_name, purpose = text(labels_file), text("Names of the classes, a line each.")
        builder.StartObject(4)
        builder.PrependUOffsetTRelativeSlot(0, file_name, 0)
        builder.PrependUOffsetTRelativeSlot(1, purpose, 0)
        builder.PrependInt8Slot(2, _AXIS_LABELS, 0)
        return Offset(builder.EndObject())

    # TensorMetadata: name 0, description 1, content 3, associated_files 6
    def described(tensor: _Tensor) -> Fields:
        return {0: text(tensor.name), 1: text(tensor.description), 3: content(tensor)}

    fed_tensor = _table(builder, 7, described(fed))
    given_tensor = _table(builder, 7, described(given) | {6: _list(builder, [labels()])})
    # SubGraphMetadata: input_tensor_metadata 2, output_tensor_metadata 3
    subgraph = _table(
        builder, 5, {2: _list(builder, [fed_tensor]), 3: _list(builder, [given_tensor])}
    )
    # ModelMetadata: name 0, description 1, subgraph_metadata 3, license 5, min_parser_version 7
    root = _table(
        builder,
        8,
        {
            0: text(name),
            1: text(description),
            3: _list(builder, [subgraph]),
            5: text(licence),
            7: text(parser_version),
        },
    )
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, slots: int, values: Fields) -> Offset:
    builder.StartObject(slots)
    for slot, offset in values.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return Offset(builder.EndObject())


def _list(builder: Any, offsets: Sequence[Offset]) -> Offset:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return Offset(builder.EndVector())
