"""From a study, a recipe and recordings to the runs that answer it. Trains nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.hints import pinned_hint
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import PROTOCOLS, Partition
from ser_edge_train.plan import GIVEN, make_plan
from ser_edge_train.recipes.schema import Recipe, RecipeError
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.studies.study import Condition, Study, StudyRefused, Variant, changed
from ser_edge_train.teacher_scores import pinned_teacher

SEEDS: Final = 2**32


@dataclass(frozen=True)
class Job:
    """One model to score, and to train if it is not a finished one.

    Attributes:
        variant: What it is of.
        place: Its folder in the study's.
        recipe: Of the training; None for a finished model.
        seed: Of the training; None for a finished model.
    """

    variant: Variant
    place: Path
    recipe: Recipe | None = None
    seed: int | None = None

    @property
    def run(self) -> RunDirectory:
        """Where it is trained."""
        return RunDirectory(self.place)

    @property
    def name(self) -> str:
        """How messages call it: ``only-noise, seed 2``."""
        return self.variant.name if self.seed is None else f"{self.variant.name}, seed {self.seed}"


@dataclass(frozen=True)
class Subject:
    """What is studied, but for the variants.

    Attributes:
        name: The recipe's, or the file's of a finished model.
        digest: SHA-256 of the recipe or of the model.
        manifest: The recordings.
        partition: Which of them train, validate and test.
        clips: The validation clips that are scored.
        model: A finished model: a run or a model file; None: runs are trained.
        recipe: What the variants are made of; None for a finished model.
        notes: Lines for people: what is left out of the recordings, how large the parts are.
        given: Whether a file says the partition, and not the recipe's protocol.
    """

    name: str
    digest: str
    manifest: Manifest
    partition: Partition
    clips: tuple[Clip, ...]
    model: Path | None = None
    recipe: Recipe | None = None
    notes: tuple[str, ...] = ()
    given: bool = False


@dataclass(frozen=True)
class StudyPlan:
    """All that a study is made of. Immutable; threads may share it.

    Attributes:
        study: The question.
        subject: What it is asked of.
        out: The study's folder.
        jobs: What this call asks for.
        all_jobs: What any call could have asked for with the same seeds.
        conditions: Under which each is scored.
        left_out: Variants that the recipe does not bear, and why.
    """

    study: Study
    subject: Subject
    out: Path
    jobs: tuple[Job, ...]
    all_jobs: tuple[Job, ...]
    conditions: tuple[Condition, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def partition(self) -> Partition | None:
        """What divides the clips of every run instead of its recipe's protocol."""
        divided = self.study.one_partition or self.subject.given
        return self.subject.partition if divided else None

    def without(self, variant: str, reason: str) -> StudyPlan:
        """The plan without a variant that turned out to be impossible."""
        return replace(
            self,
            jobs=tuple(job for job in self.jobs if job.variant.name != variant),
            all_jobs=tuple(job for job in self.all_jobs if job.variant.name != variant),
            left_out=(*self.left_out, (variant, reason)),
        )


def recipe_subject(
    recipe: Recipe, manifest: Manifest, partition: Partition | None = None
) -> Subject:
    """What a study of a recipe divides and scores.

    The protocol's seed is held, so that all seeds train, and are scored, on the same
    speakers, and those of the test part are new to every run.

    Args:
        recipe: The recipe.
        manifest: The recordings.
        partition: Divides the clips instead of the recipe's protocol.

    Raises:
        StudyRefused: The recipe tells speakers apart, its protocol leaks, or nobody validates.
        SerEdgeError: As :func:`~ser_edge_train.plan.make_plan`.
    """
    if recipe.target == "speaker":
        raise StudyRefused(
            f"{recipe.name}: its classes are speakers; name a recipe that tells emotions apart"
        )
    if partition is not None:
        recipe = recipe.with_changes(protocol=GIVEN)
    protocol = PROTOCOLS.get(recipe.protocol.name)
    if protocol is not None and protocol.leaky:
        raise StudyRefused(
            f"{recipe.name}: its protocol {recipe.protocol.name} leaks, and a study is scored on "
            "speakers that training has not heard; divide them with --protocol speaker-folds"
        )
    plan = make_plan(_with_held_seed(recipe), manifest, partition)
    clips = tuple(plan.clips("validation"))
    if not clips:
        raise StudyRefused(
            f"{recipe.name}: no speaker validates with {recipe.protocol.name} on these recordings, "
            "and the test part is not looked at; add a corpus or choose another --protocol"
        )
    return Subject(
        plan.recipe.name,
        plan.recipe.digest,
        plan.manifest,
        plan.partition,
        clips,
        recipe=plan.recipe,
        notes=tuple(plan.notes()),
        given=partition is not None,
    )


