"""What a conversion takes: a network, its values, its clips and their features.

:class:`RunInputs` reads them from a run; :mod:`ser_edge_convert.network_inputs`
from files that somebody else's training left.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.comparison import DIGITS
from ser_edge_convert.errors import ConversionRefused
from ser_edge_runtime.front_end import FrontEndSpec, Normaliser
from ser_edge_train.classes import allowed_of, label_of
from ser_edge_train.evaluation import allowed_mask
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes import Recipe
from ser_edge_train.report.content import read_report
from ser_edge_train.run_directory import RunDirectory, RunError

Progress = Callable[[str, int, int], None]

ROWS = 256
BRIEF = ("clips", "speakers", "accuracy", "uar", "uar_interval", "macro_f1", "ece", "recalls")


class Inputs(ABC):
    """A trained network and all that its conversion needs. Threads may share it.

    Attributes:
        front_end: The features' definition.
        normaliser: Fitted on the training part.
        manifest: The clips.
        partition: Their parts: train calibrates, validation measures, test is not opened.
    """

    front_end: FrontEndSpec
    normaliser: Normaliser
    manifest: Manifest
    partition: Partition

    @property
    @abstractmethod
    def model(self) -> Path:
        """The ``.keras`` file, or the folder of a SavedModel."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The model's name, one line."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Name of each class, in the order of the network's outputs."""

    @property
    @abstractmethod
    def labels_origin(self) -> tuple[str, str]:
        """What named the labels, and what to do if they are not the network's; for messages."""

    @property
    @abstractmethod
    def partition_path(self) -> Path:
        """What messages about the partition name."""

    @property
    @abstractmethod
    def temperature(self) -> float | None:
        """What the training found the logits are to be divided by; None where it is not known."""

    @abstractmethod
    def label_of(self, clip: Clip) -> str:
        """A clip's class; it may be none of the labels."""

    @abstractmethod
    def allowed_by_corpus(self) -> dict[str, tuple[str, ...]]:
        """The labels that each corpus has, by its name."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Digests of what the network was made from, and seeds; JSON values."""

    @abstractmethod
    def scores(self) -> dict[str, Any]:
        """The network's own scores, as a model file keeps them; JSON values."""

    @cached_property
    def validation(self) -> tuple[Clip, ...]:
        """The validation clips that have one of the network's classes.

        Raises:
            ConversionRefused: There is none, so a loss could not be measured.
        """
        clips = tuple(
            clip
            for clip in self.partition.clips(self.manifest, "validation")
            if self.label_of(clip) in self.labels
        )
        if not clips:
            raise ConversionRefused(
                f"{self.partition_path}: the partition has no validation clips, so what a "
                "conversion loses cannot be measured; keep some speakers back for validation"
            )
        return clips

    def classes(self, clips: Sequence[Clip]) -> npt.NDArray[np.int64]:
        """Index of each clip's class, (clips,)."""
        place = {label: index for index, label in enumerate(self.labels)}
        return np.array([place[self.label_of(clip)] for clip in clips], dtype=np.int64)

    def allowed(self, clips: Sequence[Clip]) -> npt.NDArray[np.bool_]:
        """The classes that each clip's corpus has, (clips, classes)."""
        corpora = (clip.corpus for clip in clips)
        return allowed_mask(corpora, self.labels, self.allowed_by_corpus())

    def write_features(
        self, store: FeatureStore, clips: Sequence[Clip], path: Path, progress: Progress, stage: str
    ) -> None:
        """Writes normalised features of the clips to ``path``, float32 (clips, ...).

        Raises:
            SerEdgeError: A recording is missing, changed or not readable.
            OSError: The disk is full.
        """
        store.fill(self.manifest, clips, progress=lambda done, of: progress(stage, done, of))
        raw = path.with_name(f"raw-{path.name}")
        rows = store.matrix(clips, raw)
        # Plain writes: a full disk under a written memory map ends in SIGBUS, not in an error.
        with path.open("wb") as stream:
            layout = {"descr": "<f4", "fortran_order": False, "shape": rows.shape}
            np.lib.format.write_array_header_1_0(stream, layout)
            for start in range(0, len(rows), ROWS):
                stream.write(self.normaliser(rows[start : start + ROWS]).astype("<f4").tobytes())
        del rows
        raw.unlink()


