"""The training stage: from a recipe and a manifest to a finished run directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import MissingExtra, SerEdgeError, SpecError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.augmentation.voices import Background
from ser_edge_train.checkpoint import Checkpoint, CheckpointError
from ser_edge_train.errors import PartitionError
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.fine_tuning import FineTuningError, starting_normaliser, starting_run
from ser_edge_train.manifest import Manifest
from ser_edge_train.metrics import fit_temperature
from ser_edge_train.partitions import FOLDS, PARTS, PROTOCOLS, Partition
from ser_edge_train.plan import GIVEN, Plan, make_plan
from ser_edge_train.predictions import Predictions, softmax
from ser_edge_train.progress import Progress, Silence
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.replicas import Replicas
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
        clips: How many clips each part has, augmented copies counted where the
            protocol divides them.
        left_out: How many clips were not used, by the reason, as in a
            :class:`~ser_edge_train.plan.Plan`.
        report: What ``report.json`` holds; None if no part may be scored, which is
            so without validation clips as long as the test part is not scored.
        clean: The training beside it that does not leak, where the protocol does.
    """

    run: RunDirectory
    clips: Mapping[str, int]
    left_out: Mapping[str, int]
    report: Mapping[str, Any] | None
    clean: Trained | None = None


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
    partition: Partition | None = None,
    allow_leaks: bool = False,
    clean: bool = True,
    clean_progress: Progress | None = None,
    replicas: Replicas | None = None,
) -> Trained:
    """Trains as a recipe says, and writes everything that a run directory holds.

    The normaliser is fitted on training clips, the epoch and the temperature are
    chosen on validation clips. Test clips are not looked at unless asked for.

    Where the protocol leaks by definition, the same recipe is trained once more with
    ``speaker-folds``, in the run's folder ``clean``, and the report has both scores.

    Args:
        recipe: The recipe.
        manifest: The recordings; those of corpora that the recipe does not name are ignored.
        run: Where to write: a new or empty folder, or with ``resume`` one that a
            training of the same recipe and recordings was stopped in.
        store_root: The feature store's folder.
        resume: Goes on where the run was stopped; on a finished run it only writes
            predictions and report again, and asks for no training clip.
        processes: Worker processes of the front end; None takes as many as cores.
        progress: Told what happens.
        score_test: Predicts and reports the test part too. Once, when all is chosen.
        partition: Divides the clips instead of the recipe's protocol, which becomes
            "given"; a run that began so keeps it.
        allow_leaks: Trains on a partition that leaks, too; the report says so.
        clean: Whether a leaky protocol's scores get clean ones beside them.
        clean_progress: Told of that second training; None: ``progress`` is.
        replicas: Spreads the fit. Every worker calls this with the same recipe and the
            same recordings, and with a ``run`` of its own; that of the chief is the
            run, the others' hold nothing that is needed afterwards.

    Returns:
        What came of it; of a worker other than the chief without a report.

    Raises:
        TrainingInterrupted: Ctrl-C; says how to go on.
        RunError: The folder cannot be used for this; ``RunBusy`` if another training has it.
        RecipeError: The recipe's protocol is "given", and no partition is.
        LeakyPartition: The partition leaks what its protocol rules out.
        PartitionError: These clips cannot be divided so, or the figure beside a leaky
            one would not be clean.
        NothingToTrain: No clip of the manifest is of use to the recipe.
        MissingExtra: Keras or TensorFlow is not installed.
        SerEdgeError: Recordings, checkpoint or fit; says which and what to do.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(run)
    tell = progress or Silence()
    if partition is not None:
        recipe = recipe.with_changes(protocol=GIVEN)
    elif recipe.protocol.name == GIVEN and resume and run.partition.is_file():
        partition = Partition.read(run.partition)
    plan = make_plan(recipe, manifest, partition, allow_leaks=allow_leaks)
    recipe = plan.recipe
    source = starting_run(plan)
    if source is not None and replicas is not None:
        raise FineTuningError(
            source.path, "is fine-tuned by one process alone", "leave out --strategy"
        )
    # A network that has heard everybody can have no clean twin.
    twin = clean_recipe(recipe) if clean and source is None else None
    if twin is not None:
        _check_clean(twin, manifest)
    # Before anything is written: a folder of noise may be missing.
    store = FeatureStore(store_root, recipe.spec, recipe.augmentation.waveform, recipe.seed)
    if resume:
        run.check_resumable(recipe)
    else:
        run.create(recipe)
    how: dict[str, Any] = {
        "processes": processes,
        "score_test": score_test,
        "replicas": replicas,
    }
    with run.lock():
        try:
            _keep_or_compare(run, plan)
            for line in plan.notes():
                tell.note(line)
            trained = _train(plan, run, store, resume, tell=tell, source=source, **how)
        except KeyboardInterrupt:
            raise TrainingInterrupted(
                f"{run.path}: stopped, {_kept(run, recipe)}; go on with the same command "
                "and --resume"
            ) from None
        finally:
            run.clear_scratch()
        if twin is None:
            return trained
        tell.note(f"the clean figure: {twin.name} with {twin.protocol.name}, in {run.clean.path}")
        beside = train(
            twin,
            manifest,
            run.clean,
            store_root=store_root,
            resume=run.clean.recipe.is_file(),
            progress=clean_progress or tell,
            **how,
        )
        return _side_by_side(trained, beside)


def clean_recipe(recipe: Recipe) -> Recipe | None:
    """The recipe with ``speaker-folds`` in place of a protocol that leaks; None if it does not.

    The fold keeps its number; beyond five they count from 1 again.
    """
    protocol = PROTOCOLS.get(recipe.protocol.name)
    if protocol is None or not protocol.leaky:
        return None
    fold = (recipe.protocol.fold - 1) % len(FOLDS) + 1
    return recipe.with_changes(protocol="speaker-folds", fold=fold)


def _check_clean(twin: Recipe, manifest: Manifest) -> None:
    """Makes sure that the twin can be trained, and that its figure will be clean."""
    what = "the clean figure beside a leaky one"
    if twin.teacher is not None:
        # A table names one partition, here the leaky one, or none.
        raise PartitionError(
            f"{what}: the teacher of {twin.teacher.scores} may have heard who is tested there; "
            "do without it: --no-clean"
        )
    try:
        make_plan(twin, manifest)
    except PartitionError as fault:
        raise PartitionError(f"{what}: {fault}; or do without it: --no-clean") from None


def _side_by_side(trained: Trained, clean: Trained) -> Trained:
    """Writes the clean scores into the report of the leaky training."""
    report = trained.report
    if report is not None and clean.report is not None:
        beside = {name: clean.report[name] for name in ("protocol", "scores")}
        report = write_report(trained.run, clean=beside)
    return replace(trained, report=report, clean=clean)


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
    store: FeatureStore,
    resume: bool,
    *,
    processes: int | None,
    tell: Progress,
    score_test: bool,
    replicas: Replicas | None,
    source: RunDirectory | None,
) -> Trained:
    fitting = _import_fitting()
    recipe = plan.recipe
    ended = _ended(fitting, recipe, run) if resume and replicas is None else None
    looked_at = [
        part
        for part in PARTS
        if (part != "train" or ended is None) and (part != "test" or score_test)
    ]
    rows = {part: plan.utterances(part) for part in looked_at}

    voices = recipe.augmentation.voices
    behind = None if voices is None else Background.of(voices, recipe.seed, plan.clips("train"))

    def features_of(part: str) -> npt.NDArray[Any]:
        return store.matrix(
            rows[part],
            run.scratch / f"{part}.npy",
            processes,
            _step(tell, f"features of {part}"),
            behind if part == "train" else None,
        )

    everything = [row for part in looked_at for row in rows[part]]
    store.fill(plan.manifest, everything, processes, _step(tell, "frames"))
    features = {part: features_of(part) for part in looked_at}
    if ended is not None:
        fitted, normaliser = ended
    elif source is None:
        normaliser = Normaliser.fit(
            features["train"][start : start + ROWS] for start in range(0, len(rows["train"]), ROWS)
        )
    else:
        normaliser = starting_normaliser(source)
    write_text_atomically(run.normaliser, normaliser.to_json() + "\n")
    parts = {}
    for part in looked_at:
        choices = plan.choices(part)
        clips = [clip for clip, _ in rows[part][:: choices + 1]]
        parts[part] = plan.part(clips, features[part], choices, taught=part == "train")
    if ended is None:
        given = (recipe, parts["train"], parts["validation"], normaliser, run)
        if source is None:
            fitted = fitting.fit(*given, resume=resume, progress=tell, replicas=replicas)
        else:
            fitted = fitting.fine_tune(*given, source.model, resume=resume, progress=tell)
    counts = {part: len(plan.partition.copies(plan.manifest, part)) for part in PARTS}
    if replicas is not None and not replicas.chief:
        return Trained(run, counts, plan.left_out, None)
    scored = [part for part in looked_at if part != "train" and rows[part]]
    logits = {part: fitting.predict(run.model, parts[part].features, normaliser) for part in scored}
    temperature = 1.0
    if "validation" in scored:
        checked = parts["validation"]
        found = fit_temperature(logits["validation"], checked.labels, checked.allowed)
        temperature = round(found, TEMPERATURE_DIGITS)
    report = None
    if scored:
        answered = [(part, clip, copy) for part in scored for clip, copy in rows[part]]
        Predictions.of_clips(
            [clip for _, clip, _ in answered],
            [part for part, _, _ in answered],
            recipe.labels,
            softmax(np.concatenate([logits[part] for part in scored]), temperature),
            copies=[copy for _, _, copy in answered],
            truth=[plan.label_of(clip) for _, clip, _ in answered],
        ).write(run.predictions)
        report = write_report(run, temperature=temperature, parameters=fitted.parameters)
    else:
        tell.note("no validation clips: no report until the test part is scored (--score-test)")
    return Trained(run, counts, plan.left_out, report)


def _ended(fitting: Any, recipe: Recipe, run: RunDirectory) -> tuple[Any, Normaliser] | None:
    """A finished fit and its normaliser, for which no training clip is needed any more.

    None where anything of them is not there or not whole: going on makes it anew.
    """
    fitted = fitting.finished(recipe, run)
    try:
        normaliser = Normaliser.from_json(run.normaliser.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, SpecError):
        return None
    return None if fitted is None else (fitted, normaliser)


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
