"""Five folds of speakers: the published ones of the known corpora, dealt ones of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ser_edge_train.corpora import crema_d, ravdess, savee, tess
from ser_edge_train.errors import PartitionError, quoted
from ser_edge_train.manifest import Key, Manifest
from ser_edge_train.partitions.order import by_speaker, shuffled, speakers_of
from ser_edge_train.partitions.partition import Partition

FOLDS: Final = range(1, 6)

# Luna-Jimenez et al. 2021: test actors of each fold; validation actors are the project's own.
RAVDESS_TEST: Final = (
    frozenset({2, 5, 14, 15, 16}),
    frozenset({3, 6, 7, 13, 18}),
    frozenset({10, 11, 12, 19, 20}),
    frozenset({8, 17, 21, 23, 24}),
    frozenset({1, 4, 9, 22}),
)
RAVDESS_VALIDATION: Final = (
    frozenset({3, 6}),
    frozenset({10, 11}),
    frozenset({8, 17}),
    frozenset({1, 14}),
    frozenset({2, 5}),
)


def speaker_folds(manifest: Manifest, fold: int, seed: int) -> Partition:
    """One of five folds, each corpus divided as its field does.

    - RAVDESS: the five actor folds of Luna-Jimenez et al. 2021, for 8 classes.
    - CREMA-D: fold k tests the speakers whose number is k modulo 5; validation is
      every eighth of the others, counted by number.
    - SAVEE: fold k tests one of DC JE JK KL in turn (fold 5 again DC), validation
      is the next one.
    - TESS: two speakers: odd folds test YAF, even ones OAF; no validation.
    - Others: speakers in an order drawn by the seed, dealt into five folds (fewer
      where there are fewer speakers); validation is the next fold. Two speakers
      leave none for validation, and a single one is trained on.

    Raises:
        PartitionError: No such fold, or nothing left to train on or to test.
    """
    return by_speaker(manifest, fold_parts(manifest, fold, seed))


def fold_parts(manifest: Manifest, fold: int, seed: int) -> dict[Key, str]:
    """The part of each speaker, by (corpus, speaker), in a fold of :func:`speaker_folds`.

    Raises:
        PartitionError: No such fold, or a speaker whom a known corpus does not have.
    """
    if fold not in FOLDS:
        raise PartitionError(f"there is no fold {fold}; choose one from 1 to 5")
    parts: dict[Key, str] = {}
    for corpus, speakers in speakers_of(manifest).items():
        divide = _FOLDS_OF.get(corpus)
        if divide is None:
            parts.update(_dealt(corpus, speakers, fold, seed))
            continue
        strangers = set(speakers) - _SPEAKERS_OF[corpus]
        if strangers:
            raise PartitionError(
                f"{corpus} has no speaker {quoted(min(strangers))}; scan its folder anew"
            )
        parts.update({(corpus, speaker): divide(speaker, fold) for speaker in speakers})
    return parts


def _ravdess(speaker: str, fold: int) -> str:
    if int(speaker) in RAVDESS_TEST[fold - 1]:
        return "test"
    return "validation" if int(speaker) in RAVDESS_VALIDATION[fold - 1] else "train"


def _crema_d(speaker: str, fold: int) -> str:
    # Counted over all 91, present or not, so that a subset keeps everyone's part.
    others = [number for number in crema_d.SPEAKERS if number % 5 != fold % 5]
    if int(speaker) not in others:
        return "test"
    return "validation" if int(speaker) in others[7::8] else "train"


def _savee(speaker: str, fold: int) -> str:
    place = (savee.SPEAKERS.index(speaker) - (fold - 1)) % len(savee.SPEAKERS)
    return {0: "test", 1: "validation"}.get(place, "train")


def _tess(speaker: str, fold: int) -> str:
    return "test" if speaker == ("YAF" if fold % 2 else "OAF") else "train"


_FOLDS_OF: Final[Mapping[str, Callable[[str, int], str]]] = {
    "ravdess": _ravdess,
    "crema-d": _crema_d,
    "savee": _savee,
    "tess": _tess,
}
_SPEAKERS_OF: Final = {
    "ravdess": {f"{actor:02d}" for actor in ravdess.ACTORS},
    "crema-d": {str(number) for number in crema_d.SPEAKERS},
    "savee": set(savee.SPEAKERS),
    "tess": set(tess.SPEAKERS),
}


def _dealt(corpus: str, speakers: Iterable[str], fold: int, seed: int) -> dict[Key, str]:
    ordered = shuffled(corpus, speakers, seed)
    folds = min(len(FOLDS), len(ordered))
    test = (fold - 1) % folds if folds > 1 else None
    validation = fold % folds if folds > 2 else None
    parts = {test: "test", validation: "validation"}
    if test is None:
        parts = {}
    return {
        (corpus, speaker): parts.get(place % folds, "train")
        for place, speaker in enumerate(ordered)
    }
