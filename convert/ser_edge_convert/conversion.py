"""From a trained network to a model file, or to a report of why there is none."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_edge_convert.attempt import Attempt, Bench
from ser_edge_convert.calibration import DEFAULT_SIZE
from ser_edge_convert.child import COMMAND
from ser_edge_convert.errors import (
    ConversionMismatch,
    ConversionRefused,
    GateFailed,
    OutputFailed,
    one_line_for_disks,
)
from ser_edge_convert.gate import Gate
from ser_edge_convert.inputs import Inputs, Progress, RunInputs
from ser_edge_convert.network_file import is_recurrent
from ser_edge_convert.packaging import package
from ser_edge_convert.repair import REPAIRABLE, repair
from ser_edge_convert.targets import Plan, plan
from ser_edge_convert.tensor_names import with_short_names
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_atomically, write_text_atomically
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory

MAX_DROP = 0.02
INTENDED_USE = (
    "Research on emotion in acted English speech. Not for decisions about people, and not "
    "measured on other languages, spontaneous speech or children."
)
LICENCE = "not stated; the licences of the recordings it was trained on apply"


@dataclass(frozen=True)
class Settings:
    """What a conversion is to be, but for its variant.

    Attributes:
        max_drop: Largest loss of accuracy or UAR allowed, as a share (0.02: two points).
        min_agreement: Smallest share of validation clips that keep their class, near ties
            counted as lost; 0 asks for nothing.
        calibration_size: Training clips that show the range of every activation.
        calibration_seed: Another seed chooses others.
        name: The model's name; None takes the recipe's or the network's.
        licence: Licence of the weights.
        intended_use: What the model is for and what it is not for.
        repair: Whether an int8 file that loses more gets layers left in floats, as few as
            bring it within the gate; see :mod:`ser_edge_convert.repair`.

    Raises:
        ConversionRefused: ``max_drop`` or ``min_agreement`` is no share.
    """

    max_drop: float = MAX_DROP
    min_agreement: float = 0.0
    calibration_size: int = DEFAULT_SIZE
    calibration_seed: int = 0
    name: str | None = None
    licence: str = LICENCE
    intended_use: str = INTENDED_USE
    repair: bool = False

    def __post_init__(self) -> None:
        for name in ("max_drop", "min_agreement"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                words = name.replace("_", " ")
                raise ConversionRefused(f"{words} {value} is no share; choose 0 to 1")

    @property
    def gate(self) -> Gate:
        """What a file may lose."""
        return Gate(self.max_drop, self.min_agreement)


@dataclass(frozen=True)
class Conversion:
    """A conversion that was within the gate.

    Attributes:
        path: The model file.
        report_path: Its report, JSON, beside it.
        report: What stands in that: plan, gate, warnings, scores before and after,
            agreement, operators, calibration, provenance.
    """

    path: Path
    report_path: Path
    report: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one of several variants.

    Attributes:
        variant: Its name.
        conversion: The file that was kept; None if there is none.
        fault: Why there is none; a :class:`ConversionRefused` for a variant that network or
            target cannot have, anything else for one that failed.
    """

    variant: str
    conversion: Conversion | None = None
    fault: SerEdgeError | None = None

    @property
    def refused(self) -> bool:
        """Whether it was never to be had."""
        return isinstance(self.fault, ConversionRefused)

    @property
    def report(self) -> dict[str, Any] | None:
        """The conversion's report, also of one that lost too much; None if it got no further."""
        if self.conversion is not None:
            return self.conversion.report
        return self.fault.report if isinstance(self.fault, GateFailed) else None


def report_path(out: Path) -> Path:
    """Where the report of a model file stands: ``model.tflite.report.json``."""
    return out.with_name(f"{out.name}.report.json")


