"""Files that are made and compared with their network, before anybody decides what to keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert import comparison, coverage
from ser_edge_convert.calibration import Calibration, choose
from ser_edge_convert.child import COMMAND, Desk, Export, Job, run_child
from ser_edge_convert.errors import BadNetwork
from ser_edge_convert.gate import Gate
from ser_edge_convert.graph import Graph, read_graph
from ser_edge_convert.inputs import Inputs, Progress
from ser_edge_convert.quantiser import Quantiser
from ser_edge_convert.repair import Repair
from ser_edge_convert.targets import Plan, check_form
from ser_edge_convert.trials import Judge, Trials
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_train import metrics
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Clip

REPORT_VERSION = 2
# All answers right would ask for infinite confidence; on few clips that is luck.
TEMPERATURES = (0.25, 4.0)


@dataclass(frozen=True)
class Attempt:
    """A file that was made and compared.

    Attributes:
        inputs: What it was made from.
        plan: What was to be made.
        calibration: The clips that it was calibrated on; None for none.
        export: What the converter gave, and the network's own logits of the validation clips.
        graph: The file's graph.
        backend: The interpreter that ran it.
        after: Its logits of the validation clips, (clips, classes).
        agreement: How far the two are the same.
        coverage: What the calibration covered; None without one.
        repair: Which layers were left in floats, and why; None for none.
    """

    inputs: Inputs
    plan: Plan
    calibration: Calibration | None
    export: Export
    graph: Graph
    backend: str
    after: npt.NDArray[np.float32]
    agreement: comparison.Agreement
    coverage: coverage.Coverage | None
    repair: Repair | None = None

    def _measured(self, logits: npt.NDArray[np.float32]) -> dict[str, Any]:
        clips = self.inputs.validation
        return comparison.scores(
            logits,
            self.inputs.classes(clips),
            self.inputs.allowed(clips),
            [clip.corpus for clip in clips],
        )

    @cached_property
    def validation(self) -> dict[str, Any]:
        """Scores of the network ("before") and of the file ("after") on the validation clips."""
        clips = self.inputs.validation
        return {
            "part": "validation",
            "clips": len(clips),
            "speakers": len({clip.speaker_key for clip in clips}),
            "before": self._measured(self.export.logits),
            "after": self._measured(self.after),
        }

    @property
    def drop(self) -> float:
        """What was lost: the larger of the losses of accuracy and of UAR, as a share."""
        return comparison.drop(self.validation["before"], self.validation["after"])

    def temperature(self) -> float:
        """What the logits are to be divided by: the training's own, else fitted on validation."""
        known = self.inputs.temperature
        if known is not None:
            return known
        clips = self.inputs.validation
        fitted = metrics.fit_temperature(
            self.after, self.inputs.classes(clips), self.inputs.allowed(clips)
        )
        return float(np.clip(round(fitted, 4), *TEMPERATURES))

    def provenance(self) -> dict[str, Any]:
        """What a model file keeps of how it was made."""
        versions = self.export.facts["versions"] | {"ser-edge": version("ser-edge")}
        calibration = None
        if self.calibration is not None and self.coverage is not None:
            calibration = (
                self.calibration.summary()
                | {"audio": self.calibration.short_digests()}
                | self.coverage.summary()
            )
        return self.inputs.provenance() | {
            "calibration": calibration,
            "lstm": self.export.facts["recurrent"],
            "float_layers": list(self.repair.float_layers) if self.repair else [],
            "softmax": self.export.facts.get("softmax", "none"),
            "versions": versions,
        }

    def scores(self) -> dict[str, Any]:
        """What a model file keeps of scores: the network's own, and this conversion's."""
        return self.inputs.scores() | {"conversion": self.validation}

    def warnings(self) -> list[str]:
        """What is amiss without being an error; a line each."""
        return self.coverage.warnings if self.coverage is not None else []

    def passes(self, gate: Gate) -> bool:
        """Whether it lost little enough."""
        return gate.passed(self.drop, self.agreement.same_share)

    def report(self, gate: Gate) -> dict[str, Any]:
        """The report of the conversion, as JSON values; ``kept`` is False yet."""
        calibration = None
        if self.calibration is not None and self.coverage is not None:
            calibration = (
                self.calibration.summary()
                | self.coverage.summary()
                | {"clips": self.calibration.listing(), "ranges": self.coverage.listing()}
            )
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
                "max_drop": gate.max_drop,
                "drop": self.drop,
                "min_agreement": gate.min_agreement,
                "agreement": self.agreement.same_share,
            },
            "warnings": self.warnings(),
            "repair": self.repair.to_dict() if self.repair else None,
            "validation": self.validation,
            "agreement": self.agreement.to_dict(),
            "graph": {
                "bytes": len(self.export.flatbuffer),
                "operators": self.graph.counts,
                "parameters": self.export.facts["parameters"],
            },
            "interpreter": self.backend,
            "calibration": calibration,
            "provenance": self.provenance(),
        }


