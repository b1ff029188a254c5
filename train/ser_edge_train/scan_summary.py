"""What a scan says beside its manifest: counts, named faults, what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ser_edge_train.manifest import CANONICAL_LABELS, FAULTS, Clip, Manifest

LINES_OF_A_KIND = 20


@dataclass(frozen=True)
class Fault:
    """One fault and the clips that have it: one silent clip, one pair of equal audio.

    Attributes:
        kind: One of ``manifest.FAULTS``.
        clips: ``corpus stem`` of each clip concerned, sorted.
        text: What is wrong, in words.
    """

    kind: str
    clips: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class CorpusCounts:
    """One corpus in numbers; ``seconds`` and ``labels`` count faulted clips, too."""

    corpus: str
    clips: int
    usable: int
    speakers: int
    speakers_by_sex: Mapping[str, int]
    unknown_speakers: int
    seconds: float
    labels: Mapping[str, int]


@dataclass(frozen=True)
class LeftOutCounts:
    """Recordings of a corpus that are no clips of its spoken part, as songs."""

    corpus: str
    reason: str
    files: int


@dataclass(frozen=True)
class ScanSummary:
    """All that a scan found out; :meth:`lines` prints it.

    Attributes:
        corpora: Counts, by corpus.
        faults: Every fault, in the order of ``manifest.FAULTS``, then by clip.
        copies: Further files of a clip that was counted already, equal in audio.
        left_out: What was passed over on purpose.
        unrecognised: Recordings of no known corpus or layout, as printable paths.
        unreadable: Folders that could not be listed, dead links, copies of clips
            that could not be decoded: one line each. Unreadable clips are faults.
        notes: What else a user should know, one line each.
    """

    corpora: tuple[CorpusCounts, ...]
    faults: tuple[Fault, ...]
    copies: int
    left_out: tuple[LeftOutCounts, ...]
    unrecognised: tuple[str, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everything could be read; if not, a command exits with 1."""
        return not self.unreadable and all(fault.kind != "unreadable" for fault in self.faults)

    def fault_counts(self) -> Mapping[str, int]:
        """How many faults of each kind there are: a pair of equal clips counts once."""
        counts = Counter(fault.kind for fault in self.faults)
        return {kind: counts[kind] for kind in FAULTS if counts[kind]}

    def lines(self) -> list[str]:
        """The summary as text, at most twenty lines of a kind."""
        lines = [_corpus_line(counts) for counts in self.corpora]
        counted = [f"{count} {kind}" for kind, count in self.fault_counts().items()]
        lines.append(f"faults: {', '.join(counted) or 'none'}")
        for kind in FAULTS:
            texts = [f"  {fault.text}" for fault in self.faults if fault.kind == kind]
            lines += _shortened(texts, f"{kind}, all in the manifest")
        if self.copies:
            lines.append(f"counted once: {self.copies} further copies of clips above")
        lines += [f"left out: {o.files} of {o.corpus}, {o.reason}" for o in self.left_out]
        if self.unrecognised:
            hint = "put them into folders named for their labels, or list them in a table"
            lines.append(f"not recognised: {len(self.unrecognised)} recordings; {hint}")
            lines += _shortened([f"  {path}" for path in self.unrecognised], "not recognised")
        lines += _shortened([f"not read: {text}" for text in self.unreadable], "not read")
        lines += [f"note: {note}" for note in self.notes]
        return lines


def _shortened(lines: list[str], what: str) -> list[str]:
    if len(lines) <= LINES_OF_A_KIND:
        return lines
    return [*lines[: LINES_OF_A_KIND - 1], f"  and {len(lines) - LINES_OF_A_KIND + 1} more {what}"]


def _corpus_line(counts: CorpusCounts) -> str:
    sexes = [f"{n} {sex or 'of unstated sex'}" for sex, n in counts.speakers_by_sex.items()]
    labels = ", ".join(f"{label} {n}" for label, n in counts.labels.items())
    speakers = f"{counts.speakers} speakers ({', '.join(sexes)})"
    if not counts.speakers:
        speakers = "speakers unknown"
    elif counts.unknown_speakers:
        speakers += f" and {counts.unknown_speakers} clips of unknown ones"
    usable = f"{counts.clips} clips ({counts.usable} usable)"
    return f"{counts.corpus}: {usable}, {speakers}, {counts.seconds:.0f} s: {labels}"


def count_corpora(manifest: Manifest) -> tuple[CorpusCounts, ...]:
    """The numbers of each corpus of a manifest."""
    return tuple(
        _count(corpus, [clip for clip in manifest.clips if clip.corpus == corpus])
        for corpus in manifest.corpora
    )


def _count(corpus: str, clips: list[Clip]) -> CorpusCounts:
    sexes = {clip.speaker: clip.sex for clip in clips if clip.speaker_known}
    return CorpusCounts(
        corpus=corpus,
        clips=len(clips),
        usable=sum(not clip.fault for clip in clips),
        speakers=len(sexes),
        speakers_by_sex=_sorted_counts(sexes.values()),
        unknown_speakers=sum(not clip.speaker_known for clip in clips),
        seconds=round(sum(clip.seconds for clip in clips), 6),
        labels=_sorted_counts(clip.emotion for clip in clips),
    )


def _sorted_counts(values: Iterable[str]) -> Mapping[str, int]:
    counts = Counter(values)
    return {value: counts[value] for value in sorted(counts)}


def notes_on(manifest: Manifest) -> list[str]:
    """What a manifest's clips give cause to say: unknown speakers, labels of a user's own."""
    notes = []
    for counts in count_corpora(manifest):
        if counts.unknown_speakers:
            notes.append(
                f"{counts.corpus}: nobody says who speaks in {counts.unknown_speakers} clips; each "
                "stands as a speaker of its own, so its scores are not proven speaker-disjoint "
                "(use LABEL/SPEAKER/file, or a table with a column speaker)"
            )
        own = [label for label in counts.labels if label not in CANONICAL_LABELS]
        if own:
            notes.append(f"{counts.corpus}: labels beside the canonical ones: {', '.join(own)}")
    return notes
