"""Partitions: the file, speaker_disjoint, refusals, the short proof of cleanness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import (
    PARTS,
    PROTOCOLS,
    Partition,
    Row,
    check_disjoint,
    speaker_disjoint,
    speaker_folds,
)

from .field import ALL, RAVDESS, speakers
from .recordings import make_clip, make_manifest

# --- the file


def test_order_of_rows_does_not_matter():
    rows = [Row("a", "1", "", "test"), Row("a", "0", "", "train"), Row("Z", "9", "", "train")]
    one, other = Partition(tuple(rows)), Partition(tuple(rows[::-1]))
    assert one == other
    assert one.to_csv().splitlines()[1:] == ["Z,9,,train", "a,0,,train", "a,1,,test"]


COPIED = Partition(
    (
        Row("a", "1", "", "train", 2),
        Row("a", "1", "", "test"),
        Row("a", "0", "", "train"),
        Row("a", "1", "", "train", 1),
        Row("a", "0", "", "train", 10),
    )
)


def test_a_column_for_copies_stands_there_only_if_there_are_some():
    assert COPIED.to_csv().splitlines() == [
        "corpus,stem,audio_sha256,part,copy",
        "a,0,,train,0",
        "a,0,,train,10",
        "a,1,,test,0",
        "a,1,,train,1",
        "a,1,,train,2",
    ]
    alone = Partition(tuple(row for row in COPIED.rows if not row.copy))
    assert alone.to_csv().startswith("corpus,stem,audio_sha256,part\na,0,,train\n")
    assert COPIED.has_copies
    assert not alone.has_copies


def test_recordings_are_told_from_their_copies():
    clips = [make_clip(n, corpus="a", stem=str(n)) for n in range(2)]
    manifest = Manifest(Path("/data"), tuple(clips))
    assert COPIED.part("train") == {("a", "0")}
    assert COPIED.clips(manifest, "train") == clips[:1]
    assert COPIED.clips(manifest, "test") == clips[1:]
    zero, one = clips
    assert COPIED.copies(manifest, "train") == [(zero, 0), (zero, 10), (one, 1), (one, 2)]
    assert COPIED.copies(manifest, "validation") == []


def test_a_copy_without_its_recording_in_the_data_is_missing():
    manifest = Manifest(Path("/data"), (make_clip(0, corpus="a", stem="0"),))
    with pytest.raises(PartitionError, match=r"1 clips of the part train .*first: a 1\)"):
        COPIED.copies(manifest, "train")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("corpus,stem,part\na,b,test\n", [Row("a", "b", "", "test")]),
        ("part,stem,corpus\ntest,b,a\n", [Row("a", "b", "", "test")]),
        ("\ufeffcorpus,stem,part\r\na,b,test\r\n", [Row("a", "b", "", "test")]),
        ("copy,corpus,stem,part\n3,a,b,test\n", [Row("a", "b", "", "test", 3)]),
        (
            f"corpus,stem,audio_sha256,part\na,b,,test\na,c,{1:064x},train\n",
            [Row("a", "b", "", "test"), Row("a", "c", f"{1:064x}", "train")],
        ),
    ],
)
def test_partitions_of_other_tools_are_read(tmp_path, text, rows):
    (tmp_path / "split.csv").write_text(text, newline="")
    assert Partition.read(tmp_path / "split.csv") == Partition(tuple(rows))


def test_copies_have_numbers():
    with pytest.raises(PartitionError, match="a b: there is no copy -1"):
        Partition((Row("a", "b", "", "test", -1),))
    with pytest.raises(PartitionError, match="a b copy 1 stands in the partition twice"):
        Partition((Row("a", "b", "", "test", 1), Row("a", "b", "", "train", 1)))


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


# --- refusals


@pytest.mark.parametrize("name", ["speaker-disjoint", "speaker-folds"])
def test_one_speaker_proves_nothing(name):
    manifest = make_manifest({("own", "me"): ""})
    with pytest.raises(PartitionError, match=r"1 speakers .* leave nobody to test on"):
        PROTOCOLS[name](manifest)


OPTIONS = {"cross-corpus": {"test_corpora": ()}, "augment-then-split": {"copies": 1}}


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_nothing_usable(name):
    manifest = Manifest(Path("/data"), (make_clip(1, fault="silent"),))
    with pytest.raises(PartitionError, match="nothing to train on"):
        PROTOCOLS[name](manifest, **OPTIONS.get(name, {}))


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
