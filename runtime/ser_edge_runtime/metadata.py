"""What a model file says of its model: ``ser_edge.json``, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from ser_edge_runtime.errors import (
    MetadataInvalid,
    SpecError,
    SpecTensorMismatch,
    UnknownFormatVersion,
)
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_runtime.records import record

FORMAT_VERSION = 2

# Element types that a model's input and output may have; the integers are quantised.
DTYPES = ("float32", "int8", "uint8", "int16")
# An utterance of an hour has a tenth of this; more would only exhaust a device.
LARGEST_INPUT = 1 << 24
# Tables in tables in lists: what a reader that goes down into each may have to hold.
_DEEPEST = 32
_LONGEST_NAME = 200


@record()
class TensorInfo:
    """An input or output of a graph.

    Attributes:
        shape: All axes, the batch (always 1) first.
        dtype: "float32", "int8", "uint8" or "int16".
        scale: Real value of one quantum; 0 for float32.
        zero_point: The integer that stands for zero; 0 for float32.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantised(self) -> bool:
        """Whether values stand for ``scale * (integer - zero_point)``."""
        return self.dtype != "float32"


@record()
class Metadata:
    """What is known of a model beside its graph. Immutable; threads may share it.

    Attributes:
        format_version: Version of the file format.
        name: The model's name, one line.
        labels: Name of each class, in the order of the outputs.
        front_end: What computes the features.
        normaliser: What they are normalised with; one value a feature.
        temperature: The logits are divided by it before the softmax.
        input: The graph's input.
        output: The graph's output: logits.
        target: Where the model is meant to run, as "cpu".
        variant: Its arithmetic, as "float32" or "int8".
        flatbuffer_sha256: SHA-256 of the TFLite bytes, in hex.
        provenance: Digests, seeds and versions of what it was made from.
        scores: Measured scores and the protocol they were measured with.
        licence: Licence of the weights.
        intended_use: What the model is for and what it is not for.
    """

    format_version: int
    name: str
    labels: tuple[str, ...]
    front_end: FrontEndSpec
    normaliser: Normaliser
    temperature: float
    input: TensorInfo
    output: TensorInfo
    target: str
    variant: str
    flatbuffer_sha256: str
    provenance: dict[str, Any]
    scores: dict[str, Any]
    licence: str
    intended_use: str

    def to_json(self) -> str:
        """The canonical JSON: sorted keys, no spaces; equal metadata give equal text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["front_end"] = self.front_end.to_dict()
        values["normaliser"] = self.normaliser.to_dict()
        for name in ("input", "output"):
            values[name] = {f.name: getattr(values[name], f.name) for f in fields(TensorInfo)}
        return json.dumps(
            values, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: bytes, path: str) -> Metadata:
        """Reads what :meth:`to_json` wrote, in UTF-8.

        Args:
            text: The JSON.
            path: Names the model in errors.

        Raises:
            UnknownFormatVersion: A later version wrote it.
            MetadataInvalid: It is not JSON, or a field is unknown, missing or ill-typed.
        """
        values = _parse_json(text, path)
        version = values.get("format_version")
        if type(version) is not int or version < 1:
            raise MetadataInvalid(path, "metadata: format_version must be a whole number from 1")
        if version > FORMAT_VERSION:
            raise UnknownFormatVersion(
                path, f"written in format {version}, this version reads up to {FORMAT_VERSION}"
            )
        try:
            _require_names(values, set(_READERS), "metadata")
            return cls(**{name: read(values[name], name) for name, read in _READERS.items()})
        except (_Invalid, SpecError) as fault:
            # A hostile field may be a megabyte long; the message stays a line.
            raise MetadataInvalid(path, str(fault)[:300]) from None


def check_fit(metadata: Metadata, path: str) -> None:
    """Holds front end, normaliser and labels to the tensors.

    Raises:
        SpecTensorMismatch: They do not belong together; says which.
    """
    try:
        features = metadata.front_end.output_shape
    except SpecError as fault:
        raise SpecTensorMismatch(path, str(fault)) from None
    if metadata.input.shape != (1, *features):
        raise SpecTensorMismatch(
            path,
            f"the front end gives {_shape((1, *features))}, "
            f"the graph takes {_shape(metadata.input.shape)}",
        )
    if math.prod(features) > LARGEST_INPUT:
        raise SpecTensorMismatch(path, f"the graph takes over {LARGEST_INPUT} values")
    if len(metadata.normaliser.mean) != features[-1]:
        raise SpecTensorMismatch(
            path,
            f"the normaliser has {len(metadata.normaliser.mean)} features, "
            f"the front end {features[-1]}",
        )
    if metadata.output.shape != (1, len(metadata.labels)):
        raise SpecTensorMismatch(
            path,
            f"{len(metadata.labels)} labels, the graph gives {_shape(metadata.output.shape)}",
        )


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


class _Invalid(Exception):
    """A field is not as it must be; the text says which and how."""


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What ``json.loads`` makes a table of; of a name that stands twice it would keep the last.

    Args:
        pairs: The table's names and values, as ``object_pairs_hook`` is given them.

    Raises:
        ValueError: A name stands twice.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the name {name[:40]!a} stands twice in one table")
        values[name] = value
    return values


def _parse_json(text: bytes, path: str) -> dict[str, Any]:
    def no_constants(name: str) -> Any:
        raise _Invalid(f"{name} is no number")

    try:
        values = json.loads(
            text.decode("utf-8"), object_pairs_hook=unique_names, parse_constant=no_constants
        )
    except (ValueError, RecursionError, _Invalid) as fault:
        raise MetadataInvalid(path, f"metadata: not strict JSON ({fault})") from None
    if not isinstance(values, dict):
        raise MetadataInvalid(path, "metadata: a table is expected")
    if _depth(values) > _DEEPEST:
        raise MetadataInvalid(path, f"metadata: nested over {_DEEPEST} deep")
    return values


def _depth(value: Any) -> int:
    """Levels of tables and lists, counted no further than they are allowed."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        inner = [v for each in level for v in (each.values() if isinstance(each, dict) else each)]
        level = [v for v in inner if isinstance(v, dict | list)]
        depth += 1
    return depth


