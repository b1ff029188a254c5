"""Writes a shipped model's card and the picture beside it:

    python docs/make_card.py [RUNS...] [--model FILE] [--card PAGE] [--part test|validation]
                             [--data MANIFEST] [--ages VideoDemographics.csv]

FILE is a model of the family, by default the default model; its card is README.md beside the
default model, NAME.md beside any other. RUNS are the runs of its recipe, the one that it was
converted from among them; all must have been scored on the part: nothing is scored here. Ages
are CREMA-D's, by default of the table in the folder of recordings of MANIFEST. What the card
needs of the runs is kept in docs/cards.json, which is committed; conversion and robustness come
out of docs/audits.json and docs/robustness.json. Without RUNS the card is written from those.
The files beside FILE are its family, of
which every card has a table. Tests hold that each shipped model's card is what this script writes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
if str(DOCS) not in sys.path:
    sys.path.insert(0, str(DOCS))

import make_scores
from model_family import family_table

from ser_edge.describe import describe_front_end
from ser_edge_convert.card.content import card_content
from ser_edge_convert.card.page import Sources, render
from ser_edge_convert.card.picture import coverage_svg
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.model_file import default_model_path, read_model_file
from ser_edge_train.fairness import find_ages
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory

CARDS = DOCS / "cards.json"
LICENCE = "LICENSE.weights.txt"


def card_path(model: Path) -> Path:
    """Where a model's card stands."""
    return model.with_name("README.md" if model.name == "default.tflite" else f"{model.stem}.md")


def picture_path(model: Path) -> Path:
    """Where the picture of accuracy against coverage stands."""
    return model.with_name(f"{model.stem}-coverage.svg")


def pages(model: Path, card: Path, content: Mapping[str, Any]) -> dict[Path, str]:
    """The texts of the card and of its picture."""
    metadata = read_model_file(model).metadata
    sources = Sources(
        content=content,
        metadata=metadata,
        front_end=describe_front_end(metadata.front_end),
        shipped=make_scores.table(metadata.scores),
        family=family_table(model.parent.glob("*.tflite")),
        robustness=_json(DOCS / "robustness.json", []),
        audits=_json(DOCS / "audits.json", {"audits": []})["audits"],
        docs=Path(os.path.relpath(DOCS, card.parent)).as_posix() + "/",
        licence_file=LICENCE if LICENCE in metadata.licence else "",
        curve=picture_path(model).name,
    )
    picture = card.with_name(sources.curve)
    return {card: render(sources), picture: coverage_svg(content["curves"])}


def rounded(value: Any) -> Any:
    """Numbers with as many digits as a reader of the file needs."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _json(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else otherwise


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUNS")
    parser.add_argument("--model", type=Path, default=default_model_path())
    parser.add_argument("--card", type=Path, help="by default beside the model")
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument(
        "--data", type=Path, help="manifest, in whose folder the ages are looked for"
    )
    parser.add_argument("--ages", type=Path, help="CREMA-D's VideoDemographics.csv")
    parser.add_argument("--cards", type=Path, default=CARDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cards = _json(given.cards, {})
    name = given.model.name
    try:
        if given.runs:
            ages = given.ages
            if ages is None and given.data is not None:
                ages = find_ages(Manifest.read(given.data).root)
            runs = [RunDirectory.open(path) for path in given.runs]
            cards[name] = rounded(card_content(given.model, runs, part=given.part, ages=ages))
            # The order within a card is that of its tables.
            cards = dict(sorted(cards.items()))
            text = json.dumps(cards, indent=1, ensure_ascii=False, allow_nan=False)
            write_text_atomically(given.cards, text + "\n")
        elif name not in cards:
            raise SystemExit(f"{given.cards}: knows nothing of {name}; name the runs of its recipe")
        for path, text in pages(
            given.model, given.card or card_path(given.model), cards[name]
        ).items():
            write_text_atomically(path, text)
            sys.stdout.write(f"{path}\n")
    except SerEdgeError as fault:
        raise SystemExit(str(fault)) from None


if __name__ == "__main__":
    main()
