"""What is known of each recording: :class:`Clip`, and :class:`Manifest`, a CSV of them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Final, Self

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.errors import ManifestError, quoted
from ser_edge_train.rows import format_rows, is_inside, is_plain, read_rows

CANONICAL_LABELS: Final = (
    "angry",
    "calm",
    "disgust",
    "fear",
    "happy",
    "neutral",
    "sad",
    "surprise",
)
"""The emotions that the known corpora's codes are mapped to."""

CORPUS_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "crema-d": ("angry", "disgust", "fear", "happy", "neutral", "sad"),
    "ravdess": CANONICAL_LABELS,
    "savee": ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    "tess": ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
}
"""The emotions that each known corpus has; scores on it are masked to these."""

FAULTS: Final = ("unreadable", "too-short", "silent", "repeated-stem", "conflict", "duplicate")
"""What can keep a clip out of training; where two apply, the earlier one is recorded."""

SEXES: Final = ("", "female", "male")
UNKNOWN_SPEAKER: Final = "unknown:"

REPAIR = "write it anew with: ser-edge scan FOLDERS --out manifest.csv"
_REPEATED: Final = (
    "corpus", "speaker", "sex", "emotion", "intensity", "sentence", "take", "fault",
)  # fmt: skip
_LABEL = re.compile(r"[a-z][a-z0-9_-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)  # a hundred thousand of them take 40 MB instead of 130
class Clip:
    """One utterance of a corpus; immutable, so threads may share it.

    Attributes:
        corpus: ``ravdess``, ``crema-d``, ``tess``, ``savee`` or the name of a user's own.
        stem: The clip's name, unique within its corpus (``DC_a01`` for SAVEE's ``DC/a01``).
        path: POSIX path relative to the manifest's root.
        speaker: Unique within its corpus; ``unknown:STEM`` where nobody said who speaks.
        sex: ``female``, ``male`` or empty.
        emotion: A label, lower case; of :data:`CANONICAL_LABELS` for the known corpora.
        intensity: ``normal``, ``strong``, ``low``, ``medium``, ``high`` or empty.
        sentence: The corpus's code of what is said, or empty.
        take: The corpus's number of the repetition, or empty.
        seconds: Length of the decoded audio, to the microsecond.
        audio_sha256: ``audio_digest`` of the decoded samples; empty when unreadable.
        fault: One of :data:`FAULTS`, or empty for a usable clip.
    """

    corpus: str
    stem: str
    path: str
    speaker: str
    sex: str
    emotion: str
    intensity: str
    sentence: str
    take: str
    seconds: float
    audio_sha256: str
    fault: str

    @property
    def key(self) -> Key:
        """The clip's identity: (corpus, stem)."""
        return self.corpus, self.stem

    @property
    def speaker_key(self) -> Key:
        """The speaker's identity: (corpus, speaker)."""
        return self.corpus, self.speaker

    @property
    def speaker_known(self) -> bool:
        """False for a clip that stands for a speaker of its own, since none was named."""
        return not self.speaker.startswith(UNKNOWN_SPEAKER)

    def row(self) -> list[str]:
        """The clip's fields as text, in the order of :data:`COLUMNS`."""
        return [
            f"{self.seconds:.6f}" if column == "seconds" else getattr(self, column)
            for column in COLUMNS
        ]


COLUMNS: Final = tuple(field.name for field in fields(Clip))


def fault_of(clip: Clip) -> str | None:
    """What makes ``clip`` unfit for a manifest, as "sex 'f' is not ..."; None if it is fit."""
    for column, value in zip(COLUMNS, clip.row(), strict=True):
        if not is_plain(value):
            return f"{column} {quoted(value)} holds control characters"
    checks = (
        (bool(clip.corpus), "corpus", clip.corpus, "empty"),
        (bool(clip.stem), "stem", clip.stem, "empty"),
        (bool(clip.speaker), "speaker", clip.speaker, "empty"),
        (
            clip.speaker == clip.speaker.strip() or not clip.speaker_known,
            "speaker",
            clip.speaker,
            "a name that begins or ends with a space",
        ),
        (is_inside(clip.path), "path", clip.path, "not a path below the manifest's root"),
        (clip.sex in SEXES, "sex", clip.sex, "not female, male or empty"),
        (bool(_LABEL.fullmatch(clip.emotion)), "emotion", clip.emotion, "not a lower-case word"),
        (clip.fault in ("", *FAULTS), "fault", clip.fault, f"not one of {', '.join(FAULTS)}"),
        (
            bool(_DIGEST.fullmatch(clip.audio_sha256))
            or (clip.audio_sha256 == "" and clip.fault == "unreadable"),
            "audio_sha256",
            clip.audio_sha256,
            "not 64 hexadecimal digits",
        ),
        (
            math.isfinite(clip.seconds) and clip.seconds >= 0,
            "seconds",
            str(clip.seconds),
            "not a length of time",
        ),
    )
    for fit, column, value, why in checks:
        if not fit:
            return f"{column} {quoted(value)} is {why}"
    known = CORPUS_LABELS.get(clip.corpus)
    if known is not None and clip.emotion not in known:
        return f"emotion {quoted(clip.emotion)} is none of {clip.corpus}'s: {', '.join(known)}"
    return None


@dataclass(frozen=True)
class Manifest:
    """Clips in the order of (corpus, stem), and the folder their paths start from.

    The CSV holds no machine's paths: they are relative to ``root``, and the root
    itself stands in a file beside it, ``manifest.root`` for ``manifest.csv``,
    which is not to be committed or sent. A manifest written into a run directory
    takes its root along; one that came alone is read with ``root=``, or is taken
    to lie in the root itself. Immutable; threads may share it.

    Args:
        root: The folder that the clips' paths are relative to.
        clips: In any order; they are put into that of (corpus, stem).

    Raises:
        ManifestError: Two clips with one corpus and stem, or a clip with a field
            that no manifest may hold.
    """

    root: Path
    clips: tuple[Clip, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.clips, key=lambda clip: clip.key))
        object.__setattr__(self, "clips", ordered)
        for clip in ordered:
            fault = fault_of(clip)
            if fault is not None:
                raise ManifestError(f"{clip.corpus} {clip.stem}", None, fault, REPAIR)
        for one, other in pairwise(ordered):
            if one.key == other.key:
                name = f"{clip_name(one)} stands twice"
                raise ManifestError(self.root, None, name, "keep one row for it")

    @classmethod
    def read(cls, path: str | PathLike[str], root: str | PathLike[str] | None = None) -> Self:
        """Reads a manifest, strictly.

        Args:
            path: The CSV.
            root: Where its paths start; by default what the ``.root`` file beside it
                says, else the CSV's own folder.

        Raises:
            ManifestError: Names the file, the line, the column and the next step.
        """
        path = Path(path)
        clips: list[Clip] = []
        lines: dict[Key, int] = {}
        known: dict[str, str] = {}
        rows = read_rows(path, ManifestError, REPAIR)
        line, header = next(rows, (1, []))
        if tuple(header) != COLUMNS:
            fault = f"the first line is not {','.join(COLUMNS)}"
            raise ManifestError(path, line, fault, REPAIR)
        for line, values in rows:
            clip = _parse_row(path, line, values, known)
            if clip.key in lines:
                fault = f"{clip_name(clip)} stands already in line {lines[clip.key]}"
                raise ManifestError(path, line, fault, "keep one of the two")
            lines[clip.key] = line
            clips.append(clip)
        return cls(Path(root) if root is not None else _read_root(path), tuple(clips))

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the CSV and, beside it, the ``.root`` file; each is whole or untouched.

        Raises:
            OSError: The folder is missing, not writable or full.
        """
        path = Path(path)
        write_text_atomically(root_file(path), f"{self.root.absolute()}\n")
        write_text_atomically(path, self.to_csv())

    def to_csv(self) -> str:
        """The text of the CSV: the same clips give the same bytes."""
        return format_rows(COLUMNS, (clip.row() for clip in self.clips))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all columns but ``path``: the clips, wherever they lie."""
        without = COLUMNS.index("path")
        rows = (row[:without] + row[without + 1 :] for row in (c.row() for c in self.clips))
        header = COLUMNS[:without] + COLUMNS[without + 1 :]
        return hashlib.sha256(format_rows(header, rows).encode()).hexdigest()

    @cached_property
    def usable(self) -> tuple[Clip, ...]:
        """The clips without a fault."""
        return tuple(clip for clip in self.clips if not clip.fault)

    @cached_property
    def by_key(self) -> Mapping[Key, Clip]:
        """Clips by (corpus, stem)."""
        return {clip.key: clip for clip in self.clips}

    @cached_property
    def corpora(self) -> tuple[str, ...]:
        """The names of the corpora, sorted."""
        return tuple(sorted({clip.corpus for clip in self.clips}))

    def labels_of(self, corpus: str) -> tuple[str, ...]:
        """The labels that ``corpus`` has: known ones as published, others as found here."""
        known = CORPUS_LABELS.get(corpus)
        if known is not None:
            return known
        return tuple(sorted({clip.emotion for clip in self.clips if clip.corpus == corpus}))

    def select(self, corpora: Iterable[str]) -> Self:
        """The manifest of only these corpora.

        Raises:
            ManifestError: One of them is not here.
        """
        wanted = set(corpora)
        missing = wanted - set(self.corpora)
        if missing:
            names, here = ", ".join(sorted(missing)), ", ".join(self.corpora) or "none"
            fault = f"no clip of {names} (here: {here})"
            remedy = "scan its folder too, or train a recipe for any corpora, as cnn1d-quick"
            raise ManifestError(self.root, None, fault, remedy)
        return type(self)(self.root, tuple(c for c in self.clips if c.corpus in wanted))

    def path_of(self, clip: Clip) -> Path:
        """Where the audio of ``clip`` lies on this machine."""
        return self.root / clip.path


