"""A model's card as Markdown: prose that every model shares, and the figures of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ser_edge_convert.card import tables
from ser_edge_convert.card.tables import joined, percent, points
from ser_edge_convert.prose import wrapped
from ser_edge_convert.robustness import page as robustness_page
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.licences import ANSWERS, LICENCES, corpora_of, product_answer
from ser_edge_runtime.metadata import Metadata
from ser_edge_train.fairness import wide_gaps

CALIBRATION_BOUND: Final = 0.05
GAP_BOUND: Final = 0.05
_SHOWN_GAPS: Final = 5

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Sources:
    """What a card is made of.

    Attributes:
        content: As :func:`~ser_edge_convert.card.content.card_content` gives it.
        metadata: The model file's.
        front_end: The front end in words, a line a part.
        shipped: The table of the shipped partition's scores.
        family: The table of the models that lie beside this one, itself among them.
        robustness: The measured documents of ``docs/robustness.json``.
        audits: Those of ``docs/audits.json``.
        docs: The folder ``docs`` as seen from the card, with a slash at its end.
        licence_file: Name of the weights' licence beside the card; "" for none.
        curve: Name of the picture of accuracy against coverage, beside the card.
    """

    content: Content
    metadata: Metadata
    front_end: Sequence[str]
    shipped: str
    family: Sequence[str]
    robustness: Sequence[Content]
    audits: Sequence[Content]
    docs: str
    licence_file: str
    curve: str

    @property
    def networks(self) -> set[str]:
        """The digest of the network that the file was made from."""
        return {self.content["sha256_of_network"]}


def render(sources: Sources) -> str:
    """The card's text, what a reader must know first on its first page."""
    parts = [
        _head(sources),
        _gaps(sources.content),
        _scores(sources),
        _fairness(sources.content),
        _trust(sources),
        _conversion(sources),
        _robustness(sources),
        _failures(sources.content),
        _family(sources),
        _data(sources),
        _retraining(sources),
    ]
    return wrapped([line for part in parts for line in [*part, ""]], whole=ANSWERS)


def _head(sources: Sources) -> list[str]:
    content, metadata = sources.content, sources.metadata
    labels, size = list(metadata.labels), content["bytes"] / 1000
    network = content["network"]
    provenance, scores = metadata.provenance, metadata.scores
    answer = product_answer(corpora_of(provenance, scores), metadata.licence)
    weights = metadata.licence.strip() or "not stated"
    if sources.licence_file:
        weights += f" ([{sources.licence_file}]({sources.licence_file}))"
    loudness = (
        [
            "- Loudness is a cue to it: a recording made far from the microphone may sound calm or "
            "sad to it."
        ]
        if metadata.front_end.level is None
        else []
    )
    return [
        f"# Model card: {metadata.name}",
        "",
        "Written by `docs/make_card.py` from the model's runs, scores, audits and measurements; "
        "nothing but prose is typed.",
        "",
        f"`{content['file']}` names one of {len(labels)} acted emotions ({', '.join(labels)}) in a "
        f"recording of one speaker. It has {size:.0f} KB: a network of the kind "
        f"`{network['network']}` with {network['parameters']:,} parameters, written as "
        f"{metadata.variant}: {VARIANTS[metadata.variant].meaning}. It hears: "
        f"{'; '.join(sources.front_end)}. Audio never leaves the machine: the runtime opens no "
        "connection.",
        "",
        "## May I use it in a product?",
        "",
        answer,
        "",
        f"Licence of the weights: {weights}. The code is under the MIT licence.",
        "",
        "## What it must not be used for",
        "",
        f"As the file itself says: {metadata.intended_use}",
        "",
        "- Not for decisions about people: hiring, schooling, policing, health, work, credit, "
        "insurance. What a voice sounds like is not what a person feels.",
        "- Not for other languages, children, spontaneous speech or more than one speaker at a "
        "time: nothing of that was measured.",
        *loudness,
    ]  # fmt: skip


def _gaps(content: Content) -> list[str]:
    lines = ["## Whom it hears worse", ""]
    uars: list[dict[str, Any]] = []
    classes: list[dict[str, Any]] = []
    for found in content["groups"].values():
        of_uar, of_class = wide_gaps(found or [], GAP_BOUND)
        uars, classes = uars + of_uar, classes + of_class
    bound = f"{100 * GAP_BOUND:g} points"
    if uars:
        lines += [f"- **{_gap(one)}**" for one in uars]
    else:
        lines.append(f"- No group's UAR is over {bound} from that of the other speakers.")
    sure = sorted((one for one in classes if one["sure"]), key=lambda one: -abs(one["gap"]))
    lines += [f"- {_gap(one)}" for one in sure[:_SHOWN_GAPS]]
    rest = len(classes) - min(len(sure), _SHOWN_GAPS)
    if rest:
        lines.append(
            f"- {rest} more gaps of single emotions over {bound}, "
            f"{len(classes) - len(sure)} of all so uncertain that there may be none: "
            "see the tables below."
        )
    lines += ["", "Points of UAR, or of an emotion's recall, with 95 % intervals over speakers."]
    if content["groups"]["age"] is None:
        lines += ["", "By age nothing is said: the speakers' ages were not at hand."]
    return lines


