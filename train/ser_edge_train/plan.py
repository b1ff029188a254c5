"""What a training is made of: which clips a recipe uses, in which part, under which label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SerEdgeError
from ser_edge_train.classes import allowed_of, label_of
from ser_edge_train.dataset import Part
from ser_edge_train.embeddings import Embeddings
from ser_edge_train.errors import PartitionError
from ser_edge_train.evaluation import allowed_mask
from ser_edge_train.hints import hint_values, hint_words, pinned_hint
from ser_edge_train.leaks import Audit, audit, broken_promises
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import PARTS, PROTOCOLS, Partition, Row
from ser_edge_train.recipes.schema import Recipe, RecipeError
from ser_edge_train.speaker_embedding import pinned
from ser_edge_train.speaker_task import held_out, with_speakers
from ser_edge_train.teacher_scores import TeacherScores, described, pinned_teacher

GIVEN = "given"
"""The name in a recipe for a partition that no protocol made."""


class NothingToTrain(SerEdgeError):
    """No clip of the manifest is of use to the recipe."""


class LeakyPartition(PartitionError):
    """A partition that leaks what its protocol rules out."""


@dataclass(frozen=True)
class Plan:
    """What a recipe makes of a manifest. Immutable; threads may share it.

    Attributes:
        recipe: The recipe.
        manifest: Its corpora's clips, those without a part too.
        partition: Which clip is train, validation or test.
        left_out: How many clips have no part, by the reason: a fault of the
            recording, "label NAME" for an emotion that the recipe does not have,
            "of another sex", or that the partition does not use them.
        audit: What stands in two parts of the partition, and what could not be told.
        teacher: The scores of the recipe's teacher, if it has one.
        heard: The embeddings of its hint, if it has one.
    """

    recipe: Recipe
    manifest: Manifest
    partition: Partition
    left_out: Mapping[str, int]
    audit: Audit
    teacher: TeacherScores | None = None
    heard: Embeddings | None = None

    def label_of(self, clip: Clip) -> str:
        """The recipe's label of a clip."""
        return label_of(self.recipe, clip)

    def clips(self, part: str) -> list[Clip]:
        """The recordings of a part, in the manifest's order."""
        return self.partition.clips(self.manifest, part)

    def utterances(self, part: str) -> list[tuple[Clip, int]]:
        """All that a part is made of, (clip, copy), each clip before its augmented copies.

        Copies are made of training clips alone, unless the partition divides copies
        itself, as that of augment-then-split does.
        """
        waveform = self.recipe.augmentation.waveform
        if part != "train" or waveform is None or self.partition.has_copies:
            return self.partition.copies(self.manifest, part)
        copies = range(waveform.copies + 1)
        return [(clip, copy) for clip in self.clips(part) for copy in copies]

    def choices(self, part: str) -> int:
        """How many copies stand behind each clip of a part for an epoch to choose one from."""
        waveform = self.recipe.augmentation.waveform
        if part != "train" or waveform is None or self.partition.has_copies:
            return 0
        return waveform.copies if waveform.use == "one" else 0

    def labels(self, clips: Sequence[Clip]) -> npt.NDArray[np.int64]:
        """Index of each clip's label among the recipe's, (clips,)."""
        place = {label: index for index, label in enumerate(self.recipe.labels)}
        return np.array([place[self.label_of(clip)] for clip in clips], dtype=np.int64)

    def allowed(self, clips: Sequence[Clip]) -> npt.NDArray[np.bool_]:
        """Which of the recipe's labels each clip's corpus has, (clips, labels)."""
        has = allowed_of(self.recipe, self.manifest)
        return allowed_mask((clip.corpus for clip in clips), self.recipe.labels, has)

    def soft(self, clips: Sequence[Clip]) -> npt.NDArray[np.float32] | None:
        """Target distributions of training clips, (clips, labels); None without a teacher."""
        how = self.recipe.teacher
        if how is None or self.teacher is None:
            return None
        hard = np.eye(len(self.recipe.labels), dtype=np.float32)[self.labels(clips)]
        said, known = self.teacher.targets(
            clips, self.recipe.labels, self.recipe.merge, self.allowed(clips), how.temperature
        )
        share = np.float32(how.weight) * known[:, None].astype(np.float32)
        return (1 - share) * hard + share * said

    def hints(self, clips: Sequence[Clip], taught: bool) -> npt.NDArray[np.float32] | None:
        """What a second head learns of clips, (clips, components); None without a hint.

        Of clips that are not ``taught``, nothing: their values are NaN.
        """
        hint = self.recipe.hint
        if hint is None:
            return None
        labels = [self.label_of(clip) for clip in clips]
        return hint_values(hint, self.heard if taught else None, clips, labels)

    def part(
        self,
        clips: Sequence[Clip],
        features: npt.NDArray[Any],
        copies: int = 0,
        *,
        taught: bool = False,
    ) -> Part:
        """What the fit needs of clips whose features are given, in the same order.

        Args:
            clips: The utterances.
            features: Of each the features and those of its ``copies``, before the normaliser.
            copies: How many stand behind each, for an epoch to choose from.
            taught: Whether the recipe's teacher is listened to.
        """
        how = self.recipe.fit

        def factors(of: Mapping[str, float]) -> npt.NDArray[np.float32]:
            return np.array([of.get(clip.corpus, 1.0) for clip in clips], dtype=np.float32)

        return Part(
            features,
            self.labels(clips),
            self.allowed(clips),
            factors(how.corpus_weights),
            copies,
            factors(how.corpus_repeats) if how.corpus_repeats else None,
            self.soft(clips) if taught else None,
            self.hints(clips, taught),
        )

    def notes(self) -> Iterator[str]:
        """Lines for people: what is left out, how large each part is, and what is wrong with it."""
        if self.left_out:
            counted = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            yield f"left out: {counted}"
        for part in PARTS:
            clips = self.partition.copies(self.manifest, part)
            speakers = len({clip.speaker_key for clip, _ in clips})
            copied = sum(copy > 0 for _, copy in clips)
            counted = f"{len(clips)} clips" + (f" ({copied} of them copies)" if copied else "")
            yield f"{part}: {counted} of {speakers} speakers"
        heard = {self.label_of(clip) for clip, _ in self.partition.copies(self.manifest, "train")}
        for label in self.recipe.labels:
            if label not in heard:
                yield f"no training clip has the label {label}"
        if self.teacher is not None:
            yield described(self.recipe, self.teacher, self.clips("train"))
        if self.recipe.hint is not None and self.heard is not None:
            yield hint_words(self.recipe.hint, self.heard, self.clips("train"))
        if self.audit.changed:
            yield (
                f"{len(self.audit.changed)} clips have other audio than the partition says "
                f"(first: {self.audit.changed[0]})"
            )


