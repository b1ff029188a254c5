"""A study of variants that a file names: ``ser-edge study own --trials FILE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ser_edge_train.recipes.schema import Recipe, shown_key
from ser_edge_train.recipes.table import Table
from ser_edge_train.studies.study import Study, StudyError, Variant
from ser_edge_train.toml_text import NotToml, parse_toml

REPAIR = "see docs/studies.md"


class Trial(Table):
    """One variant, as the file says it.

    Attributes:
        name: Of its folder, and in tables.
        summary: What it is, in a few words.
        base: The trial, further up in the file, whose changes are done first.
        changes: Values by dotted fields of the recipe, in this order; "" takes a field out.
        usual: False for one that is run only when it is named.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    summary: Annotated[str, Field(min_length=1, max_length=200)]
    base: str | None = None
    changes: dict[str, Any] = Field(default_factory=dict)
    usual: bool = True


class _File(Table):
    trial: Annotated[list[Trial], Field(min_length=1)]


def own_study(study: Study, path: str | PathLike[str]) -> Study:
    """The study with the variants of a file, beside the recipe as it is.

    Args:
        study: The one without variants of its own.
        path: A TOML file of tables ``[[trial]]``.

    Raises:
        StudyError: The file is missing, no TOML, or a trial in it is out of order.
    """
    trials = _read(Path(path))
    known: dict[str, Mapping[str, Any]] = {}
    variants = [Variant(study.baseline, "the recipe as it is")]
    for trial in trials:
        if trial.name in known or trial.name == study.baseline:
            raise StudyError(path, f"the name {trial.name!r} stands twice", REPAIR)
        if trial.base is not None and trial.base not in known:
            fault = f"{trial.name}: no trial above it is called {trial.base!r}"
            raise StudyError(path, fault, REPAIR)
        own = {field: None if value == "" else value for field, value in trial.changes.items()}
        known[trial.name] = {**known.get(trial.base or "", {}), **own}
        variants.append(Variant(trial.name, trial.summary, known[trial.name], usual=trial.usual))

    def given(recipe: Recipe, corpora: Sequence[str]) -> tuple[Variant, ...]:
        return tuple(variants)

    return replace(study, variants=given)


def _read(path: Path) -> list[Trial]:
    try:
        values = parse_toml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise StudyError(path, "not TOML: no text in UTF-8", "write it as that") from None
    except NotToml as fault:
        raise StudyError(path, str(fault), fault.remedy) from None
    except (OSError, ValueError) as fault:
        words = getattr(fault, "strerror", None) or fault
        raise StudyError(path, f"cannot be read ({words})", "check the name") from None
    try:
        return _File.model_validate(values).trial
    except (ValidationError, RecursionError) as faults:
        if isinstance(faults, RecursionError):
            raise StudyError(path, "nested too deeply", REPAIR) from None
        first = faults.errors()[0]
        where = ".".join(shown_key(part) for part in first["loc"])
        raise StudyError(path, f"{where}: {first['msg'].lower()}", REPAIR) from None