def _gap(one: Mapping[str, Any]) -> str:
    what = f"recall of {one['label']}" if one["label"] else "UAR"
    side = "higher" if one["gap"] > 0 else "lower"
    title = _title(one["corpus"])
    group = one["group"]
    who = f"speakers aged {group}" if any(map(str.isdigit, group)) else f"{group} speakers"
    words = f"{title}, {who}: {what} {points(abs(one['gap']))} points {side}"
    words += " than the other speakers'"
    ends = one["interval"]
    if ends is None:
        return f"{words}."
    low, high = sorted(abs(end) for end in ends) if one["sure"] else ends
    span = f"{points(low)} to {points(high)}"
    return f"{words} ({span})." if one["sure"] else f"{words} ({span}, so perhaps not at all)."


def _scores(sources: Sources) -> list[str]:
    content = sources.content
    part = content["part"]
    lines = [
        "## Scores",
        "",
        "An answer is chosen among the classes that the corpus has; UAR is the mean recall of "
        "those. Intervals are 95 %, bootstrapped over speakers. Each scoring of a test part is a "
        f"row of [test-scorings.csv]({sources.docs}test-scorings.csv).",
        "",
        f"**The recipe**, `{content['recipe']}`, on {part} speakers: every fold's network answers "
        "speakers that it has not heard. A corpus of fewer speakers than folds is tested in "
        "several, so answers are counted, not clips.",
    ]
    if part != "test":
        lines += ["", "**Validation speakers chose the epochs, so these figures flatter.**"]
    for protocol in content["protocols"]:
        lines += ["", *tables.protocol_table(protocol)]
    return [
        *lines,
        "",
        "**The weights that ship** are those of one partition, its test speakers never trained on:",
        "",
        sources.shipped.rstrip("\n"),
    ]


def _fairness(content: Content) -> list[str]:
    lines = ["## Recall by sex and by age", ""]
    lines += [
        "Of the recipe's folds. A gap is a group's figure minus that of all other speakers of the "
        "corpus. Corpora with fewer than two groups of three speakers tell nothing.",
    ]
    for name, found in content["groups"].items():
        if found is None:
            lines += ["", f"By {name}: not known."]
        elif not found:
            lines += ["", f"By {name}: no corpus has two groups."]
        else:
            for corpus in dict.fromkeys(one["corpus"] for one in found):
                mine = [one for one in found if one["corpus"] == corpus]
                lines += ["", f"{_title(corpus)}, by {name}:", "", *tables.group_table(mine)]
    return lines


def _trust(sources: Sources) -> list[str]:
    content = sources.content
    part = content["part"]
    missed = [
        f"{_title(corpus)} {percent(value)}"
        for corpus, value in content["calibration"]["recipe"].items()
        if value > CALIBRATION_BOUND
    ]
    verdict = f"Over the bound: {joined(missed)}." if missed else "All are within it."
    return [
        "## How far its scores can be trusted",
        "",
        "Expected calibration error, after temperature scaling on validation speakers, on "
        f"{part} speakers, of answers among the corpus's classes; the bound is "
        f"{100 * CALIBRATION_BOUND:g} %. {verdict}",
        "",
        *tables.calibration_table(content["calibration"]),
        "",
        "An answer below a least score can be given as `uncertain` (`ser-edge classify "
        "--min-score`). What is left then, among all classes, as a device answers, which knows "
        f"no corpus; {part} speakers:",
        "",
        *tables.coverage_table(content["coverage"]),
        "",
        f"![Accuracy of the surest answers against their share]({sources.curve})",
        "",
        tables.surest(content["coverage"]["recipe"]),
    ]


def _conversion(sources: Sources) -> list[str]:
    lines = ["## What conversion cost", ""]
    document = tables.of_networks(sources.audits, "references", sources.networks)
    variant = sources.metadata.variant
    repaired = bool(sources.metadata.provenance.get("float_layers"))
    found = document and tables.of_variant(document, variant, repaired=repaired)
    if document is None or found is None:
        return [*lines, "Not audited yet."]
    lines.append(
        f"{tables.cost(document, found)} Expected calibration error goes from "
        f"{percent(document['reference']['ece'])} to {percent(found['scores']['ece'])}."
    )
    alone = tables.of_file(sources.audits, sources.content["sha256"])
    if alone is not None and alone[0] is not document:
        lines += ["", f"The file that ships, on its own: {tables.cost(*alone)}"]
    return [*lines, "", f"All variants: [audit.md]({sources.docs}audit.md)."]


def _robustness(sources: Sources) -> list[str]:
    lines = ["## Noise, telephones, codecs, level", ""]
    document = tables.of_networks(sources.robustness, "runs", sources.networks)
    if document is None:
        return [*lines, "Not measured yet."]
    return [
        *lines,
        robustness_page.basis(document),
        "",
        *robustness_page.verdicts(document),
        "",
        *robustness_page.table(document),
        "",
        *robustness_page.meanings(document),
    ]


