"""The methods that the study of enrolment compares: what each may know, and what it must find."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.enrolment import balance
from tests.scripts import load_script

methods = load_script(Path(__file__).resolve().parents[2] / "docs" / "enrolment_methods.py")

LABELS = ("angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise")
CLASSES = len(LABELS)
NAMES = sorted(methods.METHODS)
seeds = st.integers(0, 2**32 - 1)


def centred(logs):
    return logs - logs.mean(1, keepdims=True)


def answers_of(random, truth, sure=2.0, offset=0.0):
    """A model's logarithms: noise, the true class above it, and a voice's own offset."""
    noise = random.standard_normal((len(truth), CLASSES))
    return centred(noise + sure * np.eye(CLASSES)[truth] + offset)


def voice_of(seed=0, clips=32, others=("ravdess", "ravdess", "crema-d"), blur=0.3):
    """A speaker, and others who each lean their own way."""
    random = np.random.default_rng(seed)
    truth = np.arange(clips) % CLASSES
    around = [
        (corpus, answers_of(random, truth, offset=blur * random.standard_normal(CLASSES)), truth)
        for corpus in others
    ]
    logs = answers_of(random, truth)
    return methods.Voice(1, "ravdess", "07", LABELS, np.arange(clips), logs, truth, around)


# --- what a method may know -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_the_speaker_really_said_is_not_looked_at(name):
    """Neither the enrolled clips' true classes nor any other clip of the speaker."""
    one = voice_of()
    drawn = one.logs[:12]
    unknown = dataclasses.replace(
        one,
        truth=np.roll(one.truth, 3),
        logs=np.full_like(one.logs, np.nan),
        rows=one.rows[::-1],
        speaker="another",
    )
    method = methods.METHODS[name]
    np.testing.assert_array_equal(method(drawn, one), method(drawn, unknown))


@pytest.mark.parametrize("name", NAMES)
def test_clips_have_no_order(name):
    one = voice_of(seed=2)
    method = methods.METHODS[name]
    mixed = np.random.default_rng(1).permutation(12)
    np.testing.assert_allclose(
        method(one.logs[:12], one), method(one.logs[:12][mixed], one), atol=1e-9
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("(e)")])
@given(seed=seeds)
def test_offsets_sum_to_nothing(name, seed):
    """What all classes had in common would change no answer, and hide how large the rest is."""
    one = voice_of(seed % 5)
    drawn = answers_of(np.random.default_rng(seed), np.arange(10) % CLASSES)
    offset = methods.METHODS[name](drawn, one)
    assert abs(offset.sum()) < 1e-6


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, clips=st.integers(1, 12), sure=st.floats(0, 30))
def test_any_answers_give_finite_offsets(name, seed, clips, sure):
    drawn = answers_of(np.random.default_rng(seed), np.arange(clips) % CLASSES, sure)
    offset = methods.METHODS[name](drawn, voice_of())
    assert offset.shape == (CLASSES,)
    assert np.isfinite(offset).all()


# --- the others -----------------------------------------------------------------------------


def test_classes_are_those_of_the_corpus():
    one = dataclasses.replace(voice_of(), corpus="crema-d")
    assert [label for label, has in zip(LABELS, one.allowed, strict=True) if not has] == [
        "calm",
        "surprise",
    ]
    assert voice_of().allowed.all()


@given(seed=seeds, copies=st.integers(2, 4))
def test_speakers_and_then_corpora_weigh_alike_however_many_clips_they_have(seed, copies):
    one = voice_of(seed)
    (first, logs, truth), *rest = one.others
    longer = (first, np.tile(logs, (copies, 1)), np.tile(truth, copies))
    again = dataclasses.replace(one, others=[longer, *rest])
    np.testing.assert_allclose(again.usual, one.usual, atol=1e-9)
    # The only speaker of a corpus stays half of the mean, however many the other corpus has.
    alone = one.others[2][1].mean(0)
    many = dataclasses.replace(one, others=[*one.others, *one.others[:2]])
    np.testing.assert_allclose(many.usual, one.usual, atol=1e-9)
    pair = np.mean([logs.mean(0) for _, logs, _ in one.others[:2]], axis=0)
    np.testing.assert_allclose(one.usual, (alone + pair) / 2, atol=1e-9)


def test_the_offset_of_the_others_is_balanced_corpus_by_corpus():
    one = voice_of(seed=4)
    ravdess = balance(np.concatenate([logs for corpus, logs, _ in one.others if corpus[0] == "r"]))
    crema = balance(one.others[2][1])
    np.testing.assert_allclose(one.others_offset, (ravdess + crema) / 2)
    name = "no enrolment: the others' offset"
    np.testing.assert_array_equal(
        methods.METHODS[name](one.logs[:3], one), methods.METHODS[name](one.logs[9:], one)
    )


