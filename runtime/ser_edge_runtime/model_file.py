"""The model file: a ``.tflite`` that carries all that is needed to use it.

After the flatbuffer comes a zip of three stored members, ``ser_edge.json``,
``labels.txt`` and ``golden.npz``, its offsets counted from the beginning of the
file: TFLite tools see the graph, zip tools the members. The same inputs give
the same bytes. Every byte is accounted for: the flatbuffer by its SHA-256 in
``ser_edge.json``, the zip by being the one zip that its members can have, the
members by their CRC-32.

The checks are against damage and accident. They are no signature: who can
rewrite the whole file can make another valid one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from os import PathLike, fspath
from os.path import isdir, lexists
from typing import TYPE_CHECKING

from ser_edge_runtime import stored_zip
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import (
    FlatbufferDigestMismatch,
    GoldenInvalid,
    LabelsMismatch,
    ModelTooLarge,
    NoMetadata,
    NotAModel,
    UnexpectedMember,
    UnreadableModel,
    ZipNotCanonical,
)
from ser_edge_runtime.metadata import FORMAT_VERSION, Metadata, TensorInfo, check_fit
from ser_edge_runtime.records import record

if TYPE_CHECKING:
    from pathlib import Path

    from ser_edge_runtime.golden import Golden

__all__ = [
    "FORMAT_VERSION",
    "Metadata",
    "ModelFile",
    "TensorInfo",
    "build_model_file",
    "default_model_path",
    "find_model",
    "parse_model_file",
    "read_model_bytes",
    "read_model_file",
]

LARGEST_FILE = 64 << 20
LARGEST_ZIP = 4 << 20
LARGEST_MEMBER = 2 << 20
MEMBERS = ("ser_edge.json", "labels.txt", "golden.npz")
_IDENTIFIER = b"TFL3"


@record(eq=False)
class ModelFile:
    """A model that was read and found whole. Immutable; threads may share it.

    Attributes:
        name: Where it came from; errors name it.
        flatbuffer: The verified TFLite bytes: what an interpreter is given.
        metadata: What is known of the model.
        golden_npz: The golden vectors, unread.
    """

    name: str
    flatbuffer: bytes
    metadata: Metadata
    golden_npz: bytes

    @cached_property
    def golden(self) -> Golden:
        """The golden vectors, read on first use.

        Raises:
            GoldenInvalid: They cannot be read or do not fit the model.
        """
        from ser_edge_runtime.golden import BadGolden, Golden

        try:
            golden = Golden.from_bytes(self.golden_npz)
        except BadGolden as fault:
            raise GoldenInvalid(self.name, f"golden.npz: {fault}") from None
        if golden.sample_rate != self.metadata.front_end.sample_rate:
            raise GoldenInvalid(self.name, "golden.npz: the clip has another sample rate")
        if golden.features.shape != self.metadata.front_end.output_shape:
            raise GoldenInvalid(self.name, "golden.npz: the features have another shape")
        if golden.probabilities.shape != (len(self.metadata.labels),):
            raise GoldenInvalid(self.name, "golden.npz: other classes than the model's")
        return golden


def default_model_path() -> Path:
    """Where the model that comes with the package lies."""
    from pathlib import Path

    return Path(__file__).parent / "models" / "default.tflite"


def find_model(model: str | PathLike[str] | None = None) -> str:
    """The file of a model.

    Args:
        model: A file, which is returned as it is; where there is none, the name of a model
            that comes with the package, as ``"default"``; or None, the default model.

    Returns:
        Its path, whether or not it is there.
    """
    if model is None:
        return str(default_model_path())
    given = fspath(model)
    if given.isidentifier() and not lexists(given):
        return str(_carried().get(given, given))
    return given


def _carried() -> dict[str, Path]:
    """The models that come with the package, by name."""
    return {path.stem: path for path in sorted(default_model_path().parent.glob("*.tflite"))}


def read_model_file(path: str | PathLike[str]) -> ModelFile:
    """Reads a model file and checks all of it but the golden vectors.

    Args:
        path: The file.

    Raises:
        ModelFileError: It cannot be read or breaks a rule of the format; the
            subclass says which.
    """
    return parse_model_file(read_model_bytes(path), fspath(path))


def read_model_bytes(path: str | PathLike[str]) -> bytes:
    """The bytes of a file, unchecked, and no more than one too many for a model file.

    Args:
        path: The file, or a folder with slots: then that of the model in use; or a name, as
            :func:`find_model` takes it.

    Raises:
        UnreadableModel: It cannot be read.
        SlotsFault: The slots hold no model that is whole.
    """
    path = find_model(path)
    try:
        try:
            with open(path, "rb") as stream:  # noqa: PTH123 - pathlib costs a cold start 3 ms
                return stream.read(LARGEST_FILE + 1)
        except OSError:
            if isdir(path):  # noqa: PTH112 - as above
                # Only now: a cold start with a file must not pay for what slots need.
                from ser_edge_runtime.slots import current_bytes, has_slots

                if has_slots(path):
                    return current_bytes(path)
            raise
    except OSError as fault:
        words = (fault.strerror or "cannot be read").lower()
        if path.isidentifier() and isinstance(fault, FileNotFoundError):
            words += f", and no model that comes with ser-edge ({', '.join(_carried())})"
        raise UnreadableModel(path, words) from None


def parse_model_file(data: bytes, name: str) -> ModelFile:
    """Checks the bytes of a model file, as :func:`read_model_file` does.

    Args:
        data: The whole file.
        name: Names it in errors.

    Raises:
        ModelFileError: As :func:`read_model_file`.
    """
    if len(data) > LARGEST_FILE:
        raise ModelTooLarge(name, f"over {LARGEST_FILE >> 20} MiB")
    if data[4:8] != _IDENTIFIER:
        raise NotAModel(name, "not a TFLite model" if data else "an empty file, not a model")
    start, members = _split(data, name)
    flatbuffer = data[:start]
    # A whole model file with another zip behind it: which of the two is meant?
    if MEMBERS[0].encode() + b'{"' in flatbuffer:
        raise ZipNotCanonical(name, "it carries its metadata twice")
    metadata = Metadata.from_json(members[MEMBERS[0]], name)
    if sha256_hex(flatbuffer) != metadata.flatbuffer_sha256:
        raise FlatbufferDigestMismatch(name, "the graph's bytes are not those that were packed")
    if members[MEMBERS[1]] != _labels_text(metadata):
        raise LabelsMismatch(name, "labels.txt and ser_edge.json name different labels")
    check_fit(metadata, name)
    return ModelFile(name, flatbuffer, metadata, members[MEMBERS[2]])


def build_model_file(flatbuffer: bytes, metadata: Metadata, golden: Golden) -> bytes:
    """Writes a model file; the same inputs give the same bytes.

    Args:
        flatbuffer: The TFLite bytes, as compilers leave them: packing runs last.
        metadata: What is known of the model; its format version and its digest
            of the flatbuffer are set here.
        golden: The golden vectors.

    Raises:
        ModelFileError: The result would break a rule of the format, and says
            which; so nothing is built that could not be read.
    """
    metadata = replace(
        metadata,
        format_version=FORMAT_VERSION,
        flatbuffer_sha256=sha256_hex(flatbuffer),
    )
    contents = (metadata.to_json().encode(), _labels_text(metadata), golden.to_bytes())
    members = dict(zip(MEMBERS, contents, strict=True))
    data = flatbuffer + stored_zip.build(members, len(flatbuffer))
    _ = parse_model_file(data, metadata.name).golden
    return data


def _split(data: bytes, name: str) -> tuple[int, dict[str, bytes]]:
    if MEMBERS[0].encode() not in data:
        # Other tools append a zip as well, with a label file alone.
        raise NoMetadata(name)
    if not stored_zip.ends_with_zip(data):
        raise ZipNotCanonical(name, "metadata: something is missing or added at the end")
    try:
        start, members = stored_zip.parse(
            data, most_members=len(MEMBERS), largest_zip=LARGEST_ZIP, largest_member=LARGEST_MEMBER
        )
    except stored_zip.TooLarge as fault:
        raise ModelTooLarge(name, f"metadata: {fault}") from None
    except stored_zip.BadZip as fault:
        raise ZipNotCanonical(name, f"metadata: {fault}") from None
    if tuple(members) != MEMBERS:
        found = ", ".join(members)[:100] or "nothing"
        raise UnexpectedMember(name, f"metadata: {found} instead of {', '.join(MEMBERS)}")
    return start, members


def _labels_text(metadata: Metadata) -> bytes:
    return "".join(f"{label}\n" for label in metadata.labels).encode()
