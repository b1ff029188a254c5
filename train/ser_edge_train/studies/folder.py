"""A study's folder: its runs, and what came of them. Every file is whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.studies.planning import Job, StudyPlan, conditions_digest
from ser_edge_train.studies.study import StudyError

SCHEMA_VERSION: Final = 1
SCORES: Final = "study-scores.json"
"""Beside a run's own files: what it scored under each condition."""

ELSEWHERE: Final = "name another folder with --out"


@dataclass(frozen=True)
class Result:
    """A finished run and its scores.

    Attributes:
        job: What it is of.
        values: What its file holds: ``scores``, by condition and group, and of a training
            ``epochs`` and ``best_epoch``.
    """

    job: Job
    values: Mapping[str, Any]


class StudyFolder:
    """The files of a study. Making one touches nothing.

    Args:
        plan: The study.
    """

    def __init__(self, plan: StudyPlan) -> None:
        self.plan = plan
        self.path = plan.out
        self.json = plan.out / "study.json"
        self.csv = plan.out / "study.csv"
        self.html = plan.out / "study.html"
        self.scratch = plan.out / ".scratch"

    def check(self) -> None:
        """Makes sure that what is in the folder belongs to this study.

        Raises:
            StudyError: It holds another study, other things, or cannot be read.
            RunError: A run in it is of another recipe; names the first field that differs.
            RecipeError: A run's recipe cannot be read.
        """
        try:
            there = sorted(entry.name for entry in self.path.iterdir())
        except FileNotFoundError:
            return
        except OSError as fault:
            raise StudyError(self.path, f"cannot be used ({fault.strerror})", ELSEWHERE) from None
        if self.json.name in there:
            self._check_identity()
        else:
            others = [name for name in there if not name.startswith(f".{self.json.name}.")]
            if others:
                raise StudyError(self.path, f"holds other things ({others[0]})", ELSEWHERE)
        for job in self.plan.all_jobs:
            if job.recipe is not None and job.run.recipe.is_file():
                job.run.check_resumable(job.recipe)

    def state(self, job: Job) -> str:
        """How far a run is: "finished", "begun" or "to do"."""
        if self.result(job) is not None:
            return "finished"
        begun = job.recipe is not None and job.run.recipe.is_file()
        return "begun" if begun else "to do"

    def result(self, job: Job) -> Result | None:
        """What a run scored; None where it is not finished, or was scored otherwise."""
        try:
            values = json.loads((job.place / SCORES).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(values, dict) or values.get("of") != self._of(job):
            return None
        return Result(job, values)

    def keep(self, job: Job, scores: Mapping[str, Any], fit: Mapping[str, Any]) -> Result:
        """Writes what a run scored: with it the run is finished.

        Args:
            job: The run.
            scores: By condition and group.
            fit: What is to be known of its training.
        """
        values = {"of": self._of(job), **fit, "scores": scores}
        job.place.mkdir(parents=True, exist_ok=True)
        write_text_atomically(job.place / SCORES, as_json(values))
        return Result(job, values)

    def results(self) -> list[Result]:
        """All finished runs of the study, those of earlier calls too, in its order."""
        found = (self.result(job) for job in self.plan.all_jobs)
        return [result for result in found if result is not None]

    def clear_scratch(self) -> None:
        """Removes what only a running study needs."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def identity(self) -> dict[str, str]:
        """What calls that share a folder must agree on."""
        subject = self.plan.subject
        return {
            "study": self.plan.study.name,
            "recordings": subject.manifest.digest,
            "partition": subject.partition.digest,
            "model": "" if subject.model is None else subject.digest,
        }

    def _of(self, job: Job) -> dict[str, str]:
        """What the scores of a run hang on."""
        subject = self.plan.subject
        return {
            "model": subject.digest if job.recipe is None else job.recipe.digest,
            "recordings": subject.manifest.digest,
            "partition": subject.partition.digest,
            "conditions": conditions_digest(self.plan.conditions),
        }

    def _check_identity(self) -> None:
        try:
            values = json.loads(self.json.read_text(encoding="utf-8"))
            found = values["identity"]
            different = [name for name, value in self.identity().items() if found[name] != value]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise StudyError(self.json, "is no study's", ELSEWHERE) from None
        if different == []:
            return
        what = different[0]
        fault = {
            "study": f"holds the study {found['study']}",
            "recordings": "began with other recordings",
            "partition": "began with another partition",
            "model": "began with another model",
        }[what]
        raise StudyError(self.path, fault, f"name the same or {ELSEWHERE}")


def as_json(values: Mapping[str, Any]) -> str:
    """The text of a JSON file: the same values give the same bytes."""
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
