# ruff: noqa: E402 - the threads of BLAS are set before numpy is imported, which reads them once
"""Memory of a training's data against the number of clips: manifest, store, matrix, batches.

For each size one process reads a manifest of so many clips, fills the feature store,
writes the matrix, fits the normaliser and takes every batch of an epoch, with copies
to choose from. A few hundred recordings are real and computed; the frames of the
others lie in the store already, as links to theirs, so that every clip has a name, a
file and a row of its own.

What is counted is anonymous resident memory (``RssAnon``): what the process itself
holds. The pages of the matrix that it has mapped (``RssFile``) are the page cache's:
they grow with the file and are given back when somebody needs the room. Linux only.

Exits 1 if 100 times as many clips take more than the bound of memory a clip.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import contextlib
import csv
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from processes import verdict

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.front_end import FrontEndSpec, LogMel
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.dataset import Part, TrainingBatches, class_weights, utterance_weights
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import CANONICAL_LABELS, Clip, Manifest
from ser_edge_train.recipes.augmentation import Augmentation, Mixup, SpecAugment

DOCS = Path(__file__).resolve().parent.parent / "docs"
RATE = 16_000
SPEC = FrontEndSpec(
    fft_length=512, window_length=512, hop_length=256, features=(LogMel(),), clip_seconds=1.0
)
RECORDINGS = 256
SPEAKERS = 100
BATCH = 64
STAGES = ("imports", "manifest", "fill", "matrix", "normaliser", "batches")
COLUMNS = ("clips", "stage", "anonymous_mib", "mapped_mib", "worker_mib", "seconds")
BYTES_A_CLIP = 1024


class Meter:
    """Peaks of this process's memory, stage by stage, as the kernel counts pages."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float | str]] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures what is done inside."""
        peaks, ended = {"anonymous_mib": 0, "mapped_mib": 0, "worker_mib": 0}, threading.Event()

        def watch() -> None:
            while True:
                last = ended.wait(0.005)
                held = resident(os.getpid())
                now = {
                    "anonymous_mib": held["RssAnon"],
                    "mapped_mib": held["RssFile"],
                    "worker_mib": max((resident(pid)["RssAnon"] for pid in children()), default=0),
                }
                peaks.update({what: max(peaks[what], size) for what, size in now.items()})
                if last:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            ended.set()
            watcher.join()
        sizes = {what: round(size / 1024, 1) for what, size in peaks.items()}
        self.rows.append({"stage": name, **sizes, "seconds": round(seconds, 1)})


def resident(pid: int) -> dict[str, int]:
    """KiB of memory that a process has, by kind; zeros if it has ended."""
    sizes = dict.fromkeys(("RssAnon", "RssFile"), 0)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            kind, _, size = line.partition(":")
            if kind in sizes:
                sizes[kind] = int(size.split()[0])
    return sizes


def children() -> list[int]:
    """Processes that this one has started; a fork that is not yet another program is no such."""
    me = Path("/proc/self/cmdline").read_bytes()
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return [pid for pid in found if command_of(pid) != me]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def measure(place: Path) -> list[dict[str, float | str]]:
    """The data's way through a training, as ``ser_edge_train.training`` goes it."""
    meter = Meter()
    with meter.stage("imports"):
        pass
    with meter.stage("manifest"):
        manifest = Manifest.read(place / "manifest.csv")
        clips = manifest.usable
    store = FeatureStore(place / "store", SPEC)
    with meter.stage("fill"):
        store.fill(manifest, clips, processes=2)
    with meter.stage("matrix"):
        matrix = store.matrix(clips, place / "matrix.npy", processes=2)
    with meter.stage("normaliser"):
        normaliser = Normaliser.fit(matrix[at : at + 256] for at in range(0, len(matrix), 256))
    with meter.stage("batches"):
        labels = np.array([CANONICAL_LABELS.index(clip.emotion) for clip in clips])
        # Every second row stands for the copy of the one before it.
        part = Part(matrix, labels[::2], np.ones((len(labels[::2]), 8), bool), None, 1)
        augmentation = Augmentation(
            gain_db=6.0,
            time_shift=8,
            spec_augment=SpecAugment(time_masks=2, time_width=8),
            mixup=Mixup(alpha=0.2),
        )
        weights = utterance_weights(part, class_weights(part.labels, 8, "balanced"))
        batches = TrainingBatches(part, weights, normaliser, augmentation, BATCH, 1, SPEC)
        for at in range(len(batches)):
            batches.batch(0, at)
    return meter.rows


