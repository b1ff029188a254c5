"""Runs the converter in a process of its own and reads what became of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.errors import BadNetwork, ConversionCrashed, ConversionFailed
from ser_edge_convert.operator_order import with_safe_order
from ser_edge_runtime.errors import MissingExtra, SerEdgeError
from ser_edge_runtime.files import write_atomically, write_text_atomically

COMMAND = (sys.executable, "-P", "-m", "ser_edge_convert.export")
FAILED = 3


@dataclass(frozen=True)
class Job:
    """What the child is asked to do.

    Attributes:
        model: Path of the ``.keras`` file.
        variant: A name of :data:`ser_edge_convert.variants.VARIANTS`.
        lstm: "fused" or "unrolled".
        calibrated: Whether features to calibrate on lie on the desk.
        float_layers: Names of layers that an int8 variant leaves in floating point.
    """

    model: str
    variant: str
    lstm: str
    calibrated: bool
    float_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desk:
    """The folder through which parent and child talk; one conversion each.

    Attributes:
        folder: Exists and is empty at the start.
    """

    folder: Path

    @property
    def job(self) -> Path:
        """The :class:`Job`, JSON, written by the parent."""
        return self.folder / "job.json"

    @property
    def calibration(self) -> Path:
        """Normalised features to calibrate on, float32 (n, ...), by the parent."""
        return self.folder / "calibration.npy"

    @property
    def probe(self) -> Path:
        """Normalised features to compare on, float32 (n, ...), by the parent."""
        return self.folder / "probe.npy"

    @property
    def logits(self) -> Path:
        """The network's logits for the probe, float32 (n, classes), by the child."""
        return self.folder / "logits.npy"

    @property
    def flatbuffer(self) -> Path:
        """The converted network, by the child."""
        return self.folder / "network.tflite"

    @property
    def facts(self) -> Path:
        """JSON written by the child last of all: without it nothing else counts."""
        return self.folder / "facts.json"

    @property
    def failure(self) -> Path:
        """Why the child gave up, JSON."""
        return self.folder / "failure.json"

    @property
    def log(self) -> Path:
        """All that the child and TensorFlow's libraries printed."""
        return self.folder / "log.txt"

    def write_job(self, job: Job) -> None:
        """Puts the job on the desk."""
        write_text_atomically(self.job, json.dumps(asdict(job), sort_keys=True))

    def read_job(self) -> Job:
        """Takes the job from the desk."""
        values = json.loads(self.job.read_text(encoding="utf-8"))
        return Job(**values | {"float_layers": tuple(values["float_layers"])})

    def write_failure(self, line: str, *, unfit: bool) -> None:
        """Says why there is no result; ``unfit`` if it is the network's own fault."""
        write_text_atomically(self.failure, json.dumps({"line": line, "unfit": unfit}))


@dataclass(frozen=True)
class Export:
    """What the child made.

    Attributes:
        flatbuffer: The converted network, plain TensorFlow Lite.
        logits: What the network itself says of the probe, float32 (n, classes).
        facts: Forms of its recurrent layers, parameters, versions of the libraries.
    """

    flatbuffer: bytes
    logits: npt.NDArray[np.float32]
    facts: dict[str, Any]


def run_child(desk: Desk, job: Job, keep_log: Path, *, command: Sequence[str] = COMMAND) -> Export:
    """Has a child process do the job.

    Args:
        desk: Its features lie there already.
        job: What to do.
        keep_log: Where the child's log goes if anything fails; not written otherwise.
        command: What to start; the desk's folder becomes its last argument.

    Raises:
        ConversionCrashed: The child was ended by a signal.
        ConversionFailed: The converter gave up.
        BadNetwork: The network is not of a kind that is converted.
        MissingExtra: TensorFlow is not installed.
        OSError: A disk is full or a folder not writable.
    """
    desk.write_job(job)
    with desk.log.open("wb") as log:
        code = subprocess.run(
            [*command, str(desk.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            check=False,
        ).returncode
    if code == 0 and desk.facts.exists():
        return Export(
            with_safe_order(desk.flatbuffer.read_bytes()),
            np.load(desk.logits),
            json.loads(desk.facts.read_text(encoding="utf-8")),
        )
    raise explain(desk, job, code, keep_log)


def child_environment() -> dict[str, str]:
    """One kind of arithmetic and one order of everything: the bytes must repeat."""
    return os.environ | {
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }


def explain(desk: Desk, job: Job, code: int, keep_log: Path) -> SerEdgeError:
    """What to raise for a child that ended without a result.

    Args:
        desk: Its desk, with its log.
        job: What it was asked to do.
        code: Its exit code, negative for a signal.
        keep_log: Where the log goes, unless the fault is the network's own.
    """
    log_text = desk.log.read_bytes()
    if b"No module named 'tensorflow'" in log_text or b"No module named 'keras'" in log_text:
        return MissingExtra("conversion", "convert")
    if code < 0:
        write_atomically(keep_log, log_text)
        return _crash(job, -code, keep_log)
    if desk.failure.exists():
        failure = json.loads(desk.failure.read_text(encoding="utf-8"))
        if failure["unfit"]:
            return BadNetwork(f"{job.model}: {failure['line']}")
        what = f"cannot be converted to {job.variant}: {failure['line']}"
    else:
        what = f"the converter ended with exit code {code} and no result"
    write_atomically(keep_log, log_text)
    return ConversionFailed(f"{job.model}: {what} (log: {keep_log}); {_next_step(job)}")


def _crash(job: Job, number: int, log: Path) -> ConversionCrashed:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    cause = " (often the system, out of memory)" if name == "SIGKILL" else ""
    return ConversionCrashed(
        f"{job.model}: the converter was ended by {name}{cause} while making {job.variant} "
        f"(log: {log}); nothing was written; {_next_step(job)}",
        name,
    )


def _next_step(job: Job) -> str:
    if job.calibrated:
        return "try --variant dynamic, which needs no calibration"
    return "read the log" if job.variant == "float32" else "try --variant float32"
