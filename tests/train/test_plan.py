"""What a training is made of: which clips, by sex, protocol or a given partition, and no leak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge_train.errors import PartitionError
from ser_edge_train.leaks import find_leaks
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import PARTS, PROTOCOLS, Partition, Row
from ser_edge_train.plan import LeakyPartition, NothingToTrain, make_plan
from ser_edge_train.recipes import Recipe, RecipeError
from ser_edge_train.recipes.protocol import PROTOCOL_NAMES

from .recordings import make_clip
from .toys import toy_recipe

EMOTIONS = ("angry", "happy", "sad")
COPIES = {"augmentation__waveform": {"copies": 2, "noise": {}}}


def manifest(speakers: str = "abcdefgh", **changes: object) -> Manifest:
    """Two corpora; every other speaker is a woman; each says two sentences in each emotion."""
    clips = []
    for corpus in ("one", "two"):
        for place, speaker in enumerate(speakers):
            for emotion in EMOTIONS:
                for sentence in ("x", "y", "z"):
                    clips.append(
                        make_clip(
                            len(clips),
                            corpus=corpus,
                            stem=f"{speaker}-{emotion}-{sentence}",
                            speaker=speaker,
                            sex=("female", "male")[place % 2],
                            emotion=emotion,
                            sentence=sentence,
                            **changes,
                        )
                    )
    return Manifest(Path("/data"), tuple(clips))


MANIFEST = manifest()


def recipe(protocol: str = "speaker-folds", **changes: object) -> Recipe:
    options = {key: value for key, value in changes.items() if key.startswith("protocol__")}
    others = {key: value for key, value in changes.items() if key not in options}
    return toy_recipe(protocol={"name": protocol}, **options, **others)


def by_speaker(**moved: str) -> Partition:
    """a to f train, g validates, h is tested; clips may be put elsewhere by their stem."""
    parts = {"g": "validation", "h": "test"}
    return Partition.of(
        MANIFEST.usable,
        lambda c: moved.get(c.stem.replace("-", "_"), parts.get(c.speaker, "train")),
    )


# --- protocols, from a recipe's table to its partition


def test_every_protocol_can_stand_in_a_recipe():
    assert set(PROTOCOL_NAMES) == {*PROTOCOLS, "given"}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("speaker-disjoint", {}),
        ("speaker-folds", {"protocol__fold": 5}),
        ("leave-one-speaker-out", {"protocol__fold": 16}),
        ("leave-one-speaker-out", {"protocol__fold": 8, "protocol__corpus": "two"}),
        ("sentence-disjoint", {"protocol__fold": 2}),
        ("cross-corpus", {"protocol__test_corpora": ["two"]}),
        ("random", {"protocol__folds": 10, "protocol__fold": 10}),
        ("augment-then-split", COPIES),
    ],
)
def test_the_table_reaches_the_protocol(name, changes):
    chosen = recipe(name, **changes)
    plan = make_plan(chosen, MANIFEST)
    options = {k.removeprefix("protocol__"): v for k, v in changes.items() if "protocol" in k}
    if name == "augment-then-split":
        options["copies"] = 2
    expected = PROTOCOLS[name](MANIFEST, seed=chosen.seed, **options)
    assert plan.partition == expected
    assert plan.audit.leaks == find_leaks(MANIFEST, expected)


def test_a_protocol_may_have_a_seed_of_its_own():
    partition = make_plan(recipe(), MANIFEST).partition
    assert make_plan(recipe(seed=99), MANIFEST).partition != partition
    assert make_plan(recipe(seed=99, protocol__seed=3), MANIFEST).partition == partition
    assert "seed = 3" in recipe(protocol__seed=3).to_toml().partition("[protocol]")[2]


@pytest.mark.parametrize(
    ("name", "changes", "fault"),
    [
        ("by-chance", {}, "protocol.name: 'by-chance' is none of augment-then-split, cross-corpus"),
        ("speaker-folds", {"protocol__folds": 3}, "protocol.folds: no such field"),
        ("speaker-folds", {"protocol__fold": 0}, "protocol.fold: input should be greater"),
        ("speaker-disjoint", {"protocol__fold": 2}, "protocol: fold: there is one division, no"),
        ("random", {"protocol__folds": 1}, "protocol.folds: input should be greater than or eq"),
        ("random", {"protocol__fold": 6}, "protocol: fold: there is no fold 6 of 5"),
        ("cross-corpus", {}, "protocol.test_corpora: is missing"),
        ("cross-corpus", {"protocol__test_corpora": []}, "protocol.test_corpora: "),
        ("cross-corpus", {"protocol__test_corpora": ["x", "x"]}, "test_corpora: one stands twice"),
        (
            "cross-corpus",
            {"protocol__test_corpora": ["x"], "corpora": ["y", "z"]},
            "protocol: 'x' is not among corpora",
        ),
        (
            "cross-corpus",
            {"protocol__test_corpora": ["x"], "corpora": ["x"]},
            "protocol.test_corpora: no corpus is left to train on",
        ),
        (
            "leave-one-speaker-out",
            {"protocol__corpus": "x", "corpora": ["y"]},
            "protocol: 'x' is not among corpora",
        ),
        ("augment-then-split", {}, "augment-then-split needs a table augmentation.waveform"),
        ("speaker-folds", {"sex": "f"}, "sex: input should be 'mixed', 'female' or 'male'"),
    ],
)
def test_a_wrong_table_is_one_line(name, changes, fault):
    with pytest.raises(RecipeError) as caught:
        recipe(name, **changes)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_protocol_takes_nothing_over():
    first = recipe("random", protocol__folds=10, protocol__fold=9, protocol__seed=4)
    assert first.with_changes(fold=3).protocol.options == {"folds": 10}
    assert first.with_changes(protocol="random").protocol == first.protocol
    other = first.with_changes(protocol="speaker-folds")
    assert (other.protocol.fold, other.protocol.seed) == (1, None)
    crossed = first.with_changes(protocol="cross-corpus", test_corpora=["two"])
    assert crossed.protocol.options == {"test_corpora": ("two",)}
    with pytest.raises(RecipeError, match="test_corpora: no such field"):
        first.with_changes(test_corpora=["two"])


# --- copies


def test_copies_are_made_of_training_clips_alone():
    plan = make_plan(recipe(**COPIES), MANIFEST)
    clips = plan.clips("train")
    assert plan.utterances("train") == [(clip, copy) for clip in clips for copy in range(3)]
    for part in PARTS[1:]:
        assert plan.utterances(part) == [(clip, 0) for clip in plan.clips(part)]
    assert [plan.choices(part) for part in PARTS] == [0, 0, 0]
    one = make_plan(
        recipe(augmentation__waveform={"copies": 2, "use": "one", "noise": {}}), MANIFEST
    )
    assert [one.choices(part) for part in PARTS] == [2, 0, 0]


def test_where_copies_are_divided_none_are_added():
    plan = make_plan(recipe("augment-then-split", **COPIES), MANIFEST)
    for part in PARTS:
        assert plan.utterances(part) == plan.partition.copies(MANIFEST, part)
        assert {copy for _, copy in plan.utterances(part)} == {0, 1, 2}
        assert plan.choices(part) == 0
    assert any("of them copies) of 16 speakers" in line for line in plan.notes())


# --- sexes


@pytest.mark.parametrize(("sex", "speakers"), [("female", "aceg"), ("male", "bdfh")])
def test_one_sex_trains_and_is_scored(sex, speakers):
    plan = make_plan(recipe(sex=sex), MANIFEST)
    heard = {clip.speaker for part in PARTS for clip in plan.clips(part)}
    assert heard == set(speakers)
    assert plan.left_out == {"of another sex": 72}
    assert f'sex = "{sex}"' in plan.recipe.to_toml()


def test_nobody_of_that_sex_is_one_line():
    men = Manifest(Path("/data"), tuple(replace(c, sex="male") for c in MANIFEST.clips))
    with pytest.raises(NothingToTrain, match="no usable clip of a female speaker has one of the"):
        make_plan(recipe(sex="female"), men)


# --- given partitions


def test_a_given_partition_is_used_as_it_is():
    plan = make_plan(recipe("given"), MANIFEST, by_speaker())
    assert plan.partition == by_speaker()
    assert plan.left_out == {}


def test_it_gets_digests_and_loses_what_the_recipe_cannot_use():
    bare = Partition(tuple(replace(row, audio_sha256="") for row in by_speaker().rows))
    clips = list(MANIFEST.clips)
    clips[0] = replace(clips[0], fault="silent")
    plan = make_plan(
        recipe("given", labels=["angry", "happy"], corpora=["one"]),
        Manifest(Path("/data"), tuple(clips)),
        bare,
    )
    used = {c.key for c in clips if c.corpus == "one" and c.emotion != "sad" and not c.fault}
    assert {row.key for row in plan.partition.rows} == used
    digests = {c.key: c.audio_sha256 for c in clips}
    assert all(row.audio_sha256 == digests[row.key] for row in plan.partition.rows)
    assert plan.left_out == {"label sad": 24, "silent": 1}


def test_clips_that_it_does_not_name_are_left_out():
    some = Partition(tuple(row for row in by_speaker().rows if not row.stem.startswith("a")))
    assert make_plan(recipe("given"), MANIFEST, some).left_out == {"in no part": 18}


def test_other_audio_than_it_says_is_told():
    first = by_speaker().rows[0]
    rows = (replace(first, audio_sha256="e" * 64), *by_speaker().rows[1:])
    plan = make_plan(recipe("given"), MANIFEST, Partition(rows))
    assert plan.partition == by_speaker()
    said = "1 clips have other audio than the partition says (first: one a-angry-x)"
    assert said in list(plan.notes())


def test_what_a_given_partition_may_lack():
    with pytest.raises(RecipeError, match=r"'given' needs a partition; name one with --partition"):
        make_plan(recipe("given"), MANIFEST)
    with pytest.raises(RecipeError, match="'speaker-folds' makes its own partition"):
        make_plan(recipe(), MANIFEST, by_speaker())
    strange = Partition((*by_speaker().rows, Row("one", "zz", "", "test")))
    with pytest.raises(PartitionError, match=r"1 clips of the part test are not in the data"):
        make_plan(recipe("given"), MANIFEST, strange)
    tests = Partition(tuple(row for row in by_speaker().rows if row.part == "test"))
    with pytest.raises(PartitionError, match="leaves nothing to train on"):
        make_plan(recipe("given"), MANIFEST, tests)


def test_copies_of_a_given_partition_must_be_made_by_the_recipe():
    rows = by_speaker().rows
    copied = Partition((*rows, *(replace(r, copy=2) for r in rows if r.part == "train")))
    with pytest.raises(PartitionError, match=r"copy 2: the recipe makes 0 copies"):
        make_plan(recipe("given"), MANIFEST, copied)
    plan = make_plan(recipe("given", **COPIES), MANIFEST, copied)
    assert {copy for _, copy in plan.utterances("train")} == {0, 2}
    assert {copy for _, copy in plan.utterances("test")} == {0}


# --- leaks


def test_a_leaking_partition_is_refused_in_one_line_with_the_next_step():
    leaking = by_speaker(a_angry_x="test", b_sad_y="validation")
    with pytest.raises(LeakyPartition) as caught:
        make_plan(recipe("given"), MANIFEST, leaking)
    # b in train and validation comes first, in both corpora.
    assert str(caught.value) == (
        "the partition leaks: 2 speakers in both train and validation (first: one b), and 1 "
        "more; see all with ser-edge leaks, divide the clips anew, or train on it all the same "
        "with --allow-leaks"
    )
    plan = make_plan(recipe("given"), MANIFEST, leaking, allow_leaks=True)
    assert plan.partition == leaking
    assert [leak.kind for leak in plan.audit.leaks][:2] == ["speaker", "speaker"]


def test_equal_audio_on_both_sides_of_an_honest_protocol_is_refused_too():
    clips = list(MANIFEST.clips)
    heard = {c.key for c in make_plan(recipe(), MANIFEST).clips("test")}
    tested = next(n for n, c in enumerate(clips) if c.key in heard)
    other = next(n for n, c in enumerate(clips) if c.key not in heard)
    clips[other] = replace(clips[other], audio_sha256=clips[tested].audio_sha256)
    twice = Manifest(Path("/data"), tuple(clips))
    with pytest.raises(LeakyPartition, match="1 recording under two names in both"):
        make_plan(recipe(), twice)
    assert make_plan(recipe(), twice, allow_leaks=True).audit.leaks
    # By chance they are kept together.
    assert make_plan(recipe("random"), twice)


@pytest.mark.parametrize(("name", "changes"), [("random", {}), ("augment-then-split", COPIES)])
def test_what_a_protocol_leaks_by_definition_is_not_refused(name, changes):
    plan = make_plan(recipe(name, **changes), MANIFEST)
    assert any(leak.kind == "speaker" for leak in plan.audit.leaks)


def test_a_label_that_nobody_trains_is_told():
    clips = (c for c in MANIFEST.clips if not (c.corpus == "one" and c.emotion == "sad"))
    crossed = recipe("cross-corpus", protocol__test_corpora=["two"])
    plan = make_plan(crossed, Manifest(Path("/data"), tuple(clips)))
    assert "no training clip has the label sad" in list(plan.notes())
