"""What a conversion takes from a network that was not trained by ser-edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ser_edge_convert.description_files import read_front_end, read_labels, read_normaliser
from ser_edge_convert.inputs import Inputs
from ser_edge_convert.network_file import network_digest
from ser_edge_runtime.front_end import FrontEndSpec, Normaliser
from ser_edge_train.evaluation import allowed_classes
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition


@dataclass(frozen=True)
class NetworkInputs(Inputs):
    """A network file and the files that describe it, read. Threads may share it.

    A clip's class is its emotion in the manifest; clips of no label are left out.

    Attributes:
        network: The ``.keras`` file, or the folder of a SavedModel.
        named: Name of each class, in the order of the outputs.
        labels_path: The file that named them.
        front_end: The features' definition.
        normaliser: Fitted on the training part.
        manifest: The clips.
        partition: Their parts.
        partition_file: Where that was read from.
    """

    network: Path
    named: tuple[str, ...]
    labels_path: Path
    front_end: FrontEndSpec
    normaliser: Normaliser
    manifest: Manifest
    partition: Partition
    partition_file: Path

    @classmethod
    def read(
        cls,
        network: Path,
        *,
        front_end: Path,
        labels: Path,
        data: Path,
        partition: Path,
        normaliser: Path | None = None,
    ) -> NetworkInputs:
        """Reads the files.

        Args:
            network: The ``.keras`` file, or the folder of a SavedModel.
            front_end: A :class:`FrontEndSpec`, JSON.
            labels: Name of each class, a line each, in the order of the outputs.
            data: The manifest of the recordings.
            partition: Which of them calibrate (train) and measure the loss (validation).
            normaliser: A :class:`Normaliser`, JSON; None for features that are fed as they are.

        Raises:
            DescriptionFault: A front end, a label or a normaliser is not as it must be.
            SerEdgeError: Another file cannot be read; names it.
        """
        spec = read_front_end(front_end)
        return cls(
            network,
            read_labels(labels),
            labels,
            spec,
            read_normaliser(normaliser, spec),
            Manifest.read(data),
            Partition.read(partition),
            partition,
        )

    @property
    def model(self) -> Path:
        """The network."""
        return self.network

    @property
    def name(self) -> str:
        """The name of the network's file, without its suffix."""
        return self.network.resolve().stem

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that were named."""
        return self.named

    @property
    def labels_origin(self) -> tuple[str, str]:
        """The file of labels."""
        return str(self.labels_path), "name a label for each output of the network"

    @property
    def partition_path(self) -> Path:
        """The partition's file."""
        return self.partition_file

    @property
    def temperature(self) -> float | None:
        """Not known: it is fitted on the validation clips."""
        return None

    def label_of(self, clip: Clip) -> str:
        """A clip's emotion."""
        return clip.emotion

    def allowed_by_corpus(self) -> dict[str, tuple[str, ...]]:
        """The labels that each corpus has."""
        return allowed_classes(self.manifest, self.named)

    @cached_property
    def _network_digest(self) -> str:
        return network_digest(self.network)

    def provenance(self) -> dict[str, Any]:
        """Digests of the network and of the files that describe it."""
        return {
            "manifest": self.manifest.digest,
            "partition": self.partition.digest,
            "front_end": self.front_end.digest,
            "network": self._network_digest,
        }

    def scores(self) -> dict[str, Any]:
        """None but what the conversion measures."""
        return {"protocol": {"name": "given"}, "parts": {}}
