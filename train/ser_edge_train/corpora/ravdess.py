"""RAVDESS speech: ``03-01-EE-II-SS-RR-AA``, whatever folders it lies in.

Livingstone and Russo 2018. The fields are modality, vocal channel, emotion,
intensity, sentence, repetition and actor; odd actors are men, even ones women.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from ser_edge_train.corpora.parsed import Labelled, LeftOut, Parsed

NAME = "ravdess"
ACTORS = range(1, 25)
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": "normal", "02": "strong"}
_STEM = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-([0-9]{2})")


def parse(path: PurePath) -> Parsed:
    """Reads the stem; songs and the sound of videos are left out."""
    match = _STEM.fullmatch(path.stem)
    if match is None:
        return None
    modality, channel, emotion, intensity, sentence, take, actor = match.groups()
    if int(actor) not in ACTORS:
        return None
    if channel == "02":
        return LeftOut(NAME, "songs")
    if modality != "03":
        return LeftOut(NAME, "sound of the videos (the same utterances again)")
    return Labelled(
        corpus=NAME,
        stem=path.stem,
        speaker=actor,
        sex="male" if int(actor) % 2 else "female",
        emotion=EMOTIONS[emotion],
        intensity=INTENSITIES[intensity],
        sentence=sentence,
        take=take,
    )
