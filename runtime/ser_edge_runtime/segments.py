"""Cutting a recording of any length into segments, from frames that are computed once.

Segment k covers ``length`` frames from frame ``k * step`` on. If those leave an
end uncovered, one more segment ends with the last frame; a recording shorter
than a segment is one segment by itself. So every frame is in at least one
segment (unless ``step`` exceeds ``length``) and none is filled up with silence
that could have been filled with speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.features import FrameStage
from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_runtime.pcm import loudest

Array = npt.NDArray[np.float32]

# Samples that go through resampling and the frame stage at a time: four seconds
# at 16 kHz. It changes no bit of the frames.
CHUNK = 1 << 16


class Heard:
    """Portions of a recording as they go by, once.

    Args:
        portions: Float32 (k,) each, full scale = 1.

    Attributes:
        samples: How many went by.
        loudest: The largest size of one of them.
    """

    def __init__(self, portions: Iterable[Array]) -> None:
        self._portions = portions
        self.samples = 0
        self.loudest = 0.0

    def __iter__(self) -> Iterator[Array]:
        for portion in self._portions:
            self.samples += len(portion)
            self.loudest = max(self.loudest, loudest(portion))
            yield portion


class Segment(NamedTuple):
    """A stretch of a recording's frames.

    Attributes:
        start: Its first frame.
        frames: float32 (n, raw width), from the frame stage.
        last: Whether it is the recording's last segment.
    """

    start: int
    frames: Array
    last: bool


def frames_of_recording(
    blocks: Iterable[Array], sample_rate: int, spec: FrontEndSpec
) -> Iterator[Array]:
    """Raw frames of a recording, a portion at a time; memory does not grow with the length.

    Args:
        blocks: Its samples in portions of any size, float32 (k,).
        sample_rate: Theirs, in Hz; another than the spec's is converted.
        spec: The front end.
    """
    stage = FrameStage(spec)
    for portion in _at_rate(blocks, sample_rate, spec.sample_rate):
        yield stage.push(portion)
    yield stage.flush()


def cut(portions: Iterable[Array], length: int, step: int) -> Iterator[Segment]:
    """Cuts frames into segments as they come, holding no more than a segment and a portion.

    Args:
        portions: float32 (k, raw width) each.
        length: Frames of a segment.
        step: Frames from the beginning of a segment to that of the next.
    """
    held = np.zeros((0, 0), np.float32)
    first, start, ready = 0, 0, None
    for portion in portions:
        held = np.concatenate([held, portion]) if held.size else portion
        count = first + len(held)
        while start + length <= count:
            if ready is not None:
                yield ready
            # Held back until another is certain, since only then it is not the last.
            ready = Segment(start, held[start - first : start - first + length], False)
            start += step
        # What a last segment, one that ends with the recording, would need.
        keep = max(first, count - length)
        held, first = held[keep - first :], keep
    count = first + len(held)
    if ready is None:
        yield Segment(0, held, True)
    elif ready.start + length == count:
        yield ready._replace(last=True)
    else:
        yield ready
        yield Segment(count - length, held[count - length - first :], True)


def _at_rate(blocks: Iterable[Array], source: int, target: int) -> Iterator[Array]:
    chunks = (block[at : at + CHUNK] for block in blocks for at in range(0, len(block), CHUNK))
    if source == target:
        yield from chunks
        return
    # Not needed for recordings at the model's own rate.
    from ser_edge_runtime.resampling import Resampler

    resampler = Resampler(source, target)
    for chunk in chunks:
        yield resampler.push(chunk)
    yield resampler.flush()