def clip_name(clip: Clip) -> str:
    """How messages name a clip: ``crema-d 1076_MTI_SAD_XX``."""
    return f"{clip.corpus} {clip.stem}"


def root_file(path: Path) -> Path:
    """The file beside a manifest that holds its root."""
    return path.with_suffix(".root")


def is_manifest(path: str | PathLike[str]) -> bool:
    """Whether a file's first line is a manifest's; False for anything else, readable or not."""
    expected = ",".join(COLUMNS).encode()
    try:
        with Path(path).open("rb") as stream:
            first = stream.readline(len(expected) + 8)
    except OSError:
        return False
    return first.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n") == expected


def _read_root(path: Path) -> Path:
    beside = root_file(path)
    try:
        text = beside.read_text(encoding="utf-8-sig").removesuffix("\n")
    except FileNotFoundError:
        return path.parent
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text or not is_plain(text):
        raise ManifestError(beside, None, "does not hold the path of one folder", "delete it")
    return path.parent / text


def _parse_row(path: Path, line: int, values: list[str], known: dict[str, str]) -> Clip:
    if len(values) != len(COLUMNS):
        fault = f"{len(values)} fields instead of {len(COLUMNS)}"
        raise ManifestError(path, line, fault, REPAIR)
    row = dict(zip(COLUMNS, values, strict=True))
    seconds = row.pop("seconds")
    if not _SECONDS.fullmatch(seconds):
        fault = f"seconds {quoted(seconds)} is not a length such as 2.5"
        raise ManifestError(path, line, fault, REPAIR)
    # Each of these names stands in thousands of rows, and should be one object. Not sys.intern:
    # its table is the process', and takes a megabyte at once when it grows.
    row |= {column: known.setdefault(row[column], row[column]) for column in _REPEATED}
    clip = Clip(seconds=round(float(seconds), 6), **row)
    wrong = fault_of(clip)
    if wrong is not None:
        raise ManifestError(path, line, wrong, REPAIR)
    return clip
