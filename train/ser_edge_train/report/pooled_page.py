"""The report of pooled runs: ``pooled.json`` for programs, ``pooled.html`` for people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.pooling import pooled_files
from ser_edge_train.report.page import (
    NOTHING,
    environment,
    is_leaky,
    part_values,
    percent,
    policy,
)
from ser_edge_train.report.players import find_players
from ser_edge_train.run_directory import RunDirectory

SHORTEST_RANGE = 3


def write_pooled_report(
    pooled: Mapping[str, Any],
    runs: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
) -> None:
    """Writes ``pooled.json`` and ``pooled.html``.

    Args:
        pooled: What :func:`ser_edge_train.pooling.pool` gave.
        runs: The runs that were pooled; the first one's manifest says where the
            recordings of the page's players lie.
        folder: Where to write; made if it is missing.

    Raises:
        SerEdgeError: The manifest cannot be read.
        OSError: The folder cannot be made or written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    manifest = Manifest.read(RunDirectory.open(next(iter(runs))).manifest)
    shown = [(one["corpus"], one["stem"]) for one in pooled["mistakes"]]
    page = render_pooled(pooled, find_players(manifest, shown, target))
    text = json.dumps(pooled, indent=1, ensure_ascii=False, allow_nan=False)
    json_file, html_file = pooled_files(target)
    write_text_atomically(json_file, text + "\n")
    write_text_atomically(html_file, page)


def render_pooled(pooled: Mapping[str, Any], players: Mapping[Key, str] | None = None) -> str:
    """The page of pooled runs as HTML.

    Args:
        pooled: What :func:`ser_edge_train.pooling.pool` gave.
        players: Address of the recording of a clip, by (corpus, stem).
    """
    heard = dict(players or {})
    template = environment().get_template("pooled.html.j2")
    return template.render(
        pooled=pooled,
        policy=policy(heard),
        protocol=protocol_words(pooled["protocol"]),
        leaky=is_leaky(pooled["protocol"]),
        mean_and_sd=mean_and_sd,
        mistakes=pooled["mistakes"],
        players=heard,
        **part_values(pooled["scores"], pooled["part"]),
    )


def protocol_words(protocol: Mapping[str, Any]) -> str:
    """Name, folds and seeds of a pooled protocol: ``speaker-folds, folds 1 to 5, seed 1``."""
    folds, seeds = _numbers("fold", protocol["folds"]), _numbers("seed", protocol["seeds"])
    return f"{protocol['name']}, {folds}, {seeds}"


def mean_and_sd(moments: Mapping[str, Any]) -> str:
    """Mean and standard deviation in per cent: ``62.3 ± 1.2``; a single value alone."""
    if moments["mean"] is None:
        return NOTHING
    mean = percent(moments["mean"])
    return mean if moments["sd"] is None else f"{mean} ± {percent(moments['sd'])}"


def _numbers(noun: str, numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    whole = list(range(min(numbers), max(numbers) + 1))
    if sorted(numbers) == whole and len(numbers) >= SHORTEST_RANGE:
        return f"{noun}s {whole[0]} to {whole[-1]}"
    return f"{noun}s {', '.join(map(str, numbers))}"
