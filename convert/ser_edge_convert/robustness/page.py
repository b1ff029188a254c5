"""``docs/robustness.md``: the measured documents in words and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ser_edge_convert.prose import wrapped
from ser_edge_train.disturbances import CLEAN

Document = Mapping[str, Any]
Row = Mapping[str, Any]

HEAD = """\
# What noise, telephones and codecs cost

Written by `python docs/make_robustness.py RUNS` from [robustness.json](robustness.json); nothing
here is typed. The same recordings are answered clean and disturbed, by the float network and by
what it was converted to. UAR is the mean recall over the classes that the corpus has; points lost
are clean minus disturbed, with 95 % intervals by a paired bootstrap over speakers.
"""


def page(documents: Sequence[Document]) -> str:
    """The page's text, a section a document."""
    return wrapped([HEAD, *(line for document in documents for line in section(document))])


def section(document: Document) -> list[str]:
    """One recipe and part: who was heard, the verdict, the table, what each disturbance is."""
    lines = [f"## {title(document)}", "", basis(document), "", *verdicts(document), ""]
    lines += [*table(document), "", "What was done:", ""]
    return [*lines, *meanings(document), ""]


def title(document: Document) -> str:
    """Recipe, protocol and part."""
    return f"{document['recipe']}, {document['protocol']}, {document['part']} speakers"


def basis(document: Document) -> str:
    """Whose clips they are and how many of all of them."""
    folds = _and([str(run["fold"]) for run in document["runs"]])
    clips, of = document["clips"], document["of"]
    which = f"All {of} clips" if clips == of else f"{clips} of {of} clips"
    how = (
        ""
        if clips == of
        else f", as many of each class of each corpus, drawn with seed {document['seed']}: "
        "**a sample, so the intervals are wide**"
    )
    parts = {
        "test": "test speakers, each by the fold that has not heard them",
        "validation": "validation speakers, who chose the epochs; the test part was not heard",
    }
    words = f"Fold{'s' if len(document['runs']) > 1 else ''} {folds}; {parts[document['part']]}. "
    words += f"{which} of {document['speakers']} speakers{how}."
    if document["forms"][0]["variant"] == "float32":
        words += (
            f" Of the float file's clean answers {document['as_reported']} are those that the "
            "network's own predictions have."
        )
    return words


def verdicts(document: Document) -> list[str]:
    """For each form: which disturbances stay within the bound on every corpus, which do not."""
    lines = []
    for form in document["forms"]:
        within, beyond = [], []
        for name in _disturbed(document):
            rows = _rows(document, form["form"], name)
            broken = [row for row in rows if not row["within"]]
            if broken:
                losses = _and([f"{points(row['lost'])} on {row['corpus']}" for row in broken])
                beyond.append(f"**{name}** ({losses})")
            else:
                within.append(name)
        bound = f"{100 * document['bound']:g} points"
        lines.append(
            f"- {form['form']}: within {bound} of clean on every corpus: "
            f"{_and(within) or 'nothing'}. Not within: {_and(beyond) or 'nothing'}."
        )
    return lines


def table(document: Document) -> list[str]:
    """A row a disturbance and corpus; for each form UAR, points lost, interval, verdict."""
    forms = [form["form"] for form in document["forms"]]
    heads = " | ".join(f"{form}: UAR | lost | interval | within" for form in forms)
    lines = [
        f"| disturbance | corpus | clips | {heads} |",
        "|---|---|---:|" + "---:|---:|---|---|" * len(forms),
    ]
    for name in [CLEAN.name, *_disturbed(document)]:
        of_first = _rows(document, forms[0], name)
        for number, first in enumerate(of_first):
            cells = [name, first["corpus"], str(first["clips"])]
            for form in forms:
                cells += _cells(_rows(document, form, name)[number])
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def meanings(document: Document) -> list[str]:
    """What each disturbance is."""
    return [
        f"- {one['name']}: {one['meaning']}"
        for one in document["disturbances"]
        if one["name"] != CLEAN.name
    ]


def points(share: float) -> str:
    """A share in points, one digit behind the point, never "-0.0"."""
    return f"{100 * share:.1f}".replace("-0.0", "0.0")


def _cells(row: Row) -> list[str]:
    uar = f"{100 * row['uar']:.1f}"
    if row["disturbance"] == CLEAN.name:
        return [uar, "", "", ""]
    ends = row["interval"]
    interval = "one speaker" if ends is None else f"{points(ends[0])} to {points(ends[1])}"
    return [uar, points(row["lost"]), interval, "yes" if row["within"] else "**no**"]


def _disturbed(document: Document) -> list[str]:
    return [one["name"] for one in document["disturbances"] if one["name"] != CLEAN.name]


def _rows(document: Document, form: str, name: str) -> list[Row]:
    return [row for row in document["rows"] if (row["form"], row["disturbance"]) == (form, name)]


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
