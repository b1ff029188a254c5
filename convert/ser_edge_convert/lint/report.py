"""What linting found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from ser_edge_convert.lint.compilers import Compilation

REPORT_VERSION = 1


class Status(StrEnum):
    """Where an operator runs."""

    MAPPED = "mapped"
    """On the target itself, as its table says."""
    CPU = "cpu"
    """On the processor beside an accelerator, or on a device without acceleration of it."""
    MISSING = "missing"
    """Nowhere: neither the target nor what it falls back to has a kernel for it."""


@dataclass(frozen=True)
class Finding:
    """One operator.

    Attributes:
        graph: 0 for the main graph, otherwise that of a loop's or a branch's body.
        position: In the order they run, from 0.
        operator: Its name, or that of a custom operator.
        version: Its version.
        output: Name of its first output: compilers call operators by it.
        status: Where it runs.
        reasons: Why it is not mapped; empty if it is.
    """

    graph: int
    position: int
    operator: str
    version: int
    output: str
    status: Status
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All of a file on one target. Immutable; threads may share it.

    Attributes:
        target: Name of the target.
        source: Where its table is from.
        date: When that was read.
        accelerator: Whether there is a processor beside the target to fall back to.
        in_order: Whether all after the first operator that is not mapped falls back too.
        findings: One for each operator.
        faults: What keeps the file as a whole from running there.
        notes: What is worth knowing and no fault.
        compilation: What the target's own compiler made of the file; None where there is none
            on this machine.
    """

    target: str
    source: str
    date: str
    accelerator: bool
    in_order: bool
    findings: tuple[Finding, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    compilation: Compilation | None = None

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many operators run where, by status."""
        found = Counter(finding.status for finding in self.findings)
        return {status.value: found[status] for status in Status}

    @property
    def runs(self) -> bool:
        """Whether the target can run the file; where its compiler has spoken, what that says."""
        if self.compilation is not None:
            return self.compilation.accepted
        return not self._objection

    @property
    def _objection(self) -> str:
        """Why the target cannot run the file, as the table has it; empty if it can."""
        if self.faults:
            return "; ".join(self.faults)
        missing = sorted({f.operator for f in self.findings if f.status is Status.MISSING})
        if missing:
            return f"no kernel for {', '.join(missing)} as used here"
        if self.accelerator and not self.counts["mapped"]:
            return "not one operator is mapped to it"
        return ""

    @cached_property
    def verdict(self) -> str:
        """One line that says whether the file runs, or why it does not."""
        compiled, objection = self.compilation, self._objection
        if not self.runs:
            if compiled is None:
                return f"does not run on {self.target}: {objection}"
            why = objection or compiled.message or "nothing is left for the target"
            return f"does not run on {self.target}: {compiled.compiler} refuses it: {why}"
        line = f"runs on {self.target}"
        if self.accelerator and not objection:
            line += f": {self.counts['mapped']} of {len(self.findings)} operators mapped"
        if self.share is not None and not objection:
            line += f", {100 * self.share:.0f} % before the first that is not"
        if compiled is not None:
            line += f"; {compiled.compiler} takes it"
        if objection:
            line += f", though its table has it otherwise: {objection}"
        return line

    @cached_property
    def share(self) -> float | None:
        """Share of operators that stand before the first unsupported one.

        Conversions from float at the very beginning are passed over: they run on the
        processor before the accelerator starts. None where the target takes operators
        in any place.
        """
        if not self.in_order or not self.findings:
            return None
        return self.counts["mapped"] / len(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "report_version": REPORT_VERSION,
            "target": self.target,
            "runs": self.runs,
            "verdict": self.verdict,
            "operators": self.counts,
            "share_before_first_unsupported": self.share,
            "faults": list(self.faults),
            "notes": list(self.notes),
            "compiler": None if self.compilation is None else self.compilation.to_dict(),
            "findings": [asdict(f) | {"status": f.status.value} for f in self.findings],
            "source": self.source,
            "date": self.date,
        }


def is_leading_conversion(finding: Finding, before: Sequence[Finding]) -> bool:
    """Whether it makes the input 8-bit, on the processor, before anything else ran."""
    return finding.operator == "QUANTIZE" and all(other.operator == "QUANTIZE" for other in before)
