"""Noise from a user's folder of recordings: named by what is in it, read a stretch at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.resampling import HIGHEST_RATE, LOWEST_RATE, resample
from ser_edge_train.augmentation.effects import Samples, add_at_snr
from ser_edge_train.errors import NoNoise
from ser_edge_train.walk import find_recordings

if TYPE_CHECKING:
    from ser_edge_train.recipes.augmentation import RecordedNoise

_CHECK = "check that it is a recording, or take it out of the folder"


@dataclass(frozen=True)
class Recording:
    """One recording of noise.

    Attributes:
        path: Where it lies.
        sha256: Of the file's bytes.
        frames: Its length in samples a channel.
        rate: Hz.
    """

    path: Path
    sha256: str
    frames: int
    rate: int


@dataclass(frozen=True)
class NoiseRecordings:
    """The recordings of a folder, each content once. Immutable; may be sent to other processes.

    They stand in the order of their digests, so that neither names nor places nor
    the file system decide which one a drawn number means.
    """

    recordings: tuple[Recording, ...]

    @classmethod
    def of(cls, folder: str | PathLike[str]) -> NoiseRecordings:
        """Finds the recordings in a folder and below it.

        Every file's bytes are read, and of their sound only the header.

        Raises:
            NoNoise: The folder is missing or holds no recording, or a file is none.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise NoNoise(
                folder, "is no folder of recorded noise",
                "name one in augmentation.waveform.recorded_noise.folder",
            )  # fmt: skip
        found = [_examined(path) for path, _ in find_recordings([folder]).files]
        once = {recording.sha256: recording for recording in found}
        if not once:
            raise NoNoise(folder, "holds no recording", "put recordings of noise into it")
        return cls(tuple(once[digest] for digest in sorted(once)))

    @property
    def digest(self) -> str:
        """SHA-256 of the recordings' digests: the same for the same recordings anywhere."""
        names = "\n".join(recording.sha256 for recording in self.recordings)
        return hashlib.sha256(names.encode()).hexdigest()

    def add(
        self, samples: Samples, rate: int, how: RecordedNoise, rng: np.random.Generator
    ) -> Samples:
        """``samples`` with a stretch of one recording; a shorter recording is repeated.

        Raises:
            NoNoise: The recording cannot be read any more.
        """
        recording = self.recordings[int(rng.integers(len(self.recordings)))]
        snr_db = float(rng.uniform(*how.snr_db))
        wanted = -(-len(samples) * recording.rate // rate)
        start = int(rng.integers(max(1, recording.frames - wanted + 1)))
        stretch = resample(_stretch(recording, start, wanted), recording.rate, rate)
        return add_at_snr(samples, np.resize(stretch, len(samples)), snr_db)


def _examined(path: Path) -> Recording:
    import soundfile

    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        about = soundfile.info(path)
    except OSError as fault:
        raise NoNoise(path, f"cannot be read ({fault.strerror})", _CHECK) from None
    except soundfile.LibsndfileError:
        raise NoNoise(path, "is not audio that libsndfile reads", _CHECK) from None
    if about.frames < 1 or not LOWEST_RATE <= about.samplerate <= HIGHEST_RATE:
        raise NoNoise(path, f"has {about.frames} frames at {about.samplerate} Hz", _CHECK)
    return Recording(path, digest, int(about.frames), int(about.samplerate))


def _stretch(recording: Recording, start: int, frames: int) -> npt.NDArray[Any]:
    import soundfile

    try:
        with soundfile.SoundFile(recording.path) as stream:
            stream.seek(start)
            channels = stream.read(frames, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError):
        raise NoNoise(recording.path, "cannot be read any more", _CHECK) from None
    if not len(channels) or not np.isfinite(channels).all():
        raise NoNoise(recording.path, "holds less than it says, or no numbers", _CHECK)
    return np.asarray(channels.mean(axis=1))
