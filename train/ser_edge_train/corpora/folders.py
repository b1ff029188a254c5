"""A user's own recordings in folders named for their labels.

Two layouts, below the folder that is scanned:

- ``LABEL/SPEAKER/file.wav``: the folder names the speaker;
- ``LABEL/file.wav``: the file's name up to its first ``_`` or ``-`` names the
  speaker (``anna_01.wav``), where at least two files of the corpus begin so and
  it is not a word for an emotion. Otherwise nobody knows who speaks: each such
  clip stands as a speaker of its own, ``unknown:STEM``, which keeps parts free of
  shared *clips* only, and the scan says so.

LABEL is a word for one of the canonical emotions (``Angry``, ``fearful``); other
labels need a table. The corpus is named for the folder that holds the label
folders (``calls``, and ``calls-2`` for another of that name), the stem is the path
below it without its ending.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ser_edge_train.corpora.parsed import Labelled, corpus_name, emotion_of, take_name
from ser_edge_train.manifest import UNKNOWN_SPEAKER

_PREFIX = re.compile(r"([^_-]+)[_-].+")


def parse_all(
    files: Iterable[tuple[Path, Path]], taken: Iterable[str] = ()
) -> Mapping[Path, Labelled]:
    """Labels what lies in either layout; a file that does not is not in the answer.

    Args:
        files: Pairs of a file and the folder whose scan found it.
        taken: Names that other corpora of the scan have.
    """
    found: dict[Path, tuple[Path, str, str]] = {}
    for path, scanned in files:
        place = _place(path, scanned)
        if place is not None:
            found[path] = place
    used = set(taken)
    homes = sorted({home for home, _, _ in found.values()})
    names = {home: take_name(corpus_name(home.name), used) for home in homes}
    prefixes = Counter(
        (home, prefix_of(path.stem)) for path, (home, _, speaker) in found.items() if not speaker
    )
    answer = {}
    for path, (home, emotion, speaker) in found.items():
        stem = path.relative_to(home).with_suffix("").as_posix()
        if not speaker:
            prefix = prefix_of(path.stem)
            shared = prefix and prefixes[home, prefix] > 1
            speaker = prefix if shared else f"{UNKNOWN_SPEAKER}{stem}"
        answer[path] = Labelled(names[home], stem, speaker, sex="", emotion=emotion)
    return answer


def prefix_of(stem: str) -> str:
    """What may name the speaker in a file's name, or nothing: ``anna-02`` gives ``anna``."""
    match = _PREFIX.fullmatch(stem)
    prefix = match[1].strip() if match else ""
    return "" if emotion_of(prefix) else prefix


def _place(path: Path, scanned: Path) -> tuple[Path, str, str] | None:
    """The folder that holds the label folders, the label, the speaker's folder or nothing."""
    folders = path.relative_to(scanned).parts[:-1]
    if folders and (emotion := emotion_of(folders[-1])):
        return path.parents[1], emotion, ""
    if len(folders) > 1 and (emotion := emotion_of(folders[-2])) and folders[-1].strip():
        return path.parents[2], emotion, folders[-1].strip()
    return None
