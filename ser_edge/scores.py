"""The scores that a model file carries, picked out of its metadata with care: anybody wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ser_edge_runtime.wording import counted

ALL = "all"
PARTS = ("test", "validation")
_LARGEST = 1e15


class ScoreRow(NamedTuple):
    """What the network scored on one corpus of one part, before conversion.

    Attributes:
        part: "test" or "validation"; training scores say nothing.
        corpus: The corpus, or "all".
        classes: Classes that its clips have, and that answers were chosen among.
        speakers: Speakers heard.
        clips: Clips scored.
        uar: Unweighted average recall, 0 to 1.
        interval: Its 95 % interval over speakers; None for a single speaker.
        accuracy: 0 to 1.
    """

    part: str
    corpus: str
    classes: int
    speakers: int
    clips: int
    uar: float
    interval: tuple[float, float] | None
    accuracy: float


class Loss(NamedTuple):
    """What the conversion cost on the run's validation speakers.

    Attributes:
        clips: Clips compared.
        speakers: Their speakers.
        uar: Unweighted average recall before and after.
        accuracy: The same of accuracy.
    """

    clips: int
    speakers: int
    uar: tuple[float, float]
    accuracy: tuple[float, float]


def score_rows(scores: Mapping[str, Any]) -> list[ScoreRow]:
    """The scores of the run that a model came from, test part first; empty if there are none."""
    parts = _table(scores, "parts")
    return [row for part in PARTS for row in part_rows(part, _table(parts, part))]


def other_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """What is neither of the run nor of the conversion."""
    known = ("protocol", "parts", "conversion")
    return {
        key: value
        for key, value in scores.items()
        if key not in known or not isinstance(value, Mapping)
    }


def part_rows(part: str, scores: Mapping[str, Any]) -> list[ScoreRow]:
    """The scores of one part, as a report has them: a row a corpus, then all."""
    groups = {**_table(scores, "corpora"), ALL: scores.get("overall")}
    rows = [_row(part, corpus, values) for corpus, values in groups.items()]
    return [row for row in rows if row is not None]


def row_line(row: ScoreRow) -> str:
    """A row as a line of text."""
    line = f"{row.part:<10} {row.corpus:<9} UAR {100 * row.uar:4.1f} %"
    if row.interval is not None:
        line += f" ({100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f})"
    return (
        f"{line}, accuracy {100 * row.accuracy:.1f} %: {counted(row.classes, 'class', 'classes')}, "
        f"{counted(row.clips, 'clip')} of {counted(row.speakers, 'speaker')}"
    )


def side_by_side(report: Mapping[str, Any]) -> list[str]:
    """Leaky and clean scores of a report that has both: a line for each part, test part last."""
    clean = _table(report, "clean")
    protocol = _table(clean, "protocol")
    lines = []
    for part in reversed(PARTS):
        found = [
            _row(part, ALL, _table(_table(scores, part), "overall"))
            for scores in (_table(report, "scores"), _table(clean, "scores"))
        ]
        leaky, honest = found
        if leaky is not None and honest is not None:
            lines.append(
                f"{part:<10} LEAKY UAR {100 * leaky.uar:.1f} %, accuracy "
                f"{100 * leaky.accuracy:.1f} %; clean ({protocol.get('name')}, fold "
                f"{protocol.get('fold')}) UAR {100 * honest.uar:.1f} %, accuracy "
                f"{100 * honest.accuracy:.1f} %"
            )
    return lines


def conversion_loss(scores: Mapping[str, Any]) -> Loss | None:
    """What the conversion measured; None if nothing of it is recorded."""
    found = _table(scores, "conversion")
    before, after = _table(found, "before"), _table(found, "after")
    numbers = [found.get("clips"), found.get("speakers")]
    numbers += [side.get(name) for name in ("uar", "accuracy") for side in (before, after)]
    if not all(map(_is_number, numbers)):
        return None
    clips, speakers, *rest = (float(str(number)) for number in numbers)
    return Loss(int(clips), int(speakers), (rest[0], rest[1]), (rest[2], rest[3]))


def protocol_words(scores: Mapping[str, Any]) -> str:
    """The protocol of the run in words, leaks first; empty if it is not recorded."""
    protocol = _table(scores, "protocol")
    if not isinstance(protocol.get("name"), str):
        return ""
    words = f"protocol {protocol['name']}, fold {protocol.get('fold')}"
    # Models made before reports had "leaky" name only leaks that spoil the scores.
    if protocol.get("leaks") and protocol.get("leaky", True):
        return f"LEAKY, not comparable: {'; '.join(map(str, protocol['leaks']))}; {words}"
    if protocol.get("speaker_disjoint") is True:
        words += ", no speaker in two parts"
    return words


def _row(part: str, corpus: str, values: object) -> ScoreRow | None:
    if not isinstance(values, Mapping):
        return None
    numbers = [values.get(name) for name in ("speakers", "clips", "uar", "accuracy")]
    if not all(map(_is_number, numbers)):
        return None
    speakers, clips, uar, accuracy = (float(str(number)) for number in numbers)
    return ScoreRow(
        part,
        corpus,
        len(_table(values, "recalls")),
        int(speakers),
        int(clips),
        uar,
        _interval(values.get("uar_interval")),
        accuracy,
    )


def _interval(value: object) -> tuple[float, float] | None:
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        return float(value[0]), float(value[1])
    return None


def _is_number(value: object) -> bool:
    # An integer of JSON may be larger than any float.
    return isinstance(value, int | float) and type(value) is not bool and abs(value) < _LARGEST


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = values.get(name)
    return inner if isinstance(inner, Mapping) else {}
