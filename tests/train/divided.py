"""Any manifest to divide, and every protocol by its name with options that fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import assume, settings
from hypothesis import strategies as st

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import PROTOCOLS, Partition, sentence_of

from .recordings import make_clip

EXAMPLES = settings(deadline=None, max_examples=60)
OPTIONS = {"cross-corpus": {"test_corpora": ("own",)}, "augment-then-split": {"copies": 2}}
MAY_REFUSE = ("sentence-disjoint", "random", "augment-then-split", "speaker-folds")

any_protocol = st.sampled_from(sorted(PROTOCOLS))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Clips of up to three corpora, some faulted, at least two speakers in the first."""
    facts = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["own", "own", "calls", "x é"]),
                st.integers(0, 6),
                st.sampled_from(["angry", "happy", "sad"]),
                st.integers(0, 7),
                st.integers(0, 9),
            ),
            min_size=8,
            max_size=40,
        )
    )
    clips = [
        make_clip(
            number,
            corpus=corpus,
            speaker=f"s{speaker}",
            sex=("female", "male", "")[speaker % 3],
            emotion=emotion,
            sentence=f"{sentence}",
            # None in the first clips: these make sure that somebody can be tested.
            fault="silent" if luck == 0 and number > 7 else "",
        )
        for number, (corpus, speaker, emotion, sentence, luck) in enumerate(facts)
    ]
    people = {clip.speaker for clip in clips if clip.corpus == "own" and not clip.fault}
    assume(len(people) > 1)
    assume(any(clip.corpus != "own" for clip in clips if not clip.fault))
    return Manifest(Path("/data"), tuple(clips))


def by_protocol(manifest: Manifest, name: str, fold: int = 1, seed: int = 0) -> Partition:
    one_fold = name in ("speaker-disjoint", "cross-corpus")
    if name == "leave-one-speaker-out":
        fold = 1 + fold % len({clip.speaker_key for clip in manifest.usable})
    try:
        return PROTOCOLS[name](
            manifest, fold=1 if one_fold else fold, seed=seed, **OPTIONS.get(name, {})
        )
    except PartitionError as fault:
        # Few sentences or speakers may leave nothing; every other refusal is a fault.
        assume("speakers with usable clips leave" not in str(fault) or name not in MAY_REFUSE)
        raise


def things(manifest: Manifest, partition: Partition, part: str, kind: str) -> set[object]:
    """What a part holds of a kind of thing that may leak."""
    held = partition.copies(manifest, part)
    return {
        {
            "speaker": clip.speaker_key,
            "sentence": sentence_of(clip),
            "duplicate": clip.audio_sha256,
            "sibling": clip.key,
        }[kind]
        for clip, _ in held
    }


def spoken(corpus: str, people: list[str], sentences: list[str], emotions: list[str]) -> Manifest:
    """Everybody says every sentence in every emotion."""
    clips = [
        make_clip(
            0,
            corpus=corpus,
            stem=f"{speaker}_{sentence}_{emotion}",
            speaker=speaker,
            sentence=sentence,
            emotion=emotion,
        )
        for speaker in people
        for sentence in sentences
        for emotion in emotions
    ]
    return Manifest(
        Path("/data"), tuple(replace(c, audio_sha256=f"{n:064x}") for n, c in enumerate(clips))
    )
