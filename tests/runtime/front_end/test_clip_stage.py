"""The clip stage: trimming, level, length, decibels, deltas, layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEnd,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.front_end.clip import decibels, delta

from ...signals import noise, voice

OPEN = FrontEndSpec(clip_seconds=None)
ALL = (LogMel(), Mfcc(bands=64), Delta(), Zcr(), Rms(), Chroma(), SpectralContrast())


def test_a_clip_is_both_stages_in_one() -> None:
    front_end = FrontEnd(replace(OPEN, features=ALL))
    samples = voice()
    assert np.array_equal(front_end(samples), front_end.clip(front_end.frames(samples)))


def test_frames_given_are_not_changed() -> None:
    front_end = FrontEnd(replace(OPEN, features=ALL, level=0.1, trim_db=40.0))
    frames = front_end.frames(voice())
    before = frames.copy()
    front_end.clip(frames)
    assert np.array_equal(frames, before)


def test_frames_of_another_front_end_are_refused() -> None:
    with pytest.raises(ValueError, match="raw frames of width 65"):
        FrontEnd(OPEN).clip(np.zeros((3, 64), np.float32))


@pytest.mark.parametrize("layout", ["sequence", "flat", "mean"])
@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 1.0, 2.0])
def test_shape_is_what_the_spec_says(layout: str, seconds: float) -> None:
    spec = FrontEndSpec(features=ALL, layout=layout, clip_seconds=1.0)
    out = FrontEnd(spec)(voice(seconds))
    assert out.shape == spec.output_shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()


def test_flat_is_the_sequence_frame_after_frame_and_mean_its_mean() -> None:
    samples = voice()
    sequence = FrontEnd(OPEN)(samples)
    assert np.array_equal(FrontEnd(replace(OPEN, layout="flat"))(samples), sequence.reshape(-1))
    np.testing.assert_allclose(
        FrontEnd(replace(OPEN, layout="mean"))(samples), sequence.mean(axis=0), rtol=1e-6
    )


@pytest.mark.parametrize(("cut", "before", "after"), [("start", 0, 51), ("centre", 25, 26)])
def test_short_clips_are_filled_with_silence(cut: str, before: int, after: int) -> None:
    spec = FrontEndSpec(features=(Rms(),), clip_seconds=1.0, cut=cut)
    out = FrontEnd(spec)(np.full(7840, 0.5, np.float32))[:, 0]
    assert len(out) == 101
    assert not out[:before].any()
    assert not out[len(out) - after :].any()
    assert out[before : len(out) - after].all()


@pytest.mark.parametrize(("cut", "first"), [("start", 0), ("centre", 50)])
def test_long_clips_are_cut(cut: str, first: int) -> None:
    samples = voice(2.0)
    spec = FrontEndSpec(clip_seconds=1.0, cut=cut, features=(Rms(),))
    whole = FrontEnd(replace(spec, clip_seconds=None))(samples)
    assert np.array_equal(FrontEnd(spec)(samples), whole[first : first + 101])


def test_offset_skips_the_beginning() -> None:
    samples = voice(2.0)
    spec = replace(OPEN, features=(Rms(),))
    whole = FrontEnd(spec)(samples)
    assert np.array_equal(FrontEnd(replace(spec, offset_seconds=0.6))(samples), whole[60:])


def test_offset_beyond_the_end_leaves_silence() -> None:
    spec = FrontEndSpec(features=(Rms(), Zcr()), offset_seconds=5.0, clip_seconds=1.0)
    assert not FrontEnd(spec)(voice(1.0)).any()


def test_trimming_cuts_quiet_ends_only() -> None:
    quiet, loud = noise(8000, level=1e-4), noise(8000, level=0.1)
    samples = np.concatenate([quiet, loud, quiet, loud, quiet])
    trimmed = FrontEnd(replace(OPEN, trim_db=40.0))(samples)
    # Three stretches of 8000 samples stay, and the frames that reach into them.
    assert 150 <= len(trimmed) <= 150 + 2 * (512 // 160 + 1)


def test_trimming_leaves_silence_whole() -> None:
    assert len(FrontEnd(replace(OPEN, trim_db=40.0))(np.zeros(16000, np.float32))) == 101


@given(st.integers(-8, 2))
def test_level_makes_loudness_irrelevant(octaves: int) -> None:
    """Gains are powers of two: any other rounds the samples, and spectral valleys show it."""
    spec = replace(
        OPEN, features=(LogMel(top_db=None), Rms(), Chroma(), SpectralContrast()), level=0.1
    )
    samples = voice(0.5)
    front_end = FrontEnd(spec)
    np.testing.assert_allclose(
        front_end(samples * np.float32(2.0**octaves)), front_end(samples), atol=1e-3, rtol=1e-4
    )


def test_level_is_the_root_mean_square() -> None:
    out = FrontEnd(replace(OPEN, features=(Rms(),), level=0.1))(voice(2.0))
    assert np.sqrt(np.mean(out.astype(np.float64) ** 2)) == pytest.approx(0.1, rel=1e-5)


def test_level_does_not_blow_up_silence() -> None:
    out = FrontEnd(replace(OPEN, features=(Rms(),), level=0.1))(noise(16000, level=1e-7))
    assert out.max() < 1e-6


def test_level_follows_trimming() -> None:
    """What is trimmed off must not weigh on the level."""
    loud = noise(16000, level=0.1)
    framed = np.concatenate([np.zeros(32000, np.float32), loud, np.zeros(32000, np.float32)])
    spec = replace(OPEN, features=(Rms(),), trim_db=40.0, level=0.05)
    assert FrontEnd(spec)(framed).mean() == pytest.approx(0.05, rel=0.05)


def test_decibels() -> None:
    power = np.array([[1.0, 0.1], [1e-3, 1e-12]], np.float32)
    np.testing.assert_allclose(decibels(power, None), [[0, -10], [-30, -100]], atol=1e-5)
    np.testing.assert_allclose(decibels(power, 20.0), [[0, -10], [-20, -20]], atol=1e-5)


def test_features_stand_in_the_order_asked_for() -> None:
    samples = voice()
    one = FrontEnd(replace(OPEN, features=(Zcr(), Rms())))(samples)
    other = FrontEnd(replace(OPEN, features=(Rms(), Zcr())))(samples)
    assert np.array_equal(one, other[:, ::-1])


def test_names_name_the_columns() -> None:
    front_end = FrontEnd(replace(OPEN, features=ALL))
    out = front_end(voice())
    assert len(front_end.names) == out.shape[1]
    alone = FrontEnd(replace(OPEN, features=(Rms(),)))(voice())[:, 0]
    assert np.array_equal(out[:, front_end.names.index("rms")], alone)


def test_delta_follows_the_feature_it_names() -> None:
    spec = replace(OPEN, features=(Rms(), Mfcc(bands=64), Delta(of="rms"), Delta(of="mfcc")))
    out = FrontEnd(spec)(voice())
    np.testing.assert_array_equal(out[:, 41], delta(out[:, :1], 9, 1)[:, 0])
    np.testing.assert_array_equal(out[:, 42:], delta(out[:, 1:41].copy(), 9, 1))


@given(
    st.integers(1, 60),
    st.sampled_from([3, 5, 9, 31]),
    st.floats(-5, 5, allow_subnormal=False),
    st.floats(-50, 50, allow_subnormal=False),
)
def test_slope_of_a_line_is_its_slope(frames: int, width: int, slope: float, start: float) -> None:
    line = (start + slope * np.arange(frames))[:, None].astype(np.float32)
    expected = slope if frames >= 3 else 0
    np.testing.assert_allclose(delta(line, width, 1), expected, atol=2e-3)


@given(st.integers(3, 60), st.sampled_from([3, 5, 9]), st.floats(-1, 1, allow_subnormal=False))
def test_curvature_of_a_parabola_is_constant(frames: int, width: int, bend: float) -> None:
    parabola = (bend * (np.arange(frames) - 20) ** 2 / 2)[:, None].astype(np.float32)
    np.testing.assert_allclose(delta(parabola, width, 2), bend, atol=5e-3)


@pytest.mark.parametrize(("frames", "order"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_too_few_frames_have_no_delta(frames: int, order: int) -> None:
    assert not delta(noise(frames * 3).reshape(frames, 3), 9, order).any()


@pytest.mark.parametrize("frames", [3, 4, 5, 6, 7, 8])
def test_short_segments_use_the_largest_window_that_fits(frames: int) -> None:
    """librosa refuses these; the rule is ours: the widest odd window, at most all frames."""
    values = noise(frames * 2).reshape(frames, 2)
    widest = frames if frames % 2 else frames - 1
    np.testing.assert_array_equal(delta(values, 9, 1), delta(values, widest, 1))
    assert delta(values, 9, 1).any()


def test_repr_shows_the_spec() -> None:
    assert repr(FrontEnd(OPEN)) == f"FrontEnd({OPEN!r})"


def test_threads_may_share_a_front_end() -> None:
    from concurrent.futures import ThreadPoolExecutor

    front_end = FrontEnd(replace(OPEN, features=ALL))
    clips = [voice(0.3 + 0.1 * index) for index in range(8)]
    alone = [front_end(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(front_end, clips * 4))
    for index, features in enumerate(together):
        assert np.array_equal(features, alone[index % 8])
