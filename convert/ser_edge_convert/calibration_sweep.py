"""How much a conversion depends on which clips calibrated it, and on how many."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ser_edge_convert.attempt import Attempt, Bench
from ser_edge_convert.child import COMMAND
from ser_edge_convert.errors import (
    ConversionCrashed,
    ConversionFailed,
    ConversionMismatch,
    ConversionRefused,
    one_line_for_disks,
)
from ser_edge_convert.inputs import Inputs, Progress
from ser_edge_convert.network_file import is_recurrent
from ser_edge_convert.targets import plan
from ser_edge_convert.variants import VARIANTS

DEFAULT_SIZES = (10, 50, 200)
DEFAULT_SEEDS = 3
SWEEP_VERSION = 1


@dataclass(frozen=True)
class Trial:
    """One conversion of a sweep, measured on the validation clips.

    Attributes:
        size: Calibration clips asked for.
        clips: Calibration clips there were.
        seed: What chose them.
        accuracy: Of the file.
        uar: Of the file.
        drop: The larger loss of the two against the network, as a share.
        agreement: Share of clips of which both name the same class.
        largest_difference: Of a probability.
        outside: Share of values beyond the calibrated range, by end of the graph.
        absent: Classes that no calibration clip has.
        fault: Why there is no file; then the measures are None.
    """

    size: int
    clips: int
    seed: int
    accuracy: float | None = None
    uar: float | None = None
    drop: float | None = None
    agreement: float | None = None
    largest_difference: float | None = None
    outside: dict[str, float] | None = None
    absent: tuple[str, ...] = ()
    fault: str | None = None


MEASURES = ("accuracy", "uar", "drop", "agreement", "largest_difference")


@dataclass(frozen=True)
class Sweep:
    """All conversions of a sweep.

    Attributes:
        variant: What was made.
        target: For what.
        validation: Number of validation clips, and of their speakers.
        before: The network's own accuracy and UAR on them.
        trials: In the order of sizes, then of seeds.
    """

    variant: str
    target: str
    validation: dict[str, int]
    before: dict[str, float]
    trials: tuple[Trial, ...]

    def spread(self) -> list[dict[str, Any]]:
        """For each size and measure the mean, least and greatest value, and the deviation.

        The deviation is that of a sample (n - 1), None for one seed.
        """
        rows = []
        for size in dict.fromkeys(trial.size for trial in self.trials):
            done = [t for t in self.trials if t.size == size and t.fault is None]
            row: dict[str, Any] = {"size": size, "seeds": len(done)}
            for name in MEASURES:
                values = [float(getattr(trial, name)) for trial in done]
                row[name] = _moments(values) if values else None
            rows.append(row)
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "sweep_version": SWEEP_VERSION,
            "variant": self.variant,
            "target": self.target,
            "validation": self.validation,
            "before": self.before,
            "trials": [asdict(t) | {"absent": list(t.absent)} for t in self.trials],
            "spread": self.spread(),
        }


def sweep(
    inputs: Inputs,
    *,
    store: Path,
    sizes: Sequence[int] = DEFAULT_SIZES,
    seeds: int = DEFAULT_SEEDS,
    variant: str = "int8",
    target: str | None = None,
    progress: Progress | None = None,
    ended: Callable[[Trial], None] | None = None,
    command: Sequence[str] = COMMAND,
) -> Sweep:
    """Converts a network with calibrations of several sizes and seeds; keeps no file.

    Args:
        inputs: The network and its clips.
        store: Folder of the feature store.
        sizes: Numbers of calibration clips.
        seeds: How many choices of each size: seeds 0, 1, ...
        variant: What to make; one that is calibrated.
        target: Where it shall run.
        progress: Called with (stage, done, total).
        ended: Called with each trial at once.
        command: What runs the converter; its last argument will be a folder.

    Raises:
        ConversionRefused: The variant is not calibrated, or cannot be had.
        CalibrationError: There is no clip to calibrate on.
        OutputFailed: A temporary file cannot be written.
        SerEdgeError: The network or a recording cannot be read.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    decided = plan(is_recurrent(inputs.model), target=target, variant=variant)
    if not VARIANTS[decided.variant].calibrated:
        able = ", ".join(name for name, kind in VARIANTS.items() if kind.calibrated)
        raise ConversionRefused(f"{variant} is not calibrated; choose one of {able}")
    planned = [(size, seed) for size in sizes for seed in range(seeds)]
    trials: list[Trial] = []
    before: dict[str, float] = {}
    clips = inputs.validation
    with (
        one_line_for_disks("the temporary folder"),
        tempfile.TemporaryDirectory(prefix="ser-edge-sweep-") as folder,
    ):

        def counted(stage: str, done: int, total: int) -> None:
            tell(f"{len(trials) + 1} of {len(planned)}: {stage}", done, total)

        bench = Bench(inputs, store, Path(folder), counted, command)
        log = Path(tempfile.gettempdir()) / "ser-edge-calibration.log"
        for size, seed in planned:
            chosen = bench.calibrate(size, seed)
            try:
                made = bench.attempt(decided, chosen, log)
                trial = _trial(made, size, seed)
                before = {n: made.validation["before"][n] for n in ("accuracy", "uar")}
            except (ConversionCrashed, ConversionFailed, ConversionMismatch) as fault:
                trial = Trial(size, len(chosen.clips), seed, fault=str(fault))
            trials.append(trial)
            if ended is not None:
                ended(trial)
    speakers = len({clip.speaker_key for clip in clips})
    validation = {"clips": len(clips), "speakers": speakers}
    return Sweep(decided.variant, decided.target, validation, before, tuple(trials))


def _trial(made: Attempt, size: int, seed: int) -> Trial:
    assert made.calibration is not None
    assert made.coverage is not None
    after = made.validation["after"]
    found = made.agreement
    return Trial(
        size,
        len(made.calibration.clips),
        seed,
        accuracy=after["accuracy"],
        uar=after["uar"],
        drop=made.drop,
        agreement=round(found.same / found.clips, 6),
        largest_difference=round(found.max_difference, 6),
        outside=made.coverage.outside,
        absent=made.coverage.absent,
    )


def _moments(values: Sequence[float]) -> dict[str, float | None]:
    return {
        "mean": round(statistics.fmean(values), 6),
        "least": min(values),
        "greatest": max(values),
        "sd": round(statistics.stdev(values), 6) if len(values) > 1 else None,
    }
