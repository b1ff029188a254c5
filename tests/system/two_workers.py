"""Two CPU workers on loopback against one process, through the command line, with a kill.

    python -m tests.system.two_workers [FOLDER] [--recipe NAME|FILE --data MANIFEST]

Trains a recipe in one process; again with two workers; and a third time with two workers of
which one is killed with SIGKILL in the second epoch, after which both are started anew. Without
--recipe it makes twelve dozen tones and trains a recurrent network without batch
normalisation and dropout, where all three have to end with the same weights.

Prints what it compares; exits 1 if the weights are further apart than the tolerance, if the
killed training is not resumed to the very bytes of the unbroken one, or if the worker that was
left does not say in one line whom it lost. With a recipe of one's own the weights are printed
and only the kill is judged: batch normalisation and dropout are a replica's own.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from ser_edge_train.checkpoint import Checkpoint
from ser_edge_train.run_directory import RunDirectory

TOLERANCE = 1e-5
RECIPE = """\
name = "tones"
summary = "Three pitches, without batch normalisation and dropout"
labels = ["angry", "neutral", "sad"]
seed = 5

[protocol]
name = "speaker-folds"
fold = 1

[front_end]
hop_length = 320
clip_seconds = 0.4

[[front_end.features]]
kind = "log_mel"
bands = 12

[network]
name = "rnn"
units = [8]
hidden = 6
dropout = 0.0

[augmentation.mixup]
alpha = 0.2

[fit]
epochs = 4
batch_size = 25

[fit.optimizer]
name = "adamw"
learning_rate = 0.01
weight_decay = 0.01
clip_norm = 1.0
"""


def write_tones(folder: Path) -> None:
    """Recordings of three classes by six speakers."""
    for place, (label, pitch) in enumerate({"angry": 880, "neutral": 440, "sad": 220}.items()):
        for speaker in ("ada", "ben", "cyd", "dan", "eva", "flo"):
            for take in range(8):
                rng = np.random.default_rng([place, ord(speaker[0]), take])
                times = np.arange(6400) / 16000
                tone = np.sin(2 * np.pi * pitch * 2 ** rng.normal(scale=0.1) * times)
                samples = 0.4 * tone + 0.05 * rng.standard_normal(6400)
                path = folder / label / speaker / f"{label}-{speaker}-{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                with wave.open(str(path), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(16000)
                    file.writeframes((samples * 32767).astype("<i2").tobytes())


def addresses() -> str:
    """Two of this machine whose ports are free."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in taken)
    for server in taken:
        server.close()
    return found


class Training:
    """``ser-edge train`` in a process."""

    def __init__(self, folder: Path, *words: str) -> None:
        common = ["--store", "store", "--processes", "1", *words]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ser_edge", "train", *common],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill_after_epoch(self, epoch: int) -> None:
        """Waits for the line that tells the epoch, then kills it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(f"epoch {epoch}/"):
                break
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> tuple[int, str, str]:
        """Exit status, what it printed, what it complained of."""
        printed, faults = self.process.communicate()
        return self.process.returncode, printed, faults


def pair(folder: Path, *words: str) -> tuple[Training, Training]:
    """Worker 0 and worker 1 of one training."""
    spread = ["--strategy", "multi-worker", "--workers", addresses()]
    chief, other = (Training(folder, *words, *spread, "--worker", place) for place in "01")
    return chief, other


def whole(name: str, *trainings: Training) -> None:
    """Waits for trainings that have to succeed, and prints the chief's last epoch."""
    for place, training in enumerate(trainings):
        code, printed, faults = training.end()
        if code:
            raise SystemExit(f"{name}: a training ended with {code}\n{printed}{faults}")
        if place == 0:
            said = [line for line in printed.splitlines() if line.startswith(("the fit", "epoch"))]
            spread = said[0] if said[0].startswith("the fit") else "one process"
            print(f"{name}: {spread}; {said[-1].rsplit('  ', 1)[0]}", flush=True)


def distance(one: Path, other: Path) -> float:
    """The largest difference of any value of two runs' last weights."""
    mine, its = (Checkpoint.read(RunDirectory(path).checkpoint).model for path in (one, other))
    return max(
        float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
        for a, b in zip(mine, its, strict=True)
        if a.dtype.kind == "f"
    )


def main() -> int:
    """Trains three times and compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--recipe")
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (asked.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if asked.recipe is None:
            write_tones(folder / "recordings")
            (folder / "tones.toml").write_text(RECIPE)
            words = ["--recipe", "tones.toml", "--data", "recordings"]
        else:
            words = ["--recipe", asked.recipe, "--data", str(asked.data.resolve())]
        return compare(folder, words, exact=asked.recipe is None)


def compare(folder: Path, words: list[str], *, exact: bool) -> int:
    """The three trainings, in a folder that has what ``words`` name."""
    faults = []
    whole("alone", Training(folder, *words, "--run", "alone"))
    whole("two workers", *pair(folder, *words, "--run", "two"))
    found = distance(folder / "alone", folder / "two")
    print(f"largest difference of a weight, alone and two workers: {found:.3g}", flush=True)
    if exact and found > TOLERANCE:
        faults.append(f"the weights differ by more than {TOLERANCE:g}")

    chief, other = pair(folder, *words, "--run", "killed")
    other.kill_after_epoch(1)
    code, _, complaint = chief.end()
    print(f"worker 1 killed after epoch 1; worker 0 ends with {code}: {complaint.strip()}")
    if code != 1 or complaint.count("\n") != 1 or "worker 1 (" not in complaint:
        faults.append("worker 0 does not say in one line whom it lost")
    whole("both started anew", *pair(folder, *words, "--run", "killed", "--resume"))
    for name in ("model.keras", "history.csv", "predictions.csv", "checkpoints/last.npz"):
        same = (folder / "two" / name).read_bytes() == (folder / "killed" / name).read_bytes()
        print(f"{name}, unbroken and killed: {'the same bytes' if same else 'DIFFERENT'}")
        if not same:
            faults.append(f"{name} of the killed training differs")
    left = [path.name for path in (folder / "store").iterdir() if path.name.startswith(".")]
    print(f"folders of workers left in the store: {len(left)}")
    if left:
        faults.append(f"{left[0]} was left in the store")
    for fault in faults:
        print(f"FAILED: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
