"""CREMA-D: ``1001_DFA_ANG_XX``: speaker, sentence, emotion, intensity.

Cao et al. 2014. The label is the emotion the actor was asked for, not what
listeners heard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from ser_edge_train.corpora.parsed import Labelled, Parsed
from ser_edge_train.errors import TableError, quoted
from ser_edge_train.rows import read_rows

NAME = "crema-d"
SPEAKERS = range(1001, 1092)
EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": ""}
SENTENCES = frozenset(
    {"DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI"}
)
# The column Sex of upstream's VideoDemographics.csv: 48 men; the other 43 are women.
_MEN = (
    "1001 1005 1011 1014 1015 1016 1017 1019 1022 1023 1026 1027 1031 1032 1033 1034 "
    "1035 1036 1038 1039 1040 1041 1042 1044 1045 1048 1050 1051 1057 1059 1062 1064 "
    "1065 1066 1067 1068 1069 1070 1071 1077 1080 1081 1083 1085 1086 1087 1088 1090"
)
MEN = frozenset(int(number) for number in _MEN.split())
DEMOGRAPHICS = "VideoDemographics.csv"
_STEM = re.compile(r"(1[0-9]{3})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)", re.IGNORECASE)


def parse(path: PurePath) -> Parsed:
    """Reads the stem; upstream's one typo, ``1040_ITH_SAD_X``, is known by its right name."""
    match = _STEM.fullmatch(path.stem)
    if match is None:
        return None
    speaker, sentence, emotion, intensity = (part.upper() for part in match.groups())
    intensity = intensity.replace("XX", "X").replace("X", "XX")
    if int(speaker) not in SPEAKERS or sentence not in SENTENCES or emotion not in EMOTIONS:
        return None
    return Labelled(
        corpus=NAME,
        stem=f"{speaker}_{sentence}_{emotion}_{intensity}",
        speaker=speaker,
        sex="male" if int(speaker) in MEN else "female",
        emotion=EMOTIONS[emotion],
        intensity=INTENSITIES[intensity],
        sentence=sentence,
    )


def find_demographics(folder: Path) -> Path | None:
    """``VideoDemographics.csv`` beside the clips or beside their folder, where there is one."""
    candidates = (place / DEMOGRAPHICS for place in (folder, folder.parent))
    return next((path for path in candidates if path.is_file()), None)


def read_demographics(path: Path) -> Mapping[str, str]:
    """Sexes by speaker, from the columns ``ActorID`` and ``Sex``.

    Raises:
        TableError: Not such a table; names the line.
    """
    repair = "take upstream's file, or remove this one: the speakers' sexes are built in"
    rows = read_rows(path, TableError, repair)
    line, header = next(rows, (1, []))
    if "ActorID" not in header or "Sex" not in header:
        raise TableError(path, line, "no columns ActorID and Sex", repair)
    sexes: dict[str, str] = {}
    for line, values in rows:
        if len(values) != len(header):
            fault = f"{len(values)} fields instead of {len(header)}"
            raise TableError(path, line, fault, repair)
        row = dict(zip(header, values, strict=True))
        sex = row["Sex"].strip().lower()
        if sex not in ("male", "female"):
            raise TableError(path, line, f"Sex {quoted(row['Sex'])} is not Male or Female", repair)
        sexes[row["ActorID"].strip()] = sex
    return sexes
