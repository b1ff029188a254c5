"""Holds every operator of a graph to a target's table."""

from __future__ import annotations

from dataclasses import replace

from ser_edge_convert.graph import Graph, Operator, read_graphs
from ser_edge_convert.lint import conditions, file_conditions
from ser_edge_convert.lint.report import Finding, Report, Status, is_leading_conversion
from ser_edge_convert.lint.tables import Table, table_of

OLDEST_RUNTIME = "2.14.0"
"""Release of tflite-runtime, the oldest interpreter that this project runs on."""


def lint(flatbuffer: bytes, target: str) -> Report:
    """What a target makes of each operator of a file, by the target's documented table.

    Nothing is run and nothing but the bytes is looked at: a compiler, where there is one,
    knows better (:mod:`ser_edge_convert.lint.compilers`).

    Args:
        flatbuffer: A TensorFlow Lite file; a zip behind it does no harm.
        target: One of :data:`ser_edge_convert.targets.TARGETS`.

    Raises:
        ConversionRefused: No target has that name.
        ConversionFailed: The bytes are no TensorFlow Lite file.
    """
    table = table_of(target)
    graphs = read_graphs(flatbuffer)
    findings = tuple(
        _finding(table, number, position, operator, graph)
        for number, graph in enumerate(graphs)
        for position, operator in enumerate(graph.operators)
    )
    if table.fallback:
        findings = tuple(_in_a_body(finding) for finding in findings)
    if table.in_order:
        findings = _in_order(findings)
    faults = (file_conditions.failed(line, graphs[0]) for line in table.file)
    return Report(
        table.target,
        table.source,
        table.date,
        bool(table.fallback),
        table.in_order,
        findings,
        tuple(fault for fault in faults if fault),
        (*table.notes, *_release_notes(table, graphs)),
    )


def _in_a_body(finding: Finding) -> Finding:
    """No accelerator takes loops or branches, so their bodies run where these do."""
    if finding.graph == 0 or finding.status is not Status.MAPPED:
        return finding
    return replace(finding, status=Status.CPU, reasons=("stands in the body of a loop or branch",))


def _in_order(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Lets all fall back that stands behind the first operator that does."""
    kept: list[Finding] = []
    first: Finding | None = None
    for finding in findings:
        if first is not None and finding.status is Status.MAPPED:
            why = f"stands after {first.operator} ({first.position}), which is not mapped"
            finding = replace(finding, status=Status.CPU, reasons=(why,))
        elif first is None and finding.status is not Status.MAPPED:
            # What makes the input 8-bit runs before the accelerator starts.
            first = None if is_leading_conversion(finding, kept) else finding
        kept.append(finding)
    return tuple(kept)


def _finding(table: Table, number: int, position: int, operator: Operator, graph: Graph) -> Finding:
    status, reasons = _status(table, operator, graph)
    outputs = conditions.given(operator, graph)
    return Finding(
        number,
        position,
        operator.custom or operator.name,
        operator.version,
        outputs[0].name if outputs else "",
        status,
        reasons,
    )


def _status(table: Table, operator: Operator, graph: Graph) -> tuple[Status, tuple[str, ...]]:
    reasons = _reasons(table, operator, graph)
    if not reasons:
        return Status.MAPPED, ()
    if not table.fallback:
        return Status.MISSING, reasons
    behind = table_of(table.fallback)
    left = _reasons(behind, operator, graph)
    if left:
        return Status.MISSING, (*reasons, *(f"{behind.target}: {line}" for line in left))
    return Status.CPU, reasons


def _reasons(table: Table, operator: Operator, graph: Graph) -> tuple[str, ...]:
    if operator.name == "CUSTOM":
        return () if operator.custom in table.custom else ("a custom operator",)
    if operator.name not in table.operators:
        return ("not in the target's table",)
    releases = table.versions.get(operator.name)
    if releases and operator.version > len(releases):
        return (f"version {operator.version} is unknown, {len(releases)} is the newest",)
    lines = table.conditions_of(operator.name)
    found = (conditions.failed(line, operator, graph) for line in lines)
    return tuple(reason for reason in found if reason)


def _release_notes(table: Table, graphs: tuple[Graph, ...]) -> list[str]:
    """Which release of TensorFlow Lite a file needs, where the table knows."""
    needs = [
        (_release(table.versions[operator.name][operator.version - 1]), operator)
        for graph in graphs
        for operator in graph.operators
        if 0 < operator.version <= len(table.versions.get(operator.name, ()))
    ]
    if not needs:
        return []
    newest, operator = max(needs, key=lambda found: found[0])
    needed = table.versions[operator.name][operator.version - 1]
    line = f"needs TensorFlow Lite {needed} or later ({operator.name} version {operator.version})"
    if newest > _release(OLDEST_RUNTIME):
        line += f": not tflite-runtime {OLDEST_RUNTIME}"
    return [line]


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
