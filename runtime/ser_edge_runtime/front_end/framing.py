"""Cutting samples into frames, in blocks whose shape never depends on the caller.

A matrix product may round its rows differently when it has another height or
when a row stands elsewhere in it. So frame t is always row t % BLOCK of block
t // BLOCK, every block has BLOCK rows, and whoever pushes samples in whatever
portions gets the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.spec import FrontEndSpec

BLOCK = 64

Array = npt.NDArray[np.float32]


class Framer:
    """Takes samples in any portions and yields blocks of frames. One recording each, one thread.

    Args:
        spec: Says how long a frame is, how far the next, and whether they are centred.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._length = spec.fft_length
        self._hop = spec.hop_length
        self._margin = spec.fft_length // 2 if spec.centred else 0
        self._span = (BLOCK - 1) * spec.hop_length + spec.fft_length
        self._pending: list[Array] = [np.zeros(self._margin, np.float32)]
        self._held = self._margin
        self._samples = 0

    def push(self, samples: Array) -> Iterator[tuple[Array, int]]:
        """Yields every block that ``samples`` complete, as :meth:`flush` does."""
        self._samples += len(samples)
        self._held += len(samples)
        if self._held < self._span:
            # A copy: the caller may fill the same array again.
            self._pending.append(samples.copy())
            return
        held = np.concatenate([*self._pending, samples])
        start = 0
        while len(held) - start >= self._span:
            yield held[start : start + self._span], BLOCK
            start += BLOCK * self._hop
        # A copy: a view would keep all that was pushed alive.
        self._pending = [held[start:].copy()]
        self._held = len(held) - start

    def flush(self) -> Iterator[tuple[Array, int]]:
        """Ends the recording and yields what is left.

        Yields:
            A block's samples, float32 ((BLOCK - 1) * hop + frame length,), filled
            with zeros at the end, and how many of its frames are real.
        """
        if self._samples == 0:
            return
        held = np.concatenate([*self._pending, np.zeros(self._margin, np.float32)])
        self._pending, self._held = [], 0
        frames = max(0, 1 + (len(held) - self._length) // self._hop)
        for first in range(0, frames, BLOCK):
            block = held[first * self._hop :][: self._span]
            filled = np.zeros(self._span, np.float32)
            filled[: len(block)] = block
            yield filled, min(BLOCK, frames - first)


def frames_of(block: Array, length: int, hop: int) -> Array:
    """The frames (BLOCK, length) of a block's samples, without copying them."""
    step = block.strides[0]
    return np.lib.stride_tricks.as_strided(
        block, shape=(BLOCK, length), strides=(hop * step, step), writeable=False
    )