def _require_names(values: dict[str, Any], names: set[str], where: str) -> None:
    for problem, odd in (("unknown", set(values) - names), ("missing", names - set(values))):
        if odd:
            raise _Invalid(f"{where}: {problem} field {min(odd)!r}")


def _require(condition: bool, name: str, rule: str) -> None:
    if not condition:
        raise _Invalid(f"metadata: {name} must be {rule}")


def _line(value: Any, name: str) -> str:
    _require(isinstance(value, str) and value.isprintable() and bool(value), name, "a line of text")
    return str(value)


def _text(value: Any, name: str) -> str:
    plain = isinstance(value, str) and all(c.isprintable() or c == "\n" for c in value)
    _require(plain, name, "text")
    return str(value)


def _labels(value: Any, name: str) -> tuple[str, ...]:
    _require(isinstance(value, list) and len(value) >= 2, name, "a list of at least two")
    labels = tuple(_line(label, name) for label in value)
    _require(len(set(labels)) == len(labels), name, "different from one another")
    return labels


def _whole(value: Any, name: str, low: int, high: int) -> int:
    _require(type(value) is int and low <= value <= high, name, f"a whole number {low} to {high}")
    return int(value)


def _real(value: Any, name: str, low: float, high: float) -> float:
    _require(
        type(value) in (int, float) and low <= value <= high, name, f"a number {low} to {high}"
    )
    return float(value)


def _tensor(value: Any, name: str) -> TensorInfo:
    _require(isinstance(value, dict), name, "a table")
    _require_names(value, {field.name for field in fields(TensorInfo)}, f"metadata: {name}")
    _require(isinstance(value["shape"], list) and bool(value["shape"]), f"{name}.shape", "a list")
    _require(value["dtype"] in DTYPES, f"{name}.dtype", f"one of {', '.join(DTYPES)}")
    tensor = TensorInfo(
        shape=tuple(_whole(axis, f"{name}.shape", 1, 1 << 31) for axis in value["shape"]),
        dtype=value["dtype"],
        scale=_real(value["scale"], f"{name}.scale", 0, 1e30),
        zero_point=_whole(value["zero_point"], f"{name}.zero_point", -32768, 32767),
    )
    _require(
        tensor.scale > 0 if tensor.quantised else (tensor.scale, tensor.zero_point) == (0, 0),
        f"{name}.scale",
        "above 0 for integers and 0 for float32",
    )
    return tensor


def _digest(value: Any, name: str) -> str:
    hexadecimal = isinstance(value, str) and len(value) == 64
    _require(hexadecimal and set(value) <= set("0123456789abcdef"), name, "64 hexadecimal digits")
    return str(value)


def _table(value: Any, name: str) -> dict[str, Any]:
    _require(isinstance(value, dict), name, "a table")
    _require_plain(value, name)
    return dict(value)


def _require_plain(value: Any, name: str) -> None:
    """Holds all text in ``value`` to what a terminal may be shown, all numbers to finite ones."""
    if isinstance(value, str):
        _text(value, name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _line(key, name)
            _require_plain(inner, f"{name}.{key}"[:_LONGEST_NAME])
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner, name)
    elif isinstance(value, float):
        _require(math.isfinite(value), name, "finite")


def _front_end(value: Any, name: str) -> FrontEndSpec:
    try:
        return FrontEndSpec.from_dict(value)
    except (TypeError, OverflowError):
        # Values that no dataclass field can even be compared with: lists as keys, huge integers.
        raise _Invalid(f"metadata: {name} must be a front-end specification") from None


def _normaliser(value: Any, name: str) -> Normaliser:
    _require(isinstance(value, dict), name, "a table")
    for values in value.values():
        numbers = isinstance(values, list) and {type(v) for v in values} <= {int, float}
        _require(numbers, name, "lists of numbers")
    # A number too large for float32 becomes infinite and is then refused.
    with np.errstate(over="ignore"):
        return Normaliser.from_dict(value)


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "format_version": lambda value, name: value,
    "name": _line,
    "labels": _labels,
    "front_end": _front_end,
    "normaliser": _normaliser,
    "temperature": lambda value, name: _real(value, name, 1e-3, 1e3),
    "input": _tensor,
    "output": _tensor,
    "target": _line,
    "variant": _line,
    "flatbuffer_sha256": _digest,
    "provenance": _table,
    "scores": _table,
    "licence": _text,
    "intended_use": _text,
}
