"""The audit of leaks: planted ones of every kind are found, clean partitions pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.leaks import EXAMPLES as SHOWN
from ser_edge_train.leaks import (
    KINDS,
    Leak,
    audit,
    broken_promises,
    find_leaks,
    forbidden,
)
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import PARTS, PROTOCOLS, Partition, Row

from .divided import EXAMPLES, any_protocol, by_protocol, manifests, things
from .recordings import make_clip


def clip(name: str, **changes: object) -> Clip:
    """A clip of its own audio; ``speaker`` says who."""
    number = int.from_bytes(name.encode(), "big")
    return make_clip(0, **{"stem": name, "audio_sha256": f"{number:064x}", **changes})


def corpus() -> list[Clip]:
    """Six speakers who each say two sentences of their own."""
    return [
        clip(f"{speaker}{take}", speaker=speaker, sentence=f"{speaker}-{take}")
        for speaker in "abcdef"
        for take in range(2)
    ]


PART_OF = {"a": "train", "b": "train", "c": "train", "d": "validation", "e": "test", "f": "test"}


def divided(clips: list[Clip], **moved: str) -> tuple[Manifest, Partition]:
    """The clean division by speaker, but for clips that are put elsewhere."""
    manifest = Manifest(Path("/data"), tuple(clips))
    rows = (
        Row(*c.key, c.audio_sha256, moved.get(c.stem, PART_OF[c.speaker])) for c in manifest.clips
    )
    return manifest, Partition(tuple(rows))


def only(leaks: tuple[Leak, ...]) -> Leak:
    (leak,) = leaks
    return leak


def test_a_clean_division_has_no_leak():
    found = audit(*divided(corpus()))
    assert found.leaks == ()
    assert found.rows == {"train": 6, "validation": 2, "test": 4}
    assert found.speakers == {"train": 3, "validation": 1, "test": 2}
    assert (found.missing, found.unnamed, found.unspoken, found.changed) == ((), 0, 0, ())
    assert found.faulted == {}


# --- the four kinds, planted


def test_a_planted_speaker_is_found():
    leak = only(find_leaks(*divided(corpus(), b1="test")))
    assert leak == Leak(
        "speaker", ("train", "test"), 1, ("own b",), "1 speaker in both train and test"
    )


def test_planted_equal_audio_is_found_under_another_stem():
    clips = corpus()
    clips[-1] = replace(clips[-1], audio_sha256=clips[0].audio_sha256)
    leak = only(find_leaks(*divided(clips)))
    assert leak == Leak(
        "duplicate",
        ("train", "test"),
        1,
        ("own a0 and f1",),
        "1 recording under two names in both train and test",
    )


def test_planted_equal_audio_is_found_in_another_corpus():
    clips = corpus()
    clips.append(replace(clips[0], corpus="copied", stem="z", speaker="e", sentence="other"))
    leak = only(find_leaks(*divided(clips)))
    assert (leak.kind, leak.examples) == ("duplicate", ("own a0 and copied z",))


def test_a_faulted_duplicate_in_a_partition_of_others_is_found():
    clips = corpus()
    clips[-1] = replace(clips[-1], audio_sha256=clips[0].audio_sha256, fault="duplicate")
    found = audit(*divided(clips))
    assert only(found.leaks).kind == "duplicate"
    assert found.faulted == {"duplicate": 1}


def test_a_planted_copy_is_found():
    manifest, partition = divided(corpus())
    sibling = Row("own", "a0", partition.rows[0].audio_sha256, "test", 2)
    leaks = find_leaks(manifest, Partition((*partition.rows, sibling)))
    assert [leak.kind for leak in leaks] == ["speaker", "sibling", "sentence"]
    assert leaks[1] == Leak(
        "sibling",
        ("train", "test"),
        1,
        ("own a0 and a0 copy 2",),
        "1 recording with its augmented copies in both train and test",
    )


def test_a_planted_sentence_is_found():
    clips = corpus()
    clips[-1] = replace(clips[-1], sentence="a-1")
    leak = only(find_leaks(*divided(clips)))
    assert leak == Leak(
        "sentence", ("train", "test"), 1, ("own a-1",), "1 sentence in both train and test"
    )


def test_all_kinds_at_once_between_all_parts():
    clips = corpus()
    clips[0] = replace(clips[0], audio_sha256=clips[6].audio_sha256, sentence="d-0")
    clips[8] = replace(clips[8], audio_sha256=clips[6].audio_sha256, sentence="d-0")
    leaks = find_leaks(*divided(clips, a1="validation", d1="test", e1="train"))
    found = {(leak.kind, leak.parts) for leak in leaks}
    pairs = list(combinations(PARTS, 2))
    assert found == {
        (kind, pair) for kind in ("speaker", "duplicate", "sentence") for pair in pairs
    }


# --- siblings by name


@pytest.mark.parametrize(
    "stem",
    ["a0_noise", "a0-pitch2", "a0_aug3", "a0 (copy)", "a0.stretch_0.8", "a0_noise_pitch",
     "a0_Noisy", "a0_shift-1", "a0(reverb)", "a0_speed1.1"],
)  # fmt: skip
def test_augmented_files_are_known_by_their_names(stem):
    clips = [*corpus(), clip(stem, speaker="e", sentence="another")]
    leak = only(find_leaks(*divided(clips)))
    assert (leak.kind, leak.count) == ("sibling", 1)
    assert set(leak.examples[0].split(" and ", 1)) == {"own a0", stem}


@pytest.mark.parametrize(
    "stem", ["a0x", "a00", "a0_happy", "a0_noisemaker", "a0noise", "z_noise", "a0_fast", "noise"]
)
def test_other_names_are_other_recordings(stem):
    clips = [*corpus(), clip(stem, speaker="e", sentence="another")]
    assert find_leaks(*divided(clips)) == ()


def test_an_augmented_file_that_was_not_scanned_is_traced_to_its_recording():
    manifest, partition = divided(corpus())
    rows = (*partition.rows, Row("own", "a0_noise", "", "test"))
    found = audit(manifest, Partition(rows))
    assert [leak.kind for leak in found.leaks] == ["speaker", "sibling", "sentence"]
    assert found.missing == ()


def test_copies_of_copies_are_siblings():
    clips = [*corpus(), clip("a0_noise", speaker="a"), clip("a0_noise_pitch", speaker="e")]
    leak = next(one for one in find_leaks(*divided(clips)) if one.kind == "sibling")
    assert leak.count == 1


# --- what is no leak


def test_copies_in_one_part_are_no_leak():
    manifest, partition = divided(corpus())
    copies = tuple(
        replace(row, copy=number) for row in partition.rows if row.part == "train"
        for number in (1, 2)
    )  # fmt: skip
    assert find_leaks(manifest, Partition((*partition.rows, *copies))) == ()


def test_copies_across_parts_are_siblings_and_no_duplicates():
    manifest, partition = divided(corpus())
    copy = replace(partition.rows[0], part="test", copy=1)
    leaks = find_leaks(manifest, Partition((*partition.rows, copy)))
    assert "duplicate" not in {leak.kind for leak in leaks}


def test_duplicates_of_one_part_are_no_leak():
    clips = corpus()
    clips[1] = replace(clips[1], audio_sha256=clips[0].audio_sha256)
    assert find_leaks(*divided(clips)) == ()


def test_nobody_is_not_one_speaker_nor_nothing_one_sentence():
    clips = [replace(c, speaker=f"unknown:{c.stem}", sentence="") for c in corpus()]
    manifest = Manifest(Path("/data"), tuple(clips))
    found = audit(manifest, Partition.of(clips, lambda c: PARTS[int(c.stem[1])]))
    assert found.leaks == ()
    assert found.unnamed == found.unspoken == 12
    assert set(found.speakers.values()) == {0}


def test_the_same_name_in_two_corpora_is_two_speakers_and_two_sentences():
    clips = [clip("1", corpus="x", sentence="01"), clip("2", corpus="y", sentence="01")]
    manifest = Manifest(Path("/data"), tuple(clips))
    partition = Partition.of(clips, lambda c: "train" if c.corpus == "x" else "test")
    assert find_leaks(manifest, partition) == ()


# --- partitions of other tools


def test_a_partition_without_digests_is_looked_up():
    clips = corpus()
    clips[-1] = replace(clips[-1], audio_sha256=clips[0].audio_sha256)
    manifest, partition = divided(clips)
    bare = Partition(tuple(replace(row, audio_sha256="") for row in partition.rows))
    assert find_leaks(manifest, bare) == find_leaks(manifest, partition)
    assert audit(manifest, bare).changed == ()


def test_digests_of_clips_that_were_not_scanned_are_compared():
    manifest, partition = divided(corpus())
    twin = Row("elsewhere", "z9", partition.rows[0].audio_sha256, "test")
    found = audit(manifest, Partition((*partition.rows, twin)))
    assert only(found.leaks).kind == "duplicate"
    assert found.missing == ("elsewhere z9",)


def test_other_audio_than_the_partition_says_is_named():
    manifest, partition = divided(corpus())
    rows = (replace(partition.rows[0], audio_sha256="f" * 64), *partition.rows[1:])
    found = audit(manifest, Partition(rows))
    assert found.leaks == ()
    assert found.changed == ("own a0",)


def test_examples_are_the_first_few():
    clips = [clip(f"s{n:02d}_{take}", speaker=f"s{n:02d}") for n in range(20) for take in range(2)]
    manifest = Manifest(Path("/data"), tuple(clips))
    leak = only(
        find_leaks(manifest, Partition.of(clips, lambda c: PARTS[2 * int(c.stem.endswith("1"))]))
    )
    assert leak.count == 20
    assert leak.examples == tuple(f"own s{n:02d}" for n in range(SHOWN))
    assert leak.text == "20 speakers in both train and test"


# --- which of them are faults


def kinds(leaks: tuple[Leak, ...]) -> set[str]:
    return {leak.kind for leak in leaks}


ONE_OF_EACH = tuple(Leak(kind, ("train", "test"), 1, ("x",), kind) for kind in KINDS)


def test_sentences_are_faults_only_where_they_are_promised_to_differ():
    assert kinds(forbidden(ONE_OF_EACH)) == {"speaker", "duplicate", "sibling"}
    assert kinds(forbidden(ONE_OF_EACH, "random")) == {"speaker", "duplicate", "sibling"}
    assert kinds(forbidden(ONE_OF_EACH, "sentence-disjoint")) == set(KINDS)


def test_a_protocol_breaks_only_its_own_promises():
    assert kinds(broken_promises(ONE_OF_EACH, "speaker-folds")) == {
        "speaker", "duplicate", "sibling",
    }  # fmt: skip
    assert kinds(broken_promises(ONE_OF_EACH, "random")) == {"duplicate", "sibling"}
    assert kinds(broken_promises(ONE_OF_EACH, "augment-then-split")) == set()
    assert kinds(broken_promises(ONE_OF_EACH, "given")) == {"speaker", "duplicate", "sibling"}


# --- against a count by hand, on any manifest and protocol


@EXAMPLES
@given(manifests(), any_protocol, st.integers(1, 5))
def test_the_counts_are_those_of_plain_sets(manifest, name, fold):
    partition = by_protocol(manifest, name, fold)
    found = Counter(
        {(leak.kind, leak.parts): leak.count for leak in find_leaks(manifest, partition)}
    )
    assert not broken_promises(find_leaks(manifest, partition), name)
    for kind in ("speaker", "sibling", "sentence"):
        for pair in combinations(PARTS, 2):
            one, other = (things(manifest, partition, part, kind) for part in pair)
            assert found[kind, pair] == len((one & other) - {None}), (kind, pair)


@EXAMPLES
@given(
    manifests(), st.sampled_from([n for n, one in PROTOCOLS.items() if not one.leaky]), st.data()
)
def test_one_speaker_moved_into_another_part_is_found_at_once(manifest, name, data):
    partition = by_protocol(manifest, name)
    crowd = Counter(manifest.by_key[row.key].speaker_key for row in partition.rows)
    several = [r for r in partition.rows if crowd[manifest.by_key[r.key].speaker_key] > 1]
    if not several:
        return
    row = data.draw(st.sampled_from(several))
    part = data.draw(st.sampled_from([part for part in PARTS if part != row.part]))
    moved = Partition(tuple(replace(r, part=part) if r == row else r for r in partition.rows))
    leaks = [leak for leak in find_leaks(manifest, moved) if leak.kind == "speaker"]
    assert [leak.count for leak in leaks] == [1]
    assert leaks[0].examples == (" ".join(manifest.by_key[row.key].speaker_key),)
