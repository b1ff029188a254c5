"""Each protocol keeps what it promises, on any manifest; checked without the audit of leaks."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.errors import PartitionError
from ser_edge_train.leaks import KINDS
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import (
    FAULTS,
    FOLDS,
    PARTS,
    PROTOCOLS,
    Partition,
    check_disjoint,
    cross_corpus,
    leave_one_speaker_out,
    sentence_disjoint,
    sentence_of,
)

from .divided import EXAMPLES, any_protocol, by_protocol, manifests, spoken, things
from .field import ALL, RAVDESS, SAVEE, TESS, speakers
from .recordings import make_clip, make_manifest


@EXAMPLES
@given(manifests(), any_protocol, st.integers(1, 5), st.integers(0, 2**40))
def test_no_two_parts_share_what_the_protocol_promises(manifest, name, fold, seed):
    partition = by_protocol(manifest, name, fold, seed)
    promises = PROTOCOLS[name].promises - ({"duplicate"} if PROTOCOLS[name].leaky else set())
    for kind in promises:
        for one, other in combinations(PARTS, 2):
            shared = things(manifest, partition, one, kind) & things(
                manifest, partition, other, kind
            )
            assert not shared, (kind, one, other)
    assert any(row.part == "train" for row in partition.rows)
    assert any(row.part == "test" for row in partition.rows)
    if not PROTOCOLS[name].leaky:
        check_disjoint(manifest, partition)


@EXAMPLES
@given(manifests(), any_protocol, st.integers(1, 5))
def test_each_usable_clip_stands_there_once_and_no_other(manifest, name, fold):
    partition = by_protocol(manifest, name, fold)
    usable = {clip.key for clip in manifest.usable}
    copies = Counter(row.key for row in partition.rows)
    if name == "sentence-disjoint":
        assert copies.keys() <= usable
        assert set(copies.values()) == {1}
    else:
        assert copies == dict.fromkeys(usable, 3 if name == "augment-then-split" else 1)
    digests = {clip.key: clip.audio_sha256 for clip in manifest.clips}
    assert all(row.audio_sha256 == digests[row.key] for row in partition.rows)


@EXAMPLES
@given(manifests(), any_protocol, st.integers(1, 5), st.randoms())
def test_the_order_of_clips_does_not_matter(manifest, name, fold, rng: random.Random):
    clips: list[Clip] = list(manifest.clips)
    rng.shuffle(clips)
    shuffled = Manifest(manifest.root, tuple(clips))
    one, other = (by_protocol(found, name, fold, 5) for found in (manifest, shuffled))
    assert one == other
    assert one.to_csv() == other.to_csv()


@EXAMPLES
@given(manifests(), any_protocol)
def test_what_is_written_is_read_back(tmp_path_factory, manifest, name):
    partition = by_protocol(manifest, name)
    path = tmp_path_factory.mktemp("partition") / "partition.csv"
    partition.write(path)
    again = Partition.read(path)
    assert again == partition
    assert again.digest == partition.digest


# --- leave-one-speaker-out


@EXAMPLES
@given(manifests(), st.integers(0, 99))
def test_each_fold_leaves_one_speaker_out_and_all_folds_everybody(manifest, seed):
    everybody = sorted({clip.speaker_key for clip in manifest.usable})
    tested = []
    for fold in range(1, len(everybody) + 1):
        partition = leave_one_speaker_out(manifest, fold, seed)
        (one,) = things(manifest, partition, "test", "speaker")
        tested.append(one)
        sizes = Counter(corpus for corpus, _ in everybody)
        for corpus, _ in things(manifest, partition, "validation", "speaker"):
            assert sizes[corpus] > 2
    assert tested == everybody


def test_one_corpus_alone_can_be_left_out_in_turn():
    tests = []
    for fold in range(1, 5):
        partition = leave_one_speaker_out(ALL, fold, 0, corpus="savee")
        tests += speakers(ALL, partition, "test")
        assert speakers(ALL, partition, "train", "tess") == {"OAF", "YAF"}
        assert len(speakers(ALL, partition, "validation", "savee")) == 1
        # One in eight of 24 and of 91.
        assert len(speakers(ALL, partition, "validation", "ravdess")) == 3
        assert len(speakers(ALL, partition, "validation", "crema-d")) == 11
    assert tests == ["DC", "JE", "JK", "KL"]


def test_of_the_left_out_speakers_corpus_an_eighth_of_the_others_validates():
    partition = leave_one_speaker_out(RAVDESS, 24, 3)
    assert speakers(RAVDESS, partition, "test") == {"24"}
    assert len(speakers(RAVDESS, partition, "validation")) == 2
    other = leave_one_speaker_out(RAVDESS, 24, 4)
    assert other.part("validation") != partition.part("validation")


def test_folds_and_corpora_that_are_none():
    with pytest.raises(PartitionError, match="no fold 5: savee have 4 speakers; choose one from 1"):
        leave_one_speaker_out(ALL, 5, 0, corpus="savee")
    with pytest.raises(PartitionError, match="no usable clip of the corpus 'emodb'"):
        leave_one_speaker_out(ALL, 1, 0, corpus="emodb")
    with pytest.raises(PartitionError, match=r"1 speakers .* nothing to train on"):
        leave_one_speaker_out(make_manifest({("own", "me"): ""}), 1, 0)


# --- cross-corpus


@EXAMPLES
@given(manifests(), st.integers(0, 99))
def test_whole_corpora_are_tested(manifest, seed):
    partition = cross_corpus(manifest, seed, ("own",))
    tested = {clip.corpus for clip in partition.clips(manifest, "test")}
    trained = {c.corpus for part in PARTS[:2] for c in partition.clips(manifest, part)}
    assert tested == {"own"}
    assert trained == {clip.corpus for clip in manifest.usable} - {"own"}


def test_every_other_corpus_of_three_speakers_validates():
    partition = cross_corpus(ALL, 0, ("ravdess",))
    assert len(speakers(ALL, partition, "validation", "savee")) == 1
    assert not speakers(ALL, partition, "validation", "tess")
    assert len(speakers(ALL, partition, "test")) == 24
    both = cross_corpus(ALL, 0, ("ravdess", "tess"))
    assert {c.corpus for c in both.clips(ALL, "test")} == {"ravdess", "tess"}


def test_corpora_that_are_not_there_or_all_that_are():
    with pytest.raises(PartitionError, match=r"'emodb', which is to be tested .*here: savee"):
        cross_corpus(SAVEE, 0, ("emodb",))
    with pytest.raises(PartitionError, match="leave nothing to train on"):
        cross_corpus(SAVEE, 0, ("savee",))
    with pytest.raises(PartitionError, match="no fold 2; name other test_corpora instead"):
        PROTOCOLS["cross-corpus"](ALL, fold=2, test_corpora=("tess",))


# --- sentence-disjoint


def test_over_five_folds_every_sentence_and_speaker_is_tested():
    manifest = spoken("own", [f"s{n}" for n in range(7)], list("abcdefghijkl"), ["angry", "sad"])
    said, heard = Counter(), Counter()
    for fold in FOLDS:
        partition = sentence_disjoint(manifest, fold, 3)
        said.update(things(manifest, partition, "test", "sentence"))
        heard.update(things(manifest, partition, "test", "speaker"))
        assert partition.part("validation")
        sizes = {part: len(partition.part(part)) for part in PARTS}
        assert sizes["train"] > 0.2 * len(manifest.clips)
    assert said == dict.fromkeys({("own", letter) for letter in "abcdefghijkl"}, 1)
    assert heard == dict.fromkeys({("own", f"s{n}") for n in range(7)}, 1)


def test_two_sentences_leave_none_for_validation():
    people = [f"{number:02d}" for number in range(1, 25)]
    manifest = spoken("ravdess", people, ["01", "02"], ["angry", "calm"])
    partition = sentence_disjoint(manifest, 1, 0)
    assert not partition.part("validation")
    parts = [things(manifest, partition, part, "sentence") for part in ("train", "test")]
    assert sorted(map(len, parts)) == [1, 1]


def test_sentences_said_in_one_emotion_are_dealt_within_it():
    """SAVEE: each emotion has sentences of its own, and all emotions are tested in each fold."""
    emotions = {"a": "angry", "d": "disgust", "sa": "sad", "n": "neutral"}
    clips = [
        make_clip(0, corpus="savee", stem=f"{speaker}_{letter}{n:02d}", speaker=speaker,
                  sentence=f"{letter}{n:02d}", emotion=emotion)
        for speaker in ("DC", "JE", "JK", "KL")
        for letter, emotion in emotions.items()
        for n in range(1, 16)
    ]  # fmt: skip
    manifest = Manifest(
        Path("/data"), tuple(replace(c, audio_sha256=f"{n:064x}") for n, c in enumerate(clips))
    )
    for fold in FOLDS:
        partition = sentence_disjoint(manifest, fold, 0)
        for part in PARTS:
            assert {c.emotion for c in partition.clips(manifest, part)} == set(emotions.values())


def test_savees_common_sentences_are_the_same_ones():
    angry, sad, own = (
        make_clip(1, corpus=corpus, emotion="sad", sentence=code)
        for corpus, code in (("savee", "a02"), ("savee", "sa02"), ("own", "a02"))
    )
    assert sentence_of(angry) == sentence_of(sad) == ("savee", "02")
    assert sentence_of(own) == ("own", "a02")
    assert sentence_of(replace(angry, sentence="a04")) == ("savee", "a04")
    assert sentence_of(replace(angry, sentence="")) is None


def test_without_sentences_they_cannot_be_kept_apart():
    with pytest.raises(PartitionError, match=r"tess OAF_0 has no sentence.*the column sentence"):
        sentence_disjoint(TESS, 1, 0)


# --- the table


def test_promises_are_kinds_of_leaks():
    assert set(KINDS) >= {kind for one in PROTOCOLS.values() for kind in one.promises}
    assert set(KINDS) == FAULTS | {"sentence"}
    assert {name for name, one in PROTOCOLS.items() if one.leaky} == {
        "random",
        "augment-then-split",
    }
    assert all(one.name == name for name, one in PROTOCOLS.items())
    assert all(("LEAKY" in one.summary) == one.leaky for one in PROTOCOLS.values())


def test_partitions_are_the_same_on_every_machine():
    # Committed digests: a change here changes every partition that users named.
    people, sentences = [f"s{n}" for n in range(9)], list("abcdefg")
    small = spoken("own", people, sentences, ["angry", "happy", "sad"])
    other = spoken("calls", people[:4], sentences, ["angry", "sad"])
    both = Manifest(
        Path("/data"),
        tuple(
            replace(clip, audio_sha256=f"{number:064x}")
            for number, clip in enumerate((*small.clips, *other.clips))
        ),
    )
    found = {name: by_protocol(both, name, 2, 3).digest[:12] for name in PROTOCOLS}
    assert found == {
        "speaker-disjoint": "700c96838a44",
        "speaker-folds": "7f2e19a37c52",
        "leave-one-speaker-out": "f2667c12bcea",
        "sentence-disjoint": "87f9a051cf50",
        "cross-corpus": "1da10613b98c",
        "random": "96ac3a86dadf",
        "augment-then-split": "d0b700c7dd15",
    }
