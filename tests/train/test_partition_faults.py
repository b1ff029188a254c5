"""Divisions that cannot be or are not clean, and runs that cannot be pooled, said exactly."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import (
    PARTS,
    PROTOCOLS,
    Partition,
    check_disjoint,
    speaker_disjoint,
)
from ser_edge_train.plan import make_plan
from ser_edge_train.pooling import PoolError, pool
from ser_edge_train.recipes import RecipeError, recipe_from_dict
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.training import clean_recipe, train

from .fold_runs import fold_run, speakers_of
from .recordings import make_manifest
from .toys import toy_recipe

PART_OF = {"anna": "train", "ben": "validation", "cleo": "test"}
MIXED = make_manifest(
    {(corpus, speaker): "" for corpus in ("calls", "own") for speaker in PART_OF}, clips_each=2
)
PEOPLE = make_manifest({("own", f"s{n:02d}"): ("male", "female")[n % 2] for n in range(20)})


# --- equal audio ----------------------------------------------------------------------------

places = st.integers(0, len(MIXED.clips) - 1)


@given(places, places)
def test_two_clips_of_equal_audio_are_named_with_their_parts_unless_they_share_one(one, other):
    clips = list(MIXED.clips)
    clips[one] = replace(clips[one], audio_sha256=clips[other].audio_sha256)
    manifest = Manifest(MIXED.root, tuple(clips))
    partition = Partition.of(MIXED.clips, lambda clip: PART_OF[clip.speaker])
    first, second = (clips[place] for place in sorted((one, other)))
    if first.speaker == second.speaker:
        check_disjoint(manifest, partition)
        return
    with pytest.raises(PartitionError) as caught:
        check_disjoint(manifest, partition)
    assert str(caught.value) == (
        f"{second.corpus} {second.stem} ({PART_OF[second.speaker]}) and "
        f"{first.corpus} {first.stem} ({PART_OF[first.speaker]}) are equal audio"
    )


# --- shares ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.149), (0.7, 0.15, 0.151), (0.334, 0.333, 0.334)])
def test_shares_that_were_rounded_to_three_places_are_taken(shares):
    partition = speaker_disjoint(PEOPLE, 0, shares)
    assert {row.part for row in partition.rows} == set(PARTS)


@pytest.mark.parametrize(
    ("shares", "shown"),
    [
        ((0.7, 0.15, 0.1489), "(0.7, 0.15, 0.1489)"),
        ((0.7, 0.15, 0.1511), "(0.7, 0.15, 0.1511)"),
        ([0.5, 0.25, 0.5], "(0.5, 0.25, 0.5)"),
        ((70, 15, 15), "(70, 15, 15)"),
        ((1e-9, 0, 1e-9), "(1e-09, 0, 1e-09)"),
    ],
)
def test_shares_that_are_not_a_whole_are_shown(shares, shown):
    with pytest.raises(PartitionError) as caught:
        speaker_disjoint(PEOPLE, 0, shares)
    assert str(caught.value) == f"the shares {shown} do not add up to 1"


@settings(max_examples=80)
@given(st.lists(st.integers(1, 9999), min_size=3, max_size=3))
def test_any_shares_divide_the_speakers_or_are_shown(numbers):
    shares = tuple(number / 10_000 for number in numbers)
    if abs(sum(numbers) - 10_000) <= 10:
        counted = speaker_disjoint(PEOPLE, 1, shares)
        assert len(counted.rows) == len(PEOPLE.clips)
        return
    assert abs(sum(map(Fraction, map(str, shares))) - 1) > Fraction(1, 1000)
    with pytest.raises(PartitionError) as caught:
        speaker_disjoint(PEOPLE, 1, shares)
    assert str(caught.value) == f"the shares {shares!r} do not add up to 1"


# --- folds ----------------------------------------------------------------------------------

ONE_FOLD = {
    "speaker-disjoint": ({}, "vary the seed instead"),
    "cross-corpus": ({"test_corpora": ("own",)}, "name other test_corpora instead"),
}


@pytest.mark.parametrize("fold", [-1, 0, 2, 6])
@pytest.mark.parametrize("name", ONE_FOLD)
def test_a_protocol_of_one_division_says_what_varies_it(name, fold):
    options, instead = ONE_FOLD[name]
    with pytest.raises(PartitionError) as caught:
        PROTOCOLS[name](MIXED, fold=fold, seed=3, **options)
    assert str(caught.value) == f"{name} has no fold {fold}; {instead}"
    one = PROTOCOLS[name](MIXED, fold=1, seed=3, **options)
    assert PROTOCOLS[name](MIXED, seed=3, **options) == one


# --- the clean figure beside a leaky one ----------------------------------------------------

ALONE = make_manifest({("own", "me"): ""}, clips_each=40)
STRANGER = make_manifest({("savee", "DC"): "male", ("savee", "XX"): "male"}, clips_each=40)


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (ALONE, "1 speakers with usable clips leave nobody to test on; add recordings of others"),
        (STRANGER, "savee has no speaker 'XX'"),
    ],
    ids=["of one speaker", "of an unknown one"],
)
def test_recordings_that_give_no_clean_figure_say_how_to_do_without(tmp_path, manifest, fault):
    recipe = toy_recipe(protocol={"name": "random"})
    make_plan(recipe, manifest)  # the leaky figure could be had
    with pytest.raises(PartitionError) as alone:
        make_plan(clean_recipe(recipe), manifest)
    assert str(alone.value).startswith(fault)
    with pytest.raises(PartitionError) as caught:
        train(recipe, manifest, tmp_path / "run", store_root=tmp_path / "store")
    assert type(caught.value) is PartitionError
    assert str(caught.value) == (
        f"the clean figure beside a leaky one: {alone.value}; or do without it: --no-clean"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("protocol", "instead"),
    [
        ({"name": "speaker-disjoint"}, "vary the seed"),
        ({"name": "cross-corpus", "test_corpora": ["own"]}, "name other test_corpora"),
        ({"name": "given"}, "give another partition"),
    ],
)
def test_a_recipe_of_one_division_says_what_varies_it(protocol, instead):
    with pytest.raises(RecipeError) as caught:
        toy_recipe(protocol={**protocol, "fold": 2})
    assert f"fold: there is one division, no fold 2; {instead}; " in str(caught.value)
    assert toy_recipe(protocol={**protocol, "fold": 1}).protocol.fold == 1


# --- runs that do not belong together -------------------------------------------------------


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run of fold 1 and seed 1."""
    return fold_run(tmp_path_factory.mktemp("pool") / "first", 1)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A run of fold 2 and seed 1."""
    return fold_run(tmp_path_factory.mktemp("pool") / "second", 2, tested=speakers_of(2))


def copied(run: RunDirectory, path: Path, **changes: object) -> RunDirectory:
    """A copy whose recipe says other things."""
    shutil.copytree(run.path, path)
    copy = RunDirectory(path)
    values = run.read_recipe().model_dump(mode="json", exclude_none=True)
    protocol = {**values["protocol"], **changes.pop("protocol", {})}
    recipe = recipe_from_dict({**values, **changes, "protocol": protocol}, "copy")
    copy.recipe.write_text(recipe.to_toml(), encoding="utf-8")
    return copy


def refused(*runs: RunDirectory) -> str:
    before = {path: path.read_bytes() for run in runs for path in run.path.iterdir() if
              path.is_file()}  # fmt: skip
    with pytest.raises(PoolError) as caught:
        pool(run.path for run in runs)
    after = {path: path.read_bytes() for run in runs for path in run.path.iterdir() if
             path.is_file()}  # fmt: skip
    assert after == before
    return str(caught.value)


@pytest.mark.parametrize("turned", [False, True])
def test_a_partition_seed_beside_none_is_a_further_repetition(first, tmp_path, turned):
    """The recipe's own seed and one of the partition's: both test the same clips."""
    other = copied(first, tmp_path / "other", protocol={"seed": 8})
    runs = [other, first] if turned else [first, other]
    pooled = pool(run.path for run in runs)
    assert pooled["answers"] == 2 * pooled["clips"]
    assert len(pooled["runs"]) == 2


def test_a_run_of_other_recordings_is_named_beside_the_first(first, second, tmp_path):
    other = copied(second, tmp_path / "other")
    report = json.loads(other.report_json.read_text())
    report["digests"]["manifest"] = "0" * 64
    other.report_json.write_text(json.dumps(report))
    assert refused(first, other) == (
        f"{other.path}: was made from other recordings than {first.path}; "
        "train both on one manifest"
    )
    assert pool([first.path, second.path])["protocol"]["folds"] == [1, 2]


def test_a_fold_named_twice_is_told_with_both_folders(first, tmp_path):
    again = copied(first, tmp_path / "again")
    assert refused(first, again) == (
        f"{again.path}: is fold 1 of seed 1, as {first.path}; name each fold of a seed once"
    )
    other = copied(first, tmp_path / "other", seed=4)
    assert pool([first.path, other.path])["protocol"]["seeds"] == [1, 4]


def test_a_clip_tested_by_two_folds_of_a_seed_is_told_with_both_folders(first, tmp_path):
    again = copied(first, tmp_path / "again", protocol={"fold": 2})
    assert refused(first, again) == (
        f"{again.path}: tests crema-d 1001_angry_0, as {first.path} does, with the same seed 1; "
        "pool folds of one partition"
    )
    # Another seed of the protocol alone tells them apart as well.
    one, other = (copied(first, tmp_path / str(n), protocol={"seed": n}) for n in (7, 8))
    assert pool([one.path, other.path])["answers"] == 2 * pool([first.path])["answers"]
