"""Raw frames of clips, computed once and kept on disk.

What is kept is the frame stage's output, keyed by the audio's digest and by the
digest of the spec's frame part. Nothing fitted is in it, and nothing that looks
at a whole segment: other lengths, levels, layouts, folds and seeds use the same
files. The runtime's own front end computes it, so that a device computes the same.

Changed copies of a recording (:mod:`ser_edge_train.augmentation.waveform`) are kept
beside it, under a digest of all that decides their content.

Deleting files (:mod:`ser_edge_train.frame_file`), or all of the store, loses only time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.errors import FileError, SerEdgeError
from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec
from ser_edge_runtime.front_end.features import raw_width
from ser_edge_runtime.resampling import Samples, resample
from ser_edge_train.frame_file import LONGEST_HEADER, Frames, pack, read_header, unpack
from ser_edge_train.manifest import Clip, Manifest, clip_name
from ser_edge_train.workers import CHUNK, Progress, chunks, cores, work

if TYPE_CHECKING:
    from ser_edge_train.augmentation.voices import Background
    from ser_edge_train.augmentation.waveform import Copies
    from ser_edge_train.recipes.augmentation import Waveform

Utterance = Clip | tuple[Clip, int]
"""A recording, or one of its copies by number; copy 0 is the recording."""

PARALLEL_FROM: Final = 64


class ChangedAudio(FileError):
    """A recording is not the one that the manifest describes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(
            path,
            "its audio is not what the manifest says",
            "restore the recording, or scan its folder again",
        )


class NotInStore(SerEdgeError):
    """Frames were asked for that are not stored and whose recording is not known."""


def read_clip(manifest_root: Path, clip: Clip) -> tuple[Frames, int]:
    """The samples of ``clip`` and their rate in Hz, proved to be what the manifest describes.

    Args:
        manifest_root: The folder that the clip's path is relative to.
        clip: A clip that could be read when it was scanned.

    Raises:
        ChangedAudio: The digest of the decoded samples differs.
        SerEdgeError: The file is missing or cannot be read, as
            :func:`~ser_edge_runtime.audio.load_audio` says.
    """
    path = manifest_root / clip.path
    samples, rate = load_audio(path)
    if audio_digest(samples, rate) != clip.audio_sha256:
        raise ChangedAudio(path)
    return samples, rate


