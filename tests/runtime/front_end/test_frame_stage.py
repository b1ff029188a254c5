"""The frame stage: the same frames, bit for bit, however the samples arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.front_end import (
    Chroma,
    FrameStage,
    FrontEnd,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.front_end.features import raw_columns, raw_width
from ser_edge_runtime.front_end.framing import block_length

from ...signals import noise, voice

FEATURES = (LogMel(), Mfcc(bands=40, count=13), Zcr(), Rms(), Chroma(), SpectralContrast())
SMALL = FrontEndSpec(features=FEATURES)
BLOCK = block_length(SMALL)
LARGE = FrontEndSpec(
    fft_length=2048, window_length=2048, hop_length=512, features=FEATURES, centred=False
)


def frames_by_portions(spec: FrontEndSpec, samples: np.ndarray, sizes: list[int]) -> np.ndarray:
    stage, start, frames = FrameStage(spec), 0, []
    for size in sizes:
        frames.append(stage.push(samples[start : start + size]))
        start += size
    frames += [stage.push(samples[start:]), stage.flush()]
    return np.concatenate(frames)


@settings(deadline=None)
@given(
    st.sampled_from([SMALL, LARGE, replace(SMALL, centred=False), replace(LARGE, centred=True)]),
    st.integers(0, 40_000),
    st.lists(st.integers(0, 20_000), max_size=12),
)
def test_frames_do_not_depend_on_the_portions(
    spec: FrontEndSpec, length: int, sizes: list[int]
) -> None:
    samples = voice(2.5)[:length]
    whole = FrontEnd(spec).frames(samples)
    assert whole.shape == (spec.frame_count(length), raw_width(spec))
    assert frames_by_portions(spec, samples, sizes).tobytes() == whole.tobytes()


@pytest.mark.parametrize("size", [1, 7, 160, 161, 512, 10_000])
def test_frames_do_not_depend_on_equal_portions(size: int) -> None:
    samples = voice(0.9)
    whole = FrontEnd(SMALL).frames(samples)
    sizes = [size] * (len(samples) // size)
    assert frames_by_portions(SMALL, samples, sizes).tobytes() == whole.tobytes()


def test_push_keeps_no_hold_on_the_callers_array() -> None:
    samples = voice(1.0)
    whole = FrontEnd(SMALL).frames(samples)
    stage, buffer, frames = FrameStage(SMALL), np.empty(1000, np.float32), []
    for start in range(0, len(samples), 1000):
        buffer[:] = samples[start : start + 1000]
        frames.append(stage.push(buffer))
    frames.append(stage.flush())
    assert np.concatenate(frames).tobytes() == whole.tobytes()


def test_a_frame_knows_nothing_of_later_samples() -> None:
    samples = voice(2.0)
    changed = samples.copy()
    changed[16000:] = 0
    whole, other = FrontEnd(SMALL).frames(samples), FrontEnd(SMALL).frames(changed)
    before = (16000 - SMALL.fft_length // 2) // SMALL.hop_length
    assert whole[:before].tobytes() == other[:before].tobytes()
    assert not np.array_equal(whole[before + 3], other[before + 3])


def test_frames_come_out_as_soon_as_their_block_is_whole() -> None:
    stage = FrameStage(replace(SMALL, centred=False))
    span = (BLOCK - 1) * SMALL.hop_length + SMALL.fft_length
    assert len(stage.push(noise(span - 1))) == 0
    assert len(stage.push(noise(1))) == BLOCK


def test_memory_held_does_not_grow_with_the_recording() -> None:
    stage = FrameStage(SMALL)
    held = []
    for _ in range(50):
        stage.push(noise(16000))
        held.append(sum(part.nbytes for part in stage._framer._pending))
        assert all(part.base is None or part.base.nbytes == part.nbytes
                   for part in stage._framer._pending)  # fmt: skip
    assert max(held[1:]) <= 4 * (BLOCK * SMALL.hop_length + SMALL.fft_length)


def test_mean_square_and_crossings_of_a_known_signal() -> None:
    spec = replace(SMALL, centred=False, features=(Zcr(), Rms()))
    samples = np.tile(np.array([0.5, -0.5], np.float32), 4000)
    raw = FrontEnd(spec).frames(samples)
    columns = raw_columns(spec)
    np.testing.assert_array_equal(raw[:, columns[Rms()]], 0.25)
    np.testing.assert_allclose(raw[:, columns[Zcr()]], 511 / 512)


def test_tiny_values_and_margins_are_no_crossings() -> None:
    spec = replace(SMALL, features=(Zcr(),))
    alternating = np.tile(np.array([1e-11, -1e-11], np.float32), 2000)
    assert FrontEnd(spec)(alternating).max() == 0
    negative = np.full(4000, -0.3, np.float32)
    assert FrontEnd(spec)(negative).max() == 0


def test_parseval() -> None:
    """Power under unit filters over all bins is the windowed frame's energy."""
    spec = FrontEndSpec(
        window="rectangular", window_length=512, centred=False, features=(LogMel(), Rms())
    )
    samples = noise(512)
    bins = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    energy = (bins[0] + bins[-1] + 2 * bins[1:-1].sum()) / 512**2
    assert FrontEnd(spec).frames(samples)[0, 0] == pytest.approx(energy, rel=1e-6)


def test_empty_recording_has_no_frame() -> None:
    assert FrontEnd(SMALL).frames(np.zeros(0, np.float32)).shape == (0, raw_width(SMALL))


def test_other_types_and_strides_are_taken_as_float32() -> None:
    samples = voice(0.5)
    whole = FrontEnd(SMALL).frames(samples)
    assert FrontEnd(SMALL).frames(samples.astype(np.float64)).tobytes() == whole.tobytes()
    assert FrontEnd(SMALL).frames(np.repeat(samples, 2)[::2]).tobytes() == whole.tobytes()


def test_equal_groups_are_computed_once() -> None:
    spec = FrontEndSpec(features=(Mfcc(bands=64, count=13), LogMel(bands=64)))
    assert raw_width(spec) == 1 + 64


@pytest.mark.parametrize(("length", "block"), [(512, 64), (1024, 64), (2048, 32), (65536, 1)])
def test_blocks_are_of_a_size_that_hangs_on_the_spec_alone(length: int, block: int) -> None:
    assert block_length(FrontEndSpec(fft_length=length)) == block
