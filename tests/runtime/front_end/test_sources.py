"""Where the rows of a segment's features come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec
from ser_edge_runtime.front_end.features import raw_width
from ser_edge_runtime.front_end.kinds import Zcr

HOP = 160


def raw_frames(spec: FrontEndSpec, count: int, seed: int = 0) -> np.ndarray:
    """Frames whose energy varies widely and whose crossing rate names the frame."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((count, raw_width(spec)), np.float32)
    frames[:, 0] = 10.0 ** rng.uniform(-9, 0, count)
    frames[:, -1] = np.arange(1, count + 1)
    return frames


@given(
    count=st.integers(0, 60),
    clip=st.sampled_from([None, 0.05, 0.2, 0.41]),
    offset=st.sampled_from([0.0, 0.1, 0.7]),
    trim_db=st.sampled_from([None, 20.0, 60.0]),
    cut=st.sampled_from(["centre", "start"]),
    seed=st.integers(0, 5),
)
def test_each_row_shows_the_frame_it_is_said_to_show(count, clip, offset, trim_db, cut, seed):
    spec = FrontEndSpec(
        hop_length=HOP, features=(Zcr(),), clip_seconds=clip, offset_seconds=offset,
        trim_db=trim_db, cut=cut,
    )  # fmt: skip
    front_end = FrontEnd(spec)
    frames = raw_frames(spec, count, seed)
    sources = front_end.sources(frames)
    features = front_end.clip(frames)
    assert sources.dtype == np.int64
    assert len(sources) == len(features)
    shown = np.where(sources >= 0, sources + 1, 0)
    np.testing.assert_array_equal(features[:, 0], shown.astype(np.float32))
    there = sources[sources >= 0]
    assert (np.diff(there) == 1).all()


def test_a_layout_has_the_rows_that_it_is_made_of():
    spec = FrontEndSpec(features=(Zcr(),), clip_seconds=0.1)
    frames = raw_frames(spec, 30)
    expected = FrontEnd(spec).sources(frames)
    for layout in ("flat", "mean"):
        other = FrontEndSpec(features=(Zcr(),), clip_seconds=0.1, layout=layout)
        np.testing.assert_array_equal(FrontEnd(other).sources(frames), expected)


def test_the_frames_are_not_changed():
    spec = FrontEndSpec(features=(Zcr(),), clip_seconds=0.1, trim_db=20.0)
    frames = raw_frames(spec, 30)
    before = frames.copy()
    FrontEnd(spec).sources(frames)
    np.testing.assert_array_equal(frames, before)


@pytest.mark.parametrize("count", [5, 11, 40])
def test_silence_is_filled_in_on_both_sides(count):
    spec = FrontEndSpec(hop_length=HOP, features=(Zcr(),), clip_seconds=0.1)
    length = spec.clip_frames
    sources = FrontEnd(spec).sources(raw_frames(spec, count))
    assert len(sources) == length
    silent = length - min(count, length)
    assert (sources < 0).sum() == silent
    assert (sources[: silent // 2] < 0).all()