class FeatureStore:
    """Raw frames of clips on disk. Any number of processes and threads may use one at once.

    Wherever a clip is asked for, (clip, copy) may stand for one of its copies.

    Args:
        root: The folder of the store; made when it is needed.
        spec: The front end. Specs with one ``frame_digest`` share what is stored.
        waveform: The recipe's ``augmentation.waveform``; without it there are no copies.
        seed: The recipe's, which with ``waveform`` decides what the copies are.

    Raises:
        MissingExtra: Copies need audiomentations, which is not installed.
        NoNoise: The folder of recorded noise cannot be used.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        spec: FrontEndSpec,
        waveform: Waveform | None = None,
        seed: int = 0,
    ) -> None:
        self.root = Path(root)
        self.spec = spec
        self.folder = self.root / spec.frame_digest[:16]
        self._front_end = FrontEnd(spec)
        self._width = raw_width(spec)
        self._recordings: Path | None = None
        self._copies: Copies | None = None
        self._last: tuple[tuple[Path, str, str], Samples] | None = None
        if waveform is not None:
            # Here, so that what does not augment does not load it.
            from ser_edge_train.augmentation.waveform import Copies

            self._copies = Copies(waveform, seed)

    def path_of(self, clip: Utterance) -> Path:
        """Where the frames of ``clip`` are kept."""
        name = self._name_of(clip)
        return self.folder / name[:2] / f"{name}.npy"

    def fill(
        self,
        manifest: Manifest,
        clips: Sequence[Utterance],
        processes: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Computes what is not stored yet. Stopped in between, it goes on where it was.

        Args:
            manifest: Says where the recordings are.
            clips: The clips, of that manifest.
            processes: Worker processes; None takes as many as there are cores.
            progress: Called with (clips done, clips in all), stored ones counted at once.

        Returns:
            How many were computed.

        Raises:
            ChangedAudio: A recording is not what the manifest says.
            SerEdgeError: A recording cannot be read; names it. What was computed stays.
            WorkerDied: A worker process was killed. What was computed stays.
        """
        self._recordings = manifest.root
        missing, total = self._missing(clips)
        done = total - len(missing)
        if progress is not None:
            progress(done, total)
        if missing:
            self.folder.mkdir(parents=True, exist_ok=True)
        workers = _workers(processes, len(missing))
        for count in work(_fill_piece, _store_of, self._job(), chunks(missing), workers):
            done += count
            if progress is not None:
                progress(done, total)
        return len(missing)

    def frames(self, clip: Utterance) -> Frames:
        """Raw frames of a clip, float32 (frames, raw width), not to be written to.

        A stored file that is missing or damaged is computed again, if :meth:`fill`
        has said where the recordings are.

        Raises:
            NotInStore: It is missing or damaged and the recordings' place is unknown.
            SerEdgeError: As :meth:`fill`.
        """
        stored = self._read(self.path_of(clip))
        if stored is not None:
            return stored
        if self._recordings is None:
            raise NotInStore(
                f"{self.folder}: the frames of {clip_name(_clip_and_copy(clip)[0])} are not "
                "stored; fill the store from the manifest first"
            )
        return self._compute(clip, self._recordings)

    def features(self, clip: Utterance, behind: Background | None = None) -> Frames:
        """Features of a clip before the normaliser, float32 of the spec's ``output_shape``.

        Args:
            clip: The clip, or one of its copies.
            behind: Who talks behind copies; behind recordings nobody does.

        Raises:
            SerEdgeError: As :meth:`frames`.
        """
        frames = self.frames(clip)
        recording, copy = _clip_and_copy(clip)
        if behind is not None and copy:
            frames = behind.add(frames, recording, copy, self.frames)
        return self._front_end.clip(frames)

    def matrix(
        self,
        clips: Sequence[Utterance],
        path: str | os.PathLike[str],
        processes: int | None = None,
        progress: Progress | None = None,
        behind: Background | None = None,
    ) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
        """Features of many clips in one file, read through a memory map.

        Neither writing nor reading holds more than a few clips in memory. The file
        is written beside ``path`` and renamed: it is whole or not there.

        Args:
            clips: The clips, in the order of the rows; one may stand twice.
            path: The ``.npy`` to write; an existing one is replaced.
            processes: As for :meth:`fill`.
            progress: Called with (clips done, clips in all).
            behind: As for :meth:`features`.

        Returns:
            float32 (clips, *output_shape), read-only, before the normaliser.

        Raises:
            SerEdgeError: As :meth:`frames`.
            SpecError: The spec gives features no fixed shape.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        shape = (len(clips), *self.spec.output_shape)
        start = _write_header(beside, shape)
        job = self._job(beside, start, behind)
        done = 0
        try:
            workers = _workers(processes, len(clips))
            for count in work(_matrix_piece, _matrix_of, job, _numbered(clips), workers):
                done += count
                if progress is not None:
                    progress(done, len(clips))
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        return np.lib.format.open_memmap(target, mode="r")

    def _job(
        self, matrix: Path | None = None, start: int = 0, behind: Background | None = None
    ) -> _Job:
        return _Job(self.root, self.spec, self._recordings, self._copies, matrix, start, behind)

    def _name_of(self, utterance: Utterance) -> str:
        clip, copy = _clip_and_copy(utterance)
        if copy == 0:
            return clip.audio_sha256
        if self._copies is None:
            raise ValueError(f"{clip_name(clip)}: a copy needs the table of its effects")
        return self._copies.key(clip.audio_sha256, copy)

    def _missing(self, clips: Sequence[Utterance]) -> tuple[list[Utterance], int]:
        """What is not stored yet, equal audio once, and how many different ones there are."""
        seen: set[bytes] = set()
        missing = []
        for clip in clips:
            name = bytes.fromhex(self._name_of(clip))  # half of the text's memory
            if name not in seen:
                seen.add(name)
                if not self._is_stored(clip):
                    missing.append(clip)
        return missing, len(seen)

    def _compute(self, utterance: Utterance, recordings: Path) -> Frames:
        clip, copy = _clip_and_copy(utterance)
        samples = self._samples(clip, recordings)
        if copy:
            assert self._copies is not None  # or the copy had no name
            samples = self._copies.make(samples, self.spec.sample_rate, clip.audio_sha256, copy)
        frames = self._front_end.frames(samples)
        path = self.path_of(utterance)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, pack(frames))
        return frames

    def _samples(self, clip: Clip, recordings: Path) -> Samples:
        """A recording at the spec's rate; the last one is kept, for its copies come next."""
        name = (recordings, clip.path, clip.audio_sha256)
        last = self._last
        if last is None or last[0] != name:
            samples, rate = read_clip(recordings, clip)
            self._last = last = (name, resample(samples, rate, self.spec.sample_rate))
        return last[1]

    def _read(self, path: Path) -> Frames | None:
        """The stored frames; None where they are missing, damaged or of another kind."""
        try:
            return unpack(path.read_bytes(), self._width)
        except OSError:
            return None

    def _is_stored(self, clip: Utterance) -> bool:
        """Whether a file of the right length is there; its bytes are checked when it is read."""
        path = self.path_of(clip)
        try:
            with path.open("rb") as stream:
                header = read_header(stream.read(LONGEST_HEADER))
                size = os.fstat(stream.fileno()).st_size
        except OSError:
            return False
        return header is not None and header.width == self._width and size == header.file_size


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know."""

    root: Path
    spec: FrontEndSpec
    recordings: Path | None
    copies: Copies | None
    matrix: Path | None = None
    matrix_start: int = 0
    behind: Background | None = None


def _store_of(job: _Job) -> FeatureStore:
    store = FeatureStore(job.root, job.spec)
    store._recordings = job.recordings
    store._copies = job.copies
    return store


def _clip_and_copy(utterance: Utterance) -> tuple[Clip, int]:
    return (utterance, 0) if isinstance(utterance, Clip) else utterance


def _numbered(clips: Sequence[Utterance]) -> Iterator[Sequence[tuple[int, Utterance]]]:
    """Pieces of clips with their rows, made as they are taken."""
    for number, piece in enumerate(chunks(clips)):
        yield list(enumerate(piece, number * CHUNK))


def _fill_piece(store: FeatureStore, clips: Sequence[Utterance]) -> int:
    assert store._recordings is not None
    for clip in clips:
        store._compute(clip, store._recordings)
    return len(clips)


class _Matrix(NamedTuple):
    store: FeatureStore
    path: Path
    start: int
    behind: Background | None


def _matrix_of(job: _Job) -> _Matrix:
    assert job.matrix is not None
    return _Matrix(_store_of(job), job.matrix, job.matrix_start, job.behind)


def _matrix_piece(matrix: _Matrix, rows: Sequence[tuple[int, Utterance]]) -> int:
    # Plain writes: pages of a written memory map would count as this process's memory.
    with matrix.path.open("r+b") as stream:
        for row, clip in rows:
            features = matrix.store.features(clip, matrix.behind)
            data = np.ascontiguousarray(features, dtype="<f4").tobytes()
            stream.seek(matrix.start + row * len(data))
            stream.write(data)
    return len(rows)


def _workers(processes: int | None, items: int) -> int:
    """Processes to start: none but this one where starting them takes longer than the work."""
    if processes is None:
        return cores() if items >= PARALLEL_FROM else 1
    return min(processes, max(1, items))


def _write_header(path: Path, shape: tuple[int, ...]) -> int:
    """Begins a ``.npy`` of zeros at ``path``; returns where the numbers start."""
    with path.open("wb") as stream:
        layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, layout)
        start = stream.tell()
        stream.truncate(start + 4 * int(np.prod(shape, dtype=np.int64)))
    return start
