"""What a parser says of a file: :class:`Labelled`, :class:`LeftOut`, or None for "not mine"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from ser_edge_train.manifest import CORPUS_LABELS


@dataclass(frozen=True)
class Labelled:
    """A recording and what its name says; the fields are those of ``manifest.Clip``."""

    corpus: str
    stem: str
    speaker: str
    sex: str
    emotion: str
    intensity: str = ""
    sentence: str = ""
    take: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A recording that belongs to a corpus but not to its spoken clips, and why."""

    corpus: str
    reason: str


Parsed = Labelled | LeftOut | None

EMOTION_WORDS: Final[Mapping[str, str]] = {
    "anger": "angry",
    "angry": "angry",
    "calm": "calm",
    "disgust": "disgust",
    "disgusted": "disgust",
    "fear": "fear",
    "fearful": "fear",
    "afraid": "fear",
    "happiness": "happy",
    "happy": "happy",
    "joy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "sadness": "sad",
    "surprise": "surprise",
    "surprised": "surprise",
    "pleasant_surprise": "surprise",
    "pleasant_surprised": "surprise",
    "ps": "surprise",
}
"""Words for the canonical labels, as folders and tables spell them; compared in lower case."""


def emotion_of(word: str) -> str | None:
    """The canonical label that ``word`` stands for, or None: ``Fearful`` gives ``fear``."""
    return EMOTION_WORDS.get(word.strip().lower().replace(" ", "_").replace("-", "_"))


def corpus_name(text: str) -> str:
    """A user's folder or file name as the name of a corpus: ``My Calls 2`` gives ``my-calls-2``.

    The names of the four known corpora stay theirs: ``ravdess`` gives ``ravdess-own``.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "recordings"
    return f"{name}-own" if name in CORPUS_LABELS else name


def take_name(name: str, taken: set[str]) -> str:
    """``name``, or ``name-2`` and so on where it is taken already; takes what it gives."""
    free = next(
        candidate
        for number in count(1)
        if (candidate := name if number == 1 else f"{name}-{number}") not in taken
    )
    taken.add(free)
    return free
