"""The front end's constants against their formulas, written out again by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.front_end.framing import Framer, frames_of
from ser_edge_runtime.front_end.kinds import ContrastBands, MelScale, feature_names, raw_group
from ser_edge_runtime.front_end.spectrum import (
    chroma_filters,
    contrast_bins,
    cosines,
    hz_to_mel,
    mel_filters,
    mel_to_hz,
    window,
)
from tests.runtime.machines import SUBNORMALS

RATE, LENGTH = 16_000, 512
HERTZ = np.arange(LENGTH // 2 + 1) * RATE / LENGTH


@pytest.mark.parametrize(
    ("hertz", "htk", "mel"),
    [
        (0.0, True, 0.0),
        (700.0, True, 2595 * math.log10(2)),
        (6300.0, True, 2595.0),
        (0.0, False, 0.0),
        (200 / 3, False, 1.0),
        (999.999, False, 14.999985),
        (1000.0, False, 15.0),
        (6400.0, False, 42.0),  # 27 mels are a factor of 6.4
        (1000 * 6.4**2, False, 69.0),
    ],
)
def test_mels_of_known_frequencies_and_back(hertz, htk, mel):
    assert hz_to_mel(np.array(hertz), htk) == pytest.approx(mel, abs=1e-9)
    assert mel_to_hz(np.array(mel), htk) == pytest.approx(hertz, abs=1e-6)


@settings(max_examples=50)
@given(
    st.lists(st.floats(0, 192_000, allow_subnormal=SUBNORMALS), min_size=2, max_size=20),
    st.booleans(),
)
def test_mel_rises_with_frequency_and_has_an_inverse(hertz, htk):
    values = np.sort(np.array(hertz))
    mel = hz_to_mel(values, htk)
    assert (np.diff(mel) >= 0).all()
    np.testing.assert_allclose(mel_to_hz(mel, htk), values, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("bands", [1, 2, 13, 40])
def test_filters_are_triangles_between_the_corners_of_their_neighbours(bands, htk):
    """Each triangle is drawn here bin by bin, from the corners alone."""
    scale = MelScale(bands, 50.0, 7000.0, htk, "none")
    low, high = (hz_to_mel(np.array(edge), htk) for edge in (50.0, 7000.0))
    corners = [
        float(mel_to_hz(low + (high - low) * n / (bands + 1), htk)) for n in range(bands + 2)
    ]
    found = mel_filters(scale, RATE, LENGTH)
    assert found.shape == (LENGTH // 2 + 1, bands)
    for band, (left, peak, right) in enumerate(
        zip(corners, corners[1:], corners[2:], strict=False)
    ):
        for place, hertz in enumerate(HERTZ):
            rising, falling = (hertz - left) / (peak - left), (right - hertz) / (right - peak)
            expected = max(0.0, min(rising, falling))
            assert found[place, band] == pytest.approx(expected, abs=1e-6), (band, hertz)


def test_white_noise_gives_equal_power_in_every_band_of_unit_area():
    filters = mel_filters(MelScale(20, 300.0, 7500.0), RATE, 1 << 15)
    areas = filters.astype(np.float64).sum(axis=0) * RATE / (1 << 15)
    np.testing.assert_allclose(areas, 1, rtol=1e-3)


@pytest.mark.parametrize("bands", [1, 2, 13, 64])
def test_the_cosines_are_orthonormal_and_give_back_what_they_took(bands):
    matrix = cosines(bands, bands).astype(np.float64)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(bands), atol=1e-5)
    np.testing.assert_array_equal(cosines(bands, 1), cosines(bands, bands)[:, :1])


def test_the_cosines_are_scipys_orthonormal_dct():
    fft = pytest.importorskip("scipy.fft", reason="scipy comes with the extra train")
    values = np.random.default_rng(0).normal(size=(5, 40))
    expected = fft.dct(values, type=2, norm="ortho", axis=1)[:, :13]
    np.testing.assert_allclose(values @ cosines(40, 13), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["hann", "hamming", "rectangular"])
@pytest.mark.parametrize(("length", "fft_length"), [(400, 512), (399, 512), (512, 512), (2, 16)])
def test_a_window_lies_in_the_middle_and_adds_up_over_half_hops(name, length, fft_length):
    found = window(name, length, fft_length)
    start = (fft_length - length) // 2
    assert not found[:start].any()
    assert not found[start + length :].any()
    if length % 2 == 0:
        inner = found[start : start + length]
        halves = inner[: length // 2] + inner[length // 2 :]
        total = {"hann": 1.0, "hamming": 1.08, "rectangular": 2.0}[name]
        np.testing.assert_allclose(halves, total, atol=1e-12)


@pytest.mark.parametrize(("note", "place"), [(261.626, 0), (440.0, 9), (880.0, 9), (493.883, 11)])
def test_a_note_falls_on_its_pitch_class(note, place):
    filters = chroma_filters(Chroma(), RATE, 8192)
    assert filters[round(note * 8192 / RATE)].argmax() == place


def test_a_tuning_turns_the_pitch_classes():
    """A bin's pitch rises by a class where the reference falls by one."""
    plain = chroma_filters(Chroma(), RATE, 8192)[200:]
    turned = chroma_filters(Chroma(tuning=-1.0), RATE, 8192)[200:]
    same = plain.argmax(axis=1)
    moved = np.mod(turned.argmax(axis=1) - same, 12)
    assert (moved == 1).mean() > 0.99