def make_plan(
    recipe: Recipe,
    manifest: Manifest,
    given: Partition | None = None,
    *,
    allow_leaks: bool = False,
) -> Plan:
    """Chooses the clips that a recipe can use, and divides them by its protocol.

    Args:
        recipe: The recipe.
        manifest: The recordings.
        given: The partition, if the recipe's protocol is "given"; clips that the
            recipe cannot use are left out of it.
        allow_leaks: Lets a partition pass that leaks what its protocol rules out.

    Raises:
        RecipeError: The protocol is "given", and no partition is; or the other way round.
        NothingToTrain: No clip of the manifest is of use to the recipe.
        LeakyPartition: The partition leaks; names the first leak.
        PartitionError: The protocol cannot divide these clips, or the manifest lacks
            clips of the given partition.
        SpeakerEmbeddingError: The recipe's speaker embedding does not fit it, or has heard
            speakers that validate or test.
        TeacherError: The scores of the recipe's teacher cannot be used, or it may have heard
            speakers that test.
        EmbeddingsError: The embeddings of the teacher's hint cannot be used.
    """
    protocol = recipe.protocol.name
    if given is None and protocol == GIVEN:
        fault = f"protocol.name: {protocol!r} needs a partition"
        raise RecipeError(recipe.name, fault, "name one with --partition FILE")
    if given is not None and protocol != GIVEN:
        fault = f"protocol.name: {protocol!r} makes its own partition"
        raise RecipeError(recipe.name, fault, f"write {GIVEN!r} there")
    chosen = manifest.select(recipe.corpora) if recipe.corpora else manifest
    used, left_out = _usable(recipe, chosen)
    if not used:
        of_sex = "" if recipe.sex == "mixed" else f" of a {recipe.sex} speaker"
        raise NothingToTrain(
            f"{manifest.root}: no usable clip{of_sex} has one of the labels of {recipe.name} "
            f"({', '.join(recipe.labels)}); see the manifest's columns emotion, sex and fault"
        )
    if given is None:
        partition = _divided(recipe, Manifest(chosen.root, tuple(used)))
    else:
        partition = _restricted(recipe, manifest, given, used)
    there = {row.key for row in partition.rows}
    unused = sum(clip.key not in there for clip in used)
    if unused:
        left_out["in no part"] = unused
    # Before digests of the manifest replace those of a file, so that a difference is seen.
    found = audit(chosen, partition)
    broken = broken_promises(found.leaks, protocol)
    if broken and not allow_leaks:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise LeakyPartition(
            f"the partition leaks: {broken[0].text} (first: {broken[0].examples[0]}){more}; see "
            "all with ser-edge leaks, divide the clips anew, or train on it all the same with "
            "--allow-leaks"
        )
    if recipe.target == "speaker":
        divided, partition = partition, held_out(chosen, partition, recipe.partition_seed)
        left_out["of speakers that validate or test"] = len(divided.rows) - len(partition.rows)
        recipe = with_speakers(recipe, chosen, partition)
        found = audit(chosen, partition)
    recipe = pinned(recipe, chosen, partition)
    partition = _with_digests(partition, chosen)
    recipe, teacher = pinned_teacher(recipe, chosen, partition)
    recipe, heard = pinned_hint(recipe, partition.clips(chosen, "train"))
    counted = dict(sorted(left_out.items()))
    return Plan(recipe, chosen, partition, counted, found, teacher, heard)


