"""What a trained model is scored on under each condition, with models whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_train.augmentation.waveform import Copies
from ser_edge_train.evaluation import allowed_classes
from ser_edge_train.feature_store import FeatureStore, read_clip
from ser_edge_train.recipes.augmentation import Waveform
from ser_edge_train.studies.conditions import CUTS, corpus_conditions, noise_conditions
from ser_edge_train.studies.planning import recipe_subject
from ser_edge_train.studies.scoring import (
    NOISE_SEED,
    Scorer,
    Trained,
    merges_of,
    middle,
    noise_table,
)
from ser_edge_train.studies.study import AS_RECORDED, Condition

from .studied import study_recipe, tones

LABELS = ("angry", "happy", "sad")
RECIPE = study_recipe()
PLACES = dict(zip(LABELS, range(3), strict=True))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def subject(manifest):
    return recipe_subject(RECIPE, manifest)


def scorer(subject, store, tmp_path, *conditions, **how):
    return Scorer(
        subject.manifest, subject.clips, conditions or (AS_RECORDED,),
        store_root=store, scratch=tmp_path / "scratch", processes=1, **how,
    )  # fmt: skip


class Asked:
    """A model that keeps what it is asked, and answers with one class, or as it is told."""

    def __init__(self, answers=None, **changes):
        self.features = []
        self.answers = answers
        self.changes = changes

    def __call__(self, features):
        self.features.append(np.array(features))
        answers = [0] * len(features) if self.answers is None else self.answers
        return np.eye(3)[answers] * 0.9 + 1 / 30

    @property
    def trained(self):
        values = {"labels": LABELS, "spec": RECIPE.spec, "merge": {}, "heard": None}
        return Trained(**{**values, **self.changes}, probabilities=self)


def test_a_model_that_is_always_right_scores_one_in_every_group(subject, store, tmp_path):
    right = [PLACES[clip.emotion] for clip in subject.clips]
    found = scorer(subject, store, tmp_path).scores(Asked(right).trained)
    groups = found["as recorded"]
    assert groups.keys() == {"all", "one", "two"}
    for group in groups.values():
        assert group["uar"] == group["accuracy"] == group["macro_f1"] == 1
    assert groups["all"] | {"clips": 10, "speakers": 2, "classes": 3} == groups["all"]
    assert groups["two"] | {"clips": 4, "speakers": 1, "classes": 2} == groups["two"]


def test_one_answer_for_all_has_the_recall_of_chance(subject, store, tmp_path):
    groups = scorer(subject, store, tmp_path).scores(Asked().trained)["as recorded"]
    assert groups["one"]["uar"] == pytest.approx(1 / 3)
    assert groups["two"]["uar"] == pytest.approx(1 / 2)


def test_features_as_recorded_are_those_of_the_training(subject, store, tmp_path):
    asked = Asked()
    scorer(subject, store, tmp_path).scores(asked.trained)
    frames = FeatureStore(store, RECIPE.spec)
    wanted = np.stack([frames.features(clip) for clip in subject.clips])
    np.testing.assert_array_equal(asked.features[0], wanted)


def test_a_corpus_alone_is_scored_over_the_classes_that_both_have(subject, store, tmp_path):
    conditions = corpus_conditions(("one", "two"), "")
    asked = Asked(heard=frozenset({"angry", "happy"}))
    found = scorer(subject, store, tmp_path, *conditions).scores(asked.trained)
    assert {name: groups["all"]["classes"] for name, groups in found.items()} == {
        "one": 2, "two": 2,
    }  # fmt: skip
    # The sad clips of the first corpus are not asked.
    assert [len(features) for features in asked.features] == [4, 4]
    assert found["one"]["all"]["uar"] == pytest.approx(1 / 2)


def test_a_corpus_with_one_class_in_common_is_not_scored(subject, store, tmp_path):
    asked = Asked(heard=frozenset({"sad", "angry"}))
    conditions = corpus_conditions(("one", "two"), "")
    found = scorer(subject, store, tmp_path, *conditions).scores(asked.trained)
    assert found["two"] == {}
    assert found["one"]["all"]["clips"] == 4


def test_a_corpus_of_which_nobody_validates_is_not_scored(subject, store, tmp_path):
    there = [clip for clip in subject.clips if clip.corpus == "one"]
    conditions = corpus_conditions(("one", "two"), "")
    found = Scorer(
        subject.manifest, there, conditions, store_root=store, scratch=tmp_path, processes=1
    ).scores(Asked().trained)
    assert found["two"] == {}
    assert found["one"]["all"]["clips"] == 6


# --- noise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("snr", [20.0, 0.0])
def test_noise_is_at_the_ratio_that_it_is_named_for(subject, snr):
    clip = subject.clips[0]
    table = noise_table(Condition("x", "", snr_db=snr))
    assert isinstance(table, Waveform)
    clean, rate = read_clip(subject.manifest.root, clip)
    noisy = Copies(table, NOISE_SEED).make(clean, rate, clip.audio_sha256, 1)
    # Where the sum would pass full scale it is scaled as a whole.
    factor = float(noisy @ clean / (clean @ clean))
    added = noisy / factor - clean
    ratio = 10 * np.log10(np.mean(clean**2) / np.mean(added**2))
    assert ratio == pytest.approx(snr, abs=0.2)


def test_noise_is_the_same_for_every_model_and_differs_from_clip_to_clip(subject, store, tmp_path):
    conditions = noise_conditions(("one", "two"), "")
    first, second = Asked(), Asked()
    scorer(subject, store, tmp_path, *conditions).scores(first.trained)
    scorer(subject, tmp_path / "new store", tmp_path, *conditions).scores(second.trained)
    assert len(first.features) == len(conditions)
    for one, other in zip(first.features, second.features, strict=True):
        np.testing.assert_array_equal(one, other)
    clean, *noisy = first.features
    distances = [float(np.abs(each - clean).mean()) for each in noisy]
    assert distances == sorted(distances)
    assert distances[0] > 0
    changes = noisy[-1] - clean
    assert np.abs(changes[0] - changes[1]).max() > 1


def test_clean_clips_have_no_table():
    assert noise_table(AS_RECORDED) is None
    assert noise_table(Condition("x", "", seconds=1.0)) is None


def test_recorded_noise_comes_from_its_folder():
    table = noise_table(Condition("x", "", snr_db=5.0, recordings="rooms"))
    assert list(table.effects) == ["recorded_noise"]
    assert table.recorded_noise.folder == "rooms"
    assert table.recorded_noise.snr_db == (5, 5)
    assert table.recorded_noise.probability == 1


# --- length ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "most", "wanted"),
    [(10, 4, [3, 4, 5, 6]), (9, 4, [2, 3, 4, 5]), (3, 4, [0, 1, 2]), (4, 4, [0, 1, 2, 3])],
)
def test_the_middle(count, most, wanted):
    assert middle(np.arange(count)[:, None], most).ravel().tolist() == wanted


def test_a_cut_longer_than_the_clips_changes_nothing(subject, store, tmp_path):
    asked = Asked()
    longest = Condition("long", "", seconds=CUTS[0])
    scorer(subject, store, tmp_path, AS_RECORDED, longest).scores(asked.trained)
    np.testing.assert_array_equal(*asked.features)


def test_a_cut_keeps_the_middle_and_fills_with_silence(subject, store, tmp_path):
    asked = Asked()
    scorer(subject, store, tmp_path, AS_RECORDED, Condition("cut", "", seconds=0.05)).scores(
        asked.trained
    )
    whole, cut = asked.features
    assert cut.shape == whole.shape
    most = RECIPE.spec.frame_count(round(0.05 * RECIPE.spec.sample_rate))
    frames = whole.shape[1]
    quiet = cut[:, [0, frames - 1]]
    assert (quiet == cut.min(axis=(1, 2), keepdims=True)).all()
    heard = (cut > cut.min(axis=(1, 2), keepdims=True)).any(axis=2).sum(axis=1)
    assert (heard <= most).all()
    assert (heard > 0).all()


def test_progress_tells_of_clips(subject, store, tmp_path):
    steps = []
    how = {"progress": lambda done, total: steps.append((done, total))}
    scorer(subject, store, tmp_path, **how).scores(Asked().trained)
    assert steps[-1] == (len(subject.clips), len(subject.clips))


# --- merges ---------------------------------------------------------------------------------


def test_calm_is_neutral_for_a_model_file_without_it():
    assert merges_of(("angry", "neutral")) == {"calm": "neutral"}
    assert merges_of(("angry", "calm", "neutral")) == {}
    assert merges_of(("angry", "sad")) == {}


def test_merged_emotions_are_scored_as_their_label(subject, store, tmp_path):
    merge = {"sad": "happy"}
    asked = Asked(merge=merge)
    found = scorer(subject, store, tmp_path).scores(asked.trained)["as recorded"]
    assert found["one"]["classes"] == 2
    assert found["one"]["clips"] == 6
    assert set(allowed_classes(subject.manifest, LABELS, merge)["one"]) == {"angry", "happy"}
