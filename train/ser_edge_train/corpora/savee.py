"""SAVEE: ``DC/a01`` or flat ``DC_a01``: speaker, emotion, number; four men.

Haq and Jackson 2009. Sentences 01 to 03 of an emotion are common to all, the
others belong to the emotion; the corpus names no text, so ``sentence`` is
emotion and number (``a04``).
"""

from __future__ import annotations

import re
from pathlib import PurePath

from ser_edge_train.corpora.parsed import Labelled, Parsed

NAME = "savee"
SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fear",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprise",
}
_NESTED = re.compile(r"(sa|su|[adfhn])([0-9]{2})", re.IGNORECASE)
_FLAT = re.compile(r"(DC|JE|JK|KL)_(.+)", re.IGNORECASE)


def parse(path: PurePath) -> Parsed:
    """Reads the stem, and the folder above it where the stem does not name the speaker."""
    flat = _FLAT.fullmatch(path.stem)
    speaker, rest = (flat[1], flat[2]) if flat else (path.parent.name, path.stem)
    match = _NESTED.fullmatch(rest)
    speaker = speaker.upper()
    if match is None or speaker not in SPEAKERS:
        return None
    letters, number = match[1].lower(), match[2]
    if not 1 <= int(number) <= (30 if letters == "n" else 15):
        return None
    return Labelled(
        corpus=NAME,
        stem=f"{speaker}_{letters}{number}",
        speaker=speaker,
        sex="male",
        emotion=EMOTIONS[letters],
        sentence=f"{letters}{number}",
    )
