"""``ser-edge info``: what a model file says of itself."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_edge.describe import describe_front_end
from ser_edge.output import Output, output_options
from ser_edge.scores import (
    conversion_loss,
    other_scores,
    protocol_words,
    row_line,
    score_rows,
)
from ser_edge_runtime.wording import counted

if TYPE_CHECKING:
    from ser_edge_runtime.model_file import Metadata, TensorInfo

_HEADING = 14
_MOST_SHOWN = 12


@click.command(
    "info",
    epilog="""\b
Examples:
  ser-edge info
  ser-edge info model.tflite --json""",
)
@click.argument("model", required=False)
@output_options()
def command(model: str | None, output: Output) -> int:
    """Show what a model file holds.

    Labels, front end, tensors, measured scores and their protocol, digests of the data it
    was made from, whether it may be used in a product, licence and intended use. Without
    MODEL, the default model's.
    """
    from ser_edge_runtime.model_file import find_model, parse_model_file, read_model_bytes

    path = Path(find_model(model))
    data = read_model_bytes(path)
    metadata = parse_model_file(data, str(path)).metadata
    size = len(data)
    output.record(_values(path, size, metadata))
    for heading, lines in _sections(path, size, metadata):
        for number, line in enumerate(lines):
            output.text(f"{'' if number else heading:<{_HEADING}}{line}")
    return output.exit_code


def _values(path: Path, size: int, metadata: Metadata) -> dict[str, Any]:
    return {
        "path": str(path),
        "bytes": size,
        "name": metadata.name,
        "format_version": metadata.format_version,
        "labels": list(metadata.labels),
        "front_end": metadata.front_end.to_dict(),
        "front_end_sha256": metadata.front_end.digest,
        "temperature": metadata.temperature,
        "input": _tensor_values(metadata.input),
        "output": _tensor_values(metadata.output),
        "target": metadata.target,
        "variant": metadata.variant,
        "flatbuffer_sha256": metadata.flatbuffer_sha256,
        "provenance": _plain(metadata.provenance),
        "scores": _plain(metadata.scores),
        "licence": metadata.licence,
        "product_use": _product_use(metadata),
        "intended_use": metadata.intended_use,
    }


def _tensor_values(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _sections(path: Path, size: int, metadata: Metadata) -> Iterator[tuple[str, list[str]]]:
    yield "model", [metadata.name]
    yield "file", [f"{path} ({size / 1000:.0f} KB, format {metadata.format_version})"]
    yield "variant", [f"{metadata.variant}, made for {metadata.target}"]
    yield "labels", [", ".join(metadata.labels)]
    yield "front end", describe_front_end(metadata.front_end)
    yield "input", [_tensor_words(metadata.input)]
    yield "output", [f"{_tensor_words(metadata.output)}, temperature {metadata.temperature:.3g}"]
    yield "scores", _score_lines(metadata.scores) or ["none recorded"]
    yield "provenance", list(_tree(metadata.provenance)) or ["none recorded"]
    yield "flatbuffer", [f"sha256 {metadata.flatbuffer_sha256}"]
    yield "in a product", [_product_use(metadata)]
    yield "licence", _wrap(metadata.licence)
    yield "intended use", _wrap(metadata.intended_use)


def _product_use(metadata: Metadata) -> str:
    """The line of the model's card, too."""
    from ser_edge_runtime.licences import corpora_of, product_answer

    return product_answer(corpora_of(metadata.provenance, metadata.scores), metadata.licence)


def _score_lines(scores: Mapping[str, Any]) -> list[str]:
    lines = [protocol_words(scores), *map(row_line, score_rows(scores))]
    loss = conversion_loss(scores)
    if loss is not None:
        lines.append(
            f"conversion: UAR {100 * loss.uar[0]:.1f} to {100 * loss.uar[1]:.1f} %, accuracy "
            f"{100 * loss.accuracy[0]:.1f} to {100 * loss.accuracy[1]:.1f} % "
            f"on {counted(loss.clips, 'validation clip')}"
        )
    return [line for line in lines if line] + list(_tree(other_scores(scores)))


def _tensor_words(tensor: TensorInfo) -> str:
    words = f"{tensor.dtype} {' x '.join(map(str, tensor.shape))}"
    if tensor.scale:
        words += f" (scale {tensor.scale:g}, zero point {tensor.zero_point})"
    return words


def _wrap(text: str) -> list[str]:
    return [line for part in text.splitlines() for line in textwrap.wrap(part, 80) or [""]]


def _plain(value: Any) -> Any:
    """``value`` with read-only mappings and tuples as JSON has them."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _tree(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Nested values as indented lines; numbers shortened to what a person reads."""
    for key, value in values.items():
        if isinstance(value, Mapping | list | tuple) and len(value) > _MOST_SHOWN:
            yield f"{indent}{key}: {len(value)} values, all with --json"
        elif isinstance(value, Mapping):
            yield f"{indent}{key}"
            yield from _tree(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_words(item) for item in value)
    return str(value)