def strangers(recipe: Recipe, manifest: Manifest) -> list[Clip]:
    """Utterances of the speakers whom the protocol of a speaker recipe keeps for validation."""
    chosen = manifest.select(recipe.corpora) if recipe.corpora else manifest
    used, _ = _usable(recipe, chosen)
    return _divided(recipe, Manifest(chosen.root, tuple(used))).clips(chosen, "validation")


def _usable(recipe: Recipe, manifest: Manifest) -> tuple[list[Clip], Counter[str]]:
    left_out: Counter[str] = Counter()
    used = []
    for clip in manifest.clips:
        label = label_of(recipe, clip)
        if clip.fault:
            left_out[clip.fault] += 1
        elif recipe.target == "speaker" and not clip.speaker_known:
            left_out["of an unknown speaker"] += 1
        elif recipe.target is None and label not in recipe.labels:
            left_out[f"label {label}"] += 1
        elif recipe.sex not in ("mixed", clip.sex):
            left_out["of another sex"] += 1
        else:
            used.append(clip)
    return used, left_out


def _divided(recipe: Recipe, manifest: Manifest) -> Partition:
    table, waveform = recipe.protocol, recipe.augmentation.waveform
    options = table.options
    if table.name == "augment-then-split" and waveform is not None:
        options["copies"] = waveform.copies
    protocol = PROTOCOLS[table.name]
    return protocol(manifest, fold=table.fold, seed=recipe.partition_seed, **options)


def _restricted(
    recipe: Recipe, manifest: Manifest, given: Partition, used: Sequence[Clip]
) -> Partition:
    """The rows of a given partition that the recipe can use."""
    for part in PARTS:
        given.copies(manifest, part)
    keys = {clip.key for clip in used}
    rows = tuple(row for row in given.rows if row.key in keys)
    waveform = recipe.augmentation.waveform
    copies = 0 if waveform is None else waveform.copies
    for row in rows:
        if row.copy > copies:
            raise PartitionError(
                f"{row.name}: the recipe makes {copies} copies; set augmentation.waveform.copies"
            )
    if not any(row.part == "train" for row in rows):
        raise PartitionError("the partition leaves nothing to train on; see its column part")
    return Partition(rows)


def _with_digests(partition: Partition, manifest: Manifest) -> Partition:
    return Partition(
        tuple(
            Row(*row.key, manifest.by_key[row.key].audio_sha256, row.part, row.copy)
            for row in partition.rows
        )
    )
