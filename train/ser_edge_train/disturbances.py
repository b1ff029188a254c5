"""What a finished model is tried with: the same recordings, noisier, narrower, louder, longer.

Unlike the copies that a training makes, a disturbance has one strength, that of its table, and
only its noise is drawn: from the recording's digest, so that every model and every process hears
the same. Noise, bands and codecs are those of :mod:`ser_edge_train.augmentation.effects`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.resampling import Samples, resample
from ser_edge_train.augmentation.waveform import Copies
from ser_edge_train.feature_store import read_clip
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.recipes.augmentation import Waveform

SNR_DB: Final = 10.0
GAIN_DB: Final = 12.0
SILENCE_SECONDS: Final = 1.0
# No training has heard noise of this seed; studies of noise use the same.
SEED: Final = 2**32 - 1
# Opus of one channel at 16 kHz has 256 - 250 * compression kbit/s.
_SIXTEEN_KBITS: Final = 0.96

VOICES: Final = 6
BABBLE_SECONDS: Final = 12.0
BABBLE_TRACKS: Final = 8
BABBLE_RATE: Final = 16_000


@dataclass(frozen=True)
class Disturbance:
    """One way in which recordings differ from those of the corpora.

    Attributes:
        name: A few words, for tables.
        meaning: What is done, in words.
        effects: Tables of a recipe's ``augmentation.waveform``; None: none of them.
        gain_db: Louder or softer by so much, whatever the peak.
        clipped: Whether what then passes full scale is cut off, as in a file of whole numbers.
        silence_seconds: Digital silence before and behind the recording.
    """

    name: str
    meaning: str
    effects: dict[str, Any] | None = None
    gain_db: float = 0.0
    clipped: bool = False
    silence_seconds: float = 0.0

    def __hash__(self) -> int:
        return hash(self.name)


CLEAN: Final = Disturbance("clean", "the recording as it is")


def disturbances(noise: Path, noise_meaning: str) -> tuple[Disturbance, ...]:
    """All of them, the undisturbed recording first.

    Args:
        noise: Folder of recorded noise.
        noise_meaning: What it holds, in words.
    """
    snr = {"snr_db": (SNR_DB, SNR_DB)}
    below = f"{SNR_DB:g} dB below the speech"
    band = {"low_hz": (300.0, 300.0), "high_hz": (3400.0, 3400.0)}
    opus = {"names": ("opus",), "compression": (_SIXTEEN_KBITS, _SIXTEEN_KBITS)}
    return (
        CLEAN,
        Disturbance("white noise", f"white noise {below}", {"noise": snr}),
        Disturbance(
            "recorded noise",
            f"{noise_meaning}, {below}",
            {"recorded_noise": {**snr, "folder": str(noise)}},
        ),
        Disturbance(
            "telephone",
            "300 to 3400 Hz, then 8 kHz and mu-law (G.711) there and back",
            {"band_limit": band, "codec": {"names": ("mulaw",)}},
        ),
        Disturbance("Opus", "Opus at 16 kbit/s, there and back", {"codec": opus}),
        Disturbance("softer", f"{GAIN_DB:g} dB softer", gain_db=-GAIN_DB),
        Disturbance("louder", f"{GAIN_DB:g} dB louder, nothing cut off", gain_db=GAIN_DB),
        Disturbance(
            "louder, clipped",
            f"{GAIN_DB:g} dB louder, cut off at full scale",
            gain_db=GAIN_DB,
            clipped=True,
        ),
        Disturbance(
            "silence around",
            f"{SILENCE_SECONDS:g} s of digital silence before and behind",
            silence_seconds=SILENCE_SECONDS,
        ),
    )


class Disturber:
    """Does one disturbance. Threads may share it; other processes get a copy.

    Args:
        what: The disturbance.

    Raises:
        MissingExtra: Its effects need audiomentations, which is not installed.
        NoNoise: The folder of recorded noise cannot be used.
    """

    def __init__(self, what: Disturbance) -> None:
        self.what = what
        self._copies: Copies | None = None
        recordings = None
        if what.effects is not None:
            table = Waveform.model_validate({"copies": 1, **what.effects})
            self._copies = Copies(table, SEED)
            # The key of a copy knows the noise by its content, not by its place.
            recordings = self._copies.key("", 1)
        values = asdict(what) | {"effects": recordings}
        del values["name"], values["meaning"]
        self.digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def __call__(self, samples: Samples, rate: int, audio_sha256: str) -> Samples:
        """The disturbed recording.

        Args:
            samples: The recording, float32 (n,), not changed.
            rate: Its rate in Hz: the front end's, so that an SNR is that of the band it hears.
            audio_sha256: Digest of the recording as the manifest has it.

        Returns:
            float32; silence around it makes it longer.

        Raises:
            MissingCodec: libsndfile lacks a codec.
            NoNoise: A recording of noise cannot be read any more.
        """
        if self._copies is not None:
            samples = self._copies.make(samples, rate, audio_sha256, 1)
        if self.what.gain_db:
            samples = samples * np.float32(10 ** (self.what.gain_db / 20))
        if self.what.clipped:
            samples = np.clip(samples, -1, 1)
        if self.what.silence_seconds:
            around = round(self.what.silence_seconds * rate)
            samples = np.pad(samples, around)
        return np.asarray(samples, dtype=np.float32)


def write_babble(manifest: Manifest, clips: Sequence[Clip], folder: Path) -> None:
    """Writes recordings of many voices at once: noise for machines that have no other.

    Each is the sum of six speakers' clips, as many as there are if fewer, one clip behind the
    other, each at the same power. Recordings that are there already are written again the same.

    Args:
        manifest: Says where the recordings are.
        clips: Whose voices; in any order.
        folder: Made if it is missing; eight recordings of 12 s come into it.

    Raises:
        ValueError: There is no clip.
        SerEdgeError: A recording cannot be read; names it.
    """
    if not clips:
        raise ValueError("babble needs voices")
    folder.mkdir(parents=True, exist_ok=True)
    voices: dict[tuple[str, str], list[Clip]] = {}
    for clip in sorted(clips, key=_drawn):
        voices.setdefault(clip.speaker_key, []).append(clip)
    order = sorted(voices, key=lambda key: _hash(*key))
    for track in range(BABBLE_TRACKS):
        chosen = [order[(track * VOICES + n) % len(order)] for n in range(min(VOICES, len(order)))]
        total = np.zeros(round(BABBLE_SECONDS * BABBLE_RATE))
        for key in chosen:
            said = voices[key]
            start = track * len(said) // BABBLE_TRACKS
            total += _voice(manifest, said[start:] + said[:start], len(total))
        loud = total / max(float(np.abs(total).max()), 1e-12) * 0.9
        _write_track(folder / f"babble-{track + 1}.wav", loud.astype(np.float32))


def _voice(manifest: Manifest, clips: Sequence[Clip], length: int) -> Samples:
    """Clips of a speaker behind one another, the first once more if all are too short."""
    parts: list[Samples] = []
    heard = 0
    for clip in clips:
        samples, rate = read_clip(manifest.root, clip)
        samples = resample(samples, rate, BABBLE_RATE)
        power = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
        parts.append(samples / np.float32(power or 1.0))
        heard += len(samples)
        if heard >= length:
            break
    return np.resize(np.concatenate(parts), length)


def _write_track(path: Path, samples: Samples) -> None:
    import io

    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, samples, BABBLE_RATE, "PCM_16", format="WAV")
    write_atomically(path, stream.getvalue())


def _drawn(clip: Clip) -> str:
    return _hash(clip.corpus, clip.stem)


def _hash(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
