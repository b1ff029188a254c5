"""Raw frames of clips, computed once and kept on disk.

What is kept is the frame stage's output, keyed by the audio's digest and by the
digest of the spec's frame part. Nothing fitted is in it, and nothing that looks
at a whole segment: other lengths, levels, layouts, folds and seeds use the same
files. The runtime's own front end computes it, so that a device computes the same.

A file is an ordinary ``.npy`` (float32, frames by raw width) with a CRC-32 behind
it, which numpy passes over. Deleting files, or all of the store, loses only time.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.errors import FileError, SerEdgeError
from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec
from ser_edge_runtime.front_end.features import raw_width
from ser_edge_runtime.resampling import resample
from ser_edge_train.manifest import Clip, Manifest, clip_name
from ser_edge_train.workers import Progress, chunks, cores, work

Frames = npt.NDArray[np.float32]

CHECK_BYTES: Final = 4
LONGEST_HEADER: Final = 256
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

    Args:
        root: The folder of the store; made when it is needed.
        spec: The front end. Specs with one ``frame_digest`` share what is stored.
    """

    def __init__(self, root: str | os.PathLike[str], spec: FrontEndSpec) -> None:
        self.root = Path(root)
        self.spec = spec
        self.folder = self.root / spec.frame_digest[:16]
        self._front_end = FrontEnd(spec)
        self._width = raw_width(spec)
        self._recordings: Path | None = None

    def path_of(self, clip: Clip) -> Path:
        """Where the frames of ``clip`` are kept."""
        return self.folder / clip.audio_sha256[:2] / f"{clip.audio_sha256}.npy"

    def fill(
        self,
        manifest: Manifest,
        clips: Sequence[Clip],
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
        wanted = {clip.audio_sha256: clip for clip in clips}
        missing = [clip for clip in wanted.values() if not self._is_stored(clip)]
        done = len(wanted) - len(missing)
        if progress is not None:
            progress(done, len(wanted))
        if missing:
            self.folder.mkdir(parents=True, exist_ok=True)
        job = _Job(self.root, self.spec, manifest.root)
        workers = _workers(processes, len(missing))
        for count in work(_fill_piece, _store_of, job, chunks(missing), workers):
            done += count
            if progress is not None:
                progress(done, len(wanted))
        return len(missing)

    def frames(self, clip: Clip) -> Frames:
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
                f"{self.folder}: the frames of {clip_name(clip)} are not stored; "
                "fill the store from the manifest first"
            )
        return self._compute(clip, self._recordings)

    def features(self, clip: Clip) -> Frames:
        """Features of a clip before the normaliser, float32 of the spec's ``output_shape``.

        Raises:
            SerEdgeError: As :meth:`frames`.
        """
        return self._front_end.clip(self.frames(clip))

    def matrix(
        self,
        clips: Sequence[Clip],
        path: str | os.PathLike[str],
        processes: int | None = None,
        progress: Progress | None = None,
    ) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
        """Features of many clips in one file, read through a memory map.

        Neither writing nor reading holds more than a few clips in memory. The file
        is written beside ``path`` and renamed: it is whole or not there.

        Args:
            clips: The clips, in the order of the rows; one may stand twice.
            path: The ``.npy`` to write; an existing one is replaced.
            processes: As for :meth:`fill`.
            progress: Called with (clips done, clips in all).

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
        job = _Job(self.root, self.spec, self._recordings, beside, start)
        rows = list(enumerate(clips))
        done = 0
        try:
            workers = _workers(processes, len(clips))
            for count in work(_matrix_piece, _matrix_of, job, chunks(rows), workers):
                done += count
                if progress is not None:
                    progress(done, len(clips))
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        return np.lib.format.open_memmap(target, mode="r")

    def _compute(self, clip: Clip, recordings: Path) -> Frames:
        samples, rate = read_clip(recordings, clip)
        frames = self._front_end.frames(resample(samples, rate, self.spec.sample_rate))
        path = self.path_of(clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _packed(frames))
        return frames

    def _read(self, path: Path) -> Frames | None:
        """The stored frames; None where they are missing, damaged or of another kind."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
        if zlib.crc32(body).to_bytes(CHECK_BYTES, "little") != check:
            return None
        stored = _header(body)
        if stored is None or stored.width != self._width or stored.end != len(body):
            return None
        values = np.frombuffer(body, dtype="<f4", offset=stored.start)
        return values.reshape(stored.frames, stored.width)

    def _is_stored(self, clip: Clip) -> bool:
        """Whether a file of the right length is there; its bytes are checked when it is read."""
        path = self.path_of(clip)
        try:
            with path.open("rb") as stream:
                stored = _header(stream.read(LONGEST_HEADER))
                size = os.fstat(stream.fileno()).st_size
        except OSError:
            return False
        return (
            stored is not None and stored.width == self._width and size == stored.end + CHECK_BYTES
        )


class _Stored(NamedTuple):
    """What a stored file's header says: its shape, and where the numbers start and end."""

    frames: int
    width: int
    start: int
    end: int


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know."""

    root: Path
    spec: FrontEndSpec
    recordings: Path | None
    matrix: Path | None = None
    matrix_start: int = 0


def _store_of(job: _Job) -> FeatureStore:
    store = FeatureStore(job.root, job.spec)
    store._recordings = job.recordings
    return store


def _fill_piece(store: FeatureStore, clips: Sequence[Clip]) -> int:
    assert store._recordings is not None
    for clip in clips:
        store._compute(clip, store._recordings)
    return len(clips)


class _Matrix(NamedTuple):
    store: FeatureStore
    path: Path
    start: int


def _matrix_of(job: _Job) -> _Matrix:
    assert job.matrix is not None
    return _Matrix(_store_of(job), job.matrix, job.matrix_start)


def _matrix_piece(matrix: _Matrix, rows: Sequence[tuple[int, Clip]]) -> int:
    # Plain writes: pages of a written memory map would count as this process's memory.
    with matrix.path.open("r+b") as stream:
        for row, clip in rows:
            data = np.ascontiguousarray(matrix.store.features(clip), dtype="<f4").tobytes()
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


def _packed(frames: Frames) -> bytes:
    """The bytes of a stored file."""
    stream = io.BytesIO()
    values = np.ascontiguousarray(frames, dtype="<f4")
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
    body = stream.getvalue()
    return body + zlib.crc32(body).to_bytes(CHECK_BYTES, "little")


def _header(data: bytes) -> _Stored | None:
    """Reads a stored file's header; None if it is no such file."""
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        return None
    if fortran or kind != np.dtype("<f4") or len(shape) != 2 or min(shape) < 0:
        return None
    start = stream.tell()
    return _Stored(shape[0], shape[1], start, start + 4 * shape[0] * shape[1])
