"""Spoils recordings in ten ways and asks ``ser-edge doctor`` what is wrong with them.

``python docs/spoil.py MANIFEST [CLIPS]`` takes recordings of the corpora, as they are and
spoiled in each way, and prints how often each fault is found, and how often one is found where
none was made. ``python docs/spoil.py CLIP FOLDER`` writes the ten spoiled versions of one clip.
"""

from __future__ import annotations

import random
import sys
import tempfile
import wave
from collections import Counter
from pathlib import Path

import numpy as np

from ser_edge_runtime import Classifier, load_audio
from ser_edge_runtime.recording_check import FAILED, check_recording
from ser_edge_runtime.resampling import resample

FAULTS = {
    "clipped": "clipping",
    "too quiet": "level",
    "8 kHz band": "bandwidth",
    "hum": "hum",
    "silence": "level",
    "wrong rate in the header": "sample rate",
    "too short": "length",
    "music": "music",
    "noise": "noise",
    "dead channel": "channels",
}
"""Each way to spoil a recording, and the check that must fail for it."""


def spoil(samples: np.ndarray, rate: int, way: str, seed: int = 0) -> tuple[np.ndarray, int]:
    """A spoiled recording: float (n,) or (n, 2), and the rate that its header shall have."""
    random_numbers = np.random.default_rng(seed)
    count = len(samples)
    time = np.arange(count) / rate
    loud = np.sqrt(
        np.quantile(np.square(samples[: count // 400 * 400].reshape(-1, 400)).mean(1), 0.95)
    )
    if way == "clipped":
        return np.clip(samples * 4 / np.abs(samples).max(), -1, 1), rate
    if way == "too quiet":
        return samples * 10 ** (-64 / 20) / loud, rate
    if way == "8 kHz band":
        low = resample(samples.astype(np.float32), rate, 8000)
        return resample(low, 8000, rate)[:count], rate
    if way == "hum":
        tones = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, 7))
        return samples + 0.15 * loud * tones, rate
    if way == "silence":
        return 1e-5 * random_numbers.standard_normal(count), rate
    if way == "wrong rate in the header":
        return samples, 3 * rate
    if way == "too short":
        middle = int(np.argmax(np.convolve(np.square(samples), np.ones(rate // 4), "same")))
        start = min(max(0, middle - rate // 8), count - rate // 4)
        return samples[start : start + rate // 4], rate
    if way == "music":
        return music(4.0, rate, random_numbers), rate
    if way == "noise":
        return samples + loud * random_numbers.standard_normal(count), rate
    if way == "dead channel":
        return np.stack([samples, 1e-5 * random_numbers.standard_normal(count)], axis=1), rate
    raise ValueError(way)


def music(seconds: float, rate: int, random_numbers: np.random.Generator) -> np.ndarray:
    """Four chords of plucked and bowed tones with a melody above and a drum below."""
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    root = 196 * 2 ** (random_numbers.integers(0, 7) / 12)

    def tone(semitones: float, start: float, length: float, loudness: float) -> None:
        t = time - start
        on = (t >= 0) & (t < length)
        pitch = root * 2 ** (semitones / 12)
        shape = np.minimum(1, t / 0.02) * np.exp(-1.5 * t)
        parts = sum(np.sin(2 * np.pi * k * pitch * t) / k**1.5 for k in range(1, 7))
        sound[on] += (loudness * shape * parts)[on]

    chord_length = seconds / 4
    for number, chord in enumerate(((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))):
        start = number * chord_length
        for note in chord:
            tone(note, start, chord_length, 0.08)
        for beat in range(2):
            tone(
                12 + random_numbers.choice(chord),
                start + beat * chord_length / 2,
                chord_length / 2,
                0.12,
            )
            hit = (time >= start + beat * chord_length / 2) & (
                time < start + beat * chord_length / 2 + 0.05
            )
            sound[hit] += 0.03 * random_numbers.standard_normal(int(hit.sum()))
    return sound


def write(path: Path, samples: np.ndarray, rate: int) -> None:
    """Writes 16-bit PCM."""
    integers = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if integers.ndim == 1 else integers.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(integers.tobytes())


def main(path: str, count: int) -> None:
    from ser_edge_train.manifest import Manifest

    manifest = Manifest.read(path)
    clips = random.Random(11).sample(list(manifest.usable), count)
    classifier = Classifier.load()
    failed: dict[str, Counter] = {way: Counter() for way in ("as it is", *FAULTS)}
    none = Counter()
    with tempfile.TemporaryDirectory() as folder:
        spoiled = Path(folder) / "clip.wav"
        for number, clip in enumerate(clips):
            samples, rate = load_audio(manifest.root / clip.path)
            for way in failed:
                made = (samples, rate) if way == "as it is" else spoil(samples, rate, way, number)
                write(spoiled, *made)
                checks = check_recording(spoiled, classifier)
                names = {check.name for check in checks if check.status == FAILED}
                failed[way].update(names)
                none[way] += not names
    print(f"{count} recordings; of them with each check failed, in %\n")
    names = list(dict.fromkeys(FAULTS.values()))
    print(f"{'':<25}" + "".join(f"{name:>12}" for name in names) + f"{'none':>12}")
    for way, counts in failed.items():
        cells = [counts[name] for name in names] + [none[way]]
        print(f"{way:<25}" + "".join(f"{100 * cell / count:12.1f}" for cell in cells))


if __name__ == "__main__":
    if sys.argv[1].endswith(".csv"):
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200)
    else:
        samples, rate = load_audio(sys.argv[1])
        for way in FAULTS:
            write(Path(sys.argv[2]) / f"{way.replace(' ', '-')}.wav", *spoil(samples, rate, way))
