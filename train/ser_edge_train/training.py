"""The training stage: from a recipe and a manifest to a finished run directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import MissingExtra, SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.checkpoint import Checkpoint, CheckpointError
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.metrics import fit_temperature
from ser_edge_train.partitions import Partition
from ser_edge_train.plan import Plan, make_plan
from ser_edge_train.predictions import Predictions, softmax
from ser_edge_train.progress import Progress, Silence
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.report import write_report
from ser_edge_train.run_directory import RunDirectory, RunError

ROWS = 256
# Below any printed precision of a probability; a temperature's digits beyond it are noise.
TEMPERATURE_DIGITS = 4


class TrainingInterrupted(SerEdgeError):
    """Ctrl-C; what was reached is in the run directory."""

    exit_code = 130


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    Attributes:
        run: Its directory.
        clips: How many clips each part has.
        left_out: How many clips were not used, by the reason: a fault of the
            recording, or "label NAME" for an emotion that the recipe does not have.
        report: What ``report.json`` holds; None if no part may be scored, which is
            so without validation clips as long as the test part is not scored.
    """

    run: RunDirectory
    clips: Mapping[str, int]
    left_out: Mapping[str, int]
    report: Mapping[str, Any] | None


def train(
    recipe: Recipe,
    manifest: Manifest,
    run: RunDirectory | str | os.PathLike[str],
    *,
    store_root: str | os.PathLike[str],
    resume: bool = False,
    processes: int | None = None,
    progress: Progress | None = None,
    score_test: bool = False,
) -> Trained:
    """Trains as a recipe says, and writes everything that a run directory holds.

    The normaliser is fitted on training clips, the epoch and the temperature are
    chosen on validation clips. Test clips are not looked at unless asked for.

    Args:
        recipe: The recipe.
        manifest: The recordings; those of corpora that the recipe does not name are ignored.
        run: Where to write: a new or empty folder, or with ``resume`` one that a
            training of the same recipe and recordings was stopped in.
        store_root: The feature store's folder.
        resume: Goes on where the run was stopped; on a finished run it only writes
            predictions and report again.
        processes: Worker processes of the front end; None takes as many as cores.
        progress: Told what happens.
        score_test: Predicts and reports the test part too. Once, when all is chosen.

    Returns:
        What came of it.

    Raises:
        TrainingInterrupted: Ctrl-C; says how to go on.
        RunError: The folder cannot be used for this; ``RunBusy`` if another training has it.
        RecipeError: The recipe names an unknown protocol.
        NothingToTrain: No clip of the manifest is of use to the recipe.
        MissingExtra: Keras or TensorFlow is not installed.
        SerEdgeError: Recordings, checkpoint or fit; says which and what to do.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(run)
    tell = progress or Silence()
    plan = make_plan(recipe, manifest)
    if resume:
        run.check_resumable(recipe)
    else:
        run.create(recipe)
    with run.lock():
        try:
            _keep_or_compare(run, plan)
            for line in plan.notes():
                tell.note(line)
            return _train(plan, run, Path(store_root), resume, processes, tell, score_test)
        except KeyboardInterrupt:
            raise TrainingInterrupted(
                f"{run.path}: stopped, {_kept(run, recipe)}; go on with the same command "
                "and --resume"
            ) from None
        finally:
            run.clear_scratch()


def _keep_or_compare(run: RunDirectory, plan: Plan) -> None:
    """Writes manifest, partition and front end; in a run that has them they must be the same."""
    for path, read, digest, fault in (
        (run.manifest, Manifest.read, plan.manifest.digest, "other recordings"),
        (run.partition, Partition.read, plan.partition.digest, "another partition"),
    ):
        if path.is_file() and read(path).digest != digest:
            raise RunError(
                run.path, f"began with {fault}", "name the same data or train anew elsewhere"
            )
    # The manifest's root may have moved: it is written anew.
    plan.manifest.write(run.manifest)
    plan.partition.write(run.partition)
    write_text_atomically(run.front_end, plan.recipe.spec.to_json() + "\n")


def _train(
    plan: Plan,
    run: RunDirectory,
    store_root: Path,
    resume: bool,
    processes: int | None,
    tell: Progress,
    score_test: bool,
) -> Trained:
    fitting = _import_fitting()
    waveform = plan.recipe.augmentation.waveform
    store = FeatureStore(store_root, plan.recipe.spec, waveform, plan.recipe.seed)
    clips = {part: plan.clips(part) for part in ("train", "validation", "test")}
    looked_at = [part for part in clips if part != "test" or score_test]
    rows = {part: [(clip, 0) for clip in clips[part]] for part in looked_at}
    if waveform is not None:
        rows["train"] = with_copies(clips["train"], waveform.copies)

    def features_of(part: str) -> npt.NDArray[Any]:
        return store.matrix(
            rows[part],
            run.scratch / f"{part}.npy",
            processes,
            _step(tell, f"features of {part}"),
        )

    everything = [row for part in looked_at for row in rows[part]]
    store.fill(plan.manifest, everything, processes, _step(tell, "frames"))
    features = {part: features_of(part) for part in looked_at}
    normaliser = Normaliser.fit(
        features["train"][start : start + ROWS] for start in range(0, len(rows["train"]), ROWS)
    )
    write_text_atomically(run.normaliser, normaliser.to_json() + "\n")
    # How many copies stand behind each utterance of a part, for an epoch to choose from.
    behind = dict.fromkeys(looked_at, 0)
    if waveform is not None and waveform.use == "one":
        behind["train"] = waveform.copies
    parts = {
        part: plan.part([clip for clip, _ in rows[part][:: count + 1]], features[part], count)
        for part, count in behind.items()
    }
    fitted = fitting.fit(
        plan.recipe,
        parts["train"],
        parts["validation"],
        normaliser,
        run,
        resume=resume,
        progress=tell,
    )
    scored = [part for part in looked_at if part != "train" and clips[part]]
    logits = {part: fitting.predict(run.model, parts[part].features, normaliser) for part in scored}
    temperature = 1.0
    if "validation" in scored:
        checked = parts["validation"]
        found = fit_temperature(logits["validation"], checked.labels, checked.allowed)
        temperature = round(found, TEMPERATURE_DIGITS)
    report = None
    if scored:
        names = [part for part in scored for _ in clips[part]]
        Predictions.of_clips(
            [clip for part in scored for clip in clips[part]],
            names,
            plan.recipe.labels,
            softmax(np.concatenate([logits[part] for part in scored]), temperature),
            plan.recipe.merge,
        ).write(run.predictions)
        report = write_report(run, temperature=temperature, parameters=fitted.parameters)
    else:
        tell.note("no validation clips: no report until the test part is scored (--score-test)")
    counts = {part: len(members) for part, members in clips.items()}
    return Trained(run, counts, plan.left_out, report)


def with_copies(clips: Sequence[Clip], copies: int) -> list[tuple[Clip, int]]:
    """Every clip, as copy 0, with its changed copies behind it."""
    return [(clip, copy) for clip in clips for copy in range(copies + 1)]


def _step(tell: Progress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: tell.step(stage, done, total)


def _import_fitting() -> Any:
    try:
        from ser_edge_train import fitting
    except ModuleNotFoundError as fault:
        if fault.name is not None and fault.name.split(".")[0] in ("keras", "tensorflow"):
            raise MissingExtra("training", "train") from None
        raise
    return fitting


def _kept(run: RunDirectory, recipe: Recipe) -> str:
    try:
        done = Checkpoint.read(run.checkpoint).epoch
    except CheckpointError:
        done = 0
    return f"{done} of {recipe.fit.epochs} epochs are kept"
