"""From a finished run to a model file, or to a report of why there is none."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert import comparison
from ser_edge_convert.calibration import DEFAULT_SIZE, Calibration, choose
from ser_edge_convert.child import COMMAND, Desk, Export, Job, run_child
from ser_edge_convert.errors import BadNetwork, ConversionRefused, GateFailed, OutputFailed
from ser_edge_convert.graph import Graph, read_graph
from ser_edge_convert.inputs import Progress, RunInputs
from ser_edge_convert.network_file import is_recurrent
from ser_edge_convert.packaging import package
from ser_edge_convert.targets import Plan, check_form, plan
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.files import write_atomically, write_text_atomically
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train import metrics
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Manifest
from ser_edge_train.run_directory import RunDirectory

MAX_DROP = 0.02
REPORT_VERSION = 1
# All answers right would ask for infinite confidence; on few clips that is luck.
TEMPERATURES = (0.25, 4.0)
INTENDED_USE = (
    "Research on emotion in acted English speech. Not for decisions about people, and not "
    "measured on other languages, spontaneous speech or children."
)
LICENCE = "not stated; the licences of the recordings it was trained on apply"


@dataclass(frozen=True)
class Conversion:
    """A conversion that was within the gate.

    Attributes:
        path: The model file.
        report_path: Its report, JSON, beside it.
        report: What stands in that: plan, gate, scores before and after, agreement,
            operators, calibration, provenance.
    """

    path: Path
    report_path: Path
    report: dict[str, Any]


def report_path(out: Path) -> Path:
    """Where the report of a model file stands: ``model.tflite.report.json``."""
    return out.with_name(f"{out.name}.report.json")


def convert(
    run: RunDirectory,
    out: Path,
    *,
    store: Path,
    target: str | None = None,
    variant: str | None = None,
    max_drop: float = MAX_DROP,
    calibration_size: int = DEFAULT_SIZE,
    calibration_seed: int = 0,
    manifest: Manifest | None = None,
    name: str | None = None,
    licence: str = LICENCE,
    intended_use: str = INTENDED_USE,
    progress: Progress | None = None,
    command: Sequence[str] = COMMAND,
) -> Conversion:
    """Converts a run's network, proves the file, and keeps it if it lost little enough.

    Losses are measured on the run's validation speakers; its test part is not
    touched. The same run gives the same bytes. One thread a call; calls with
    different ``out`` may run at once.

    Args:
        run: A run whose training has ended.
        out: The model file to write; an existing one is replaced, or left as it
            is if the new one fails.
        store: Folder of the feature store.
        target: Where it shall run, of :data:`ser_edge_convert.targets.TARGETS`.
        variant: How its numbers are written, of :data:`ser_edge_convert.variants.VARIANTS`;
            None leaves that to the target.
        max_drop: Largest loss of accuracy or UAR allowed, as a share (0.02: two points).
        calibration_size: Training clips that show the range of every activation.
        calibration_seed: Another seed chooses others.
        manifest: Where the recordings lie now; None takes the run's own.
        name: The model's name; None takes the recipe's.
        licence: Licence of the weights.
        intended_use: What the model is for and what it is not for.
        progress: Called with (stage, done, total); total 0 where it is not known.
        command: What runs the converter; its last argument will be a folder.

    Raises:
        GateFailed: It lost more than ``max_drop``: the report alone was written.
        ConversionMismatch: The file does not compute what the network does.
        ConversionCrashed: The converter was ended by a signal.
        ConversionFailed: The converter gave up.
        ConversionRefused: A combination of options that cannot work.
        OutputFailed: ``out`` or a temporary folder cannot be written.
        SerEdgeError: The run, a recording or the network cannot be read; names it.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    if not 0 <= max_drop <= 1:
        raise ConversionRefused(f"max drop {max_drop} is no share; choose 0 to 1")
    inputs = RunInputs.read(run, manifest)
    decided = plan(is_recurrent(run.model), target=target, variant=variant)
    try:
        _check_folder(out)
        with tempfile.TemporaryDirectory(prefix="ser-edge-convert-") as folder:
            desk = Desk(Path(folder))
            attempt = _attempt(
                inputs, decided, desk, out, FeatureStore(store, inputs.front_end),
                calibration_size, calibration_seed, tell, command,
            )  # fmt: skip
        report = attempt.report(max_drop)
        if report["gate"]["drop"] > max_drop + 1e-9:
            write_text_atomically(report_path(out), _json(report))
            raise GateFailed(_gate_message(out, report), report_path(out))
        tell("packaging", 0, 0)
        data = package(
            attempt.export.flatbuffer,
            name=name or inputs.recipe.name,
            labels=inputs.recipe.labels,
            front_end=inputs.front_end,
            normaliser=inputs.normaliser,
            temperature=attempt.temperature(),
            target=decided.target,
            variant=decided.variant,
            provenance=attempt.provenance(),
            scores=attempt.scores(),
            licence=licence,
            intended_use=intended_use,
        )
        report["kept"] = True
        report["file"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        write_text_atomically(report_path(out), _json(report))
        try:
            write_atomically(out, data)
        except BaseException:
            report_path(out).unlink()  # it says that there is a file
            raise
    except OSError as fault:
        raise OutputFailed(
            fault.filename or out,
            f"cannot be written ({fault.strerror or fault})",
            "free space, or name another place (TMPDIR for temporary files)",
        ) from None
    return Conversion(out, report_path(out), report)


@dataclass(frozen=True)
class _Attempt:
    """A file that was made and compared, before anybody decides whether to keep it."""

    inputs: RunInputs
    plan: Plan
    calibration: Calibration | None
    export: Export
    graph: Graph
    backend: str
    after: npt.NDArray[np.float32]
    agreement: comparison.Agreement

    def measured(self, logits: npt.NDArray[np.float32]) -> dict[str, Any]:
        clips = self.inputs.validation
        return comparison.scores(
            logits,
            self.inputs.classes(clips),
            self.inputs.allowed(clips),
            [clip.corpus for clip in clips],
        )

    def temperature(self) -> float:
        known = self.inputs.temperature
        if known is not None:
            return known
        clips = self.inputs.validation
        fitted = metrics.fit_temperature(
            self.after, self.inputs.classes(clips), self.inputs.allowed(clips)
        )
        return float(np.clip(round(fitted, 4), *TEMPERATURES))

    def provenance(self) -> dict[str, Any]:
        versions = self.export.facts["versions"] | {"ser-edge": version("ser-edge")}
        return self.inputs.provenance() | {
            "calibration": self.calibration.summary() if self.calibration else None,
            "lstm": self.export.facts["recurrent"],
            "versions": versions,
        }

    def validation(self) -> dict[str, Any]:
        clips = self.inputs.validation
        return {
            "part": "validation",
            "clips": len(clips),
            "speakers": len({clip.speaker_key for clip in clips}),
            "before": self.measured(self.export.logits),
            "after": self.measured(self.after),
        }

    def scores(self) -> dict[str, Any]:
        return self.inputs.scores() | {"conversion": self.validation()}

    def report(self, max_drop: float) -> dict[str, Any]:
        found = self.validation()
        return {
            "report_version": REPORT_VERSION,
            "kept": False,
            "plan": {
                "target": self.plan.target,
                "variant": self.plan.variant,
                "meaning": VARIANTS[self.plan.variant].meaning,
                "lstm": self.export.facts["recurrent"],
                "reason": self.plan.reason,
            },
            "gate": {
                "max_drop": max_drop,
                "drop": comparison.drop(found["before"], found["after"]),
            },
            "validation": found,
            "agreement": self.agreement.to_dict(),
            "graph": {
                "bytes": len(self.export.flatbuffer),
                "operators": self.graph.counts,
                "parameters": self.export.facts["parameters"],
            },
            "interpreter": self.backend,
            "calibration": (
                self.calibration.summary() | {"clips": self.calibration.listing()}
                if self.calibration
                else None
            ),
            "provenance": self.provenance(),
        }


def _attempt(
    inputs: RunInputs,
    decided: Plan,
    desk: Desk,
    out: Path,
    store: FeatureStore,
    calibration_size: int,
    calibration_seed: int,
    tell: Progress,
    command: Sequence[str],
) -> _Attempt:
    variant = VARIANTS[decided.variant]
    clips = inputs.validation
    calibration = None
    if variant.calibrated:
        calibration = choose(
            inputs.manifest,
            inputs.partition,
            calibration_size,
            calibration_seed,
            labels=inputs.recipe.labels,
            label_of=inputs.label_of,
        )
        inputs.write_features(
            store, calibration.clips, desk.calibration, tell, "calibration features"
        )
    inputs.write_features(store, clips, desk.probe, tell, "validation features")
    tell("converting", 0, 0)
    export = run_child(
        desk,
        Job(str(inputs.run.model), variant.name, decided.lstm, variant.calibrated),
        out.with_name(f"{out.name}.log"),
        command=command,
    )
    if export.logits.shape != (len(clips), len(inputs.recipe.labels)):
        raise BadNetwork(
            f"{inputs.run.model}: gives {export.logits.shape[-1]} logits, but the recipe names "
            f"{len(inputs.recipe.labels)} labels; use the run's own recipe.toml"
        )
    for form in export.facts["recurrent"].values():
        check_form(decided.target, variant.name, form)
    interpreter = Interpreter(export.flatbuffer)
    after = _answers(interpreter, np.load(desk.probe, mmap_mode="r"), tell)
    graph = read_graph(export.flatbuffer)
    found = comparison.agreement(export.logits, after, graph.output_quantum)
    comparison.check_same_function(str(inputs.run.model), variant, found)
    return _Attempt(inputs, decided, calibration, export, graph, interpreter.backend, after, found)


def _answers(
    interpreter: Interpreter, features: npt.NDArray[np.float32], tell: Progress
) -> npt.NDArray[np.float32]:
    rows = []
    for index, clip in enumerate(features):
        interpreter.reset()
        rows.append(interpreter.invoke(np.asarray(clip)))
        tell("comparing", index + 1, len(features))
    return np.array(rows, dtype=np.float32)


def _check_folder(out: Path) -> None:
    """Finds out before an hour's work, not after it, that ``out`` cannot be written."""
    if out.is_dir():
        raise OutputFailed(out, "is a folder", "name a file, as model.tflite")
    with tempfile.TemporaryFile(dir=out.parent):
        pass


def _gate_message(out: Path, report: dict[str, Any]) -> str:
    before, after = report["validation"]["before"], report["validation"]["after"]
    variant = report["plan"]["variant"]
    other = "a larger --max-drop" if variant == "float32" else "another --variant"
    left = "; the file that was there before is untouched" if out.exists() else ""
    return (
        f"{out}: not kept: {variant} loses {100 * report['gate']['drop']:.1f} points on "
        f"{before['clips']} validation clips, {100 * report['gate']['max_drop']:.1f} are allowed "
        f"(accuracy {before['accuracy']:.3f} to {after['accuracy']:.3f}, "
        f"UAR {before['uar']:.3f} to {after['uar']:.3f}); see {report_path(out)}, "
        f"try {other}{left}"
    )


def _json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
