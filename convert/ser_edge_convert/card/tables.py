"""The tables of a card, and what it takes from the pages of audits and robustness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ser_edge_runtime.wording import in_points

Row = Mapping[str, Any]


def percent(share: float | None) -> str:
    """A share with one digit behind the point; "none" where it is not defined."""
    return "none" if share is None else f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A share in points, one digit behind the point, never "-0.0"."""
    return f"{100 * share:.1f}".replace("-0.0", "0.0")


def joined(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def protocol_table(protocol: Row) -> list[str]:
    """A row a corpus: the mean over folds and the pooled answers."""
    folds = joined([str(fold) for fold in protocol["folds"]])
    clean = "no speaker in two parts" if protocol["speaker_disjoint"] else "speakers NOT apart"
    if protocol["name"] == "cross-corpus":
        clean += ", tested on corpora that the training never heard"
    leaky = "LEAKY, not comparable: " if protocol["leaky"] else ""
    lines = [
        f"{leaky}{protocol['name']}, fold{'s' if len(protocol['folds']) > 1 else ''} {folds}, "
        f"{clean}:",
        "",
        "| corpus | classes | speakers | answers | UAR, mean of the folds | pooled "
        "| 95 % interval | accuracy |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    for row in protocol["rows"]:
        mean = percent(row["mean"])
        if row["sd"] is not None:
            mean += f" ± {100 * row['sd']:.1f}"
        lines.append(
            f"| {row['corpus']} | {row['classes']} | {row['speakers']} | {row['answers']} | {mean} "
            f"| {percent(row['uar'])} | {_span(row['uar_interval'])} | {percent(row['accuracy'])} |"
        )
    return lines


def group_table(groups: Sequence[Row]) -> list[str]:
    """A row a class and one for the UAR; for each group value, interval and, of several, gap.

    Args:
        groups: Those of one corpus, as :func:`~ser_edge_train.fairness.groups` gives them.
    """
    # Of two groups one's gap is minus the other's: it stands once.
    gaps = list(groups[:1]) if len(groups) == 2 else list(groups)
    named = [f"{one['group']} ({one['speakers']} speakers)" for one in groups]
    heads = [*named, *(f"gap of {one['group']}" for one in gaps)]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for label in ["UAR", *groups[0]["recalls"]]:
        cells = [_value(_measure(one, label)) for one in groups]
        cells += [_gap(_measure(one, label)) for one in gaps]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def calibration_table(calibration: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A row a corpus, the recipe's folds beside the weights that ship."""
    recipe, shipped = calibration["recipe"], calibration["shipped"]
    lines = ["| corpus | the recipe, all folds | the weights that ship |", "|---|---:|---:|"]
    for corpus, value in recipe.items():
        other = percent(shipped[corpus]) if corpus in shipped else ""
        lines.append(f"| {corpus} | {percent(value)} | {other} |")
    return lines


def coverage_table(coverage: Mapping[str, Sequence[Row]]) -> list[str]:
    """A row a least score: how much is answered, and how much of that is right."""
    lines = [
        "| `--min-score` | the recipe, all folds: answered | of those right "
        "| the weights that ship: answered | of those right |",
        "|---|---:|---:|---:|---:|",
    ]
    for one, other in zip(coverage["recipe"], coverage["shipped"], strict=True):
        cells = [f"{one['min_score']:g}"]
        for row in (one, other):
            cells += [percent(row["coverage"]), percent(row["accuracy"])]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def surest(coverage: Sequence[Row]) -> str:
    """In words, how often the surest answers of the table are wrong."""
    row = next(row for row in reversed(coverage) if row["accuracy"] is not None)
    return (
        f"Even of the answers with a score of {row['min_score']:g} or more, "
        f"{percent(row['coverage'])} of all, {percent(1 - row['accuracy'])} are wrong."
    )


def of_networks(documents: Sequence[Row], runs: str, networks: set[str]) -> Row | None:
    """The document about a network that tells most: test part first, then most runs and clips.

    Args:
        documents: Of audits or of robustness.
        runs: The name of their lists of runs.
        networks: Digests, one of which must be among the document's.
    """
    about = [one for one in documents if networks & {run["digests"]["model"] for run in one[runs]}]
    return max(
        about, key=lambda one: (one["part"] == "test", len(one[runs]), one["clips"]), default=None
    )


def of_variant(document: Row, variant: str, *, repaired: bool) -> Row | None:
    """An audit's figures of a variant.

    Args:
        document: The audit.
        variant: Its name.
        repaired: Which one if there are two, with layers left in floats and without.
    """
    found = [one for one in document["variants"] if one["variant"] == variant]
    return min(found, key=lambda one: one["repaired"] != repaired, default=None)


def of_file(documents: Sequence[Row], sha256: str) -> tuple[Row, Row] | None:
    """The audit of one file by its digest, and its figures there; None without one."""
    for document in documents:
        for variant in document["variants"]:
            if [file["sha256"] for file in variant["files"]] == [sha256]:
                return document, variant
    return None


def cost(document: Row, variant: Row) -> str:
    """What a variant lost in an audit, in words, and whether it passed."""
    folds = len(document["references"])
    drop, agreement = variant["drops"]["uar"], variant["agreement"]
    fall = drop["value"]
    low, high = drop["interval"] or (fall, fall)
    word = "falls"
    if fall < -5e-5:  # what does not round to nothing
        word, fall, low, high = "rises", -fall, -high, -low
    form = variant["variant"] + (" with layers left in floats" if variant["repaired"] else "")
    gate = "passed" if variant["passed"] else "NOT passed"
    return (
        f"{form}, against the float network{'s' if folds > 1 else ''} of {folds} "
        f"fold{'s' if folds > 1 else ''}, {document['clips']} clips of {document['speakers']} "
        f"{document['part']} speakers: UAR {word} by {in_points(fall)} points "
        f"({in_points(low)} to {in_points(high)}), {percent(agreement['share'])} of the answers "
        f"are the same; the gate of `ser-edge audit` is {gate}."
    )


def _measure(group: Row, label: str) -> Row:
    found: Row = group["uar"] if label == "UAR" else group["recalls"][label]
    return found


def _value(measure: Row) -> str:
    if measure["value"] is None:
        return ""
    return f"{points(measure['value'])} ({_span(measure['interval'])})"


def _gap(measure: Row) -> str:
    if measure["gap"] is None:
        return ""
    gap = f"{100 * measure['gap']:+.1f}".replace("-0.0", "+0.0")
    strong = "**" if abs(measure["gap"]) > 0.05 else ""
    return f"{strong}{gap}{strong} ({_span(measure['gap_interval'])})"


def _span(ends: Sequence[float] | None) -> str:
    return "one speaker" if ends is None else f"{points(ends[0])} to {points(ends[1])}"