@pytest.mark.parametrize(("rate", "length"), [(16_000, 512), (22_050, 2048), (44_100, 4096)])
@pytest.mark.parametrize(
    "bands", [ContrastBands(6, 100.0, 0.02), ContrastBands(2, 200.0, 0.5), ContrastBands(1, 50, 1)]
)
def test_octave_bands_are_those_that_librosa_draws(rate, length, bands):
    """As librosa.feature.spectral_contrast 0.11 chooses them, with masks over all bins."""
    hertz = np.arange(length // 2 + 1) * rate / length
    edges = np.concatenate([[0.0], bands.fmin * 2.0 ** np.arange(bands.bands + 1)])
    for number, (first, end, count) in enumerate(contrast_bins(bands, rate, length)):
        mask = (hertz >= edges[number]) & (hertz <= edges[number + 1])
        inside = np.flatnonzero(mask)
        if number > 0:
            mask[inside[0] - 1] = True
        if number == bands.bands:
            mask[inside[-1] + 1 :] = True
        used = np.flatnonzero(mask)
        kept = used[:-1] if number < bands.bands else used
        np.testing.assert_array_equal(np.arange(first, end), kept)
        assert count == max(1, int(np.rint(bands.quantile * len(used))))


def test_shared_matrices_cannot_be_written_to():
    shared = (
        window("hann", 400, 512),
        mel_filters(MelScale(), RATE, LENGTH),
        chroma_filters(Chroma(), RATE, LENGTH),
        cosines(40, 13),
    )
    for matrix in shared:
        with pytest.raises(ValueError, match="read-only"):
            matrix[0] = 1


# frames


def by_hand(samples, spec):
    """Frames one by one, from the signal with its margins."""
    margin = np.zeros(spec.fft_length // 2 if spec.centred else 0, np.float32)
    whole = np.concatenate([margin, samples, margin]) if len(samples) else samples
    starts = range(0, len(whole) - spec.fft_length + 1, spec.hop_length)
    return np.array([whole[at : at + spec.fft_length] for at in starts]).reshape(
        -1, spec.fft_length
    )


def frames(blocks, spec):
    found = [frames_of(block, spec.fft_length, spec.hop_length)[:count] for block, count in blocks]
    return np.concatenate([np.zeros((0, spec.fft_length), np.float32), *found])


@settings(max_examples=40)
@given(
    fft_length=st.sampled_from([16, 64, 2048]),
    hop=st.integers(1, 16),
    centred=st.booleans(),
    sizes=st.lists(st.integers(0, 900), max_size=6),
)
def test_blocks_hold_the_frames_that_are_cut_one_by_one(fft_length, hop, centred, sizes):
    hop = hop * fft_length // 16
    spec = FrontEndSpec(
        fft_length=fft_length, window_length=16, hop_length=hop, centred=centred,
        features=(Rms(),), clip_seconds=None,
    )  # fmt: skip
    sizes = [size * fft_length // 64 for size in sizes]
    samples = np.random.default_rng(sum(sizes)).normal(size=sum(sizes)).astype(np.float32)
    framer, start, blocks = Framer(spec), 0, []
    for size in sizes:
        blocks += [(block.copy(), n) for block, n in framer.push(samples[start : start + size])]
        start += size
        done = sum(count for _, count in blocks)
        # What can be peeked at is what a recording that ended here without a margin would add.
        waiting, count = framer.peek()
        assert count == framer.waiting
        so_far = np.concatenate([samples[:start], np.zeros(0, np.float32)])
        margin = np.zeros(fft_length // 2 if centred else 0, np.float32)
        uncentred = FrontEndSpec(
            fft_length=fft_length, window_length=16, hop_length=hop, centred=False,
            features=(Rms(),), clip_seconds=None,
        )  # fmt: skip
        expected = by_hand(np.concatenate([margin, so_far]), uncentred)[done:]
        np.testing.assert_array_equal(frames([(waiting, count)], spec), expected)
    blocks += list(framer.flush())
    np.testing.assert_array_equal(frames(blocks, spec), by_hand(samples, spec))
    assert len(frames(blocks, spec)) == spec.frame_count(len(samples))
    assert {len(block) for block, _ in blocks} <= {(framer.block - 1) * hop + fft_length}


def test_frames_are_views_that_cannot_be_written_to():
    block = np.arange(10, dtype=np.float32)
    found = frames_of(block, 4, 3)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])
    assert np.shares_memory(found, block)
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1
    np.testing.assert_array_equal(frames_of(block[::2], 2, 2), [[0, 2], [4, 6]])


# names


@pytest.mark.parametrize(
    ("feature", "before", "first", "last", "count"),
    [
        (LogMel(bands=3), (), "log_mel_0", "log_mel_2", 3),
        (Mfcc(bands=40, count=13), (), "mfcc_0", "mfcc_12", 13),
        (Chroma(bins=24), (), "chroma_0", "chroma_23", 24),
        (SpectralContrast(bands=6), (), "spectral_contrast_0", "spectral_contrast_6", 7),
        (Zcr(), (), "zcr", "zcr", 1),
        (Rms(), (Zcr(),), "rms", "rms", 1),
        (Delta(), (Mfcc(count=2),), "delta_mfcc_0", "delta_mfcc_1", 2),
        (Delta(order=2), (Mfcc(count=2),), "delta2_mfcc_0", "delta2_mfcc_1", 2),
        (Delta(of="zcr"), (Mfcc(), Zcr()), "delta_zcr", "delta_zcr", 1),
    ],
)
def test_each_column_has_a_name(feature, before, first, last, count):
    names = feature_names(feature, before)
    assert (names[0], names[-1], len(names), len(set(names))) == (first, last, count, count)


def test_features_of_equal_raw_columns_share_them():
    assert raw_group(LogMel(bands=40)) == raw_group(Mfcc(bands=40, count=5, top_db=None))
    assert raw_group(LogMel(bands=40)) != raw_group(LogMel(bands=40, htk=True))
    assert raw_group(SpectralContrast(top_db=None)) == raw_group(SpectralContrast())
    assert raw_group(Delta()) is None
    assert raw_group(Rms()) == Rms()
