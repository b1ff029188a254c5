# ruff: noqa: E402 - the threads of BLAS are set before numpy is imported, which reads them once
"""An hour of sound through a stream: equal results, flat memory, little of a core.

The sound is the example clips one after the other, each time at another level, with
pauses between them. One process a size of portions pushes all of it at top speed into a
StreamingClassifier (3 s windows, one each second), and prints a digest of its results,
its processor time, and the memory that it held every ten seconds of sound. The
reference is Classifier.windows_of on a WAV file of the same samples. Then whole
processes of ``ser-edge classify`` on a WAV file of ten minutes and on a long one.

Exits 1 if results differ, if one is lost, if memory grows, or if a second of sound
takes more than a hundredth of a second of one core. Linux only.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from memory_flat import resident
from processes import interleaved, verdict

from ser_edge_runtime import Classifier, Result, StreamingClassifier, load_audio
from ser_edge_runtime.audio import AudioFile

CLIPS = sorted((Path(__file__).resolve().parent.parent / "examples" / "clips").glob("*.wav"))
RATE = 16_000
SEGMENT, STEP = 3.0, 1.0
LOOK_EVERY = 10
SHOW_EVERY = 300
SETTLED = 240
"""Seconds of sound after which memory must not grow any more."""


def talk(seconds: float) -> Iterator[np.ndarray]:
    """Clips and pauses as 16-bit samples, in portions, so many seconds in all."""
    clips = [load_audio(clip)[0] for clip in CLIPS]
    left, turn = round(seconds * RATE), 0
    while left > 0:
        rng = np.random.default_rng(turn)
        level, pause = rng.uniform(0.3, 1.0), round(rng.uniform(0.0, 4.0) * RATE)
        clip = np.concatenate([clips[turn % len(clips)] * level, np.zeros(pause)])[:left]
        yield np.rint(clip * 32767).astype(np.int16)
        left, turn = left - len(clip), turn + 1


def portions(seconds: float, size: str) -> Iterator[np.ndarray]:
    """The same samples, float32, in portions of ``size`` or of random sizes."""
    rng = np.random.default_rng(1)
    held = np.empty(0, np.float32)
    wanted = rng.integers(1, 20_000) if size == "random" else int(size)
    for clip in talk(seconds):
        held = np.concatenate([held, clip / np.float32(32768)])
        at = 0
        while at + wanted <= len(held):
            yield held[at : at + wanted]
            at += wanted
            if size == "random":
                wanted = rng.integers(1, 20_000)
        held = held[at:]
    if len(held):
        yield held


class Digest:
    """Counts results and names them all by one number."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, results: list[Result]) -> None:
        """Takes results in their order."""
        for result in results:
            self.count += 1
            self._hash.update(repr(result).encode())

    def __str__(self) -> str:
        return self._hash.hexdigest()[:16]


def stream(seconds: float, size: str) -> dict[str, object]:
    digest, memory, heard = Digest(), [], 0
    worst = 0.0
    streaming = StreamingClassifier.load(segment=SEGMENT, step=STEP)
    # The clips are made by the way; what they cost is taken off.
    start = time.process_time()
    for _ in portions(seconds, size):
        pass
    making = time.process_time() - start
    start = time.process_time()
    for portion in portions(seconds, size):
        digest.add(streaming.push(portion, RATE))
        worst = max([worst, *(late.audio_seconds for late in streaming.latencies)])
        heard += len(portion)
        if heard // (LOOK_EVERY * RATE) > len(memory):
            memory.append(resident(os.getpid())["RssAnon"])
    digest.add(streaming.flush())
    spent = time.process_time() - start - making
    counts = {"results": digest.count, "windows": streaming.cut, "silent": streaming.silent}
    return {**counts, "digest": str(digest), "cpu": spent, "memory": memory, "late": worst}


def reference(path: Path) -> dict[str, object]:
    digest = Digest()
    with AudioFile(path) as sound:
        classifier = Classifier.load()
        for result in classifier.windows_of(sound, sound.sample_rate, SEGMENT, STEP):
            digest.add([result])
    return {"results": digest.count, "digest": str(digest)}


def write(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for samples in talk(seconds):
            file.writeframes(samples.tobytes())


def child(*words: object) -> dict[str, object]:
    command = [sys.executable, __file__, *map(str, words)]
    # Arrays of changing sizes otherwise leave holes in the heap, a MiB of them, now and then.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout)


def slope(memory: list[int]) -> float:
    """KiB of memory a minute of sound, by least squares, once all has settled."""
    kept = memory[SETTLED // LOOK_EVERY - 1 :]
    minutes = np.arange(len(kept)) * LOOK_EVERY / 60
    return float(np.polyfit(minutes, kept, 1)[0]) if len(kept) > 1 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--sizes", nargs="+", default=["4096", "160", "random", "1"])
    parser.add_argument("--file-minutes", type=float, default=180.0)
    parser.add_argument("--of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.minutes * 60
    if options.of is not None:
        print(json.dumps(reference(options.of)))
        return 0
    if options.size is not None:
        print(json.dumps(stream(seconds, options.size)))
        return 0
    held, stride = True, SHOW_EVERY // LOOK_EVERY
    with tempfile.TemporaryDirectory(prefix="ser-edge-stream-") as folder:
        path = Path(folder) / "talk.wav"
        write(path, seconds)
        expected = child("--of", path)
        print(f"{options.minutes:g} minutes of sound, {SEGMENT:g} s windows every {STEP:g} s")
        print(f"the whole file: {expected['results']} results, digest {expected['digest']}")
        for size in options.sizes:
            found = child("--minutes", options.minutes, "--size", size)
            print(
                f"portions of {size}: {found['results']} results of {found['windows']} windows "
                f"({found['silent']} without speech), digest {found['digest']}, at most "
                f"{1000 * found['late']:.0f} ms of sound after a window\n"
                f"     memory every {SHOW_EVERY // 60} minutes of sound, MiB: "
                + " ".join(f"{kib / 1024:.1f}" for kib in found["memory"][stride - 1 :: stride])
            )
            same = found["digest"] == expected["digest"]
            lost = found["windows"] - found["silent"] - found["results"]
            print(f"{'ok  ' if same and not lost else 'MISS'} equal results, none lost")
            held &= same and not lost
            held &= verdict("memory a minute", slope(found["memory"]), 16.0, " KiB")
            # Of single samples the calls themselves are the work, not the classification.
            if size != "1":
                share = 100 * found["cpu"] / seconds
                held &= verdict("one core a second of sound", share, 1.0, " %")
        short = Path(folder) / "short.wav"
        write(short, 600)
        write(path, options.file_minutes * 60)
        classify = [sys.executable, "-m", "ser_edge", "classify"]
        for words in (["--segment", "3", "--step", "1", "--json"], []):
            runs = interleaved(
                {"10 min": [*classify, str(short), *words], "long": [*classify, str(path), *words]},
                1,
            )
            print(f"ser-edge classify {' '.join(words)}: 10 minutes {runs['10 min'].mebibytes:.1f} "
                  f"MiB, {options.file_minutes:g} minutes {runs['long'].mebibytes:.1f} MiB in "
                  f"{runs['long'].seconds:.1f} s")  # fmt: skip
            more = runs["long"].mebibytes - runs["10 min"].mebibytes
            held &= verdict("more memory for the long file", more, 4.0, " MiB")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
