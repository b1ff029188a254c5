"""How commands say what a conversion made of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ser_edge_runtime.wording import counted, in_points

if TYPE_CHECKING:
    from ser_edge_convert.conversion import Conversion, Outcome


def loss_lines(report: Mapping[str, Any]) -> list[str]:
    """What was lost on the validation clips, and whether that is allowed."""
    before, after = report["validation"]["before"], report["validation"]["after"]
    gate = report["gate"]
    accuracy, uar = (
        f"{100 * before[name]:.2f} % before, {100 * after[name]:.2f} % after"
        for name in ("accuracy", "uar")
    )
    return [
        f"validation: {counted(before['clips'], 'clip')} of "
        f"{counted(report['validation']['speakers'], 'speaker')}",
        f"accuracy:   {accuracy}",
        f"UAR:        {uar}",
        f"loss:       {in_points(gate['drop'])} points, {100 * gate['max_drop']:g} allowed",
    ]


def made_lines(made: Conversion) -> list[str]:
    """The loss, the agreement, and the files that were written."""
    report = made.report
    plan, agreement = report["plan"], report["agreement"]
    return [
        *loss_lines(report),
        f"same class: {agreement['same']} of {agreement['clips']} clips, "
        f"largest difference of a probability {agreement['max_difference']:.4f}",
        *repair_lines(report),
        f"wrote {made.path}: {plan['variant']} for {plan['target']}, "
        f"{report['file']['bytes'] / 1000:.0f} KB",
        f"wrote {made.report_path}",
    ]


def repair_lines(report: Mapping[str, Any]) -> list[str]:
    """Which layers stay in floats, and what the file lost without that; nothing for none."""
    repair = report["repair"]
    if repair is None:
        return []
    layers = ", ".join(repair["float_layers"])
    return [
        f"repaired:   in floats: {layers} ({len(repair['float_layers'])} of "
        f"{len(repair['blame']['layers'])} layers); without that "
        f"{in_points(repair['before']['drop'])} points lost, "
        f"{100 * repair['before']['same']:.1f} % same class"
    ]


COLUMNS = "variant   result            size  accuracy       UAR   loss  same class"


def outcome_line(outcome: Outcome) -> str:
    """A row under :data:`COLUMNS`."""
    report = outcome.report
    if report is None:
        return f"{outcome.variant:<9} {'not to be had' if outcome.refused else 'failed'}"
    after, agreement = report["validation"]["after"], report["agreement"]
    result = "kept" if report["kept"] else "lost too much"
    size = report["file"]["bytes"] if report["kept"] else report["graph"]["bytes"]
    return (
        f"{outcome.variant:<9} {result:<13} {size / 1000:5.0f} KB  "
        f"{100 * after['accuracy']:6.2f} %  {100 * after['uar']:6.2f} %  "
        f"{in_points(report['gate']['drop']):>5}  {agreement['same']} of {agreement['clips']}"
    )


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON: variant, result, file, why there is none, report."""
    report = outcome.report
    if outcome.conversion is not None:
        result = "kept"
    elif report is not None:
        result = "lost too much"
    else:
        result = "refused" if outcome.refused else "failed"
    return {
        "variant": outcome.variant,
        "result": result,
        "file": str(outcome.conversion.path) if outcome.conversion is not None else None,
        "fault": str(outcome.fault) if outcome.fault is not None else None,
        "report": report,
    }
