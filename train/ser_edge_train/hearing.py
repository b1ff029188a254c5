"""Decoding every recording once: its length, digest and loudest excursion."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.errors import SerEdgeError

Progress = Callable[[int, int], None]

SHORTEST_SECONDS = 0.1

# Half the range of the samples below which a clip is silent (-66 dBFS). Measured
# on the four corpora: CREMA-D's clip of digital silence, 1076_MTI_SAD_XX, has
# 2e-34 after Opus; the quietest real clip, RAVDESS 03-01-02-02-02-02-20, has
# 4.2e-3, eight times the threshold; noise of two steps of 16 bits has 6e-5, an
# eighth of it. Half the range, not the peak, so that a constant offset counts as silence.
SILENCE = 5e-4


@dataclass(frozen=True)
class Heard:
    """One recording as it sounds: what a manifest keeps of the samples.

    Attributes:
        seconds: Length, rounded to the microsecond; 0 when unreadable.
        audio_sha256: ``audio_digest`` of the samples; empty when unreadable.
        excursion: Half of maximum minus minimum, full scale being 1.
        error: Why it could not be decoded, in one line; empty when it could.
    """

    seconds: float
    audio_sha256: str
    excursion: float
    error: str = ""

    @property
    def fault(self) -> str:
        """The fault that the recording has by itself, or nothing."""
        if self.error:
            return "unreadable"
        if self.seconds < SHORTEST_SECONDS:
            return "too-short"
        return "silent" if self.excursion < SILENCE else ""


def hear(path: Path) -> Heard:
    """Decodes one recording; what is wrong with it comes back in ``error``."""
    try:
        samples, sample_rate = load_audio(path)
    except SerEdgeError as fault:
        return Heard(0.0, "", 0.0, str(fault))
    excursion = (float(samples.max()) - float(samples.min())) / 2
    seconds = round(samples.size / sample_rate, 6)
    return Heard(seconds, audio_digest(samples, sample_rate), excursion)


def hear_all(
    paths: Sequence[Path], *, workers: int | None = None, progress: Progress | None = None
) -> list[Heard]:
    """Decodes recordings in parallel, in the order given.

    Threads, not processes: decoding and hashing run outside Python's lock, and
    threads need neither a guarded main module nor a fork beside TensorFlow's own.

    Args:
        paths: The recordings.
        workers: How many at a time; by default one for each core.
        progress: Called in the caller's thread with how many are done, and of how many.
    """
    heard = []
    pool = ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1)
    try:
        for done, one in enumerate(pool.map(hear, paths), start=1):
            heard.append(one)
            if progress is not None:
                progress(done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)
    return heard