def convert(
    source: RunDirectory | Inputs,
    out: Path,
    *,
    store: Path,
    target: str | None = None,
    variant: str | None = None,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = COMMAND,
    **settings: Any,
) -> Conversion:
    """Converts a network, proves the file, and keeps it if it lost little enough.

    Losses are measured on validation speakers; the test part is not touched. The
    same network gives the same bytes. One thread a call; calls with different
    ``out`` may run at once.

    Args:
        source: A run whose training has ended, or what stands for one.
        out: The model file to write; an existing one is replaced, or left as it
            is if the new one fails.
        store: Folder of the feature store.
        target: Where it shall run, of :data:`ser_edge_convert.targets.TARGETS`.
        variant: How its numbers are written, of :data:`ser_edge_convert.variants.VARIANTS`;
            None leaves that to the target.
        manifest: Where a run's recordings lie now; None takes the run's own.
        progress: Called with (stage, done, total); total 0 where it is not known.
        command: What runs the converter; its last argument will be a folder.
        **settings: Fields of :class:`Settings`.

    Raises:
        GateFailed: It lost more than the gate allows: the report alone was written.
        RepairFailed: Nor is there a choice of layers in floats that loses less.
        ConversionMismatch: The file does not compute what the network does.
        ConversionCrashed: The converter was ended by a signal.
        ConversionFailed: The converter gave up.
        ConversionRefused: A combination of options that cannot work.
        CalibrationError: There is no clip to calibrate on.
        OutputFailed: ``out`` or a temporary folder cannot be written.
        SerEdgeError: The run, a recording or the network cannot be read; names it.
    """
    wanted = Settings(**settings)
    tell: Progress = progress or (lambda stage, done, total: None)
    inputs = _inputs(source, manifest)
    decided = plan(is_recurrent(inputs.model), target=target, variant=variant)
    if wanted.repair and decided.variant not in REPAIRABLE:
        raise ConversionRefused(
            f"{decided.variant} cannot be repaired: layers are left in floats in "
            f"{' and '.join(REPAIRABLE)} alone; name one with --variant"
        )
    _ = inputs.validation
    with one_line_for_disks(out):
        check_folder(out)
        with tempfile.TemporaryDirectory(prefix="ser-edge-convert-") as folder:
            bench = Bench(inputs, store, Path(folder), tell, command)
            return _make(bench, decided, out, wanted, tell)


def convert_each(
    source: RunDirectory | Inputs,
    out_of: Callable[[str], Path],
    *,
    store: Path,
    target: str | None = None,
    variants: Sequence[str] = tuple(VARIANTS),
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    ended: Callable[[Outcome], None] | None = None,
    command: Sequence[str] = COMMAND,
    **settings: Any,
) -> list[Outcome]:
    """Converts a network into several variants, one after the other, as :func:`convert` does.

    One that fails does not stop the others.

    Args:
        source: As for :func:`convert`.
        out_of: Names the file of a variant.
        store: As for :func:`convert`, and so are the others that it has.
        target: Where all of them shall run.
        variants: Their names.
        manifest: As for :func:`convert`.
        progress: As for :func:`convert`; the stages begin with the variant's name.
        ended: Called with each outcome at once.
        command: As for :func:`convert`.
        **settings: Fields of :class:`Settings`.

    Returns:
        What became of each, in the order of ``variants``.

    Raises:
        SerEdgeError: What all of them need is missing: the network, its files, validation clips.
    """
    wanted = Settings(**settings)
    tell: Progress = progress or (lambda stage, done, total: None)
    inputs = _inputs(source, manifest)
    recurrent = is_recurrent(inputs.model)
    _ = inputs.validation
    outcomes = []
    with (
        one_line_for_disks(out_of(variants[0])),
        tempfile.TemporaryDirectory(prefix="ser-edge-convert-") as folder,
    ):
        current = ""

        def named(stage: str, done: int, total: int) -> None:
            tell(f"{current}: {stage}", done, total)

        bench = Bench(inputs, store, Path(folder), named, command)
        for current in variants:
            try:
                decided = plan(recurrent, target=target, variant=current)
                out = out_of(current)
                with one_line_for_disks(out):
                    check_folder(out)
                    made = _make(bench, decided, out, wanted, named)
                outcome = Outcome(current, made)
            except SerEdgeError as fault:
                outcome = Outcome(current, fault=fault)
            outcomes.append(outcome)
            if ended is not None:
                ended(outcome)
    return outcomes


