"""Features of a louder recording without the recording: against the front end itself."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec
from ser_edge_runtime.front_end.kinds import Chroma, Delta, LogMel, Mfcc, Rms, SpectralContrast, Zcr
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.augmentation import Level
from ser_edge_train.dataset import Part, TrainingBatches
from ser_edge_train.recipes.augmentation import Augmentation

ALL = (
    LogMel(bands=16),
    Mfcc(bands=32, count=7),
    Delta(),
    Delta(of="log_mel", order=2),
    Zcr(),
    Rms(),
    Chroma(),
    SpectralContrast(),
)


class Fixed:
    """A generator that draws given gains."""

    def __init__(self, *db: float) -> None:
        self.db = db

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> np.ndarray:
        assert low == -high
        return np.reshape(np.float64(self.db), size)


def voice(seconds: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * 16_000)) / 16_000
    tone = np.sin(2 * np.pi * 200 * time) + 0.3 * np.sin(2 * np.pi * 1900 * time)
    return (0.1 * tone + 0.01 * rng.normal(size=len(time))).astype(np.float32)


def spec(layout: str = "sequence", **changes: object) -> FrontEndSpec:
    return FrontEndSpec(features=ALL, clip_seconds=0.4, layout=layout, **changes)


@pytest.mark.parametrize("layout", ["sequence", "flat", "mean"])
@pytest.mark.parametrize("db", [-12.0, 3.5, 12.0])
def test_features_become_those_of_the_louder_recording(layout, db):
    front_end = FrontEnd(spec(layout))
    plain = front_end(voice())[None]
    louder = front_end(voice() * np.float32(10 ** (db / 20)))[None]
    changed = Level(spec(layout)).change(plain, 20, Fixed(db))
    assert changed.dtype == np.float32
    assert changed.shape == plain.shape
    np.testing.assert_allclose(changed, louder, atol=2e-3, rtol=1e-4)
    assert not np.allclose(changed, plain, atol=0.1)


def test_a_filled_up_clip_is_that_of_the_louder_recording():
    """Its frames of silence lie ``top_db`` below its loudest value, and move with it."""
    long = FrontEndSpec(features=(LogMel(bands=16),), clip_seconds=1.0, trim_db=40.0)
    front_end = FrontEnd(long)
    changed = Level(long).change(front_end(voice())[None], 20, Fixed(6.0))
    louder = front_end(voice() * np.float32(10**0.3))[None]
    np.testing.assert_allclose(changed, louder, atol=2e-3)


def test_each_utterance_has_its_own_gain():
    features = np.zeros((400, 5, 16), np.float32)
    level = Level(FrontEndSpec(features=(LogMel(bands=16),)))
    changed = level.change(features, 6, np.random.default_rng(0))
    assert np.ptp(changed, axis=(1, 2)).max() == 0
    gains = changed[:, 0, 0]
    assert -6 <= gains.min() < -5.5
    assert 5.5 < gains.max() <= 6
    assert abs(gains.mean()) < 0.6
    assert not features.any()


def batches(gain_db: float | None, *, seed: int = 1, with_spec: bool = True) -> TrainingBatches:
    front_end = FrontEndSpec(features=(LogMel(bands=4), Zcr()), clip_seconds=0.1)
    features = np.random.default_rng(0).normal(size=(12, *front_end.output_shape)).astype("f4")
    part = Part(features, np.zeros(12, np.int64), np.ones((12, 2), bool))
    normaliser = Normaliser(np.zeros(5, np.float32), np.float32([2, 2, 2, 2, 1]))
    return TrainingBatches(
        part,
        np.ones(12, np.float32),
        normaliser,
        Augmentation(gain_db=gain_db),
        5,
        seed,
        front_end if with_spec else None,
    )


def test_batches_are_changed_before_the_normaliser():
    plain, changed = batches(None), batches(8.0)
    for place in range(3):
        moved = changed.batch(2, place)[0] - plain.batch(2, place)[0]
        assert np.abs(moved[:, :, 4]).max() == 0
        gains = 2 * moved[:, :, :4]
        np.testing.assert_allclose(gains, gains[:, :1, :1] * np.ones_like(gains), atol=1e-5)
        assert 0 < np.abs(gains).max() <= 8


def test_gains_follow_from_seed_epoch_and_place_alone():
    assert np.array_equal(batches(8.0).batch(1, 2)[0], batches(8.0).batch(1, 2)[0])
    results = {
        batches(8.0, seed=seed).batch(epoch, place)[0].tobytes()
        for seed in (1, 2)
        for epoch in (0, 1)
        for place in (0, 1)
    }
    assert len(results) == 8


def test_without_a_gain_batches_are_as_they_always_were():
    one, other = batches(None), batches(None, with_spec=False)
    assert np.array_equal(one.batch(0, 0)[0], other.batch(0, 0)[0])


def test_a_gain_needs_to_know_the_features():
    with pytest.raises(ValueError, match="needs the front end"):
        batches(3.0, with_spec=False)
