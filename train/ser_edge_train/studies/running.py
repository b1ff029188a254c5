"""Does the runs of a study, one after the other, and writes after each what is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.networks import NetworkError
from ser_edge_train.progress import EpochReport
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.studies.clock import Clock
from ser_edge_train.studies.folder import Result, StudyFolder, as_json
from ser_edge_train.studies.planning import Job, StudyPlan
from ser_edge_train.studies.scoring import Scorer, of_model_file, of_run
from ser_edge_train.studies.table import study_values, to_csv
from ser_edge_train.training import TrainingInterrupted, train


class StudyInterrupted(SerEdgeError):
    """Ctrl-C; what was reached is in the study's folder."""

    exit_code = 130


class Listener(Protocol):
    """Who listens to a study. Called from the thread that does it."""

    def step(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """``done`` of ``total`` pieces of a stage; the study takes ``seconds_left`` (None: ?)."""

    def begin(self, job: Job, number: int, total: int, seconds_left: float | None) -> None:
        """A run begins, the ``number``-th of ``total``."""

    def guess(self, seconds_left: float) -> None:
        """Once, when the first epoch has shown how long the study will take."""

    def end(self, result: Result, seconds_left: float | None) -> None:
        """A run is finished, and written."""

    def note(self, line: str) -> None:
        """Something worth a line."""


def run_study(
    plan: StudyPlan,
    listener: Listener,
    *,
    store_root: Path,
    processes: int | None = None,
    named: bool = False,
) -> dict[str, Any]:
    """Trains and scores what is not finished yet.

    After each run ``study.json``, ``study.csv`` and ``study.html`` are written anew; killed
    at any instant, the same call goes on: finished runs stay, a begun one is resumed.

    Args:
        plan: The study.
        listener: Told what happens.
        store_root: The feature store's folder.
        processes: Worker processes of the front end; None takes as many as cores.
        named: Whether the variants were asked for by name: one whose network cannot be
            built is refused then, and left out otherwise.

    Returns:
        What ``study.json`` holds in the end.

    Raises:
        StudyInterrupted: Ctrl-C; says how to go on.
        StudyError: The folder cannot be used for this.
        NetworkError: The network of a named variant cannot be built.
        SerEdgeError: A training or a recording; says which and what to do. What was
            finished is written.
    """
    # TensorFlow warns that it is asked to run many networks, which is what a study does.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    StudyFolder(plan).check()
    plan = buildable(plan, refuse=named)
    folder = StudyFolder(plan)
    for variant, reason in plan.left_out:
        listener.note(f"left out: {variant}: {reason}")
    to_do = [job for job in plan.jobs if folder.result(job) is None]
    folder.path.mkdir(parents=True, exist_ok=True)
    # Written before the first run too: it says whose folder this is.
    values = write_study(folder)
    clock = Clock(len(to_do))
    done = len(plan.jobs) - len(to_do)
    try:
        for number, job in enumerate(to_do, done + 1):
            listener.begin(job, number, len(plan.jobs), clock.seconds_left())
            clock.begin()
            whole = folder.state(job) == "to do"
            result = _do(folder, job, _Steps(listener, clock), store_root, processes)
            clock.end(whole=whole)
            values = write_study(folder)
            listener.end(result, clock.seconds_left() if number < len(plan.jobs) else None)
    except (KeyboardInterrupt, TrainingInterrupted):
        finished = sum(folder.result(job) is not None for job in plan.jobs)
        raise StudyInterrupted(
            f"{folder.path}: stopped, {finished} of {len(plan.jobs)} runs are finished; "
            "go on with the same command"
        ) from None
    finally:
        folder.clear_scratch()
    return values


def write_study(folder: StudyFolder) -> dict[str, Any]:
    """Writes what is known of a study: ``study.json``, ``study.csv``, ``study.html``."""
    from ser_edge_train.studies.page import render_study

    values = study_values(folder)
    write_text_atomically(folder.csv, to_csv(values["table"]))
    write_text_atomically(folder.html, render_study(values))
    write_text_atomically(folder.json, as_json(values))
    return values


def buildable(plan: StudyPlan, *, refuse: bool) -> StudyPlan:
    """The plan without the variants whose networks cannot be built of their features.

    Better now than after hours.

    Raises:
        NetworkError: There is one, and ``refuse`` is set.
    """
    from ser_edge_train.networks import build

    tried = set()
    for job in plan.jobs:
        recipe = job.recipe
        if recipe is None or job.variant.name in tried:
            continue
        tried.add(job.variant.name)
        shape, classes = recipe.spec.output_shape, len(recipe.labels)
        try:
            build(recipe.network.name, shape, classes, **recipe.network_parameters)
        except NetworkError as fault:
            if refuse:
                raise NetworkError(f"variant {job.variant.name}: {fault}") from None
            plan = plan.without(job.variant.name, str(fault))
    return plan


def _do(
    folder: StudyFolder, job: Job, steps: _Steps, store_root: Path, processes: int | None
) -> Result:
    """Trains and scores one run."""
    plan = folder.plan
    fit: Mapping[str, Any] = {}
    if job.recipe is not None:
        done = train(
            job.recipe,
            plan.subject.manifest,
            job.run,
            store_root=store_root,
            resume=job.run.recipe.is_file(),
            processes=processes,
            progress=steps,
            partition=plan.partition,
        )
        model = {} if done.report is None else done.report["model"]
        fit = {name: model.get(name) for name in ("parameters", "epochs", "best_epoch")}
    scorer = Scorer(
        plan.subject.manifest,
        plan.subject.clips,
        plan.conditions,
        store_root=store_root,
        scratch=folder.scratch,
        processes=processes,
        progress=lambda done, total: steps.step("scoring", done, total),
    )
    model_path = plan.subject.model
    if model_path is None:
        trained = of_run(job.run, plan.subject.manifest)
    elif model_path.is_dir():
        trained = of_run(RunDirectory(model_path), plan.subject.manifest)
    else:
        trained = of_model_file(model_path)
    return folder.keep(job, scorer.scores(trained), fit)


class _Steps:
    """Passes on what a training tells, with the time that the whole study will take."""

    def __init__(self, listener: Listener, clock: Clock) -> None:
        self._listener = listener
        self._clock = clock

    def step(self, stage: str, done: int, total: int) -> None:
        self._listener.step(stage, done, total, self._clock.seconds_left())

    def epoch(self, report: EpochReport) -> None:
        known = self._clock.seconds_left() is not None
        self._clock.epoch(report.remaining_seconds)
        left = self._clock.seconds_left()
        if not known and left is not None:
            self._listener.guess(left)

    def note(self, line: str) -> None:
        """Nothing: every run would tell the same of its clips."""
