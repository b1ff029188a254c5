"""The choice of calibration clips: training speakers only, evenly, the same for the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_convert.calibration import choose
from ser_edge_convert.errors import CalibrationError
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition

EMOTIONS = ("angry", "calm", "happy", "neutral", "sad")
CORPORA = {"large": 10, "small": 2}
TRAINED = 0.6


def clip(corpus: str, speaker: int, emotion: str, take: int, fault: str = "") -> Clip:
    stem = f"{speaker:02d}-{emotion}-{take}"
    digest = hashlib.sha256(f"{corpus} {stem}".encode()).hexdigest()
    return Clip(
        corpus, stem, f"{corpus}/{stem}.wav", f"{speaker:02d}", "", emotion, "", "", str(take),
        2.0, digest, fault,
    )  # fmt: skip


def manifest(takes: int = 4, **faults: str) -> Manifest:
    return Manifest(
        Path("recordings"),
        tuple(
            clip(corpus, speaker, emotion, take, faults.get(emotion, ""))
            for corpus, speakers in CORPORA.items()
            for speaker, emotion, take in product(range(speakers), EMOTIONS, range(takes))
        ),
    )


def partition(clips: Manifest) -> Partition:
    def part(clip: Clip) -> str:
        share = int(clip.speaker) / CORPORA[clip.corpus]
        return "train" if share < TRAINED else "validation" if share < 0.8 else "test"

    return Partition.of(clips.usable, part)


CLIPS = manifest()
PARTS = partition(CLIPS)


@given(size=st.integers(1, 250), seed=st.integers(0, 1000))
def test_only_training_clips_and_none_twice(size, seed):
    chosen = choose(CLIPS, PARTS, size, seed)
    keys = [clip.key for clip in chosen.clips]
    assert len(set(keys)) == len(keys) == min(size, len(PARTS.part("train")))
    assert set(keys) <= PARTS.part("train")
    assert chosen.whole == (set(keys) == PARTS.part("train"))


@given(size=st.integers(1, 250), seed=st.integers(0, 1000))
def test_classes_are_within_one_of_each_other(size, seed):
    counts = Counter(choose(CLIPS, PARTS, size, seed).classes)
    assert max(counts.values()) - min(counts.get(emotion, 0) for emotion in EMOTIONS) <= 1


@given(size=st.integers(1, 40), seed=st.integers(0, 1000))
def test_corpora_and_their_speakers_take_turns(size, seed):
    # 40 clips are 8 a class and 4 a corpus: of the large one's six training speakers, four.
    chosen = choose(CLIPS, PARTS, size, seed).clips
    for emotion in EMOTIONS:
        of_class = [clip for clip in chosen if clip.emotion == emotion]
        corpora = Counter(clip.corpus for clip in of_class)
        assert abs(corpora["large"] - corpora["small"]) <= 1
        speakers = Counter(clip.speaker for clip in of_class if clip.corpus == "large")
        assert max(speakers.values(), default=0) <= 1, "six speakers, so none needs to stand twice"


def test_another_seed_chooses_others_and_the_same_seed_the_same():
    one, again, other = (choose(CLIPS, PARTS, 30, seed) for seed in (1, 1, 2))
    assert one == again
    assert one.digest == again.digest
    assert one.digest != other.digest
    assert set(one.clips) != set(other.clips)


def test_the_choice_does_not_hang_on_where_or_how_the_manifest_was_written():
    turned = Manifest(Path("elsewhere"), tuple(reversed(CLIPS.clips)))
    assert choose(turned, PARTS, 30, 1).digest == choose(CLIPS, PARTS, 30, 1).digest


def test_a_larger_choice_begins_with_the_smaller():
    small, large = choose(CLIPS, PARTS, 20, 4), choose(CLIPS, PARTS, 60, 4)
    assert large.clips[:20] == small.clips


def test_faulty_clips_are_left_out():
    faulty = manifest(angry="silent")
    chosen = choose(faulty, PARTS, 100, 0)
    assert {"angry"}.isdisjoint(chosen.classes)


def test_merged_emotions_count_as_one_class():
    chosen = choose(CLIPS, PARTS, 40, 0, merge={"calm": "neutral"})
    assert Counter(chosen.classes) == {"angry": 10, "happy": 10, "neutral": 10, "sad": 10}
    assert {clip.emotion for clip in chosen.clips} >= {"calm", "neutral"}


def test_only_the_labels_of_the_network_are_chosen_from():
    chosen = choose(CLIPS, PARTS, 40, 0, labels=("angry", "sad"))
    assert Counter(chosen.classes) == {"angry": 20, "sad": 20}


def test_the_summary_tells_what_a_model_file_keeps():
    chosen = choose(CLIPS, PARTS, 10, 9)
    assert chosen.summary() == {
        "digest": chosen.digest,
        "seed": 9,
        "size": 10,
        "classes": dict.fromkeys(EMOTIONS, 2),
        "speakers": len({clip.speaker_key for clip in chosen.clips}),
    }
    assert [clip["audio_sha256"] for clip in chosen.listing()] == [
        clip.audio_sha256 for clip in chosen.clips
    ]


def test_the_digest_follows_audio_and_order():
    chosen = choose(CLIPS, PARTS, 3, 0)
    text = "".join(f"{c.corpus},{c.stem},{c.audio_sha256}\n" for c in chosen.clips)
    assert chosen.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("size", [0, -1])
def test_no_clips_are_no_calibration(size):
    with pytest.raises(CalibrationError, match=f"on {size} clips is none"):
        choose(CLIPS, PARTS, size)


def test_an_empty_training_part_is_named():
    rows = tuple(row for row in PARTS.rows if row.part != "train")
    with pytest.raises(CalibrationError, match="no clip of the training part"):
        choose(CLIPS, Partition(rows), 10)
