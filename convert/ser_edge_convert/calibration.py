"""Which clips show the converter the range of every activation."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ser_edge_convert.errors import CalibrationError

if TYPE_CHECKING:
    from ser_edge_train.manifest import Clip, Manifest
    from ser_edge_train.partitions import Partition

DEFAULT_SIZE = 200
# What a model file may spend on naming clips: 19 bytes each, on devices as well.
MOST_NAMED = 1000
SHORT_DIGEST = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Calibration:
    """The clips chosen, and what names the choice.

    Attributes:
        clips: In the order in which the converter sees them.
        classes: Each clip's class, after a recipe's merges.
        seed: The seed they were chosen with.
        whole: Whether they are all the training clips there are.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    seed: int
    whole: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 over corpus, stem and audio digest of every clip, in order, in hex."""
        lines = (f"{c.corpus},{c.stem},{c.audio_sha256}\n" for c in self.clips)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """What a model file keeps of it: digest, seed, clips a class, number of speakers."""
        return {
            "digest": self.digest,
            "seed": self.seed,
            "size": len(self.clips),
            "classes": dict(sorted(Counter(self.classes).items())),
            "speakers": len({clip.speaker_key for clip in self.clips}),
        }

    def short_digests(self) -> list[str] | None:
        """What a model file names the clips by: the first 16 digits of their audio's digests.

        In order; None for over 1000 clips, which the digest of the choice and the
        conversion's report still name.
        """
        if len(self.clips) > MOST_NAMED:
            return None
        return [clip.audio_sha256[:SHORT_DIGEST] for clip in self.clips]

    def listing(self) -> list[dict[str, str]]:
        """What a report keeps of it: corpus, stem and audio digest of every clip."""
        return [
            {"corpus": clip.corpus, "stem": clip.stem, "audio_sha256": clip.audio_sha256}
            for clip in self.clips
        ]


def choose(
    manifest: Manifest,
    partition: Partition,
    size: int = DEFAULT_SIZE,
    seed: int = 0,
    *,
    labels: Collection[str] | None = None,
    merge: Mapping[str, str] | None = None,
    label_of: Callable[[Clip], str] | None = None,
) -> Calibration:
    """Chooses clips of training speakers, as evenly as they allow.

    Turns go round the classes; within a class round its corpora; within those
    round the speakers. So no class, corpus or speaker has two clips more than
    another that still has some. The order of each round comes from the seed alone.

    Args:
        manifest: Where the clips stand; faulty ones are left out.
        partition: Says which of them are for training; no other is ever taken.
        size: How many; all there are if there are fewer.
        seed: Another seed gives another choice.
        labels: Classes to choose from; None means all that occur.
        merge: Emotions that the recipe renames, as {"calm": "neutral"}.
        label_of: Names a clip's class; None: its emotion, after the merges.

    Raises:
        CalibrationError: ``size`` is under 1, or the training part is empty.
    """
    if size < 1:
        raise CalibrationError(f"a calibration on {size} clips is none; choose 1 or more")
    renamed = merge or {}
    class_of = label_of or (lambda clip: renamed.get(clip.emotion, clip.emotion))
    training = partition.part("train")
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in manifest.usable:
        name = class_of(clip)
        if clip.key in training and (labels is None or name in labels):
            groups[name].append(clip)
    if not groups:
        raise CalibrationError(
            "no clip of the training part is usable, so nothing can be calibrated on; "
            "check the manifest and the partition"
        )
    turns = _take_turns([_clips_of_class(groups[name], seed, name) for name in sorted(groups)])
    chosen = [clip for clip, _ in zip(turns, range(size), strict=False)]
    classes = tuple(class_of(clip) for clip in chosen)
    whole = len(chosen) == sum(map(len, groups.values()))
    return Calibration(tuple(chosen), classes, seed, whole)


def _clips_of_class(clips: Sequence[Clip], seed: int, label: str) -> Iterator[Clip]:
    corpora: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        corpora[clip.corpus][clip.speaker].append(clip)

    def key(*parts: str) -> str:
        return hashlib.sha256("\0".join([str(seed), label, *parts]).encode()).hexdigest()

    def of_corpus(corpus: str) -> Iterator[Clip]:
        speakers = corpora[corpus]
        order = sorted(speakers, key=lambda speaker: key(corpus, speaker))
        return _take_turns(
            [sorted(speakers[name], key=lambda clip: key(corpus, clip.stem)) for name in order]
        )

    return _take_turns([of_corpus(corpus) for corpus in sorted(corpora, key=key)])


def _take_turns(queues: Sequence[Iterable[T]]) -> Iterator[T]:
    """One from each queue, then another from each, until all are empty."""
    waiting = [iter(queue) for queue in queues]
    while waiting:
        still = []
        for queue in waiting:
            for item in queue:
                still.append(queue)
                yield item
                break
        waiting = still
