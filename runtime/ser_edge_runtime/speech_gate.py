"""The speech gate: which windows hold speech at all. Silence is not an emotion."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import WindowError
from ser_edge_runtime.records import record

Array = npt.NDArray[np.float32]


@record()
class SpeechGate:
    """Tells speech from silence and steady noise by the energy of frames.

    A frame counts as speech if it is louder than ``level_db`` and stands
    ``margin_db`` above the noise floor: the quietest stretch of
    ``smoothing_seconds`` within the last ``memory_seconds``, the window
    included (minimum statistics; Martin, IEEE Trans. Speech and Audio
    Processing 9, 2001). A window opens the gate if at least ``share`` of its
    frames count. Until ``settle_seconds`` were heard there is no floor, and
    loudness alone decides. Speech pauses between words and drops between syllables,
    which steady noise and hum do not; music and other people's talk open it.

    The answer for a window depends on no frame after it, so streams and
    recordings get the same. Threads may share a gate.

    Attributes:
        level_db: Quieter frames are never speech; dB re full scale, of the mean square.
        margin_db: How far speech stands above the noise floor, in dB.
        share: The share of a window's frames that must be speech, above 0 to 1.
        memory_seconds: How far back the quietest stretch is looked for.
        smoothing_seconds: Over how long the level is averaged to find it.
        settle_seconds: How much must have been heard before it is believed.

    Raises:
        WindowError: A value is out of its range.
    """

    level_db: float = -60.0
    margin_db: float = 8.0
    share: float = 0.1
    memory_seconds: float = 10.0
    smoothing_seconds: float = 0.1
    settle_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("level_db", -120.0, 0.0),
            ("margin_db", 0.0, 60.0),
            ("share", 1e-6, 1.0),
            ("memory_seconds", 0.0, 600.0),
            ("smoothing_seconds", 0.0, 10.0),
            ("settle_seconds", 0.0, 600.0),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise WindowError(f"speech gate: {name} must be {low:g} to {high:g}, not {value}")

    def memory(self, frame_rate: float) -> int:
        """Frames of :attr:`memory_seconds`, of which there are ``frame_rate`` a second."""
        return round(self.memory_seconds * frame_rate)

    def opens(self, energies: Array, window: int, frame_rate: float) -> bool:
        """Whether a window holds speech.

        Args:
            energies: Mean squares (n,) of the frames up to the window's end, the
                window and what is remembered of the time before it.
            window: How many of them, at the end, are the window.
            frame_rate: Frames a second.
        """
        if not len(energies):
            return False
        floor = 0.0
        # A short memory settles as soon as it is full.
        if len(energies) >= min(self.settle_seconds, self.memory_seconds) * frame_rate:
            length = min(len(energies), max(1, round(self.smoothing_seconds * frame_rate)))
            total = np.concatenate([[0.0], np.cumsum(energies, dtype=np.float64)])
            floor = (total[length:] - total[:-length]).min() / length
        threshold = max(10 ** (self.level_db / 10), floor * 10 ** (self.margin_db / 10))
        return bool(np.mean(energies[-window:] > threshold) >= self.share)