def check_folder(out: Path) -> None:
    """Finds out before an hour's work, not after it, that ``out`` cannot be written.

    Raises:
        OutputFailed: It is a folder.
        OSError: Nothing can be written beside it.
    """
    if out.is_dir():
        raise OutputFailed(out, "is a folder", "name a file, as model.tflite")
    with tempfile.TemporaryFile(dir=out.parent):
        pass


def keep(attempt: Attempt, out: Path, wanted: Settings) -> Conversion:
    """Writes a file that was made, and its report; the report alone if it lost too much.

    Raises:
        GateFailed: It did.
        OSError: The disk is full or a folder not writable.
    """
    report = attempt.report(wanted.gate)
    if not attempt.passes(wanted.gate):
        write_text_atomically(report_path(out), _json(report))
        raise GateFailed(_gate_message(out, report), report_path(out), report)
    data = package(
        with_short_names(attempt.export.flatbuffer),
        name=wanted.name or attempt.inputs.name,
        labels=attempt.inputs.labels,
        front_end=attempt.inputs.front_end,
        normaliser=attempt.inputs.normaliser,
        temperature=attempt.temperature(),
        target=attempt.plan.target,
        variant=attempt.plan.variant,
        provenance=attempt.provenance(),
        scores=attempt.scores(),
        licence=wanted.licence,
        intended_use=wanted.intended_use,
    )
    report["kept"] = True
    report["file"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_text_atomically(report_path(out), _json(report))
    try:
        write_atomically(out, data)
    except BaseException:
        report_path(out).unlink()  # it says that there is a file
        raise
    return Conversion(out, report_path(out), report)


def _make(bench: Bench, decided: Plan, out: Path, wanted: Settings, tell: Progress) -> Conversion:
    calibration = None
    if VARIANTS[decided.variant].calibrated:
        calibration = bench.calibrate(wanted.calibration_size, wanted.calibration_seed)
    log = out.with_name(f"{out.name}.log")
    repairable = wanted.repair and decided.variant in REPAIRABLE
    attempt: Attempt | None = None
    try:
        attempt = bench.attempt(decided, calibration, log)
    except ConversionMismatch:
        if not repairable:
            raise
    if attempt is None or (repairable and not attempt.passes(wanted.gate)):
        assert calibration is not None  # int8 is calibrated
        with bench.trials(decided, calibration, log) as trials:
            found = repair(trials, wanted.gate, VARIANTS[decided.variant].agreement)
        attempt = bench.attempt(decided, calibration, log, found)
    tell("packaging", 0, 0)
    return keep(attempt, out, wanted)


def _inputs(source: RunDirectory | Inputs, manifest: Manifest | None) -> Inputs:
    return source if isinstance(source, Inputs) else RunInputs.read(source, manifest)


def _gate_message(out: Path, report: dict[str, Any]) -> str:
    before, after = report["validation"]["before"], report["validation"]["after"]
    variant, gate, same = report["plan"]["variant"], report["gate"], report["agreement"]["same"]
    other = "a larger --max-drop" if variant == "float32" else "another --variant"
    if variant in REPAIRABLE and report["repair"] is None:
        other = "--repair or another --variant"
    kept = ""
    if gate["min_agreement"]:
        kept = f", keeps the class of {same}, {100 * gate['min_agreement']:g} % are asked"
    left = "; the file that was there before is untouched" if out.exists() else ""
    return (
        f"{out}: not kept: {variant} loses {100 * gate['drop']:.1f} points on "
        f"{before['clips']} validation clips, {100 * gate['max_drop']:.1f} are allowed{kept} "
        f"(accuracy {100 * before['accuracy']:.1f} to {100 * after['accuracy']:.1f} %, "
        f"UAR {100 * before['uar']:.1f} to {100 * after['uar']:.1f} %); see {report_path(out)}, "
        f"try {other}{left}"
    )


def _json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
