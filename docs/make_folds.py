"""Writes the speaker folds into docs/folds: ``python docs/make_folds.py``.

A list a corpus, for people who use the folds without this package. A test holds that the
committed files are what this script writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ser_edge_train.corpora import crema_d, ravdess
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import FOLDS, speaker_folds

FOLDER = Path(__file__).with_name("folds")
SPEAKERS = {
    "ravdess": [f"{actor:02d}" for actor in ravdess.ACTORS],
    "crema-d": [str(number) for number in crema_d.SPEAKERS],
}


def table(corpus: str) -> str:
    """The CSV of a corpus: a row for each fold and speaker."""
    clips = tuple(
        Clip(corpus, speaker, f"{speaker}.wav", speaker, "", "neutral", "", "", "", 1.0,
             f"{place:064x}", "")
        for place, speaker in enumerate(SPEAKERS[corpus])
    )  # fmt: skip
    manifest = Manifest(FOLDER, clips)
    lines = ["fold,speaker,part"]
    for fold in FOLDS:
        rows = speaker_folds(manifest, fold, 0).rows
        lines += [f"{fold},{row.stem},{row.part}" for row in rows]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """The text of every file."""
    return {FOLDER / f"{corpus}.csv": table(corpus) for corpus in SPEAKERS}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{path}\n")
