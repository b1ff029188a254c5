"""The models that ship beside each other, as the table that every card has of them."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from ser_edge.scores import score_rows
from ser_edge_convert.card.tables import percent
from ser_edge_runtime.licences import corpora_of, product_answer
from ser_edge_runtime.model_file import parse_model_file, read_model_bytes

_CORPORA = ("crema-d", "ravdess")


def family_table(models: Iterable[str | PathLike[str]]) -> list[str]:
    """A row a model file, the smallest first: its size, its test scores, whether a product may
    have it.

    Args:
        models: The files. What they say of themselves is all that is read.

    Raises:
        SerEdgeError: A file cannot be read.
    """
    read = [(Path(path).stem, read_model_bytes(path)) for path in models]
    lines = [
        "| `--model` | KB | classes | UAR on CREMA-D | UAR on RAVDESS | in a product |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, data in sorted(read, key=lambda one: (len(one[1]), one[0])):
        metadata = parse_model_file(data, name).metadata
        scores = {row.corpus: row.uar for row in score_rows(metadata.scores) if row.part == "test"}
        uars = [percent(scores[corpus]) if corpus in scores else "" for corpus in _CORPORA]
        corpora = corpora_of(metadata.provenance, metadata.scores)
        answer, _, _ = product_answer(corpora, metadata.licence).partition(":")
        lines.append(
            f"| `{name}` | {len(data) / 1000:.0f} | {len(metadata.labels)} | {' | '.join(uars)} "
            f"| {answer.lower()} |"
        )
    return lines