def prepare(place: Path, size: int) -> None:
    """A manifest of ``size`` clips, their recordings or their frames."""
    (place / "recordings").mkdir(parents=True)
    time_axis = np.arange(RATE) / RATE
    clips = []
    for number in range(size):
        stem = f"speaker{number % SPEAKERS:03d}_clip{number:06d}"
        if number < RECORDINGS:
            tone = 0.3 * np.sin(2 * np.pi * (120 + number) * time_axis)
            digest = write_recording(place / "recordings" / f"{stem}.wav", tone)
        else:
            digest = hashlib.sha256(stem.encode()).hexdigest()
        clips.append(
            Clip("own", stem, f"{stem}.wav", f"speaker{number % SPEAKERS:03d}", "female",
                 CANONICAL_LABELS[number // 2 % 8], "normal", f"s{number % 12}",
                 str(number % 5), 1.0, digest, "")
        )  # fmt: skip
    manifest = Manifest(place / "recordings", tuple(clips))
    store = FeatureStore(place / "store", SPEC)
    real = [clip for clip in manifest.clips if (place / "recordings" / clip.path).is_file()]
    store.fill(manifest, real[: RECORDINGS // 2], processes=2)
    sources = [store.path_of(clip) for clip in real[: RECORDINGS // 2]]
    for number, clip in enumerate(set(manifest.clips) - set(real)):
        path = store.path_of(clip)
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(sources[number % len(sources)])
    manifest.write(place / "manifest.csv")


def write_recording(path: Path, samples: np.ndarray) -> str:
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(RATE)
        stream.writeframes((samples * 32767).astype("<i2").tobytes())
    return audio_digest(*load_audio(path))


def in_processes(size: int) -> list[dict[str, float | str]]:
    """One size in a process of its own, its data made in another one."""
    with tempfile.TemporaryDirectory(prefix="ser-edge-memory-") as folder:
        command = [sys.executable, __file__, "--place", folder]
        subprocess.run([*command, "--prepare", str(size)], check=True)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [{"clips": size, **row} for row in json.loads(done.stdout)]


def plot(rows: list[dict[str, float | str]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ser-edge"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for stage in STAGES:
        mine = [row for row in rows if row["stage"] == stage]
        axes.plot([row["clips"] for row in mine], [row["anonymous_mib"] for row in mine],
                  marker="o", label=stage)  # fmt: skip
    sizes = [row["clips"] for row in rows if row["stage"] == STAGES[0]]
    features = [float(size) * 4 * np.prod(SPEC.output_shape) / 2**20 for size in sizes]
    axes.plot(sizes, features, "k--", label="the features, on the disk")
    axes.set(xscale="log", yscale="log", xlabel="clips", ylabel="peak of anonymous memory, MiB")
    axes.set_yticks([10, 30, 100, 300, 1000], labels=["10", "30", "100", "300", "1000"])
    axes.legend(loc="upper left", fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--write", action="store_true", help="docs/memory-flat.csv and .svg")
    parser.add_argument("--prepare", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.place is not None and options.prepare is not None:
        prepare(options.place, options.prepare)
        return 0
    if options.place is not None:
        print(json.dumps(measure(options.place)))
        return 0
    rows: list[dict[str, float | str]] = []
    print(f"{'clips':>8} {'stage':<11}{'anonymous':>12}{'mapped':>12}{'a worker':>12}{'time':>9}")
    for size in options.sizes:
        for row in in_processes(size):
            rows.append(row)
            print(
                f"{row['clips']:>8} {row['stage']:<11}{row['anonymous_mib']:>8} MiB"
                f"{row['mapped_mib']:>8} MiB{row['worker_mib']:>8} MiB{row['seconds']:>7} s",
                flush=True,
            )
    if options.write:
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text_atomically(DOCS / "memory-flat.csv", text.getvalue())
        plot(rows, DOCS / "memory-flat.svg")
    least, most = min(options.sizes), max(options.sizes)
    peak = {
        n: max(float(r["anonymous_mib"]) for r in rows if r["clips"] == n) for n in (least, most)
    }
    slope = (peak[most] - peak[least]) * 2**20 / max(1, most - least)
    row_bytes = 4 * int(np.prod(SPEC.output_shape))
    print(f"a clip's features take {row_bytes} bytes in the matrix, which stays on the disk")
    return 0 if verdict("memory a further clip", slope, BYTES_A_CLIP, " bytes") else 1


if __name__ == "__main__":
    raise SystemExit(main())
