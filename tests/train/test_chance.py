"""Protocols that divide by chance: even, complete, and leaky as they are known to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import FOLDS, PARTS, augment_then_split, random_split

from .divided import EXAMPLES, manifests, things
from .field import ALL
from .recordings import make_manifest


@EXAMPLES
@given(manifests(), st.integers(2, 9), st.integers(0, 99), st.sampled_from([0, 1, 3]))
def test_every_fold_tests_an_equal_share_of_each_stratum_and_all_folds_everything_once(
    manifest, folds, seed, copies
):
    assume(len(manifest.usable) >= 2 * folds)
    tested: Counter[tuple[str, str, int]] = Counter()
    strata: dict[tuple[str, str], list[int]] = {}
    sizes = []
    for fold in range(1, folds + 1):
        if copies:
            partition = augment_then_split(manifest, fold, seed, copies, folds)
        else:
            partition = random_split(manifest, fold, seed, folds)
        held = partition.copies(manifest, "test")
        tested.update((*clip.key, copy) for clip, copy in held)
        sizes.append(len(held))
        here = Counter((clip.corpus, clip.emotion) for clip, _ in held)
        for stratum in {(clip.corpus, clip.emotion) for clip in manifest.usable}:
            strata.setdefault(stratum, []).append(here[stratum])
        rest = sum(row.part != "test" for row in partition.rows)
        validating = sum(row.part == "validation" for row in partition.rows)
        assert validating == max(rest // 8, int(rest > 1))
    wanted = {(*c.key, copy) for c in manifest.usable for copy in range(copies + 1)}
    assert tested == dict.fromkeys(wanted, 1)
    assert all(max(counts) - min(counts) <= 1 for counts in [sizes, *strata.values()])


def test_equal_audio_stays_together():
    manifest = make_manifest({("own", f"s{n}"): "" for n in range(20)})
    twins = tuple(
        replace(clip, audio_sha256=f"{number // 4:064x}")
        for number, clip in enumerate(manifest.clips)
    )
    manifest = Manifest(manifest.root, twins)
    for fold in FOLDS:
        partition = random_split(manifest, fold, 0)
        for one, other in combinations(PARTS, 2):
            shared = things(manifest, partition, one, "duplicate") & things(
                manifest, partition, other, "duplicate"
            )
            assert not shared


def test_they_leak_as_they_are_known_to():
    partition = random_split(ALL, 1, 0)
    assert things(ALL, partition, "train", "speaker") & things(ALL, partition, "test", "speaker")
    split = augment_then_split(ALL, 1, 0, 2)
    assert things(ALL, split, "train", "sibling") & things(ALL, split, "test", "sibling")


@pytest.mark.parametrize(("fold", "folds"), [(6, 5), (0, 5), (1, 1), (11, 10)])
def test_folds_by_chance_that_are_none(fold, folds):
    with pytest.raises(PartitionError, match=f"no fold {fold} of {folds}"):
        random_split(ALL, fold, 0, folds)


def test_without_copies_nothing_is_augmented_before_the_split():
    with pytest.raises(PartitionError, match=r"set augmentation\.waveform\.copies"):
        augment_then_split(ALL, 1, 0, 0)
