"""What disturbed recordings cost a recipe's models: ``docs/robustness.json``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final

from ser_edge_convert.audit.differences import Pair, differences
from ser_edge_convert.audit.reference import Reference, check_alike
from ser_edge_convert.audit.separation import check_speakers
from ser_edge_convert.audit.subjects import Group, grouped, read_subjects
from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.robustness.answering import answers
from ser_edge_convert.robustness.sampling import sample
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train.disturbances import CLEAN, Disturbance
from ser_edge_train.evaluation import score_together
from ser_edge_train.predictions import Predictions

SCHEMA_VERSION: Final = 1
BOUND: Final = 0.05
"""The most that a disturbance may cost: five points of UAR."""

Progress = Callable[[str, int, int], None]


def measure(
    references: Sequence[Reference],
    models: Iterable[str | PathLike[str]],
    disturbances: Sequence[Disturbance],
    folder: Path,
    *,
    clips: int | None = None,
    seed: int = 0,
    processes: int | None = None,
    interpreter: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Asks a recipe's model files what they hear in disturbed recordings.

    Args:
        references: The runs that the files were made from, of one recipe.
        models: Of every form (float32, int8) a file for each run.
        disturbances: The clean recording first, then what it is compared with.
        folder: Keeps the answers; the same call goes on where it was stopped.
        clips: Only so many, as :func:`~ser_edge_convert.robustness.sampling.sample` chooses.
        seed: Of that choice.
        processes: As for :func:`~ser_edge_convert.robustness.answering.answers`.
        interpreter: As there.
        progress: Called with (stage, clips done, clips in all).

    Returns:
        Plain values. ``rows`` has for each form, disturbance and corpus ``clips``, ``speakers``,
        ``uar``, ``lost`` (clean minus disturbed, the same clips), ``interval`` (95 %, paired, by
        bootstrap over speakers; None for one speaker) and ``within`` the bound.

    Raises:
        ConversionRefused: No run, no file, or the first disturbance is one.
        AuditRefused: The comparison would prove nothing; says why.
        SerEdgeError: A file, a recording or a run cannot be read; names it.
    """
    if not references or not disturbances or disturbances[0] != CLEAN:
        raise ConversionRefused("a run is needed, and the clean recordings to compare with")
    check_alike(references)
    for reference in references:
        check_speakers(reference)
    subjects = read_subjects(models, references)
    if not subjects:
        raise ConversionRefused("no model file to measure; name one")
    groups = grouped(subjects, references)
    places = sample([one.answers for one in references], clips, seed)
    heard = [place for place in zip(references, places, strict=True) if place[1]]
    found: dict[tuple[str, str], list[Predictions]] = {}
    for what in disturbances:
        for reference, chosen in heard:
            fold = reference.inputs.recipe.protocol.fold
            stage = f"fold {fold}, {what.name}"
            mine = [_of(group, reference) for group in groups]
            tables = answers(
                reference, chosen, mine, what, folder, processes=processes,
                interpreter=interpreter, tell=partial(progress, stage),
            )  # fmt: skip
            for group, table in zip(groups, tables, strict=True):
                found.setdefault((group.name, what.name), []).append(table)
    allowed = references[0].allowed
    recipe = references[0].inputs.recipe
    every = [row for one in references for row in one.answers]
    asked = [row for table in found[groups[0].name, CLEAN.name] for row in table]
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe.name,
        "protocol": recipe.protocol.name,
        "part": references[0].part,
        "bound": BOUND,
        "clips": len(asked),
        "of": len(every),
        "seed": None if clips is None else seed,
        "speakers": len({row.speaker_key for row in asked}),
        "runs": [reference.facts() for reference in references],
        "interpreter": Interpreter(
            groups[0].subjects[0].model.flatbuffer, backend=interpreter
        ).backend,
        "as_reported": _as_reported(heard, found[groups[0].name, CLEAN.name]),
        "forms": [_form(group) for group in groups],
        "disturbances": [{"name": what.name, "meaning": what.meaning} for what in disturbances],
        "rows": [
            row
            for group in groups
            for what in disturbances
            for row in _rows(
                group.name,
                what.name,
                found[group.name, CLEAN.name],
                found[group.name, what.name],
                allowed,
            )
        ],
    }


def _of(group: Group, reference: Reference) -> Any:
    return next(one for one in group.subjects if one.reference is reference)


def _form(group: Group) -> dict[str, Any]:
    return {
        "form": group.name,
        "variant": group.variant,
        "files": [
            {"fold": one.reference.inputs.recipe.protocol.fold, "sha256": one.data_sha256}
            for one in group.subjects
        ],
    }


def _rows(
    form: str,
    name: str,
    clean: Sequence[Predictions],
    disturbed: Sequence[Predictions],
    allowed: Any,
) -> list[dict[str, Any]]:
    pairs = [
        Pair(str(number), before, after, 0.0)
        for number, (before, after) in enumerate(zip(clean, disturbed, strict=True))
    ]
    corpora = differences(pairs, allowed)["corpora"]
    scores = score_together(list(disturbed), allowed)["corpora"]
    return [
        {
            "form": form,
            "disturbance": name,
            "corpus": corpus,
            "clips": scores[corpus]["clips"],
            "speakers": scores[corpus]["speakers"],
            "uar": scores[corpus]["uar"],
            "uar_interval": scores[corpus]["uar_interval"],
            "lost": one["drop"],
            "interval": one["interval"],
            "within": one["drop"] <= BOUND,
        }
        for corpus, one in corpora.items()
    ]


def _as_reported(
    heard: Sequence[tuple[Reference, Sequence[int]]], clean: Sequence[Predictions]
) -> int:
    """How many clean answers of the first form are those of the runs' own predictions."""
    same = 0
    for (reference, places), table in zip(heard, clean, strict=True):
        before = reference.answers.probabilities[list(places)].argmax(axis=1)
        same += int((before == table.probabilities.argmax(axis=1)).sum())
    return same
