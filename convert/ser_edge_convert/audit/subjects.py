"""Which model file was made from which run, and which files are one variant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.errors import AuditRefused
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.model_file import ModelFile, parse_model_file, read_model_bytes


@dataclass(frozen=True)
class Subject:
    """A model file and the run that it was made from.

    Attributes:
        path: The file.
        model: What it holds.
        data_sha256: SHA-256 of the whole file.
        bytes: Its size.
        reference: The run.
    """

    path: str
    model: ModelFile
    data_sha256: str
    bytes: int
    reference: Reference

    @property
    def repaired(self) -> bool:
        """Whether layers were left float on purpose."""
        return bool(self.model.metadata.provenance.get("float_layers"))


@dataclass(frozen=True)
class Group:
    """The files of one variant, one a reference, in the references' order.

    Attributes:
        target: Where they are meant to run.
        variant: How their numbers are written.
        repaired: Whether layers were left float on purpose.
        subjects: The files.
    """

    target: str
    variant: str
    repaired: bool
    subjects: tuple[Subject, ...]

    @property
    def name(self) -> str:
        """As people call it: "int8 for cpu, repaired"."""
        return f"{self.variant} for {self.target}{', repaired' if self.repaired else ''}"


def read_subjects(
    paths: Iterable[str | PathLike[str]], references: Sequence[Reference]
) -> list[Subject]:
    """Reads model files and finds each one's run by the digest of the network in it.

    Raises:
        AuditRefused: A file has no matching reference, or does other than its run does
            before the network or after it.
        SerEdgeError: A file cannot be read; names it.
    """
    by_network = {reference.network: reference for reference in references}
    subjects = []
    for path in paths:
        data = read_model_bytes(path)
        model = parse_model_file(data, fspath(path))
        reference = by_network.get(str(model.metadata.provenance.get("network")))
        if reference is None:
            raise AuditRefused(
                path,
                "was made from none of the references (its network's digest is not theirs)",
                "name the run that it was converted from with --reference",
            )
        _check_same_ends(model, reference)
        digest = hashlib.sha256(data).hexdigest()
        subjects.append(Subject(fspath(path), model, digest, len(data), reference))
    return subjects


def grouped(subjects: Sequence[Subject], references: Sequence[Reference]) -> list[Group]:
    """Puts the files of one variant together: every reference once.

    Returns:
        In the order of the variants' table, then by target.

    Raises:
        AuditRefused: A variant lacks a reference, or has two files of one.
    """
    found: dict[tuple[Any, ...], dict[str, Subject]] = {}
    order = list(VARIANTS)
    for subject in subjects:
        metadata = subject.model.metadata
        place = order.index(metadata.variant) if metadata.variant in order else len(order)
        key = (place, metadata.variant, metadata.target, subject.repaired)
        of_group = found.setdefault(key, {})
        other = of_group.get(subject.reference.network)
        if other is not None:
            fault = f"is {metadata.variant} for {metadata.target} of the same run as {other.path}"
            raise AuditRefused(subject.path, fault, "audit the two apart")
        of_group[subject.reference.network] = subject
    groups = []
    for (_, variant, target, repaired), of_group in sorted(found.items()):
        for reference in references:
            if reference.network not in of_group:
                raise AuditRefused(
                    reference.inputs.run.path,
                    f"no model file of it is {variant} for {target}, as of other references",
                    "convert it too, or name fewer references",
                )
        ordered = tuple(of_group[reference.network] for reference in references)
        groups.append(Group(target, variant, repaired, ordered))
    return groups


def _check_same_ends(model: ModelFile, reference: Reference) -> None:
    """Front end, normaliser, labels and temperature must be the run's: only the graph differs."""
    metadata, inputs = model.metadata, reference.inputs
    temperature = inputs.temperature
    normaliser = inputs.normaliser
    ends = {
        "labels": metadata.labels == tuple(inputs.labels),
        "front end": metadata.front_end.digest == inputs.front_end.digest,
        "normaliser": np.array_equal(metadata.normaliser.mean, normaliser.mean)
        and np.array_equal(metadata.normaliser.scale, normaliser.scale),
        "temperature": temperature is None or metadata.temperature == temperature,
    }
    for what, same in ends.items():
        if not same:
            fault = f"its {what} differs from that of {inputs.run.path}"
            raise AuditRefused(model.name, fault, "convert it from the run again")
