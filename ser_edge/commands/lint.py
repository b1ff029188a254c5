"""``ser-edge lint``: which operators of a model a target can run, and why not the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ser_edge.extras import need
from ser_edge.output import Output, output_options
from ser_edge_convert.targets import TARGETS
from ser_edge_runtime.errors import SerEdgeError

if TYPE_CHECKING:
    from ser_edge_convert.lint import Finding, Report

_MOST_POSITIONS = 6


@click.command(
    "lint",
    epilog="""\b
Examples:
  ser-edge lint model.tflite
  ser-edge lint model.tflite --target edgetpu --target ethos-u
  ser-edge lint other.tflite --target micro --operators
  ser-edge lint npu.tflite --target ethos-u --accelerator ethos-u65-256 --json

MODEL is a model file or any .tflite. Each operator is mapped, left to the processor (cpu), or
missing: nothing there can run it. The tables are the targets' own, with source and date. Where
a target's compiler is installed (vela for ethos-u: pip install 'ser-edge[vela]';
edgetpu_compiler on the PATH; the package tflite-micro for micro), it runs too and has the last
word. Exit code 1 when a target cannot run a model.""",
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(list(TARGETS)),
    help="Where it shall run; may be given several times. By default what the model file says.",
)
@click.option(
    "--accelerator",
    default="ethos-u55-128",
    show_default=True,
    metavar="NAME",
    help="Which Ethos-U vela compiles for.",
)
@click.option(
    "--compiler/--no-compiler", default=True, help="Run the target's own compiler, if it is there."
)
@click.option("--operators", is_flag=True, help="List every operator by itself.")
@output_options()
def command(
    models: tuple[str, ...],
    targets: tuple[str, ...],
    accelerator: str,
    compiler: bool,
    operators: bool,
    output: Output,
) -> int:
    """Show which operators of a model a target can run.

    And why it cannot run the others, by the target's documented table.
    """
    need("convert", "linting", "flatbuffers", "ai_edge_litert")
    from ser_edge_convert.lint.compilers import ACCELERATORS

    if accelerator not in ACCELERATORS:
        raise click.BadParameter(
            f"{accelerator!r} is none of {', '.join(ACCELERATORS)}", param_hint="--accelerator"
        )
    for path in models:
        try:
            _lint(path, targets, accelerator if compiler else None, operators, output)
        except SerEdgeError as fault:
            if len(models) == 1:
                raise
            output.error(fault, {"path": path, "error": str(fault)})
    return output.exit_code


def _lint(
    path: str,
    targets: tuple[str, ...],
    accelerator: str | None,
    operators: bool,
    output: Output,
) -> None:
    from ser_edge_convert.errors import ConversionFailed
    from ser_edge_convert.lint import lint
    from ser_edge_convert.lint.compilers import compile_for
    from ser_edge_convert.lint.reading import read_flatbuffer

    flatbuffer, made_for = read_flatbuffer(path)
    chosen = targets or ((made_for,) if made_for in TARGETS else ())
    if not chosen:
        raise click.UsageError(
            f"{path} does not say where it shall run: give --target, one of {', '.join(TARGETS)}"
        )
    for target in chosen:
        try:
            report = lint(flatbuffer, target)
        except ConversionFailed as fault:
            raise ConversionFailed(f"{path}: {fault}") from None
        if accelerator is not None:
            with output.progress("compiling") as progress:
                progress(0, 0)
                compilation = compile_for(flatbuffer, target, accelerator=accelerator)
            report = replace(report, compilation=compilation)
        output.record({"path": path, **report.to_dict()})
        for line in _lines(path, report, operators):
            output.text(line)
        if not report.runs:
            output.error(f"{path}: {report.verdict}")


def _lines(path: str, report: Report, operators: bool) -> list[str]:
    rows = [[finding] for finding in report.findings] if operators else _alike(report.findings)
    width = max((len(row[0].operator) for row in rows), default=0)
    lines = [f"{path}: {report.verdict}"]
    for row in rows:
        first = row[0]
        where = _positions(row)
        why = f"  {'; '.join(first.reasons)}" if first.reasons else ""
        lines.append(f"  {first.status.value:<8}{first.operator:<{width}}  {where}{why}")
    compiled = report.compilation
    if compiled is not None:
        facts = ", ".join(f"{key} {value}" for key, value in compiled.summary.items())
        lines.append(f"  {compiled.compiler}: {facts or compiled.message}")
        for operator, name, why in compiled.unmapped:
            lines.append(f"    left out: {' '.join(filter(None, (operator, name)))}: {why}")
    lines.extend(f"  note: {note}" for note in report.notes)
    lines.append(f"  table: {report.source}, read {report.date}")
    return lines


def _alike(findings: tuple[Finding, ...]) -> list[list[Finding]]:
    """Operators of one name and one fate together, in the order of the first."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.operator, finding.status, finding.reasons), []).append(finding)
    return list(groups.values())


def _positions(row: list[Finding]) -> str:
    shown = [
        str(finding.position) if finding.graph == 0 else f"{finding.graph}.{finding.position}"
        for finding in row[:_MOST_POSITIONS]
    ]
    more = f", ... ({len(row)} in all)" if len(row) > _MOST_POSITIONS else ""
    return f"at {', '.join(shown)}{more}"
