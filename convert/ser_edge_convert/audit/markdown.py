"""An audit's document as Markdown, for pull requests and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ser_edge_convert.audit.auditing import largest, worst_class
from ser_edge_runtime import wording
from ser_edge_runtime.wording import counted

NOTHING = "–"
MOST_FLIPS = 10


def render_markdown(document: Mapping[str, Any]) -> str:
    """The whole document but the list of flips, of which the surest are named."""
    lines = [
        f"# Audit of {document['recipe']['name']}",
        "",
        f"**{verdict(document)}**",
        "",
        basis(document),
        "",
        *variant_table(document),
        "",
        *failures(document),
        *class_table(document),
        "",
        *flip_lines(document),
        "## Limits",
        "",
        limits_line(document["limits"]),
        "",
    ]
    return "\n".join(lines)


def verdict(document: Mapping[str, Any]) -> str:
    """One line: how many variants are within the limits."""
    variants = document["variants"]
    failed = [variant["name"] for variant in variants if not variant["passed"]]
    if not failed:
        return f"passed: {counted(len(variants), 'variant')} within the limits"
    return f"failed: {', '.join(failed)} ({len(failed)} of {counted(len(variants), 'variant')})"


def basis(document: Mapping[str, Any]) -> str:
    """What was compared: part, runs, clips, speakers, and whether they are proved apart."""
    again = ""
    if document["answers"] > document["clips"]:
        again = f" ({document['answers']} answers, since folds share some)"
    separation = document["separation"]
    apart = (
        "No speaker of them was trained, validated or calibrated on."
        if document["part"] == "test"
        else "No speaker of them was trained or calibrated on; the epoch was chosen on them."
    )
    if not separation["speaker_disjoint"]:
        unknown = counted(separation["unnamed_clips"], "clip")
        apart += f" Nobody knows the speakers of {unknown}: of those nothing is proved."
    score = document["reference"]
    return (
        f"{document['part'].capitalize()} parts of {counted(len(document['references']), 'run')}: "
        f"{counted(document['clips'], 'clip')} of {counted(document['speakers'], 'speaker')} of "
        f"{', '.join(document['corpora'])}{again}. {apart} The trained network: "
        f"UAR {percent(score['uar'])} %, accuracy {percent(score['accuracy'])} %."
    )


def variant_table(document: Mapping[str, Any]) -> list[str]:
    """A row a variant: what it scores, what it lost, how big and how fast it is."""
    level = f"{100 * document['limits']['confidence']:g} %"
    lines = [
        f"| variant | UAR | its fall, points | {level} interval | accuracy's fall | macro F1's "
        "| most a class lost | same answer | largest Δp | mean Δp | ECE | KB | arena, KB | ms "
        "| gate |",
        "|---|" + "---:|" * 13 + "---|",
    ]
    for variant in document["variants"]:
        drops, probabilities = variant["drops"], variant["probabilities"]
        cells = [
            variant["name"],
            percent(variant["scores"]["uar"]),
            in_points(drops["uar"]["value"]),
            interval(drops["uar"]["interval"]),
            in_points(drops["accuracy"]["value"]),
            in_points(drops["macro_f1"]["value"]),
            _worst(variant),
            f"{100 * variant['agreement']['share']:.2f} %",
            f"{probabilities['max_difference']:.3f}",
            f"{probabilities['mean_difference']:.5f}",
            percent(variant["scores"]["ece"]),
            kilobytes(largest(variant, "bytes")),
            kilobytes(largest(variant, "arena_bytes")),
            latency(variant["latency"]),
            "passed" if variant["passed"] else "FAILED",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def failures(document: Mapping[str, Any]) -> list[str]:
    """What each variant failed by."""
    lines = []
    for variant in document["variants"]:
        found = [row["text"] for row in variant["checks"] if not row["passed"]]
        if found:
            lines.append(f"- **{variant['name']}** failed: {'; '.join(found)}")
    return [*lines, ""] if lines else []


def class_table(document: Mapping[str, Any]) -> list[str]:
    """By class: the network's recall, and what each variant takes from it."""
    variants = document["variants"]
    names = " | ".join(variant["name"] for variant in variants)
    lines = [
        "## Recall of each class",
        "",
        "What it falls by, in points, with its interval; a class of fewer than "
        f"{document['limits']['class_clips']} clips is judged by its interval alone.",
        "",
        f"| class | clips | network | {names} |",
        "|---|---:|---:|" + "---:|" * len(variants),
    ]
    for label, first in variants[0]["classes"].items():
        cells = [label, str(first["clips"]), percent(first["before"])]
        for variant in variants:
            found = variant["classes"][label]
            ends = f" ({interval(found['interval'])})" if found["interval"] else ""
            cells.append(in_points(found["drop"]) + ends)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def flip_lines(document: Mapping[str, Any]) -> list[str]:
    """The surest answers that changed, of each variant."""
    lines = ["## Answers that changed", ""]
    for variant in document["variants"]:
        flips = variant["flips"]
        kinds = [flip["change"] for flip in flips]
        lines.append(
            f"- {variant['name']}: {len(flips)} of {variant['agreement']['clips']}: "
            f"{kinds.count('lost')} lost, {kinds.count('won')} won, "
            f"{kinds.count('wrong both times')} wrong both times; "
            f"{variant['agreement']['near_ties']} within two quanta"
        )
        lines += [f"  - {flip_line(flip)}" for flip in flips[:MOST_FLIPS]]
    return [*lines, ""]


def flip_line(flip: Mapping[str, Any]) -> str:
    """One changed answer: clip, classes, margins in points."""
    return (
        f"{flip['corpus']} {flip['stem']} ({flip['label']}): {flip['before']} by "
        f"{100 * flip['margin_before']:.1f} points, then {flip['after']} by "
        f"{100 * flip['margin_after']:.1f}"
    )


def limits_line(limits: Mapping[str, Any]) -> str:
    """The gate in a sentence."""
    return (
        f"UAR may fall by {100 * limits['max_drop']:g} points, by "
        f"{100 * limits['max_drop_upper']:g} at the upper end of its "
        f"{100 * limits['confidence']:g} % interval (paired, resampled over speakers); the recall "
        f"of a class of {limits['class_clips']} clips by {100 * limits['max_class_drop']:g}; "
        f"{100 * limits['min_agreement']:g} % of the answers must stay the same."
    )


def percent(share: float | None) -> str:
    """A share in per cent, one decimal; a dash for nothing."""
    return NOTHING if share is None else f"{100 * share:.1f}"


def in_points(share: float | None) -> str:
    """A fall in points, two decimals; a dash for nothing, and no minus before a zero."""
    return NOTHING if share is None else wording.in_points(share)


def interval(ends: Sequence[float] | None) -> str:
    """Both ends in points: ``-0.21 to 0.42``."""
    return NOTHING if ends is None else f"{in_points(ends[0])} to {in_points(ends[1])}"


def kilobytes(count: int | None) -> str:
    """Bytes in KB of 1000, one decimal; a dash for nothing."""
    return NOTHING if count is None else f"{count / 1000:.1f}"


def latency(found: Mapping[str, Any] | None) -> str:
    """Milliseconds of features and of the model: ``5.1 + 0.4``."""
    if found is None:
        return NOTHING
    return f"{found['features_ms']:.1f} + {found['model_ms']:.2f}"


def _worst(variant: Mapping[str, Any]) -> str:
    worst = worst_class(variant)
    return NOTHING if worst is None else f"{in_points(worst[1])} {worst[0]}"
