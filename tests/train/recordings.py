"""Small recordings, manifests and layouts for the tests of the training package."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from ser_edge_train.manifest import Clip, Manifest

RATE = 16_000


def noise(seed: int, seconds: float = 0.2, level: float = 0.3) -> np.ndarray:
    """Samples of their own for each seed, int16."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(-level, level, int(seconds * RATE)) * 32767).astype(np.int16)


def write_wav(path: Path, samples: np.ndarray | int, rate: int = RATE) -> Path:
    """Writes 16-bit mono; a number stands for the noise of that seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(samples, int):
        samples = noise(samples)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(samples.astype("<i2").tobytes())
    return path


def write_tree(root: Path, names: list[str], first_seed: int = 0) -> Path:
    """Writes one recording for each name, all different."""
    for seed, name in enumerate(names, start=first_seed):
        write_wav(root / name, seed)
    return root


def make_clip(number: int = 0, **changes: object) -> Clip:
    """A valid clip of a user's own corpus."""
    fields: dict[str, object] = {
        "corpus": "own",
        "stem": f"clip-{number:04d}",
        "path": f"own/clip-{number:04d}.wav",
        "speaker": "s1",
        "sex": "",
        "emotion": "angry",
        "intensity": "",
        "sentence": "",
        "take": "",
        "seconds": 1.5,
        "audio_sha256": f"{number:064x}",
        "fault": "",
    }
    return Clip(**{**fields, **changes})


def make_manifest(speakers: dict[tuple[str, str], str], clips_each: int = 2) -> Manifest:
    """A manifest from {(corpus, speaker): sex}."""
    clips = []
    for (corpus, speaker), sex in speakers.items():
        for take in range(clips_each):
            stem = f"{speaker}_{take}"
            number = len(clips)
            clips.append(
                make_clip(
                    number,
                    corpus=corpus,
                    stem=stem,
                    path=f"{corpus}/{stem}.wav",
                    speaker=speaker,
                    sex=sex,
                )
            )
    return Manifest(Path("/data"), tuple(clips))