class Bench:
    """Where a network is converted in one way after another; features are computed once.

    One thread at a time.

    Args:
        inputs: The network and its clips.
        store: Folder of the feature store.
        folder: A folder for temporary files: it exists and is empty.
        progress: Called with (stage, done, total); total 0 where it is not known.
        command: What runs the converter; its last argument will be a folder.
    """

    def __init__(
        self,
        inputs: Inputs,
        store: Path,
        folder: Path,
        progress: Progress,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.inputs = inputs
        self._store = FeatureStore(store, inputs.front_end)
        self._folder = folder
        self._tell = progress
        self._command = command
        self._desks = 0

    def calibrate(self, size: int, seed: int) -> Calibration:
        """Chooses training clips to calibrate on.

        Raises:
            CalibrationError: There is none.
        """
        return choose(
            self.inputs.manifest,
            self.inputs.partition,
            size,
            seed,
            labels=self.inputs.labels,
            label_of=self.inputs.label_of,
        )

    def attempt(
        self,
        plan: Plan,
        calibration: Calibration | None,
        keep_log: Path,
        repair: Repair | None = None,
    ) -> Attempt:
        """Makes a file in a child process and compares it with the network.

        Args:
            plan: What to make.
            calibration: The clips, for variants that are calibrated.
            keep_log: Where the child's log goes if anything fails.
            repair: Says which layers stay in floats.

        Raises:
            SerEdgeError: As :func:`ser_edge_convert.conversion.convert`, but for the gate.
            OSError: A disk is full or a folder not writable.
        """
        variant, inputs = VARIANTS[plan.variant], self.inputs
        desk = self._desk(calibration)
        self._tell("converting", 0, 0)
        export = run_child(
            desk,
            Job(
                str(inputs.model),
                variant.name,
                plan.lstm,
                variant.calibrated,
                repair.float_layers if repair else (),
            ),
            keep_log,
            command=self._command,
        )
        self._check_labels(export.logits)
        for form in export.facts["recurrent"].values():
            check_form(plan.target, variant.name, form)
        interpreter = Interpreter(export.flatbuffer)
        probe = np.load(desk.probe, mmap_mode="r")
        after = comparison.answers(interpreter, probe, partial(self._tell, "comparing"))
        graph = read_graph(export.flatbuffer)
        found = comparison.agreement(export.logits, after, graph.output_quantum)
        comparison.check_same_function(str(inputs.model), variant, found)
        comparison.check_plain_kernels(
            str(inputs.model), variant, export.flatbuffer, probe, after, graph.output_quantum
        )
        covered = None
        if calibration is not None:
            covered = coverage.measure(
                graph,
                probe,
                export.logits,
                classes=set(calibration.classes),
                labels=inputs.labels,
                whole=calibration.whole,
            )
        backend = interpreter.backend
        return Attempt(
            inputs, plan, calibration, export, graph, backend, after, found, covered, repair
        )

    @contextmanager
    def trials(self, plan: Plan, calibration: Calibration, keep_log: Path) -> Iterator[Trials]:
        """The network in int8 with any layers left in floats, on the validation clips.

        Args:
            plan: Says the form of LSTM layers.
            calibration: The clips that show the ranges.
            keep_log: Where the child's log goes if anything fails.

        Raises:
            SerEdgeError: As :class:`ser_edge_convert.quantiser.Quantiser`.
        """
        inputs, clips = self.inputs, self.inputs.validation
        desk = self._desk(calibration)
        self._tell("calibrating", 0, 0)
        with Quantiser(desk, Job(str(inputs.model), "int8", plan.lstm, True), keep_log) as made:
            self._check_labels(made.logits)
            judge = Judge(
                np.load(desk.probe, mmap_mode="r"),
                made.logits,
                inputs.classes(clips),
                inputs.allowed(clips),
                [clip.corpus for clip in clips],
            )
            yield Trials(made, judge, self._tell)

    def _check_labels(self, logits: npt.NDArray[np.float32]) -> None:
        inputs = self.inputs
        if logits.shape != (len(inputs.validation), len(inputs.labels)):
            origin, remedy = inputs.labels_origin
            raise BadNetwork(
                f"{inputs.model}: gives {logits.shape[-1]} logits, but {origin} names "
                f"{len(inputs.labels)} labels; {remedy}"
            )

    def _desk(self, calibration: Calibration | None) -> Desk:
        """A new desk with its features, of which each set is computed once and linked."""
        self._desks += 1
        desk = Desk(self._folder / f"desk-{self._desks}")
        desk.folder.mkdir()
        if calibration is not None:
            name = f"calibration-{calibration.digest}.npy"
            calibrating = self._features(calibration.clips, name, "calibration features")
            desk.calibration.hardlink_to(calibrating)
        probe = self._features(self.inputs.validation, "validation.npy", "validation features")
        desk.probe.hardlink_to(probe)
        return desk

    def _features(self, clips: Sequence[Clip], name: str, stage: str) -> Path:
        """The file of these features, written whole or not at all."""
        path = self._folder / name
        if not path.exists():
            beside = path.with_name(f"part-{name}")
            self.inputs.write_features(self._store, clips, beside, self._tell, stage)
            beside.replace(path)
        return path
