"""Writes docs/lint.md: ``python docs/make_lint.py MODEL... > docs/lint.md``.

Each model is held to the tables of Ethos-U and of TensorFlow Lite Micro and given to the
compiler and the interpreter of these targets; how far both agree is what the page says.
Needs vela and tflite-micro: pip install ethos-u-vela tflite-micro pyyaml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ser_edge_convert.lint import Report, Status, lint
from ser_edge_convert.lint.compilers import Compilation, compile_for
from ser_edge_convert.lint.reading import read_flatbuffer
from ser_edge_convert.lint.tables import TARGETS, table_of

INTRODUCTION = """\
# Lint: what a target makes of a model

`ser-edge lint MODEL --target NAME` holds each operator of a `.tflite` to the target's documented
table and says where it runs: *mapped* to the target, left to the *cpu* beside it, or *missing*:
nothing there has a kernel for it. Exit code 1 when the target cannot run the model.

The tables are data, `convert/ser_edge_convert/lint/tables/*.toml`:

| target | operators | source | read |
|---|---|---|---|
"""
COMPARISON = """
Two targets have judges of their own, which run where they are installed and have the last word:
vela for Ethos-U, the interpreter of TensorFlow Lite Micro for microcontrollers. Both were asked
about the same models (`python docs/make_lint.py MODEL...`): those that ship, and that of the
recipe `cnn-lstm-ravdess` in every variant of `ser-edge convert --variant all`. *Same* means:
for vela, the same operators by name left to the processor, or both refuse; for TensorFlow Lite
Micro, both run the model or both refuse it. Vela's times are estimates of its own; the arena is
counted with the pointers of a 64-bit machine.

| model | target | by the table | by its judge | same |
|---|---|---|---|---|
"""


def main(models: list[str]) -> None:
    """Prints the page."""
    print(INTRODUCTION, end="")
    for target in TARGETS:
        table = table_of(target)
        print(f"| {target} | {len(table.operators)} | {table.source} | {table.date} |")
    print(COMPARISON, end="")
    for name in models:
        flatbuffer, _ = read_flatbuffer(name)
        for target in ("ethos-u", "micro"):
            judged = compile_for(flatbuffer, target)
            if judged is None:
                raise SystemExit(f"the judge of {target} is not installed")
            print(row(Path(name).stem, lint(flatbuffer, target), judged))


def row(name: str, report: Report, judged: Compilation) -> str:
    """A line of the comparison."""
    counts = report.counts
    total = sum(counts.values())
    table = f"{counts['mapped']} of {total}" if report.runs else "refused"
    facts = ", ".join(f"{k} {v}" for k, v in judged.summary.items() if k != "accelerator")
    verdict = f"{judged.compiler}: {facts or 'runs'}" if judged.accepted else "refused"
    left = sorted((f.operator, f.output) for f in report.findings if f.status is not Status.MAPPED)
    same = report.runs == judged.accepted
    if report.target == "ethos-u" and judged.accepted:
        same = same and left == sorted(unmapped[:2] for unmapped in judged.unmapped)
    return f"| {name} | {report.target} | {table} | {verdict} | {'yes' if same else '**no**'} |"


if __name__ == "__main__":
    main(sys.argv[1:])
