"""From folders of recordings to a manifest: what each clip is, and what is wrong with it."""

from __future__ import annotations

import filecmp
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike
from pathlib import Path

from ser_edge_train.corpora import Labelled, LeftOut, crema_d, folders, recognise
from ser_edge_train.corpora.parsed import corpus_name, take_name
from ser_edge_train.corpora.table import read_table
from ser_edge_train.errors import ScanError, TableError
from ser_edge_train.hearing import Heard, Progress, hear_all
from ser_edge_train.manifest import (
    CORPUS_LABELS,
    FAULTS,
    Clip,
    Key,
    Manifest,
    clip_name,
    is_manifest,
)
from ser_edge_train.rows import is_inside, is_plain, show
from ser_edge_train.scan_summary import (
    Fault,
    LeftOutCounts,
    ScanSummary,
    count_corpora,
    notes_on,
)
from ser_edge_train.walk import find_recordings

LAYOUTS = "see the layouts in: ser-edge scan --help"


@dataclass(frozen=True)
class Survey:
    """A scan's two results: the manifest, and what there is to say about it."""

    manifest: Manifest
    summary: ScanSummary


def scan(
    sources: Sequence[str | PathLike[str]],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """The manifest of :func:`survey`, for those who need no summary."""
    return survey(sources, workers=workers, progress=progress).manifest


def open_data(
    sources: Sequence[str | PathLike[str]],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """What ``--data`` means: one manifest is read, anything else is scanned.

    Raises:
        ManifestError: The manifest cannot be read.
        ScanError: As :func:`survey`.
        TableError: As :func:`survey`.
    """
    if len(sources) == 1 and is_manifest(sources[0]):
        return Manifest.read(sources[0])
    return scan(sources, workers=workers, progress=progress)


def survey(
    sources: Sequence[str | PathLike[str]],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Finds, labels and decodes every recording below some folders.

    The known corpora are recognised by their files' names, in whatever folders
    they lie; what is left is looked at as a user's own ``LABEL/file``; a CSV
    among the sources is a user's table. A clip that lies there twice with equal
    audio counts once. Paths are relative to the folder that holds all sources.

    Args:
        sources: Folders and tables.
        workers: How many recordings to decode at a time; by default one a core.
        progress: Called with how many recordings are decoded, and of how many.

    Raises:
        ScanError: A source is missing, or holds no recording that is recognised.
        TableError: A table cannot be read.
    """
    paths = [Path(source).absolute() for source in sources]
    root = _check_sources(paths)
    finding = _find(paths, root)
    if not finding.files:
        raise _nothing_found(paths, finding)
    groups: dict[Key, list[Path]] = {}
    labels: dict[Key, Labelled] = {}
    for path, labelled in finding.files.items():
        key = labelled.corpus, labelled.stem
        labels.setdefault(key, labelled)
        groups.setdefault(key, []).append(path)
    different = {key: _without_equal_files(group) for key, group in groups.items()}
    wanted = [path for group in different.values() for path in group]
    heard = dict(zip(wanted, hear_all(wanted, workers=workers, progress=progress), strict=True))
    clips, faults = [], []
    for key, group in different.items():
        clip, own_faults, unread = _settle(labels[key], group, heard, root)
        clips.append(clip)
        faults += own_faults
        finding.unreadable += unread
    clips, equal_faults = mark_equal_audio(clips)
    manifest = Manifest(root, tuple(clips))
    summary = ScanSummary(
        corpora=count_corpora(manifest),
        faults=tuple(sorted(faults + equal_faults, key=lambda f: (FAULTS.index(f.kind), f.clips))),
        copies=len(finding.files) - len(groups),
        left_out=tuple(
            LeftOutCounts(corpus, reason, files)
            for (corpus, reason), files in sorted(finding.left_out.items())
        ),
        unrecognised=tuple(finding.unrecognised),
        unreadable=tuple(finding.unreadable),
        notes=(*finding.notes, *notes_on(manifest)),
    )
    return Survey(manifest, summary)


@dataclass
class _Finding:
    """What lies below the sources, before anything is decoded."""

    files: dict[Path, Labelled] = field(default_factory=dict)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    unrecognised: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _check_sources(paths: Sequence[Path]) -> Path:
    """The folder that holds all sources."""
    if not paths:
        raise ScanError("scan", "no folder is named", "name the folders of the recordings")
    for path in paths:
        if not path.exists():
            raise ScanError(show(path), "no such file or folder", "check the name")
        if path.is_file() and is_manifest(path):
            fault = "a manifest, the result of a scan"
            raise ScanError(show(path), fault, "give it to train or evaluate as --data")
        if not path.is_dir() and path.suffix.lower() != ".csv":
            raise ScanError(show(path), "neither a folder nor a .csv table", "name its folder")
    try:
        common = os.path.commonpath([path if path.is_dir() else path.parent for path in paths])
    except ValueError:
        fault = "lies on another drive than the other sources"
        raise ScanError(show(paths[0]), fault, "scan drive by drive") from None
    return Path(common)


def _find(paths: Sequence[Path], root: Path) -> _Finding:
    finding = _Finding()
    names: set[str] = set()
    for path in sorted(set(paths)):
        if path.is_file():
            table = read_table(path, take_name(corpus_name(path.stem), names))
            finding.files.update(table.files)
            if table.unused:
                unused = ", ".join(table.unused)
                finding.notes.append(f"{show(path)}: columns not used: {unused}")
    found = find_recordings([path for path in paths if path.is_dir()])
    finding.unreadable += [f"{show(path)}: {why}" for path, why in found.unreadable]
    others: list[tuple[Path, Path]] = []
    sex_of = _SexesNearby(finding.notes)
    for path, scanned in found.files:
        relative = path.relative_to(root).as_posix()
        if not is_plain(relative) or not is_inside(relative):
            why = "its name cannot stand in a manifest; rename it"
            finding.unreadable.append(f"{show(path)}: {why}")
            continue
        if path in finding.files:
            continue
        parsed = recognise(path)
        if isinstance(parsed, LeftOut):
            finding.left_out[parsed.corpus, parsed.reason] += 1
        elif parsed is None:
            others.append((path, scanned))
        else:
            finding.files[path] = replace(parsed, sex=sex_of(path, parsed))
    own = folders.parse_all(others, names)
    finding.files.update(own)
    finding.unrecognised += [show(path) for path, _ in others if path not in own]
    return finding


class _SexesNearby:
    """CREMA-D's sexes from the table beside the clips where there is one, else the built-in."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._read = cache(self._read_once)
        self._nearby = cache(crema_d.find_demographics)

    def __call__(self, path: Path, labelled: Labelled) -> str:
        if labelled.corpus != crema_d.NAME:
            return labelled.sex
        table = self._nearby(path.parent)
        return (
            labelled.sex if table is None else self._read(table).get(labelled.speaker, labelled.sex)
        )

    def _read_once(self, table: Path) -> Mapping[str, str]:
        try:
            return crema_d.read_demographics(table)
        except TableError as fault:
            self._notes.append(f"{fault} (the built-in sexes were taken)")
            return {}


def _nothing_found(paths: Sequence[Path], finding: _Finding) -> ScanError:
    name = ", ".join(show(path) for path in paths)
    if finding.unreadable:
        others = len(finding.unreadable) - 1
        more = f" (and {others} more)" if others else ""
        return ScanError(name, f"not readable: {finding.unreadable[0]}{more}", "mend that first")
    if finding.left_out:
        return ScanError(name, "holds only what is left out, such as songs", LAYOUTS)
    if finding.unrecognised:
        count, first = len(finding.unrecognised), finding.unrecognised[0]
        fault = f"none of its {count} recordings is of a known corpus or layout (first: {first})"
        return ScanError(name, fault, LAYOUTS)
    return ScanError(name, "holds no recording", LAYOUTS)


def _without_equal_files(group: Sequence[Path]) -> list[Path]:
    """The files of one clip, without those that equal an earlier one byte for byte."""
    kept: list[Path] = []
    for path in group:
        if not any(_same_bytes(path, other) for other in kept):
            kept.append(path)
    return kept


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False  # decoding it will say why


def _settle(
    labelled: Labelled, group: Sequence[Path], heard: Mapping[Path, Heard], root: Path
) -> tuple[Clip, list[Fault], list[str]]:
    """One clip from the files that bear its name: the first that can be decoded."""
    readable = [path for path in group if not heard[path].error]
    chosen = readable[0] if readable else group[0]
    sound = heard[chosen]
    name = f"{labelled.corpus} {labelled.stem}"
    others = [path for path in readable if heard[path].audio_sha256 != sound.audio_sha256]
    kind = sound.fault or ("repeated-stem" if others else "")
    texts = {
        "": "",
        "unreadable": f"unreadable: {sound.error}",
        "too-short": f"too short: {name} ({sound.seconds * 1000:.0f} ms)",
        "silent": f"silent: {name}",
        "repeated-stem": f"repeated stem: {name} is other audio in {show(chosen)} and "
        + ", ".join(show(path) for path in others),
    }
    unread = [heard[path].error for path in group if readable and heard[path].error]
    clip = Clip(
        corpus=labelled.corpus,
        stem=labelled.stem,
        path=chosen.relative_to(root).as_posix(),
        speaker=labelled.speaker,
        sex=labelled.sex,
        emotion=labelled.emotion,
        intensity=labelled.intensity,
        sentence=labelled.sentence,
        take=labelled.take,
        seconds=sound.seconds,
        audio_sha256=sound.audio_sha256,
        fault=kind,
    )
    return clip, [Fault(kind, (name,), texts[kind])] if kind else [], unread


def mark_equal_audio(clips: Iterable[Clip]) -> tuple[list[Clip], list[Fault]]:
    """Finds clips whose decoded samples are equal, whatever their names.

    Under different labels none of them can be trusted: all are marked
    ``conflict``. Under one label all but one are marked ``duplicate``; kept is
    that with a known speaker, of a known corpus, then the first by name. Clips
    that are silent, too short or unreadable have nothing to compare.
    """
    clips = list(clips)
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.fault in ("", "repeated-stem"):
            groups.setdefault(clip.audio_sha256, []).append(clip)
    marks: dict[Key, str] = {}
    faults = []
    for group in groups.values():
        if len(group) < 2:
            continue
        group.sort(key=lambda c: (not c.speaker_known, c.corpus not in CORPUS_LABELS, c.key))
        names = tuple(sorted(clip_name(clip) for clip in group))
        if len({clip.emotion for clip in group}) > 1:
            marks.update((clip.key, "conflict") for clip in group)
            claims = " = ".join(sorted(f"{clip_name(clip)} ({clip.emotion})" for clip in group))
            faults.append(Fault("conflict", names, f"conflicting labels, equal audio: {claims}"))
        else:
            marks.update((clip.key, "duplicate") for clip in group[1:])
            text = f"duplicate audio: {' = '.join(names)} (kept: {clip_name(group[0])})"
            faults.append(Fault("duplicate", names, text))
    marked = [replace(clip, fault=clip.fault or marks.get(clip.key, "")) for clip in clips]
    return marked, faults
