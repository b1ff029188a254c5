"""The targets' tables of operators: data, one TOML file a target, each with source and date."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.targets import TARGETS


@dataclass(frozen=True)
class Table:
    """What a target documents of its operators.

    Attributes:
        target: Name of the target.
        source: Where the table is from.
        date: When that was read, as 2026-11-21.
        fallback: Table of what runs the operators that are not mapped; empty for a target
            that has nothing to fall back to.
        in_order: Whether all after the first operator that is not mapped falls back too.
        file: Conditions of the file as a whole, as :mod:`ser_edge_convert.lint.file_conditions`
            names them.
        conditions: Those of every operator, as :mod:`ser_edge_convert.lint.conditions` names
            them.
        operators: Those of each operator that maps; one that begins with ``types`` stands
            in place of the general one.
        versions: For each operator the release of TensorFlow Lite that brought each of its
            versions, in their order from 1; empty where a target does not count them.
        custom: Custom operators that run there.
        notes: What is worth knowing whatever the file.
    """

    target: str
    source: str
    date: str
    fallback: str
    in_order: bool
    file: tuple[str, ...]
    conditions: tuple[str, ...]
    operators: dict[str, tuple[str, ...]]
    versions: dict[str, tuple[str, ...]]
    custom: tuple[str, ...]
    notes: tuple[str, ...]

    def conditions_of(self, operator: str) -> tuple[str, ...]:
        """All conditions of an operator that maps."""
        own = self.operators[operator]
        replaced = {line.split()[0] for line in own if line.split()[0] == "types"}
        return (*(line for line in self.conditions if line.split()[0] not in replaced), *own)


@cache
def table_of(target: str) -> Table:
    """The table of a target.

    Raises:
        ConversionRefused: There is none of that name; names those that exist.
    """
    if target not in TARGETS:
        raise ConversionRefused(f"no target {target!r}; choose one of {', '.join(TARGETS)}")
    text = (files(__package__) / "tables" / f"{target}.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)
    versions = values.get("versions", {})
    operators = values.get("operators", {})
    if "like" in values:
        other = table_of(values["like"])
        versions = {**other.versions, **versions}
        operators = {**other.operators, **operators}
    return Table(
        target,
        values["source"],
        values["date"],
        values.get("fallback", ""),
        values.get("in_order", False),
        tuple(values.get("file", ())),
        tuple(values.get("conditions", ())),
        {**dict.fromkeys(versions, ()), **{k: tuple(v) for k, v in operators.items()}},
        {name: tuple(releases) for name, releases in versions.items()},
        tuple(values.get("custom", ())),
        tuple(values.get("notes", ())),
    )