def plan_of_recipe(
    study: Study,
    subject: Subject,
    out: Path,
    *,
    seeds: int = 3,
    names: Sequence[str] = (),
    recordings: str = "",
) -> StudyPlan:
    """The runs of a study, a variant after the other, each with all its seeds.

    Args:
        study: The study.
        subject: As :func:`recipe_subject` gives it.
        out: The study's folder.
        seeds: How often each variant is trained: with the recipe's seed and those after it.
        names: The variants to run, by name or by pattern; none: the usual ones.
        recordings: Folder of recorded noise.

    Raises:
        StudyRefused: No variant has such a name.
        RecipeError: The recipe does not bear a variant that was named, or a usual one of a
            strict study.
        SerEdgeError: A file that a variant to be run names cannot be used.
    """
    recipe = subject.recipe
    assert recipe is not None
    corpora = subject.manifest.corpora
    variants = study.variants(recipe, corpora)
    chosen = _chosen(study, variants, names)
    jobs: list[Job] = []
    left_out = []
    for variant in variants:
        try:
            jobs += _jobs(subject, variant, out, seeds)
        except RecipeError as fault:
            if (names or study.strict) and variant.name in chosen:
                raise
            if variant.usual:
                left_out.append((variant.name, fault.fault))
        except SerEdgeError:
            # Files of its own, as a teacher's scores, are needed by who asks for it alone.
            if variant.name in chosen or (out / folder_name(variant.name)).exists():
                raise
    return StudyPlan(
        study,
        subject,
        out,
        tuple(job for job in jobs if job.variant.name in chosen),
        tuple(jobs),
        study.conditions(corpora, recordings),
        tuple(left_out),
    )


def conditions_digest(conditions: Sequence[Condition]) -> str:
    """SHA-256 of the conditions: scores made under others are made anew."""
    values = [condition.to_json() for condition in conditions]
    return sha256_hex(json.dumps(values, sort_keys=True).encode())


def _with_held_seed(recipe: Recipe) -> Recipe:
    from ser_edge_train.recipes import recipe_from_dict

    values = recipe.model_dump(mode="json", exclude_none=True)
    values["protocol"]["seed"] = recipe.partition_seed
    return recipe_from_dict(values, recipe.name)


def _chosen(study: Study, variants: Sequence[Variant], names: Sequence[str]) -> set[str]:
    if not names:
        return {variant.name for variant in variants if variant.usual}
    chosen = set()
    for name in names:
        found = {each.name for each in variants if fnmatchcase(each.name, name)}
        if not found:
            known = ", ".join(variant.name for variant in variants)
            raise StudyRefused(f"{name!r} is no variant of {study.name} for this recipe: {known}")
        chosen |= found
    return chosen


def folder_name(variant: str) -> str:
    """The folder of a variant: a corpus may be named as no folder can be."""
    name = quote(variant, safe=" ")
    return name.replace(".", "%2E") if name.startswith((".", "study.")) else name


def _jobs(subject: Subject, variant: Variant, out: Path, seeds: int) -> list[Job]:
    recipe = subject.recipe
    assert recipe is not None
    made = changed(recipe, variant)
    if made.teacher != recipe.teacher:
        # With the digests of its files, as the run will say it: or it could not be gone on with.
        made, _ = pinned_teacher(made, subject.manifest, subject.partition)
        made, _ = pinned_hint(made, subject.partition.clips(subject.manifest, "train"))
    folder = out / folder_name(variant.name)
    found = []
    for number in range(seeds):
        seed = (recipe.seed + number) % SEEDS
        place = folder / f"seed-{seed}"
        found.append(Job(variant, place, made.with_changes(seed=seed), seed))
    return found
