"""The resampler: its filter, its lengths, and streams that equal whole clips."""

import importlib
import inspect
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime import resampling
from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.errors import SampleRateError
from ser_edge_runtime.resampling import Resampler, resample, resampled_length

from .machines import LEAST_ROUNDING

RATIOS = [
    (48000, 16000),
    (44100, 16000),
    (24414, 16000),
    (22050, 16000),
    (96000, 16000),
    (8000, 16000),
    (11025, 16000),
    (16000, 8000),
    (16000, 44100),
    (16000, 48000),
    (16000, 24414),
]


def tone(rate: int, frequency: float, seconds: float = 1.0) -> np.ndarray:
    instants = np.arange(round(rate * seconds)) / rate
    return np.sin(2 * np.pi * frequency * instants).astype(np.float32)


def inner(samples: np.ndarray, rate: int) -> np.ndarray:
    """Without the ends, where the filter sees the silence outside the clip."""
    edge = round(rate * 0.1)
    return samples[edge:-edge]


def gain_db(source: int, target: int, frequency: float) -> float:
    after = inner(resample(tone(source, frequency), source, target), target)
    return 20 * np.log10(np.std(after, dtype=np.float64) * np.sqrt(2) + 1e-20)


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_pass_band_is_flat_to_nine_tenths_of_the_lower_nyquist(source, target):
    nyquist = min(source, target) / 2
    gains = [gain_db(source, target, nyquist * part) for part in (0.02, 0.3, 0.6, 0.8, 0.9)]
    assert np.max(np.abs(gains)) <= 0.01


@pytest.mark.parametrize(("source", "target"), [pair for pair in RATIOS if pair[0] > pair[1]])
def test_what_would_alias_is_rejected_by_85_db(source, target):
    parts = [part for part in (1.0, 1.02, 1.1, 1.3, 2.0, 2.7) if part * target < source]
    gains = [gain_db(source, target, target / 2 * part) for part in parts]
    assert len(gains) >= 4
    assert np.max(gains) <= -85.0


@pytest.mark.parametrize(("source", "target"), [pair for pair in RATIOS if pair[0] < pair[1]])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_images_of_a_tone_are_rejected_by_85_db(source, target, part):
    frequency = source / 2 * part
    after = inner(resample(tone(source, frequency, 1.2), source, target), target)[:target]
    spectrum = np.abs(np.fft.rfft(after.astype(np.float64) * np.blackman(len(after))))
    hertz = np.fft.rfftfreq(len(after), 1 / target)
    image = spectrum[hertz >= source / 2].max()
    assert 20 * np.log10(image / spectrum.max()) <= -85.0


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_an_instant_stays_where_it_is(source, target):
    frequency = 440.0
    after = resample(tone(source, frequency), source, target)
    assert np.max(np.abs(inner(after - tone(target, frequency)[: len(after)], target))) < 2e-5


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_the_filter_is_symmetric_in_time(source, target):
    count = source // 10 + 1
    while (count - 1) * target % source:  # so that the last sample falls on an output
        count += 1
    matching = (count - 1) * target // source + 1
    noise = np.random.default_rng(1).standard_normal(count).astype(np.float32)
    forwards = resample(noise, source, target)[:matching]
    backwards = resample(noise[::-1], source, target)[:matching][::-1]
    np.testing.assert_allclose(forwards, backwards, atol=3e-6)


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_a_constant_stays_that_constant(source, target):
    after = resample(np.full(source, 0.25, np.float32), source, target)
    assert np.max(np.abs(inner(after, target) - 0.25)) < LEAST_ROUNDING


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_there_and_back_is_the_same_within_the_common_band(source, target):
    band = min(source, target) * 0.4
    clip = sum(tone(source, band * part) for part in (0.1, 0.37, 0.8, 0.99)) / 4
    back = resample(resample(clip, source, target), target, source)[: len(clip)]
    assert np.max(np.abs(inner(back - clip, source))) < 3e-4


@pytest.mark.parametrize(("source", "target"), [*RATIOS, (16000, 16000), (44101, 16000)])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 57, 1000])
def test_length_is_the_ceiling(source, target, count):
    after = resample(np.ones(count, np.float32), source, target)
    assert len(after) == resampled_length(count, source, target)
    assert len(after) == int(np.ceil(count * target / source))
    assert after.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    pair=st.sampled_from([*RATIOS, (16000, 16000), (12345, 16000), (16000, 15999)]),
    seed=st.integers(0, 2**16),
    cuts=st.lists(st.integers(0, 700), min_size=1, max_size=30),
)
def test_a_stream_equals_the_whole_clip_bit_for_bit(pair, seed, cuts):
    samples = np.random.default_rng(seed).standard_normal(sum(cuts)).astype(np.float32)
    stream = Resampler(*pair)
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(stream.push(samples[start : start + cut]))
        start += cut
    pieces.append(stream.flush())
    np.testing.assert_array_equal(np.concatenate(pieces), resample(samples, *pair))


@pytest.mark.parametrize("pair", [(48000, 16000), (16000, 44100)])
def test_pushed_a_sample_at_a_time(pair):
    samples = np.random.default_rng(2).standard_normal(2000).astype(np.float32)
    stream = Resampler(*pair)
    pieces = [stream.push(samples[i : i + 1]) for i in range(len(samples))]
    pieces.append(stream.flush())
    np.testing.assert_array_equal(np.concatenate(pieces), resample(samples, *pair))


