"""The page docs/enrolment.md, from the figures of study_enrolment.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from enrolment_methods import CHOSEN

from ser_edge_runtime.enrolment import FEWEST, HELD_BACK

CHOOSING = ("ravdess", "crema-d")
DRAWS = 5
SCENARIOS: tuple[tuple[str, int], ...] = (
    ("any", 3),
    ("any", 5),
    ("any", 10),
    ("any", 15),
    ("any", 30),
    ("half quiet", 10),
    ("70 % quiet", 10),
    ("quiet", 3),
    ("quiet", 10),
    ("quiet, repeated", 40),
)
MEANT = {
    "any": "drawn at random from all of the speaker's clips",
    "half quiet": "half of them neutral or calm",
    "70 % quiet": "seven of ten neutral or calm",
    "quiet": "all of them neutral or calm, as many as there are",
    "quiet, repeated": "neutral or calm clips again and again: what very many of them would do",
}

HEAD = f"""\
# Enrolment: does a model learn a voice from a few clips?

```
ser-edge enrol anna recordings-of-anna/     # {FEWEST} clips or more, in which she sounds different
ser-edge classify new.wav --speaker anna    # archives, --segment and --srt too
ser-edge listen --speaker anna
```

```python
from ser_edge_runtime import Classifier, StreamingClassifier, Voice, Voices

classifier = Classifier.load()
results = [classifier.classify_file(path) for path in clips]
voice = Voice.enrolled("anna", classifier.model_file.metadata, results)
Voices().write(voice)                       # and Voices().read("anna")
StreamingClassifier(classifier.for_speaker(voice))
```

A voice is a JSON file in the user's data folder, or in `--voices FOLDER`: the model's answers on
the clips and the digest of that model, no sound. Another model refuses it. `ser-edge listen
--speaker` stays with the model that it began with.

## What it is worth

Written by `python docs/study_enrolment.py` from [enrolment.json](enrolment.json), which the same
script makes from the runs of the default recipe's five speaker folds; nothing here is typed. A
speaker's clips are enrolled without their labels, the speaker's other clips are scored, before
and after, in the measure of all pages here: UAR over the classes that the corpus has.

The answer: **yes, from {FEWEST} clips of different kinds on.** From that number on the method below
won three points or more on the validation speakers of RAVDESS and of CREMA-D; with fewer it won
less on one of them, so `ser-edge enrol` refuses fewer. Three clips do not help.

What ships ([the code](../runtime/ser_edge_runtime/enrolment.py)) changes nothing that the network
hears. It adds to the logarithm of each class's probability the offset that spreads the model's own
answers on the enrolled clips evenly over the classes, held back by a Gaussian prior of weight
{HELD_BACK:g} and by how little the answers vary. It needs nothing but the answers, so it works with
any model, also one whose training is not at hand.

What it cannot do: a voice that is enrolled with neutral speech alone has not shown how the model
leans. The rows "quiet" below are that case: the answers vary less, the offset is weakened, and
`ser-edge enrol` warns where it notices; the column "warned" says how often that is. Such an
enrolment may be worse than none, and one with seven neutral clips of ten gains little. Clips in
which the speaker sounds different, in about equal shares, are what it is for.

The weight and the two bounds between which variety weakens the offset were chosen on the
validation speakers too, before anything was looked at on test speakers. Probabilities of an
adapted model are not calibrated anew: the column "calibration error" says what that costs.
"""

SCENARIO_TEXT = "\n".join(f"- *{name}*: {words};" for name, words in MEANT.items())[:-1] + ".\n"


TEST_TEXT = f"""
## Test speakers

The speakers of all five folds, each by the model that has not heard them, looked at once with the
method chosen below. Each was enrolled {DRAWS} times with clips drawn anew. Differences are in
points, with 95 % intervals by bootstrap over speakers; "all classes": without leaving out classes
that the corpus lacks, as on a device; "worse": share of speakers whose UAR fell; "warned": share of
enrolments whose answers vary too little. Speakers who validated in another fold are among them.

"""

METHODS_TEXT = """
## Methods, on validation speakers

Points of UAR won or lost, RAVDESS / CREMA-D, by which the method was chosen; the first row is the
UAR without enrolment. Where features change, the normaliser moves to the speaker's, half of the way
at 5 clips, and the network computes anew, for fewer draws; cells are blank where it did not. The
last row is no enrolment: it is how the model leans on the other validation speakers, which every
voice would share. Intervals of all cells are in enrolment.json.

"""


def page(figures: Sequence[dict[str, Any]]) -> str:
    """The page for these figures."""
    parts = [HEAD]
    test = [row for row in figures if row["part"] == "test"]
    if test:
        parts += [TEST_TEXT, _test_table(test)]
    parts.append("\n## How clips were drawn\n\n" + SCENARIO_TEXT)
    chosen = [row for row in figures if row["part"] in ("validation", "features")]
    if chosen:
        parts += [METHODS_TEXT, _methods_table(chosen)]
    return "".join(parts)


def _test_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| corpus | clips | drawn | speakers | UAR before | after | gain | accuracy | all classes "
        "| worse | calibration error | warned |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        interval = row["interval"]
        ends = "" if interval is None else f" ({_points(interval[0])} to {_points(interval[1])})"
        lines.append(
            f"| {row['corpus']} | {row['clips']} | {row['scenario']} | {row['speakers']} "
            f"| {100 * row['before']:.1f} | {100 * row['after']:.1f} "
            f"| **{_points(row['after'] - row['before'])}**{ends} | {_points(row['accuracy'])} "
            f"| {_points(row['open'])} | {100 * row['worse']:.0f} % "
            f"| {_calibration(row)} | {100 * row['warned']:.0f} % |"
        )
    return "\n".join(lines) + "\n"


def _calibration(row: dict[str, Any]) -> str:
    before, after = row["calibration"]
    side = "too sure" if row["confidence"] > 0 else "too unsure"
    return f"{100 * before:.1f} to {100 * after:.1f} %, {side}"


def _methods_table(rows: Sequence[dict[str, Any]]) -> str:
    cells = {(r["method"], r["scenario"], r["clips"], r["corpus"]): r for r in rows}
    head = [f"{scenario} {clips}" for scenario, clips in SCENARIOS]
    lines = ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]

    def line(name: str, method: str, value: Callable[[dict[str, Any]], str]) -> str:
        columns = []
        for scenario, clips in SCENARIOS:
            pair = [cells.get((method, scenario, clips, corpus)) for corpus in CHOOSING]
            columns.append(" / ".join(value(row) for row in pair if row is not None))
        return f"| {name} | " + " | ".join(columns) + " |"

    methods = sorted(dict.fromkeys(row["method"] for row in rows), key=lambda name: name[:3])
    lines.append(line("UAR without", "(e) " + CHOSEN, lambda row: f"{100 * row['before']:.1f}"))
    for method in methods:
        name = f"**{method}**" if method == "(e) " + CHOSEN else method
        lines.append(line(name, method, lambda row: _points(row["after"] - row["before"])))
    return "\n".join(lines) + "\n"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-0.0", "+0.0")
