"""Changed copies of recordings: each a pure function of audio, table, seed and number.

Every process on one machine makes the same copy of a clip, whatever it made before; only
another release of audiomentations, SciPy or libsndfile, or another processor, may round
differently. :data:`VERSION` is raised when this code changes what a copy is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_edge_runtime.errors import MissingExtra
from ser_edge_train.augmentation.effects import APPLY, Samples
from ser_edge_train.augmentation.recorded_noise import NoiseRecordings

if TYPE_CHECKING:
    from ser_edge_train.recipes.augmentation import Waveform

VERSION: Final = 1


class Copies:
    """Makes the copies that a recipe asks for. Threads may share it; other processes get a copy.

    Args:
        table: The recipe's ``augmentation.waveform``.
        seed: The recipe's.

    Raises:
        MissingExtra: audiomentations is not installed.
        NoNoise: The folder of recorded noise cannot be used.
    """

    def __init__(self, table: Waveform, seed: int) -> None:
        # Looked for, not imported: that takes a second, and this process may only hand out work.
        if importlib.util.find_spec("audiomentations") is None:
            raise MissingExtra("waveform augmentation", "train")
        self.table = table
        self.seed = seed
        noise = table.recorded_noise
        self._recordings = None if noise is None else NoiseRecordings.of(noise.folder)
        recordings = None if self._recordings is None else self._recordings.digest
        self._what = table.canonical_json(recordings)

    def key(self, audio_sha256: str, copy: int) -> str:
        """The name of a copy: SHA-256 in hex of all that decides its content.

        Args:
            audio_sha256: Digest of the recording's samples.
            copy: From 1 on; 0 is the recording, which has its own digest.
        """
        if copy < 1:
            raise ValueError(f"{copy} is no copy: 0 is the recording itself")
        deciding = json.dumps([VERSION, audio_sha256, self._what, self.seed, copy])
        return hashlib.sha256(deciding.encode()).hexdigest()

    def make(self, samples: Samples, rate: int, audio_sha256: str, copy: int) -> Samples:
        """A copy of a recording.

        It is as loud as its effects make it, but where that passes full scale (or the
        recording's own peak, if that lies above) it is scaled down as a whole.

        Args:
            samples: The recording, float32 (n,), not changed.
            rate: Its rate in Hz: the front end's, so that an SNR is that of the band it hears.
            audio_sha256: Digest of the recording as the manifest has it.
            copy: From 1 on.

        Returns:
            float32; speed and stretch change its length.

        Raises:
            MissingCodec: libsndfile lacks a codec.
            NoNoise: A recording of noise cannot be read any more.
        """
        rng = np.random.default_rng(int(self.key(audio_sha256, copy), 16))
        loudest = max(1.0, _peak(samples))
        chosen = self._chosen(rng)
        for name, effect in self.table.effects.items():
            if name not in chosen:
                continue
            if name == "recorded_noise":
                assert self._recordings is not None
                assert self.table.recorded_noise is not None
                samples = self._recordings.add(samples, rate, self.table.recorded_noise, rng)
            else:
                samples = APPLY[name](samples, rate, effect, rng)
        peak = _peak(samples)
        return samples * np.float32(loudest / peak) if peak > loudest else samples

    def _chosen(self, rng: np.random.Generator) -> set[str]:
        """The effects of one copy; never none of them."""
        effects = self.table.effects
        chosen = {name for name, effect in effects.items() if rng.random() < effect.probability}
        return chosen or {list(effects)[int(rng.integers(len(effects)))]}


def _peak(samples: Samples) -> float:
    return float(np.abs(samples).max(initial=0.0))