def test_the_spread_tells_speakers_from_clips():
    """Many speakers whose offsets and whose clips vary by known amounts."""
    random = np.random.default_rng(8)
    truth = np.arange(160) % CLASSES
    own = 0.7 * random.standard_normal((60, CLASSES))
    others = [
        (
            "ravdess",
            3 * np.eye(CLASSES)[truth] + 0.5 * random.standard_normal((160, CLASSES)) + offset,
            truth,
        )
        for offset in own
    ]
    one = dataclasses.replace(voice_of(), others=others)
    means, within, between = one.spread
    np.testing.assert_allclose(means, 3 * np.eye(CLASSES) + own.mean(0), atol=0.1)
    # 0.05 is added to every class, so that the matrix can be inverted.
    np.testing.assert_allclose(np.diag(within), 0.5**2 + 0.05, atol=0.03)
    np.testing.assert_allclose(
        between, (own - own.mean(0)).T @ (own - own.mean(0)) / len(own), atol=0.05
    )


# --- the difference of means ----------------------------------------------------------------


@given(seed=seeds, strength=st.floats(0.1, 1), half_at=st.integers(1, 30))
def test_half_of_the_difference_is_reached_where_it_is_said(seed, strength, half_at):
    one = voice_of(seed)
    drawn = np.tile(one.logs[:1], (half_at, 1))
    found = methods.difference(strength, half_at)(drawn, one)
    np.testing.assert_allclose(found, strength / 2 * (one.usual - one.logs[0]), atol=1e-9)


def test_the_usual_voice_needs_no_difference_and_many_clips_take_it_whole():
    one = voice_of()
    method = methods.difference(1, 5)
    np.testing.assert_allclose(method(np.tile(one.usual, (9, 1)), one), 0, atol=1e-12)
    many = np.tile(one.usual + 1.5, (10_000, 1))
    np.testing.assert_allclose(method(many, one), -1.5, atol=1e-3)


# --- class shares ---------------------------------------------------------------------------


def test_sure_answers_are_counted():
    counts = np.array([5, 1, 1, 2, 1, 4, 1, 1])
    drawn = centred(40 * np.eye(CLASSES)[np.repeat(np.arange(CLASSES), counts)])
    one = voice_of()
    np.testing.assert_allclose(np.exp(methods.prior(0)(drawn, one)), counts / counts.sum())
    beside = counts + 5
    np.testing.assert_allclose(np.exp(methods.prior(5)(drawn, one)), beside / beside.sum())


@given(seed=seeds, pseudo=st.floats(0, 50))
def test_clips_beside_draw_the_shares_together(seed, pseudo):
    drawn = answers_of(np.random.default_rng(seed), np.zeros(12, int), sure=3.0)
    one = voice_of()
    free, held = methods.prior(pseudo)(drawn, one), methods.prior(pseudo + 20)(drawn, one)
    assert np.exp(held).sum() == pytest.approx(1)
    assert np.ptp(held) < np.ptp(free)


def test_a_class_that_nobody_speaks_is_not_ruled_out():
    drawn = centred(60 * np.eye(CLASSES)[[0, 0, 0, 1]])
    found = methods.prior(0)(drawn, voice_of())
    assert found.min() == pytest.approx(np.log(1e-6), abs=0.01)


# --- one offset from class means ------------------------------------------------------------


@given(seed=seeds)
def test_a_planted_offset_is_found_without_the_classes(seed):
    random = np.random.default_rng(seed)
    one = voice_of(seed % 7, clips=64, others=("ravdess",) * 12, blur=1.0)
    planted = random.uniform(-1, 1, CLASSES)
    planted -= planted.mean()
    truth = random.permutation(np.arange(240) % CLASSES)
    drawn = answers_of(random, truth, sure=4.0, offset=planted)
    found = methods.offset_by_class(3)(drawn, one)
    sure = answers_of(random, truth, sure=4.0)
    plain = methods.offset_by_class(3)(sure, one)
    # What both have is the others' own offset; what parts them was planted.
    difference = (found - plain) - (found - plain).mean()
    assert np.corrcoef(difference, -planted)[0, 1] > 0.9


def test_fewer_clips_and_less_freedom_hold_the_offset_back():
    one = voice_of(seed=3, clips=64, others=("ravdess",) * 8)
    leaning = np.zeros(CLASSES)
    leaning[3] = 3.0
    drawn = answers_of(np.random.default_rng(6), np.arange(64) % CLASSES, offset=leaning)

    def size(freedom, clips):
        return np.linalg.norm(methods.offset_by_class(freedom)(drawn[:clips], one))

    assert size(1, 2) < size(1, 8) < size(1, 64)
    assert size(0.1, 8) < size(1, 8) < size(10, 8)
