"""Puts what CREMA-D's listeners heard beside what a teacher says:

    python docs/listeners_votes.py SCORES MANIFEST VOTES OUT

SCORES is a table of `ser-edge teach`, MANIFEST that of the recordings, VOTES the corpus's
summaryTable.csv, whose column VoiceVote holds the emotions that most listeners named by the voice
alone, several where they tied. In OUT a CREMA-D recording has half of the teacher's probabilities
and half of the votes, shared evenly between tied ones; other recordings have the teacher's. The
listeners are at odds with the acted emotion in more than half of the clips, mostly for neutral.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from ser_edge_runtime.errors import FileError
from ser_edge_train.manifest import Manifest
from ser_edge_train.teacher_scores import TeacherScores

CORPUS = "crema-d"
EMOTIONS = {
    "A": "angry",
    "D": "disgust",
    "F": "fear",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
}
SHARE = 0.5


class VotesError(FileError):
    """A table of votes that cannot be used."""


def read_votes(path: str | PathLike[str]) -> dict[str, tuple[str, ...]]:
    """The emotions that most listeners named, by a clip's name; several where they tied.

    Raises:
        VotesError: The table is missing, has other columns, or a vote is no emotion of CREMA-D.
    """
    repair = "take summaryTable.csv of the corpus"
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as fault:
        raise VotesError(path, f"cannot be read ({type(fault).__name__})", repair) from None
    votes = {}
    for line, row in enumerate(rows, start=2):
        name, vote = row.get("FileName"), row.get("VoiceVote")
        if not name or not vote:
            raise VotesError(path, f"line {line} has no FileName or no VoiceVote", repair)
        letters = vote.split(":")
        if not set(letters) <= set(EMOTIONS):
            raise VotesError(path, f"line {line}: {vote!r} is no vote", repair)
        votes[name] = tuple(EMOTIONS[letter] for letter in letters)
    if not votes:
        raise VotesError(path, "holds no vote", repair)
    return votes


def blended(
    scores: TeacherScores, manifest: Manifest, votes: dict[str, tuple[str, ...]]
) -> TeacherScores:
    """The teacher's table with the votes of the clips that have some."""
    stems = {clip.audio_sha256: clip.stem for clip in manifest.clips if clip.corpus == CORPUS}
    table = scores.probabilities.copy()
    for place, digest in enumerate(scores.digests):
        heard = votes.get(stems.get(digest, ""), ())
        if heard:
            said = np.zeros(len(scores.labels))
            said[[scores.labels.index(emotion) for emotion in heard]] = 1 / len(heard)
            table[place] = (1 - SHARE) * table[place] + SHARE * said
    return replace(scores, probabilities=table)


def main(arguments: Sequence[str]) -> None:
    """Writes the table."""
    if len(arguments) != 4:
        raise SystemExit(__doc__)
    scores, manifest, votes, out = arguments
    found = blended(TeacherScores.read(scores), Manifest.read(manifest), read_votes(votes))
    found.write(out)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except FileError as fault:
        raise SystemExit(str(fault)) from None