def test_a_stream_longer_than_the_inner_chunk_equals_the_whole_clip():
    samples = np.random.default_rng(3).standard_normal(200_000).astype(np.float32)
    stream = Resampler(44100, 16000)
    pieces = [stream.push(part) for part in np.array_split(samples, 7)]
    pieces.append(stream.flush())
    np.testing.assert_array_equal(np.concatenate(pieces), resample(samples, 44100, 16000))


def test_flush_starts_a_new_stream():
    samples = np.random.default_rng(4).standard_normal(5000).astype(np.float32)
    stream = Resampler(48000, 16000)
    once = np.concatenate([stream.push(samples), stream.flush()])
    assert len(stream.flush()) == 0
    twice = np.concatenate([stream.push(samples), stream.flush()])
    np.testing.assert_array_equal(once, twice)


def test_a_stream_lags_by_no_more_than_two_blocks():
    stream = Resampler(48000, 16000)
    stream.push(np.zeros(48000, np.float32))
    assert 48000 // 3 - len(stream.flush()) > 16000 - 16000 * 0.02


def test_a_ratio_too_large_to_keep_gives_the_same_as_one_kept(monkeypatch):
    samples = np.random.default_rng(5).standard_normal(4000).astype(np.float32)
    kept = resample(samples, 44100, 16000)
    resampling._filter_bank.cache_clear()
    monkeypatch.setattr(resampling, "_MOST_KEPT", 0)
    built_anew = resample(samples, 44100, 16000)
    bank = resampling._filter_bank(160, 441)
    assert bank._kept is None
    resampling._filter_bank.cache_clear()
    np.testing.assert_array_equal(kept, built_anew)


def test_memory_of_an_odd_ratio_is_bounded():
    samples = np.zeros(2000, np.float32)
    tracemalloc.start()
    resample(samples, 767_999, 16_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 * 2**20


def test_memory_of_a_stream_is_flat():
    stream = Resampler(44100, 16000)
    block = np.zeros(44100, np.float32)
    stream.push(block)
    tracemalloc.start()
    for _ in range(60):
        stream.push(block)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000
    assert peak < 4 * 2**20


def test_threads_share_a_filter():
    samples = np.random.default_rng(6).standard_normal(24_414).astype(np.float32)
    expected = resample(samples, 24414, 16000)
    resampling._filter_bank.cache_clear()
    results: list[np.ndarray] = []
    workers = [
        threading.Thread(target=lambda: results.append(resample(samples, 24414, 16000)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_the_same_rate_copies():
    samples = np.arange(5, dtype=np.float32)
    after = resample(samples, 16000, 16000)
    np.testing.assert_array_equal(after, samples)
    assert not np.shares_memory(after, samples)


def test_other_types_are_taken():
    ints = resample([0, 1, 2, 3], 16000, 8000)
    floats = resample(np.array([0, 1, 2, 3], np.float64), 16000, 8000)
    np.testing.assert_array_equal(ints, floats)


@pytest.mark.parametrize("rate", [0, -16000, 999, 768_001, 2**32, 16000.5, "16000", None, True])
@pytest.mark.parametrize("swap", [False, True])
def test_absurd_rates_are_refused(rate, swap):
    rates = (16000, rate) if swap else (rate, 16000)
    with pytest.raises(SampleRateError, match="sample rate") as caught:
        resample(np.zeros(4, np.float32), *rates)
    assert "\n" not in str(caught.value)


def test_numpy_rates_are_taken():
    assert len(resample(np.zeros(6), np.int32(48000), np.int64(16000))) == 2


def test_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="one dimension"):
        resample(np.zeros((4, 2)), 48000, 16000)


def oracle(name: str):
    """A reference implementation; CI must have it."""
    if os.environ.get("CI"):
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} comes with the extra train")


def pass_band(samples: np.ndarray, rate: int, highest: float) -> np.ndarray:
    spectrum = np.fft.rfft(samples.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > highest] = 0
    return np.fft.irfft(spectrum, len(samples))


@pytest.mark.parametrize(
    "clip", ["ravdess/03-01-01-01-01-01-24", "savee/DC_a01", "tess/OAF_dog_happy"]
)
def test_against_scipy_and_soxr_on_real_clips(corpora, clip):
    samples, rate = load_audio(corpora / "originals" / f"{clip}.wav")
    ours = resample(samples, rate, 16000)
    up, down = 16000 // np.gcd(rate, 16000), rate // np.gcd(rate, 16000)
    # SciPy's own default filter is 60 dB: its aliases would hide what is compared.
    taps = oracle("scipy.signal").firwin(2 * 100 * down + 1, 0.95 / down, window=("kaiser", 9.0))
    by_scipy = oracle("scipy.signal").resample_poly(
        samples.astype(np.float64), up, down, window=taps
    )
    by_soxr = oracle("soxr").resample(samples, rate, 16000, quality="VHQ")
    assert len(ours) == len(by_scipy)
    for other in (by_scipy, by_soxr):
        count = min(len(ours), len(other))
        # Above 0.9 of the Nyquist frequency the filters differ by design.
        difference = inner(pass_band(ours[:count] - other[:count], 16000, 7000), 16000)
        assert np.max(np.abs(difference)) < 1e-4 * np.max(np.abs(ours))


def test_defaults_that_the_documentation_states():
    text = inspect.getdoc(resampling)
    assert "up to 0.9" in text
    assert "85 dB" in text
    assert (resampling.LOWEST_RATE, resampling.HIGHEST_RATE) == (1_000, 768_000)
    assert Path(resampling.__file__).read_text().count("import scipy") == 0
