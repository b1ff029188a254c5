"""TESS: ``OAF_bar_angry``: speaker, word, emotion; two women.

Pichora-Fuller and Dupuis 2020. The label is the stem's: the folders' names
differ from copy to copy (``OAF_Fear``, ``YAF_pleasant_surprised``).
"""

from __future__ import annotations

import re
from pathlib import PurePath

from ser_edge_train.corpora.parsed import Labelled, Parsed

NAME = "tess"
SPEAKERS = ("OAF", "YAF")
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sad",
}
_STEM = re.compile(r"(OAF|YAF|OA)_([a-z]+)_([a-z]+)", re.IGNORECASE)


def parse(path: PurePath) -> Parsed:
    """Reads the stem; upstream's one typo, ``OA_bite_neutral``, is known by its right name."""
    match = _STEM.fullmatch(path.stem)
    if match is None:
        return None
    speaker, word, emotion = match[1].upper(), match[2].lower(), match[3].lower()
    if emotion not in EMOTIONS:
        return None
    speaker = "OAF" if speaker == "OA" else speaker
    return Labelled(
        corpus=NAME,
        stem=f"{speaker}_{word}_{emotion}",
        speaker=speaker,
        sex="female",
        emotion=EMOTIONS[emotion],
        sentence=word,
    )
