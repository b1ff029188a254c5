"""The equal-error rate: its definition, its pairs, and a run's strangers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.manifest import Clip
from ser_edge_train.plan import strangers
from ser_edge_train.run_directory import RunDirectory, RunError
from ser_edge_train.speaker_verification import NoTrials, compare, equal_error_rate, verify
from ser_edge_train.training import train

from .toys import toy_recipe
from .voices import speaker_recipe, voices


def rate(same: list[float], different: list[float]) -> float:
    return equal_error_rate(np.array(same, float), np.array(different, float))


def clip(corpus: str, speaker: str, take: int, sex: str = "female") -> Clip:
    return Clip(
        corpus, f"{speaker}-{take}", f"{speaker}-{take}.wav", speaker, sex, "sad", "", "",
        str(take), 1.0, "0" * 64, "",
    )  # fmt: skip


# --- the rate -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("same", "different", "expected"),
    [
        ([3, 4], [1, 2], 0.0),
        ([1, 2], [3, 4], 1.0),
        ([1, 2], [1, 2], 0.5),
        ([1.0], [1.0], 0.5),
        # Of four a threshold of 3 rejects one and accepts one.
        ([2, 3, 4, 5], [0, 1, 2.5, 3.5], 0.25),
        # One in ten of each.
        ([0, *range(11, 20)], [*range(1, 10), 20], 0.1),
        # Rejected jumps from 0 to 1/2 while accepted is 1/3: halfway it is not, it is 1/3.
        ([1, 4], [0, 0.5, 2], 1 / 3),
    ],
)
def test_an_equal_error_rate_by_hand(same, different, expected):
    assert rate(same, different) == pytest.approx(expected)


@given(
    same=st.lists(st.integers(-100, 100), min_size=1, max_size=30),
    different=st.lists(st.integers(-100, 100), min_size=1, max_size=30),
)
def test_a_rate_is_a_share_and_its_mirror_is_its_complement(same, different):
    found = rate(same, different)
    assert 0 <= found <= 1
    assert rate(different, same) == pytest.approx(1 - found, abs=1e-9)
    assert rate([2 * value + 5 for value in same], [2 * v + 5 for v in different]) == (
        pytest.approx(found, abs=1e-9)
    )


@given(seed=st.integers(0, 1000), shift=st.floats(0, 4))
def test_a_rate_is_where_the_curves_cross(seed, shift):
    """Against a search over thresholds: within one pair of the crossing."""
    rng = np.random.default_rng(seed)
    same, different = rng.normal(size=60) + shift, rng.normal(size=90)
    best = min(
        (abs(np.mean(same < t) - np.mean(different >= t)), np.mean(same < t))
        for t in np.concatenate([same, different])
    )
    assert equal_error_rate(same, different) == pytest.approx(best[1], abs=1 / 60 + best[0])


def test_a_rate_needs_both_kinds_of_pairs():
    for same, different in (([], [1]), ([1], [])):
        with pytest.raises(ValueError, match="pairs of one speaker and of two"):
            rate(same, different)


# --- the pairs ------------------------------------------------------------------------------


def test_every_pair_within_a_corpus_counts_once():
    clips = [clip("a", "x", 0), clip("a", "x", 1), clip("a", "y", 0), clip("b", "x", 0)]
    clips += [clip("b", "x", 1), clip("b", "z", 0), clip("b", "z", 1)]
    found = compare(clips, np.eye(7))
    assert (found.clips, found.speakers) == (7, 4)
    assert (found.overall.same, found.overall.different) == (1 + 2, 2 + 4)
    assert {name: (t.same, t.different) for name, t in found.corpora.items()} == {
        "a": (1, 2), "b": (2, 4),
    }  # fmt: skip


def test_pairs_of_one_sex_are_counted_apart():
    clips = [clip("a", "x", 0), clip("a", "x", 1), clip("a", "y", 0), clip("a", "z", 0, "male")]
    # Of two whose sex nobody said it is not known to be one.
    clips += [clip("a", "q", 0, ""), clip("a", "r", 0, "")]
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.2], [-1, 0], [-1, 0], [-1, 0]])
    found = compare(clips, vectors)
    assert (found.same_sex.same, found.same_sex.different) == (1, 2)
    assert (found.overall.same, found.overall.different) == (1, 14)
    alone = [clip("a", "x", 0), clip("a", "x", 1), clip("a", "z", 0, "male")]
    assert compare(alone, vectors[:3]).same_sex is None


def test_similarity_is_the_cosine_whatever_the_length():
    clips = [clip("a", "x", 0), clip("a", "x", 1), clip("a", "y", 0), clip("a", "y", 1)]
    vectors = np.array([[1, 0], [100, 1], [0, 1], [0.3, 30]])
    assert compare(clips, vectors).overall.error_rate == 0
    assert compare(clips, vectors[[0, 2, 1, 3]]).overall.error_rate == 0.5
    assert np.isfinite(compare(clips, np.zeros((4, 2))).overall.error_rate)


def test_a_corpus_of_one_speaker_has_no_rate_of_its_own():
    clips = [clip("a", "x", 0), clip("a", "x", 1), clip("a", "y", 0), clip("b", "x", 0)]
    clips.append(clip("b", "x", 1))
    found = compare(clips, np.random.default_rng(0).normal(size=(5, 3)))
    assert set(found.corpora) == {"a"}
    # Its one pair counts where all are taken together.
    assert (found.overall.same, found.overall.different) == (2, 2)


def test_too_few_strangers_are_said():
    with pytest.raises(NoTrials, match="2 clips of 1 unheard speakers are too few"):
        compare([clip("a", "x", 0), clip("a", "x", 1)], np.eye(2))
    with pytest.raises(NoTrials, match="0 clips"):
        compare([], np.zeros((0, 2)))


def test_plain_values_are_json():
    clips = [clip("a", "x", 0), clip("a", "x", 1), clip("a", "y", 0)]
    values = compare(clips, np.eye(3)).to_dict()
    assert values["overall"] == {"same": 1, "different": 2, "error_rate": 0.5}
    assert values["corpora"]["a"] == values["overall"]


# --- a run ----------------------------------------------------------------------------------


def test_a_run_is_measured_on_its_strangers(tmp_path):
    manifest = voices(tmp_path / "voices")
    store = tmp_path / "store"
    done = train(
        speaker_recipe(fit__epochs=15), manifest, tmp_path / "run", store_root=store, processes=1
    )
    found = verify(done.run, store_root=store, processes=1)
    unheard = strangers(done.run.read_recipe(), manifest)
    assert found.clips == len(unheard)
    assert found.speakers == len({each.speaker for each in unheard}) == 2
    assert found.overall.error_rate < 0.3
    assert not done.run.scratch.exists()
    assert verify(done.run, store_root=store, processes=1, manifest=manifest) == found


def test_other_runs_have_no_embedding_to_measure(tmp_path):
    run = RunDirectory(tmp_path / "emotions")
    run.create(toy_recipe())
    with pytest.raises(RunError, match="is no speaker embedding"):
        verify(run, store_root=tmp_path)
    unfinished = RunDirectory(tmp_path / "speakers")
    unfinished.create(speaker_recipe())
    with pytest.raises(RunError, match="holds no trained model"):
        verify(unfinished, store_root=tmp_path)
