"""Effects on waveforms: what each does exactly, and what no clip may suffer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_train.augmentation import effects
from ser_edge_train.augmentation.effects import APPLY, add_at_snr
from ser_edge_train.errors import MissingCodec
from ser_edge_train.recipes.augmentation import (
    EFFECTS,
    BandLimit,
    Codec,
    Gain,
    Noise,
    Pitch,
    Reverb,
    Shift,
    Speed,
    Stretch,
)

from .waveforms import RATE, TABLES, made, voice


def power_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def band_db(samples: np.ndarray, low: float, high: float) -> float:
    """Power between two frequencies, in dB."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(spectrum[(frequency >= low) & (frequency < high)].sum() + 1e-30))


def pitch_of(samples: np.ndarray) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(np.argmax(spectrum) / (8 * len(samples)) * RATE)


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


# --- what holds for every effect ------------------------------------------------------------


def test_every_effect_of_a_recipe_is_made():
    assert set(EFFECTS) == {*APPLY, "recorded_noise"}
    assert set(TABLES) == set(APPLY)


@pytest.mark.parametrize("name", APPLY)
@pytest.mark.parametrize("count", [1, 2, 7, 160, 1603])
def test_a_clip_of_any_length_survives(name, count):
    """160 samples are 10 ms, less than a frame."""
    for seed in range(5):
        changed = made(name, voice(count, seed), seed)
        assert changed.dtype == np.float32
        assert changed.ndim == 1
        assert len(changed) >= 1
        assert np.isfinite(changed).all()


@pytest.mark.parametrize("name", APPLY)
@pytest.mark.parametrize("count", [160, 8000])
def test_silence_stays_silent(name, count):
    for seed in range(5):
        changed = made(name, np.zeros(count, np.float32), seed)
        assert np.isfinite(changed).all()
        # GSM decodes silence as a hum of -65 dB.
        assert np.abs(changed).max() < (1e-3 if name == "codec" else 1e-9)


@pytest.mark.parametrize("name", APPLY)
def test_the_argument_stays_and_the_generator_alone_decides(name):
    samples = voice(8000)
    before = samples.copy()
    one, same, other = (made(name, samples, seed) for seed in (1, 1, 2))
    assert np.array_equal(samples, before)
    assert not np.shares_memory(one, samples)
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


