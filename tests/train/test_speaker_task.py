"""Speakers as classes: who is heard, which utterances validate, what recipes may say of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ser_edge_train.classes import allowed_of, label_of, speaker_label, speaker_labels
from ser_edge_train.errors import PartitionError
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.plan import make_plan, strangers
from ser_edge_train.recipes import RecipeError, parse_recipe
from ser_edge_train.speaker_task import HELD_OUT, held_out, with_speakers

from .toys import toy_recipe
from .voices import emotion_recipe, speaker_recipe


def clip(number: int, take: int, corpus: str = "own", **changes: str) -> Clip:
    made = Clip(
        corpus, f"v{number}-{take}", f"v{number}-{take}.wav", f"voice{number}", "", "sad", "", "",
        str(take), 1.0, f"{corpus}{number:03d}{take:03d}".encode().hex().ljust(64, "0")[:64], "",
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.fixture
def manifest():
    """Two corpora of ten and five speakers; one clip of nobody, one that is silent."""
    clips = [clip(number, take) for number in range(10) for take in range(17)]
    clips += [clip(number, take, "other") for number in range(5) for take in range(8)]
    clips.append(clip(99, 0, speaker="unknown:v99-0"))
    clips.append(clip(1, 50, fault="silent"))
    return Manifest(Path("/recordings"), tuple(clips))


@pytest.fixture
def plan(manifest):
    return make_plan(speaker_recipe(), manifest)


# --- who is heard ---------------------------------------------------------------------------


def test_only_the_protocols_training_speakers_are_heard(manifest, plan):
    emotional = make_plan(toy_recipe(labels=["sad", "happy"]), manifest)
    heard = {clip.speaker_key for part in ("train", "validation") for clip in plan.clips(part)}
    assert heard == {c.speaker_key for c in emotional.clips("train") if c.speaker_known}
    for part in ("validation", "test"):
        assert not heard & {clip.speaker_key for clip in emotional.clips(part)}
    assert plan.clips("test") == []


def test_the_training_speakers_are_the_labels_in_order(plan):
    labels = plan.recipe.labels
    assert labels == tuple(sorted({speaker_label(clip) for clip in plan.clips("train")}))
    assert all(label.startswith(("own/voice", "other/voice")) for label in labels)
    assert set(plan.labels(plan.clips("train"))) == set(range(len(labels)))
    assert set(plan.labels(plan.clips("validation"))) == set(range(len(labels)))


def test_every_eighth_utterance_of_each_speaker_validates(plan):
    spoken = Counter(clip.speaker_key for p in ("train", "validation") for clip in plan.clips(p))
    validating = Counter(clip.speaker_key for clip in plan.clips("validation"))
    assert set(spoken.values()) == {17, 8}
    assert validating == {speaker: count // HELD_OUT for speaker, count in spoken.items()}


def test_faulty_clips_and_those_of_nobody_are_left_out(plan):
    assert plan.left_out["silent"] == 1
    assert plan.left_out["of an unknown speaker"] == 1
    used = len(plan.partition.rows)
    assert plan.left_out["of speakers that validate or test"] == 10 * 17 + 5 * 8 - used
    assert all(clip.speaker_known for clip in plan.clips("train"))


def test_the_same_seed_holds_back_the_same_utterances(manifest, plan):
    assert make_plan(speaker_recipe(), manifest).partition == plan.partition
    emotions = [dataclasses.replace(each, emotion="happy", sentence="x") for each in manifest.clips]
    again = make_plan(speaker_recipe(), Manifest(manifest.root, tuple(emotions)))
    assert again.partition == plan.partition
    other = make_plan(speaker_recipe(seed=4, protocol__seed=3), manifest)
    assert other.partition == plan.partition
    reseeded = make_plan(speaker_recipe(protocol__seed=4), manifest)
    assert reseeded.partition != plan.partition


def test_the_resolved_recipe_makes_the_same_plan(manifest, plan):
    again = make_plan(parse_recipe(plan.recipe.to_toml(), "recipe.toml"), manifest)
    assert again.recipe == plan.recipe
    assert again.partition == plan.partition


def test_another_folds_speakers_are_refused(manifest, plan):
    with pytest.raises(RecipeError, match=r"labels: its .* speakers are not the .* training"):
        make_plan(plan.recipe.with_changes(fold=2), manifest)


def test_strangers_are_the_protocols_validation_speakers(manifest, plan):
    found = strangers(plan.recipe, manifest)
    emotional = make_plan(toy_recipe(labels=["sad", "happy"]), manifest)
    assert found == [clip for clip in emotional.clips("validation") if clip.speaker_known]
    heard = {clip.speaker_key for clip in plan.clips("train")}
    assert not heard & {clip.speaker_key for clip in found}


def test_too_few_to_tell_apart_is_said():
    clips = [clip(number, take) for number in range(2) for take in range(20)]
    manifest = Manifest(Path("/recordings"), tuple(clips))
    divided = Partition.of(clips, lambda each: "train" if each.speaker == "voice0" else "test")
    with pytest.raises(PartitionError, match="1 training speakers"):
        held_out(manifest, divided, 0)
    short = Manifest(Path("/recordings"), tuple(c for c in clips if int(c.take) < HELD_OUT - 1))
    everyone = Partition.of(short.clips, lambda each: "train")
    with pytest.raises(PartitionError, match="with 7 clips: too little"):
        held_out(short, everyone, 0)


# --- classes --------------------------------------------------------------------------------


def test_a_speaker_is_told_from_those_of_the_same_corpus_alone(plan):
    allowed = plan.allowed(plan.clips("train"))
    labels = plan.recipe.labels
    for row, each in zip(allowed, plan.clips("train"), strict=True):
        chosen = [label for label, there in zip(labels, row, strict=True) if there]
        assert chosen == [label for label in labels if label.startswith(f"{each.corpus}/")]
    assert 0 < np.mean(allowed) < 1


def test_labels_are_speakers_or_emotions():
    happy = clip(3, 1, emotion="happy")
    assert label_of(speaker_recipe(), happy) == "own/voice3"
    assert label_of(toy_recipe(), happy) == "happy"
    renaming = toy_recipe(labels=["angry", "glad"], merge={"happy": "glad"})
    assert label_of(renaming, happy) == "glad"
    assert speaker_labels([happy, happy, clip(2, 0)]) == ("own/voice2", "own/voice3")


def test_an_emotion_recipes_classes_are_its_corpus_own(manifest):
    recipe = toy_recipe(labels=["angry", "sad"])
    assert allowed_of(recipe, manifest) == {"other": ("sad",), "own": ("sad",)}


def test_a_corpus_without_a_training_speaker_has_no_classes(manifest):
    recipe = with_speakers(
        speaker_recipe(),
        manifest,
        Partition.of(
            [each for each in manifest.usable if each.corpus == "own" and each.speaker_known],
            lambda each: "train",
        ),
    )
    assert set(allowed_of(recipe, manifest)) == {"own"}


# --- what recipes may say -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"network": {"name": "cnn1d"}}, "target: 'speaker' needs network.name = 'tdnn'"),
        ({"protocol": {"name": "random"}}, "target: 'speaker' needs a protocol that keeps"),
        ({"protocol": {"name": "given"}}, "target: 'speaker' needs a protocol that keeps"),
        ({"labels": ["a/b", "a/c"], "merge": {"calm": "a/b"}}, "merge: there are no emotions"),
        ({"speaker_embedding": {"run": "r"}}, "speaker_embedding: target = 'speaker' makes one"),
        ({"target": "emotion"}, "target: input should be 'speaker', not 'emotion'"),
    ],
)
def test_a_speaker_recipes_faults(changes, expected):
    with pytest.raises(RecipeError) as fault:
        speaker_recipe(**changes)
    assert expected in str(fault.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"front_end__layout": "mean", "augmentation": None}, "speaker_embedding: needs front_end"),
        ({"speaker_embedding__join": "cells"}, "speaker_embedding.join: "),
        ({"speaker_embedding__run": ""}, "speaker_embedding.run: "),
        ({"speaker_embedding__network_sha256": "ab"}, "speaker_embedding.network_sha256: "),
        ({"labels": None}, "labels: at least two are needed"),
    ],
)
def test_an_embeddings_faults(changes, expected):
    with pytest.raises(RecipeError) as fault:
        emotion_recipe(Path("runs/speakers"), **changes)
    assert expected in str(fault.value)


def test_an_embedding_can_be_named_from_outside():
    plain = toy_recipe(labels=["angry", "sad"])
    named = plain.with_changes(speaker_embedding="runs/a")
    assert (named.speaker_embedding.run, named.speaker_embedding.join) == ("runs/a", "frames")
    pinned = emotion_recipe(Path("runs/a"), "pooled").resolved(network_sha256="0" * 64)
    other = pinned.with_changes(speaker_embedding="runs/b")
    assert (other.speaker_embedding.run, other.speaker_embedding.join) == ("runs/b", "pooled")
    assert other.speaker_embedding.network_sha256 is None
    assert pinned.with_changes(epochs=3).speaker_embedding == pinned.speaker_embedding


def test_without_an_embedding_nothing_is_written_of_it():
    assert "speaker_embedding" not in toy_recipe().to_toml()
    assert "target" not in toy_recipe().to_toml()
    assert "published" not in toy_recipe().to_toml()
