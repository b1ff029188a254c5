"""What a teacher thinks of recordings: a table of probabilities by audio digest.

The columns are ``audio_sha256``, ``partition`` and ``p_LABEL`` for each of the teacher's
classes. A recording is known by its sound, so that the table serves whatever the files are
called. ``partition`` is the digest of the partition whose training speakers the teacher
learnt from, the same in every row; it is empty where nobody knows. A table that names
another partition than the training's is refused: its teacher may have learnt from
somebody who tests the pupil.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.errors import RowError, quoted
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.metrics import masked_log_softmax
from ser_edge_train.partitions import Partition
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.rows import format_rows, read_rows

COLUMNS = ("audio_sha256", "partition")
PREFIX = "p_"
REPAIR = (
    "make it with `ser-edge teach` (docs/teacher.md), or learn from the labels alone: --no-teacher"
)
# Least probability of a class before the temperature is applied: a logarithm of 0 is none.
LEAST = 1e-6
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]{1,3})?")


class TeacherError(RowError):
    """A table of a teacher's scores that cannot be used; says why."""


@dataclass(frozen=True, eq=False)
class TeacherScores:
    """A table of scores. Immutable; threads may share it.

    Attributes:
        labels: The teacher's classes.
        digests: ``audio_sha256`` of each recording.
        probabilities: (recordings, labels), rows that sum to 1.
        partition: Digest of the partition it learnt by; "" where it is not known.
    """

    labels: tuple[str, ...]
    digests: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    partition: str = ""

    @classmethod
    def read(cls, path: str | PathLike[str]) -> TeacherScores:
        """Reads a table, strictly.

        Raises:
            TeacherError: It is missing or anything in it is out of order; names the line.
        """
        lines = read_rows(path, TeacherError, REPAIR)
        line, header = next(lines, (1, []))
        names = header[len(COLUMNS) :]
        sound = all(name.startswith(PREFIX) and len(name) > len(PREFIX) for name in names)
        if tuple(header[: len(COLUMNS)]) != COLUMNS or len(set(names)) < 2 or not sound:
            fault = f"the first line is not {','.join(COLUMNS)},{PREFIX}LABEL,{PREFIX}LABEL,..."
            raise TeacherError(path, line, fault, REPAIR)
        if len(set(names)) != len(names):
            raise TeacherError(path, line, "a label stands twice", REPAIR)
        digests: dict[str, int] = {}
        partitions: set[str] = set()
        values = []
        for line, cells in lines:
            wrong = _fault(cells, len(header), digests, partitions)
            if wrong is not None:
                raise TeacherError(path, line, wrong, REPAIR)
            digests[cells[0]] = line
            partitions.add(cells[1])
            row = [float(cell) for cell in cells[len(COLUMNS) :]]
            if not 0.99 <= sum(row) <= 1.01:
                fault = f"the probabilities sum to {sum(row):.4g}, not to 1"
                raise TeacherError(path, line, fault, REPAIR)
            values.append(row)
        if not values:
            raise TeacherError(path, None, "holds no recording", REPAIR)
        table = np.array(values)
        labels = tuple(name.removeprefix(PREFIX) for name in names)
        table /= table.sum(axis=1, keepdims=True)
        return cls(labels, tuple(digests), table, partitions.pop())

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the table, whole or not at all; six digits of each probability."""
        header = [*COLUMNS, *(PREFIX + label for label in self.labels)]
        rows = zip(self.digests, self.probabilities.tolist(), strict=True)
        cells = (
            [digest, self.partition, *(f"{value:.6f}" for value in row)] for digest, row in rows
        )
        write_text_atomically(path, format_rows(header, cells))

    def targets(
        self,
        clips: Sequence[Clip],
        labels: Sequence[str],
        merge: Mapping[str, str],
        allowed: npt.NDArray[np.bool_],
        temperature: float,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """The teacher's distributions over a pupil's classes.

        Args:
            clips: The pupil's utterances.
            labels: Its classes; the teacher has them all, after the merges.
            merge: Emotions that count as another label.
            allowed: The classes that each clip's corpus has, (clips, labels).
            temperature: Divides the logarithms.

        Returns:
            float32 (clips, labels), rows that sum to 1 over the allowed classes, or 0
            where the teacher does not know the recording; and bool (clips,), where it does.
        """
        place = {digest: row for row, digest in enumerate(self.digests)}
        found = np.array([place.get(clip.audio_sha256, -1) for clip in clips], dtype=np.int64)
        known = found >= 0
        merged = np.zeros((len(self.digests), len(labels)))
        for column, name in enumerate(self.labels):
            name = merge.get(name, name)
            if name in labels:
                merged[:, list(labels).index(name)] += self.probabilities[:, column]
        logits = np.log(np.maximum(merged[found], LEAST)) / temperature
        soft = np.exp(masked_log_softmax(logits, allowed))
        soft[~known] = 0
        return soft.astype(np.float32), known


def pinned_teacher(
    recipe: Recipe, manifest: Manifest, partition: Partition
) -> tuple[Recipe, TeacherScores | None]:
    """The recipe with the digest of its teacher's scores, and these; none if it has no teacher.

    Args:
        recipe: An emotion recipe.
        manifest: Its clips.
        partition: Their parts, with the manifest's audio digests.

    Raises:
        TeacherError: The table cannot be read, is another than the recipe's digest says,
            lacks one of the recipe's classes, knows none of the training recordings, or its
            teacher learnt by another partition.
    """
    asked = recipe.teacher
    if asked is None:
        return recipe, None
    path = Path(asked.scores)
    scores = TeacherScores.read(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if asked.scores_sha256 not in (None, digest):
        fault = "not the scores that this training began with"
        raise TeacherError(path, None, fault, "train anew in another folder")
    has = {recipe.merge.get(label, label) for label in scores.labels}
    for label in recipe.labels:
        if label not in has:
            fault = f"the teacher has no class {quoted(label)}, only {', '.join(scores.labels)}"
            raise TeacherError(path, None, fault, "leave that label out of the recipe or merge it")
    if scores.partition not in ("", partition.digest):
        raise TeacherError(
            path,
            None,
            f"the teacher learnt by another partition ({scores.partition[:12]}, this training's "
            f"is {partition.digest[:12]}), so it may have heard who tests its pupil",
            "make scores by this partition, as with: ser-edge teach, or take the recipe's fold "
            "and seed that they were made for",
        )
    heard = {clip.audio_sha256 for clip in partition.clips(manifest, "train")}
    if not heard & set(scores.digests):
        fault = "knows none of the training recordings"
        raise TeacherError(path, None, fault, "make scores of these recordings")
    learnt_by = "this partition" if scores.partition else "nobody knows"
    return recipe.resolved(teacher={"scores_sha256": digest, "learnt_by": learnt_by}), scores


def described(recipe: Recipe, scores: TeacherScores, clips: Iterable[Clip]) -> str:
    """A line for people: how many training recordings it knows, and by whom it learnt."""
    assert recipe.teacher is not None
    there = set(scores.digests)
    sounds = [clip.audio_sha256 for clip in clips]
    known = sum(sound in there for sound in sounds)
    learnt = (
        "made by this partition"
        if scores.partition
        else "it does not say whom its teacher has heard: test speakers may be among them"
    )
    return (
        f"teacher: {recipe.teacher.scores}, {known} of {len(sounds)} training clips, "
        f"weight {recipe.teacher.weight:g}; {learnt}"
    )


def _fault(
    cells: Sequence[str], width: int, digests: Mapping[str, int], partitions: set[str]
) -> str | None:
    if len(cells) != width:
        return f"{len(cells)} fields instead of {width}"
    if not _DIGEST.fullmatch(cells[0]):
        return f"{quoted(cells[0])} is no digest of a recording"
    if cells[0] in digests:
        return f"the recording of line {digests[cells[0]]} again"
    if cells[1] and not _DIGEST.fullmatch(cells[1]):
        return f"{quoted(cells[1])} is no digest of a partition"
    if partitions and cells[1] not in partitions:
        return "another partition than in the lines above"
    for cell in cells[len(COLUMNS) :]:
        if not _NUMBER.fullmatch(cell) or float(cell) > 1:
            return f"{quoted(cell)} is no probability"
    return None