@dataclass(frozen=True)
class RunInputs(Inputs):
    """A finished run, read. Threads may share it.

    Attributes:
        run: Where it lies.
        recipe: As resolved.
        front_end: The features' definition.
        normaliser: Fitted on its training part.
        manifest: Its clips.
        partition: Their parts.
    """

    run: RunDirectory
    recipe: Recipe
    front_end: FrontEndSpec
    normaliser: Normaliser
    manifest: Manifest
    partition: Partition

    @classmethod
    def read(cls, run: RunDirectory, manifest: Manifest | None = None) -> RunInputs:
        """Reads a run.

        Args:
            run: A run whose training has ended.
            manifest: Where the recordings lie now; None takes the run's own.

        Raises:
            RunError: A file of the run is missing or not readable.
            SerEdgeError: A file holds something else than it should; names it.
        """
        if not run.model.is_file():
            raise RunError(
                run.path, "holds no trained model (no model.keras)", "finish it by train --resume"
            )
        return cls(
            run,
            run.read_recipe(),
            FrontEndSpec.from_json(_text(run, run.front_end)),
            Normaliser.from_json(_text(run, run.normaliser)),
            Manifest.read(run.manifest) if manifest is None else manifest,
            Partition.read(run.partition),
        )

    @property
    def model(self) -> Path:
        """The run's ``model.keras``."""
        return self.run.model

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The recipe's labels."""
        return tuple(self.recipe.labels)

    @property
    def labels_origin(self) -> tuple[str, str]:
        """The run's recipe."""
        return "the recipe", "use the run's own recipe.toml"

    @property
    def partition_path(self) -> Path:
        """The run's ``partition.csv``."""
        return self.run.partition

    def label_of(self, clip: Clip) -> str:
        """A clip's class, after the recipe's merges."""
        return label_of(self.recipe, clip)

    def allowed_by_corpus(self) -> dict[str, tuple[str, ...]]:
        """The recipe's labels that each corpus has."""
        return allowed_of(self.recipe, self.manifest)

    @property
    def _protocol(self) -> dict[str, Any]:
        return self.recipe.protocol.model_dump(mode="json", exclude_none=True)

    def provenance(self) -> dict[str, Any]:
        """Digests of what the network was made from, and the recipe's seed."""
        return {
            "recipe": {"name": self.recipe.name, "digest": self.recipe.digest},
            "protocol": self._protocol,
            "seed": self.recipe.seed,
            "manifest": self.manifest.digest,
            "partition": self.partition.digest,
            "front_end": self.front_end.digest,
            "network": hashlib.sha256(self.run.model.read_bytes()).hexdigest(),
            "corpora": self._heard_corpora,
            **self._teacher,
        }

    @property
    def _heard_corpora(self) -> list[str]:
        """The corpora that the training heard; its epochs were chosen on the validation part."""
        return sorted({row.corpus for row in self.partition.rows if row.part != "test"})

    @property
    def _teacher(self) -> dict[str, Any]:
        """Without the places of its files: the same inputs give the same bytes anywhere."""
        teacher = self.recipe.teacher
        if teacher is None:
            return {}
        values = teacher.model_dump(
            mode="json", exclude_none=True, exclude={"scores": True, "hint": {"embeddings"}}
        )
        return {"teacher": values}

    @cached_property
    def report(self) -> dict[str, Any]:
        """The run's ``report.json``, empty where there is none.

        Raises:
            ReportError: It is there and none, or of another schema version.
        """
        there = self.run.report_json.is_file()
        return read_report(self.run.report_json) if there else {}

    @property
    def temperature(self) -> float | None:
        """What the training found the logits are to be divided by; None where it is not known."""
        value = self.report.get("model", {}).get("temperature")
        return None if value is None else float(value)

    def scores(self) -> dict[str, Any]:
        """The network's own scores, as a model file keeps them: protocol, parts, no tables.

        They have six digits: a microcontroller's file counts bytes.
        """
        return {
            "protocol": self.report.get("protocol", self._protocol),
            "parts": {
                part: {
                    "overall": _brief(found["overall"]),
                    "corpora": {name: _brief(of) for name, of in found["corpora"].items()},
                }
                for part, found in self.report.get("scores", {}).items()
                if part != "train"
            },
        }


def _brief(scores: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(scores[name]) for name in BRIEF if name in scores}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def _text(run: RunDirectory, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise RunError(
            run.path, f"its {path.name} cannot be read", "finish it by train --resume"
        ) from None