# --- noise ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    snr_db=st.floats(-20, 60),
    count=st.integers(2, 4000),
    level=st.floats(1e-4, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_snr_is_met(snr_db, count, level, seed):
    clean = voice(count, seed, level)
    noisy = made("noise", clean, seed, Noise(snr_db=(snr_db, snr_db)))
    noise = noisy.astype(np.float64) - clean
    assert power_db(clean) - power_db(noise) == pytest.approx(snr_db, abs=0.1)


def test_the_snr_is_drawn_from_all_of_the_range():
    clean = voice(2000)
    found = [power_db(clean) - power_db(made("noise", clean, seed) - clean) for seed in range(60)]
    assert 0 <= min(found) < 2
    assert 18 < max(found) <= 20


def test_white_noise_is_white():
    clean = voice(RATE)
    noise = made("noise", clean, how=Noise(snr_db=(0, 0))) - clean
    bands = [band_db(noise, low, low + 1000) for low in range(0, 8000, 1000)]
    assert max(bands) - min(bands) < 1.5


def test_there_is_no_ratio_to_silence():
    clean = voice(100)
    assert np.array_equal(add_at_snr(clean, np.zeros(100), 10), clean)
    assert not add_at_snr(np.zeros(100, np.float32), np.ones(100), 10).any()


# --- exact ones -----------------------------------------------------------------------------


@settings(max_examples=40)
@given(share=st.floats(-1, 1), count=st.integers(1, 3000))
def test_a_shift_is_a_rotation(share, count):
    samples = np.arange(count, dtype=np.float32)
    moved = made("shift", samples, how=Shift(share=(share, share)))
    assert np.array_equal(moved, np.roll(samples, round(share * count)))


@settings(max_examples=40)
@given(db=st.floats(-60, 60), seed=st.integers(0, 99))
def test_a_gain_is_exact(db, seed):
    samples = voice(500, seed)
    louder = made("gain", samples, how=Gain(db=(db, db)))
    np.testing.assert_allclose(louder, samples.astype(np.float64) * 10 ** (db / 20), rtol=1e-6)


@settings(max_examples=25)
@given(factor=st.floats(0.5, 2), count=st.integers(160, 20_000))
def test_speed_changes_the_length_by_its_factor(factor, count):
    changed = made("speed", voice(count), how=Speed(factor=(factor, factor)))
    assert len(changed) == pytest.approx(count / factor, abs=1 + 1e-4 * count)


@settings(max_examples=25)
@given(rate=st.floats(0.5, 2), count=st.integers(160, 20_000))
def test_stretching_changes_the_length_by_its_rate(rate, count):
    changed = made("stretch", voice(count), how=Stretch(rate=(rate, rate)))
    assert len(changed) == pytest.approx(count / rate, abs=1)


def test_speed_moves_the_pitch_and_stretching_does_not():
    faster = made("speed", tone(400), how=Speed(factor=(1.5, 1.5)))
    stretched = made("stretch", tone(400), how=Stretch(rate=(1.5, 1.5)))
    assert pitch_of(faster) == pytest.approx(600, abs=2)
    assert pitch_of(stretched) == pytest.approx(400, abs=3)


@pytest.mark.parametrize("semitones", [-7.0, -2.5, 0.5, 12.0])
def test_a_pitch_shift_moves_the_pitch_and_not_the_length(semitones):
    changed = made("pitch", tone(400), how=Pitch(semitones=(semitones, semitones)))
    assert len(changed) == RATE
    assert pitch_of(changed) == pytest.approx(400 * 2 ** (semitones / 12), rel=0.01)


# --- the room, the microphone, the line -----------------------------------------------------


@pytest.mark.parametrize("seconds", [0.2, 0.5])
def test_reverberation_falls_by_60_db_in_its_time(seconds):
    """Schroeder's backward integral of the response to a click, from -5 to -25 dB."""
    click = np.zeros(RATE, np.float32)
    click[0] = 0.5
    table = Reverb(rt60_seconds=(seconds, seconds), direct_db=(0, 0))
    tail = made("reverb", click, how=table)[1:].astype(np.float64)
    left = np.cumsum(tail[::-1] ** 2)[::-1]
    decay = 10 * np.log10(left / left[0] + 1e-30)
    early, late = np.argmax(decay < -5), np.argmax(decay < -25)
    assert 3 * (late - early) / RATE == pytest.approx(seconds, rel=0.15)


@pytest.mark.parametrize("direct_db", [-5.0, 0.0, 15.0])
def test_the_direct_sound_is_so_much_stronger(direct_db):
    click = np.zeros(RATE, np.float32)
    click[0] = 0.5
    table = Reverb(rt60_seconds=(0.3, 0.3), direct_db=(direct_db, direct_db))
    room = made("reverb", click, how=table).astype(np.float64)
    assert 10 * np.log10(room[0] ** 2 / np.sum(room[1:] ** 2)) == pytest.approx(direct_db, abs=0.1)


def test_reverberation_keeps_length_and_level():
    clean = voice(8000)
    room = made("reverb", clean)
    assert len(room) == len(clean)
    assert power_db(room) == pytest.approx(power_db(clean), abs=0.01)


def test_a_band_limit_takes_away_what_is_outside():
    hiss = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * np.float32(0.1)
    table = BandLimit(low_hz=(300, 300), high_hz=(3400, 3400))
    left = made("band_limit", hiss, how=table)
    assert len(left) == len(hiss)
    assert band_db(left, 600, 2500) == pytest.approx(band_db(hiss, 600, 2500), abs=0.5)
    assert band_db(left, 20, 75) < band_db(hiss, 20, 75) - 40
    assert band_db(left, 7000, 8000) < band_db(hiss, 7000, 8000) - 20


@pytest.mark.parametrize("high", [7840.0, 8000.0, 20_000.0])
def test_an_upper_edge_beyond_the_band_is_none(high):
    hiss = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * np.float32(0.1)
    left = made("band_limit", hiss, how=BandLimit(low_hz=(300, 300), high_hz=(high, high)))
    assert band_db(left, 600, 8000) == pytest.approx(band_db(hiss, 600, 8000), abs=0.2)


@pytest.mark.parametrize("name", ["opus", "vorbis", "mp3", "mulaw", "gsm"])
@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 48_000, 96_000])
def test_a_codec_keeps_length_place_and_most_of_the_sound(name, rate):
    """The largest correlation is at no lag: an encoder's delay would move the clip."""
    samples = voice(rate // 2, rate=rate)
    table = Codec(names=(name,), compression=(0.5, 0.5))
    coded = effects.codec(samples, rate, table, np.random.default_rng(0))
    assert len(coded) == len(samples)
    points = 2 * len(samples)
    product = np.fft.rfft(coded, points) * np.conj(np.fft.rfft(samples, points))
    lag = int(np.fft.irfft(product).argmax())
    assert lag in (0, 1, points - 1)
    assert np.corrcoef(coded, samples)[0, 1] > 0.9
    assert not np.array_equal(coded, samples)


def test_more_compression_takes_more_away():
    samples = voice(RATE)
    errors = [
        power_db(made("codec", samples, how=Codec(names=("opus",), compression=(c, c))) - samples)
        for c in (0.3, 0.9, 0.98)
    ]
    assert errors == sorted(errors)
    assert errors[0] < errors[2] - 3


def test_telephone_codecs_leave_4_khz():
    hiss = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * np.float32(0.1)
    for name in ("mulaw", "gsm"):
        left = made("codec", hiss, how=Codec(names=(name,)))
        assert band_db(left, 4200, 8000) < band_db(hiss, 4200, 8000) - 40


def test_a_codec_does_not_clip_what_is_above_full_scale():
    loud = voice(8000, level=5)
    assert np.abs(loud).max() > 2
    coded = made("codec", loud, how=Codec(names=("opus",), compression=(0, 0)))
    assert np.corrcoef(coded, loud)[0, 1] > 0.99
    assert np.abs(coded).max() == pytest.approx(np.abs(loud).max(), rel=0.1)


def test_a_codec_that_libsndfile_lacks_is_one_line(monkeypatch):
    import soundfile

    def refuse(*_: object, **__: object) -> None:
        raise soundfile.LibsndfileError(1)

    monkeypatch.setattr(soundfile, "write", refuse)
    with pytest.raises(MissingCodec, match=r"codec: libsndfile [0-9.]+ has no mp3; leave it out"):
        made("codec", voice(100), how=Codec(names=("mp3",)))
