"""Neither a speaker nor a sentence of one part stands in another."""

from __future__ import annotations

from typing import Final

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Clip, Key, Manifest, clip_name
from ser_edge_train.partitions.folds import FOLDS, fold_parts
from ser_edge_train.partitions.order import shuffled, usable
from ser_edge_train.partitions.partition import Partition

_SAVEE_COMMON: Final = ("01", "02", "03")


def sentence_of(clip: Clip) -> Key | None:
    """What is said, as (corpus, code), whatever the emotion; None where nobody said.

    SAVEE numbers the sentences of each emotion from 01, and the first three are the
    same ones in all.
    """
    code = clip.sentence
    if clip.corpus == "savee" and code[-2:] in _SAVEE_COMMON:
        code = code[-2:]
    return (clip.corpus, code) if code else None


def sentence_disjoint(manifest: Manifest, fold: int, seed: int) -> Partition:
    """One of five folds in which both the speakers and the sentences of the parts differ.

    The speakers are those of the same fold of ``speaker-folds``. The sentences of each
    corpus are dealt into five (fewer where there are fewer), as evenly as can be over
    the emotions that they are said in; validation is the next fold's, and a corpus of
    two sentences has none. A clip whose speaker and sentence belong to different parts
    is left out: of the four known corpora 44 % of the clips remain.

    Raises:
        PartitionError: No such fold, a clip of which nobody knows the sentence, or
            nothing left to train on or to test.
    """
    speakers = fold_parts(manifest, fold, seed)
    sentences = _sentence_parts(manifest, fold, seed)
    kept = {
        clip.key: part
        for clip in manifest.usable
        if (part := speakers[clip.speaker_key]) == sentences[_known_sentence(clip)]
    }
    chosen = [clip for clip in manifest.usable if clip.key in kept]
    partition = Partition.of(chosen, lambda clip: kept[clip.key])
    return usable(manifest, partition, "of other speakers and sentences")


def _sentence_parts(manifest: Manifest, fold: int, seed: int) -> dict[Key, str]:
    emotions: dict[Key, set[str]] = {}
    for clip in manifest.usable:
        emotions.setdefault(_known_sentence(clip), set()).add(clip.emotion)
    corpora: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for (corpus, sentence), said in emotions.items():
        corpora.setdefault(corpus, {}).setdefault(tuple(sorted(said)), []).append(sentence)
    parts: dict[Key, str] = {}
    for corpus, groups in corpora.items():
        ordered = [
            sentence for said in sorted(groups) for sentence in shuffled(corpus, groups[said], seed)
        ]
        folds = min(len(FOLDS), len(ordered))
        names: dict[int, str] = {}
        if folds > 2:
            names[fold % folds] = "validation"
        if folds > 1:
            names[(fold - 1) % folds] = "test"
        for place, sentence in enumerate(ordered):
            parts[corpus, sentence] = names.get(place % folds, "train")
    return parts


def _known_sentence(clip: Clip) -> Key:
    sentence = sentence_of(clip)
    if sentence is None:
        raise PartitionError(
            f"{clip_name(clip)} has no sentence, so sentences cannot be kept apart; scan it from "
            "a table with the column sentence, or leave its corpus out of the recipe"
        )
    return sentence
