"""Partitions: the published folds, properties for any corpus, the proof of cleanness."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.corpora import crema_d, ravdess, savee
from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import (
    FOLDS,
    PARTS,
    PROTOCOLS,
    Partition,
    Row,
    check_disjoint,
    speaker_disjoint,
    speaker_folds,
)
from tests.train.recordings import make_clip, make_manifest

RAVDESS = make_manifest(
    {("ravdess", f"{a:02d}"): "male" if a % 2 else "female" for a in ravdess.ACTORS}
)
CREMA_D = make_manifest(
    {
        ("crema-d", str(number)): "male" if number in crema_d.MEN else "female"
        for number in crema_d.SPEAKERS
    }
)
SAVEE = make_manifest({("savee", name): "male" for name in savee.SPEAKERS})
TESS = make_manifest({("tess", "OAF"): "female", ("tess", "YAF"): "female"})


def together(*manifests: Manifest) -> Manifest:
    clips = [clip for manifest in manifests for clip in manifest.clips]
    return Manifest(
        Path("/data"),
        tuple(replace(clip, audio_sha256=f"{n:064x}") for n, clip in enumerate(clips)),
    )


ALL = together(RAVDESS, CREMA_D, SAVEE, TESS)


def speakers(manifest: Manifest, partition: Partition, part: str, corpus: str = "") -> set[str]:
    return {
        clip.speaker
        for clip in partition.clips(manifest, part)
        if clip.corpus == corpus or not corpus
    }


# --- the published folds


@pytest.mark.parametrize(
    ("fold", "test", "validation"),
    [
        (1, "02 05 14 15 16", "03 06"),
        (2, "03 06 07 13 18", "10 11"),
        (3, "10 11 12 19 20", "08 17"),
        (4, "08 17 21 23 24", "01 14"),
        (5, "01 04 09 22", "02 05"),
    ],
)
def test_ravdess_folds(fold, test, validation):
    partition = speaker_folds(RAVDESS, fold, 0)
    assert speakers(RAVDESS, partition, "test") == set(test.split())
    assert speakers(RAVDESS, partition, "validation") == set(validation.split())
    assert len(speakers(RAVDESS, partition, "train")) == 24 - len((test + " " + validation).split())


@pytest.mark.parametrize("fold", FOLDS)
def test_crema_d_folds(fold):
    partition = speaker_folds(CREMA_D, fold, 0)
    test = {int(name) for name in speakers(CREMA_D, partition, "test")}
    assert test == {number for number in range(1001, 1092) if number % 5 == fold % 5}
    rest = sorted(set(range(1001, 1092)) - test)
    validation = sorted(int(name) for name in speakers(CREMA_D, partition, "validation"))
    assert validation == rest[7::8]
    assert len(validation) == 9


def test_crema_d_speakers_keep_their_parts_in_a_subset():
    some = Manifest(CREMA_D.root, CREMA_D.clips[::3])
    whole = {(row.corpus, row.stem): row for row in speaker_folds(CREMA_D, 2, 0).rows}
    for row in speaker_folds(some, 2, 0).rows:
        assert row == whole[row.corpus, row.stem]


@pytest.mark.parametrize(
    ("fold", "test", "validation"),
    [(1, "DC", "JE"), (2, "JE", "JK"), (3, "JK", "KL"), (4, "KL", "DC"), (5, "DC", "JE")],
)
def test_savee_leaves_one_speaker_out(fold, test, validation):
    partition = speaker_folds(SAVEE, fold, 0)
    assert speakers(SAVEE, partition, "test") == {test}
    assert speakers(SAVEE, partition, "validation") == {validation}


@pytest.mark.parametrize(("fold", "test"), [(1, "YAF"), (2, "OAF"), (3, "YAF"), (4, "OAF")])
def test_tess_trains_on_one_and_tests_the_other(fold, test):
    partition = speaker_folds(TESS, fold, 0)
    assert speakers(TESS, partition, "test") == {test}
    assert partition.part("validation") == frozenset()


def test_known_folds_do_not_hang_on_the_seed():
    assert speaker_folds(ALL, 3, 0) == speaker_folds(ALL, 3, 99)


@pytest.mark.parametrize("corpus", ["ravdess", "crema-d", "savee", "tess"])
def test_every_speaker_is_tested_in_some_fold(corpus):
    tested = [speakers(ALL, speaker_folds(ALL, fold, 0), "test", corpus) for fold in FOLDS]
    assert set.union(*tested) == {c.speaker for c in ALL.clips if c.corpus == corpus}


def test_own_corpora_are_dealt_into_five_folds():
    manifest = make_manifest({("own", f"s{n}"): "" for n in range(12)})
    tests = [speakers(manifest, speaker_folds(manifest, fold, 7), "test") for fold in FOLDS]
    assert sorted(name for part in tests for name in part) == sorted(f"s{n}" for n in range(12))
    assert sorted(map(len, tests)) == [2, 2, 2, 3, 3]
    for fold, following in zip(FOLDS, [*tests[1:], tests[0]], strict=True):
        partition = speaker_folds(manifest, fold, 7)
        assert speakers(manifest, partition, "validation") == following
    assert speaker_folds(manifest, 1, 8) != speaker_folds(manifest, 1, 7)


@pytest.mark.parametrize(("count", "sizes"), [(2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_own_corpora_of_few_speakers(count, sizes):
    manifest = make_manifest({("own", f"s{n}"): "" for n in range(count)})
    for fold in FOLDS:
        partition = speaker_folds(manifest, fold, 0)
        assert tuple(len(speakers(manifest, partition, part)) for part in PARTS) == sizes


def test_a_single_speaker_beside_others_is_trained_on():
    manifest = together(SAVEE, make_manifest({("own", "me"): ""}))
    partition = speaker_folds(manifest, 1, 0)
    assert "me" in speakers(manifest, partition, "train", "own")


# --- speaker_disjoint


def test_shares_hold_within_each_corpus_and_sex():
    partition = speaker_disjoint(ALL, 0)
    for corpus in ("ravdess", "crema-d"):
        for sex in ("female", "male"):
            group = {c.speaker for c in ALL.clips if (c.corpus, c.sex) == (corpus, sex)}
            for part, share in zip(PARTS, (0.7, 0.15, 0.15), strict=True):
                held = group & speakers(ALL, partition, part, corpus)
                assert abs(len(held) - share * len(group)) <= 1, (corpus, sex, part)


def test_each_corpus_that_can_be_is_tested():
    for seed in range(5):
        partition = speaker_disjoint(ALL, seed)
        for corpus in ALL.corpora:
            assert speakers(ALL, partition, "test", corpus), corpus
        assert speakers(ALL, partition, "validation", "savee")


def test_seeds_choose_other_speakers():
    assert len({speaker_disjoint(ALL, seed).digest for seed in range(5)}) == 5


def test_partitions_are_the_same_on_every_machine():
    # Committed digests: a change here changes every partition that users named.
    small = make_manifest({("own", f"s{n}"): ("male", "female")[n % 2] for n in range(9)})
    assert {
        "disjoint": speaker_disjoint(small, 3).digest[:16],
        "folds": speaker_folds(small, 2, 3).digest[:16],
        "known": speaker_folds(ALL, 1, 0).digest[:16],
    } == {
        "disjoint": "1ad2fb841cd4e650",
        "folds": "7a87f59af98f24c6",
        "known": "48cd931d3975023c",
    }


def test_no_validation_when_its_share_is_nothing():
    partition = speaker_disjoint(ALL, 0, (0.8, 0.0, 0.2))
    assert partition.part("validation") == frozenset()


def test_shares_are_read_as_decimals():
    # 0.7 + 0.15 + 0.15 is not 1 in binary, and 20 * 0.15 is not 3.
    manifest = make_manifest({("own", f"s{n:02d}"): "" for n in range(20)})
    partition = speaker_disjoint(manifest, 0)
    assert [len(speakers(manifest, partition, part)) for part in PARTS] == [14, 3, 3]


@pytest.mark.parametrize(
    "shares",
    [(0.5, 0.5), (1, 0, 0), (0, 0.5, 0.5), (0.6, -0.1, 0.5), (0.5, 0.1, 0.1), (float("nan"),) * 3],
)
def test_shares_that_are_none(shares):
    with pytest.raises(PartitionError, match="share"):
        speaker_disjoint(ALL, 0, shares)


# --- any corpus


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    people = draw(
        st.dictionaries(
            st.tuples(
                st.sampled_from(["own", "calls", "x"]),
                st.text("abcé ", min_size=1).map("s{}e".format),
            ),
            st.sampled_from(["", "female", "male"]),
            min_size=2,
            max_size=14,
        ).filter(
            lambda found: max(sum(c == k for c, _ in found) for k in ("own", "calls", "x")) > 1
        )
    )
    manifest = make_manifest(people)
    # Only second clips: a speaker without a usable clip is in no part at all.
    faulted = draw(st.sets(st.integers(0, len(manifest.clips) - 1), max_size=3))
    return Manifest(
        manifest.root,
        tuple(
            replace(clip, fault="silent") if n in faulted and n % 2 else clip
            for n, clip in enumerate(manifest.clips)
        ),
    )


def by_protocol(manifest: Manifest, name: str, fold: int, seed: int) -> Partition:
    return PROTOCOLS[name](manifest, fold=fold if name == "speaker-folds" else 1, seed=seed)


any_protocol = st.sampled_from(sorted(PROTOCOLS))


@settings(deadline=None)
@given(manifests(), any_protocol, st.integers(1, 5), st.integers(0, 2**40))
def test_every_usable_clip_is_in_one_part_and_no_speaker_in_two(manifest, name, fold, seed):
    partition = by_protocol(manifest, name, fold, seed)
    held = [partition.part(part) for part in PARTS]
    assert sum(map(len, held)) == len(frozenset.union(*held))
    assert frozenset.union(*held) == {clip.key for clip in manifest.usable}
    people = [{c.speaker_key for c in partition.clips(manifest, part)} for part in PARTS]
    assert not people[0] & people[1]
    assert not people[0] & people[2]
    assert not people[1] & people[2]
    assert people[0]
    assert people[2]
    check_disjoint(manifest, partition)


@settings(deadline=None)
@given(manifests(), any_protocol, st.integers(1, 5), st.randoms())
def test_the_order_of_clips_does_not_matter(manifest, name, fold, rng: random.Random):
    clips: list[Clip] = list(manifest.clips)
    rng.shuffle(clips)
    shuffled = Manifest(manifest.root, tuple(clips))
    one, other = (by_protocol(found, name, fold, 5) for found in (manifest, shuffled))
    assert one == other
    assert one.to_csv() == other.to_csv()


@settings(deadline=None)
@given(manifests(), any_protocol)
def test_what_is_written_is_read_back(tmp_path_factory, manifest, name):
    partition = by_protocol(manifest, name, 1, 0)
    path = tmp_path_factory.mktemp("partition") / "partition.csv"
    partition.write(path)
    again = Partition.read(path)
    assert again == partition
    assert again.digest == partition.digest


def test_order_of_rows_does_not_matter():
    rows = [Row("a", "1", "", "test"), Row("a", "0", "", "train"), Row("Z", "9", "", "train")]
    one, other = Partition(tuple(rows)), Partition(tuple(rows[::-1]))
    assert one == other
    assert one.to_csv().splitlines()[1:] == ["Z,9,,train", "a,0,,train", "a,1,,test"]


# --- refusals


def test_one_speaker_proves_nothing():
    manifest = make_manifest({("own", "me"): ""})
    for name in PROTOCOLS:
        with pytest.raises(PartitionError, match=r"1 speakers .* leave nobody to test on"):
            by_protocol(manifest, name, 1, 0)


def test_nothing_usable():
    manifest = Manifest(Path("/data"), (make_clip(1, fault="silent"),))
    for name in PROTOCOLS:
        with pytest.raises(PartitionError, match="nothing to train on"):
            by_protocol(manifest, name, 1, 0)


@pytest.mark.parametrize("fold", [0, 6, -1])
def test_there_are_five_folds(fold):
    with pytest.raises(PartitionError, match=f"no fold {fold}; choose one from 1 to 5"):
        speaker_folds(ALL, fold, 0)


def test_speaker_disjoint_has_one():
    with pytest.raises(PartitionError, match="no fold 2; vary the seed"):
        PROTOCOLS["speaker-disjoint"](ALL, fold=2, seed=0)


@pytest.mark.parametrize(
    ("corpus", "speaker"), [("ravdess", "25"), ("crema-d", "x"), ("savee", "AB"), ("tess", "MAF")]
)
def test_a_known_corpus_has_no_other_speakers(corpus, speaker):
    with pytest.raises(PartitionError, match=f"{corpus} has no speaker '{speaker}'"):
        speaker_folds(make_manifest({(corpus, speaker): ""}), 1, 0)


def move(partition: Partition, number: int, part: str) -> Partition:
    rows = list(partition.rows)
    rows[number] = replace(rows[number], part=part)
    return Partition(tuple(rows))


def test_check_names_a_speaker_in_two_parts():
    partition = speaker_folds(RAVDESS, 1, 0)
    assert partition.rows[0].stem == "01_0"
    with pytest.raises(
        PartitionError, match=r"ravdess speaker 01 is in test \(01_0\) and in train"
    ):
        check_disjoint(RAVDESS, move(partition, 0, "test"))


def test_check_names_equal_audio_in_two_parts():
    partition = speaker_folds(RAVDESS, 1, 0)
    clips = list(RAVDESS.clips)
    clips[0] = replace(clips[0], audio_sha256=clips[2].audio_sha256)
    manifest = Manifest(RAVDESS.root, tuple(clips))
    with pytest.raises(PartitionError, match=r"ravdess 02_0 \(test\) and ravdess 01_0 \(train\)"):
        check_disjoint(manifest, partition)


def test_check_names_a_faulted_clip():
    partition = speaker_folds(RAVDESS, 1, 0)
    clips = (replace(RAVDESS.clips[0], fault="silent"), *RAVDESS.clips[1:])
    with pytest.raises(PartitionError, match="ravdess 01_0 has the fault silent"):
        check_disjoint(Manifest(RAVDESS.root, clips), partition)


def test_check_and_clips_name_a_missing_clip():
    partition = speaker_folds(RAVDESS, 1, 0)
    fewer = Manifest(RAVDESS.root, RAVDESS.clips[1:])
    with pytest.raises(PartitionError, match="ravdess 01_0 is in the partition but not"):
        check_disjoint(fewer, partition)
    with pytest.raises(PartitionError, match=r"1 clips of the part train .*ravdess 01_0"):
        partition.clips(fewer, "train")
    assert len(partition.clips(fewer, "test")) == 10


def test_parts_have_names():
    with pytest.raises(PartitionError, match="'dev' is no part; choose one of train, validation"):
        speaker_folds(RAVDESS, 1, 0).part("dev")
    with pytest.raises(PartitionError, match="'dev' is not one of"):
        Partition((Row("a", "b", "", "dev"),))
    with pytest.raises(PartitionError, match="a b stands in the partition twice"):
        Partition((Row("a", "b", "", "test"), Row("a", "b", "", "train")))


def test_clips_come_in_the_manifests_order():
    partition = speaker_folds(ALL, 1, 0)
    found = partition.clips(ALL, "train")
    assert found == [clip for clip in ALL.clips if clip.key in partition.part("train")]
