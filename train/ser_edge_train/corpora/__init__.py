"""The corpora: a parser each, from a file's name to what it says of the recording."""

from __future__ import annotations

from pathlib import PurePath

from ser_edge_train.corpora import crema_d, ravdess, savee, tess
from ser_edge_train.corpora.parsed import Labelled, LeftOut, Parsed, emotion_of

__all__ = ["Labelled", "LeftOut", "Parsed", "emotion_of", "recognise"]

_PARSERS = (ravdess.parse, crema_d.parse, tess.parse, savee.parse)


def recognise(path: PurePath) -> Parsed:
    """What the known corpora say of a file, by its name alone; None when it is none of theirs."""
    return next((parsed for parse in _PARSERS if (parsed := parse(path)) is not None), None)
