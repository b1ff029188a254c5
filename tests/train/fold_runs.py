"""Runs of several folds and seeds, as trainings leave them, from made-up answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions
from ser_edge_train.report.content import build_report
from ser_edge_train.run_directory import RunDirectory
from tests.train.sample_run import SPEAKERS, make_run, sample_answers

FOLDS = (1, 2, 3)


def speakers_of(fold: int) -> Callable[[Clip], bool]:
    """Whether a clip's speaker is tested in a fold; TESS has two speakers, and none in fold 3."""

    def choose(clip: Clip) -> bool:
        place = SPEAKERS[clip.corpus].index(clip.speaker)
        return place % (3 if clip.corpus != "tess" else 2) == fold - 1

    return choose


def fold_run(
    folder: Path,
    fold: int,
    seed: int = 1,
    *,
    parts: tuple[str, ...] = ("validation", "test"),
    tested: Callable[[Clip], bool] | None = None,
    **changes: Any,
) -> RunDirectory:
    """A reported run of one fold and seed, in ``folder``, which is not there yet."""
    protocol = {"name": "speaker-folds", "fold": fold, **changes.pop("protocol", {})}
    run = make_run(folder, parts=parts, takes=1, protocol=protocol, seed=seed, **changes)
    manifest, recipe = Manifest.read(run.manifest), run.read_recipe()
    chosen = tested or speakers_of(fold)

    def part_of(clip: Clip) -> str:
        if chosen(clip):
            return "test"
        place = SPEAKERS[clip.corpus].index(clip.speaker)
        return "validation" if place % 5 == 0 and clip.corpus != "tess" else "train"

    partition = Partition.of(manifest.clips, part_of)
    partition.write(run.partition)
    of_clip = {clip.key: part_of(clip) for clip in manifest.clips}
    clips = [clip for clip in manifest.clips if of_clip[clip.key] in parts]
    Predictions.of_clips(
        clips,
        [of_clip[clip.key] for clip in clips],
        recipe.labels,
        sample_answers(recipe, clips, seed=100 * seed + fold),
        recipe.merge,
    ).write(run.predictions)
    # The report without its page, which is not what is pooled and would take most of the time.
    report = build_report(run, manifest, temperature=1.25, parameters=95432)
    run.report_json.write_text(json.dumps(report))
    return run
