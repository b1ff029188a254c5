"""What a model file is held against: a run whose network answered the same clips."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ser_edge_convert.errors import AuditRefused
from ser_edge_convert.inputs import RunInputs
from ser_edge_train.manifest import Clip, Manifest, clip_name
from ser_edge_train.predictions import ClipRow, Predictions
from ser_edge_train.report.content import read_report
from ser_edge_train.run_directory import RunDirectory

PARTS = ("test", "validation")


@dataclass(frozen=True)
class Reference:
    """A finished run and its answers to one part. Threads may share it.

    Attributes:
        inputs: The run, read.
        report: Its ``report.json``.
        network: SHA-256 of its network's file.
        answers: What the network said of the part's clips, at the run's temperature.
        clips: The same clips in the same order, as the recordings' manifest has them.
        recordings: The manifest that says where they lie.
        part: "test" or "validation".
    """

    inputs: RunInputs
    report: Mapping[str, Any]
    network: str
    answers: Predictions
    clips: tuple[Clip, ...]
    recordings: Manifest
    part: str

    @property
    def name(self) -> str:
        """The name of the run's folder; of folders alike, reports tell fold and seed."""
        return self.inputs.run.path.resolve().name

    @property
    def allowed(self) -> dict[str, tuple[str, ...]]:
        """The classes of each corpus."""
        table = self.report["recipe"]["allowed"]
        return {corpus: tuple(classes) for corpus, classes in table.items()}

    @classmethod
    def read(
        cls,
        run: RunDirectory,
        part: str = "test",
        recordings: Manifest | None = None,
        corpora: Collection[str] = (),
    ) -> Reference:
        """Reads a run and makes sure that its answers are of its network and its clips.

        Args:
            run: A run whose part was scored.
            part: Which part.
            recordings: Where the recordings lie now; None takes the run's own manifest.
            corpora: Only clips of these; all if it is empty.

        Raises:
            AuditRefused: The part was not scored, the answers are not of this network
                or of these clips, or the recordings are others.
            SerEdgeError: A file of the run cannot be read; names it.
        """
        inputs = RunInputs.read(run)
        report = read_report(run.report_json)
        network = hashlib.sha256(run.model.read_bytes()).hexdigest()
        if report["digests"]["model"] != network:
            raise AuditRefused(
                run.path, "its report is of another network", "write it anew: ser-edge evaluate RUN"
            )
        answers = _answers(run, report, part)
        _check_rows(inputs, answers)
        if corpora:
            answers = answers.where([row.corpus in corpora for row in answers])
            if not len(answers):
                fault = f"its {part} part has no clip of {', '.join(sorted(corpora))}"
                raise AuditRefused(run.path, fault, "name a corpus that it was scored on")
        where = inputs.manifest if recordings is None else recordings
        clips = _located(inputs, answers, where)
        return cls(inputs, report, network, answers, clips, where, part)

    def facts(self) -> dict[str, Any]:
        """What a document says of it."""
        return {
            "run": self.name,
            "fold": self.inputs.recipe.protocol.fold,
            "seed": self.inputs.recipe.seed,
            "clips": len(self.answers),
            "speakers": len({row.speaker_key for row in self.answers}),
            "digests": {
                name: self.report["digests"][name]
                for name in ("model", "manifest", "partition", "front_end", "predictions")
            },
        }


def check_alike(references: Sequence[Reference]) -> None:
    """Makes sure that several references are of one recipe, but for fold and seed.

    Raises:
        AuditRefused: Names the first that is not, or that stands twice.
    """
    first = references[0]
    for place, other in enumerate(references):
        if any(other.network == before.network for before in references[:place]):
            path = other.inputs.run.path
            raise AuditRefused(path, "the same network stands twice", "name each run once")
        recipes = [one.inputs.recipe.common for one in (first, other)]
        if recipes[0] != recipes[1] or other.allowed != first.allowed:
            fault = f"is of another recipe or of other classes than {first.inputs.run.path}"
            raise AuditRefused(
                other.inputs.run.path, fault, "pool runs of one recipe that differ in fold or seed"
            )


def _answers(run: RunDirectory, report: Mapping[str, Any], part: str) -> Predictions:
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {part!r}")
    predictions = Predictions.read(run.predictions)
    digest = hashlib.sha256(run.predictions.read_bytes()).hexdigest()
    if report["digests"]["predictions"] != digest:
        raise AuditRefused(
            run.path,
            "its report is not of its predictions",
            "write it anew: ser-edge evaluate RUN",
        )
    if part not in predictions.parts:
        raise AuditRefused(
            run.path,
            f"its {part} part was not scored",
            f"score it: ser-edge evaluate RUN --part {part}",
        )
    return predictions.of_part(part)


def _check_rows(inputs: RunInputs, answers: Predictions) -> None:
    """The answers are to recordings of the run, each under the run's own label."""
    path = inputs.run.path
    if answers.labels != inputs.labels:
        hint = "write its predictions anew: ser-edge evaluate RUN"
        raise AuditRefused(path, "its predictions are of other labels than its recipe's", hint)
    for row in answers:
        clip = inputs.manifest.by_key.get(row.key)
        if row.copy:
            fault = f"it was scored on augmented copies of recordings (first: {_name(row)})"
            raise AuditRefused(path, fault, "audit a run of a protocol that keeps speakers apart")
        if (
            clip is None
            or clip.speaker_key != row.speaker_key
            or inputs.label_of(clip) != row.label
        ):
            fault = f"its predictions and its manifest tell {_name(row)} differently"
            raise AuditRefused(path, fault, "write its predictions anew: ser-edge evaluate RUN")


def _located(inputs: RunInputs, answers: Predictions, recordings: Manifest) -> tuple[Clip, ...]:
    """The clips as ``recordings`` has them; the audio must be what the run was made from."""
    digests = {row.copy_key: row.audio_sha256 for row in inputs.partition.rows}
    where = recordings.by_key
    missing = [row for row in answers if row.key not in where]
    if missing:
        raise AuditRefused(
            recordings.root,
            f"{len(missing)} of {len(answers)} clips of {inputs.run.path} are not in the manifest "
            f"(first: {_name(missing[0])})",
            "scan their folder too",
        )
    clips = tuple(where[row.key] for row in answers)
    for row, clip in zip(answers, clips, strict=True):
        known = digests.get(row.copy_key) or inputs.manifest.by_key[row.key].audio_sha256
        if clip.audio_sha256 != known:
            raise AuditRefused(
                recordings.root,
                f"{clip_name(clip)} has other audio than {inputs.run.path} was scored on",
                "name the recordings that the run was made from",
            )
    return clips


def _name(row: ClipRow) -> str:
    return f"{row.corpus} {row.stem}"