def _failures(content: Content) -> list[str]:
    found = content["failures"]
    lines = ["## Known failures", ""]
    for corpus in dict.fromkeys(one["corpus"] for one in found["confusions"]):
        taken = [
            f"{one['label']} for {one['answer']} in {100 * one['share']:.0f} %"
            for one in found["confusions"]
            if one["corpus"] == corpus
        ]
        lines.append(f"- {_title(corpus)}: it takes {joined(taken)} of that emotion's clips.")
    lines += [
        f"- {_title(one['corpus'])}: speakers differ. Of {one['speakers']} the worst heard has a "
        f"UAR of {percent(one['lowest'])}, one in ten at most {percent(one['tenth'])}, the middle "
        f"one {percent(one['middle'])}, the best {percent(one['highest'])}."
        for one in found["speakers"]
    ]
    few = [_title(one["corpus"]) for one in content["data"] if one["speakers"] < 10]
    if few:
        lines.append(
            f"- {joined(few)} {'have' if len(few) > 1 else 'has'} so few speakers that the figures "
            "say how those persons fared."
        )
    if any(one["corpus"] == "ravdess" for one in content["data"]):
        lines.append(
            "- RAVDESS has two sentences only, which all its actors speak: unseen speakers say "
            "familiar words."
        )
    return lines


def _family(sources: Sources) -> list[str]:
    return [
        "## The models beside it",
        "",
        *sources.family,
        "",
        "`ser-edge classify --model NAME` takes any of them. UAR is that of the shipped weights on "
        "the test speakers of their own partition, whom none of them has heard.",
    ]


def _data(sources: Sources) -> list[str]:
    content = sources.content
    lines = [
        "## Data and licences",
        "",
        "| corpus | speakers | recordings | faulty, left out | licence |",
        "|---|---:|---:|---:|---|",
    ]
    for one in content["data"]:
        known = LICENCES.get(one["corpus"])
        licence = known.licence if known else "not known to this toolkit"
        lines.append(
            f"| {_title(one['corpus'])} | {one['speakers']} | {one['clips']} | {one['faulty']} "
            f"| {licence} |"
        )
    if {"crema-d", "tess"} & {one["corpus"] for one in content["data"]}:
        lines += [
            "",
            "The recordings were at 16 kHz; CREMA-D's and TESS's had been through Ogg Opus at "
            "about 33 kbit/s. Labels are what actors were asked to play, not what listeners heard.",
        ]
    lines += ["", f"Licence of the weights: {sources.metadata.licence.strip() or 'not stated'}."]
    teacher = content["teacher"]
    if teacher is not None:
        name = teacher.get("name") or f"the model that made the table `{teacher['scores']}`"
        learnt = {
            "this partition": "its head learnt from this partition's training speakers alone",
            "nobody knows": "whose speakers its head learnt from is not known",
        }.get(teacher.get("learnt_by") or "", "whose speakers its head learnt from is not told")
        hint = teacher.get("hint")
        hinted = "" if hint is None else (
            f"; a second head, not kept, learnt {hint['components']} values of its embedding "
            f"with weight {hint['weight']:g}"
        )  # fmt: skip
        lines += [
            "",
            f"**A teacher was used**: {name} (weight {teacher['weight']:g}; {learnt}{hinted}; "
            f"[teacher.md]({sources.docs}teacher.md)). What a public encoder was itself trained on "
            "is undisclosed and may hold these very clips, though without their emotions: so may "
            "the test speakers' voices not have been wholly unheard."
            + (f" {teacher['note'].rstrip('.')}." if teacher.get("note") else ""),
        ]
    return lines


def _retraining(sources: Sources) -> list[str]:
    content = sources.content
    recipe = content["recipe"]
    shipped = content["file"] == f"{recipe}.tflite"
    own = f"EMBEDDINGS=whisper.npz docs/make_model.sh {recipe} CORPORA" if shipped else (
        f"ser-edge train --recipe {recipe} --data manifest.csv --run runs/{recipe}\n"
        f"    ser-edge convert runs/{recipe} --out {content['file']}"
    )  # fmt: skip
    mine = "mine.toml" if content["teacher"] is None else "mine.toml --no-teacher"
    return [
        "## How it was made, and how to make one for a product",
        "",
        f"    {own}",
        "",
        "on CPython 3.11 and the releases in `constraints.txt`. The file carries the digests of "
        "manifest, partition, recipe and calibration clips, the seeds, and golden vectors that "
        "`ser-edge doctor` checks on the device.",
        "",
        "For commercial use, train the same recipe on recordings whose licence permits it: your "
        "own, in a folder an emotion, or CREMA-D alone (six classes). Copy the recipe, name these "
        "corpora and their classes in it, and",
        "",
        f"    ser-edge recipes {recipe} > mine.toml",
        "    ser-edge scan RECORDINGS --out manifest.csv",
        f"    ser-edge train --recipe {mine} --data manifest.csv --run runs/mine --score-test",
        "    ser-edge convert runs/mine --licence \"...\" --out mine.tflite",
    ]  # fmt: skip


def _title(corpus: str) -> str:
    return "All" if corpus == "all" else LICENCES[corpus].title if corpus in LICENCES else corpus
