"""Other people talking behind an utterance: stored frames of training speakers, added as power.

A microphone hears the sum of the sounds. The powers of sounds that know nothing of each other
add, in a band as in a whole frame: |x + y|^2 = |x|^2 + |y|^2 + 2 Re(x y*), and the last term is
zero on average. So voices are added to frames that are stored already, to each copy others, and
no sound is computed for it. Who talks is taken from the training part alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_train.frame_file import Frames
from ser_edge_train.manifest import Clip, Key
from ser_edge_train.recipes.augmentation import Voices

VERSION: Final = 1
"""Raised when this code changes what is added to a copy."""


@dataclass(frozen=True)
class Background:
    """Puts voices behind copies. Immutable; may be sent to other processes.

    Args:
        how: How often, how many and how loud.
        seed: The recipe's.
        speakers: Who may talk, each with their clips, in an order that nothing but they decide.
    """

    how: Voices
    seed: int
    speakers: tuple[tuple[Key, tuple[Clip, ...]], ...]

    @classmethod
    def of(cls, how: Voices, seed: int, clips: Iterable[Clip]) -> Background:
        """With the voices of some clips, in any order: those of the training part."""
        said: dict[Key, list[Clip]] = defaultdict(list)
        for clip in clips:
            said[clip.speaker_key].append(clip)
        ordered = [(key, tuple(sorted(said[key], key=_audio))) for key in sorted(said)]
        return cls(how, seed, tuple(ordered))

    def add(self, frames: Frames, clip: Clip, copy: int, read: Callable[[Clip], Frames]) -> Frames:
        """A copy's raw frames with voices behind them, or as they are.

        What is done follows from the clip's audio, the number, the seed, the table and whose
        clips there are. The clip's own speaker does not talk behind it; each voice is as loud as
        the next, begins anywhere in its clip and starts over where that ends.

        Args:
            frames: float32 (frames, raw width), power in every column; not changed.
            clip: The recording that they are a copy of.
            copy: Its number, from 1 on.
            read: Gives the raw frames of another clip.

        Returns:
            float32 of the same shape.
        """
        rng = self._generator(clip, copy)
        others = [clips for key, clips in self.speakers if key != clip.speaker_key]
        power = _power(frames)
        if rng.random() >= self.how.probability or not others or not power:
            return frames
        low, high = self.how.number
        number = min(int(rng.integers(low, high + 1)), len(others))
        total = np.zeros(frames.shape)
        for place in rng.choice(len(others), number, replace=False):
            said = others[place]
            voice = read(said[int(rng.integers(len(said)))])
            start = int(rng.integers(max(1, len(voice))))
            loud = _power(voice)
            if loud:
                total += voice[(start + np.arange(len(frames))) % len(voice)] / loud
        behind = _power(total)
        if not behind:
            return frames
        snr_db = float(rng.uniform(*self.how.snr_db))
        return np.asarray(frames + power / behind * 10 ** (-snr_db / 10) * total, np.float32)

    def _generator(self, clip: Clip, copy: int) -> np.random.Generator:
        table = self.how.model_dump(mode="json")
        deciding = json.dumps([VERSION, clip.audio_sha256, table, self.seed, copy], sort_keys=True)
        return np.random.default_rng(int(hashlib.sha256(deciding.encode()).hexdigest(), 16))


def _power(frames: npt.NDArray[Any]) -> float:
    """The mean square of some frames, which is their first column; 0 without any frame."""
    return float(frames[:, 0].mean(dtype=np.float64)) if len(frames) else 0.0


def _audio(clip: Clip) -> str:
    return clip.audio_sha256
