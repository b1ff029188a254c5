"""Cutting samples into frames, in blocks whose shape never depends on the caller.

A matrix product may round its rows differently when it has another height or
when a row stands elsewhere in it. So frame t is always row t % n of block t // n,
every block has the same n rows, and whoever pushes samples in whatever portions
gets the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.spec import FrontEndSpec

Array = npt.NDArray[np.float32]


def block_length(spec: FrontEndSpec) -> int:
    """Frames of a block: as many as fit a processor's cache, 64 of 512 samples or 32 of 2048."""
    return max(1, min(64, 65536 // spec.fft_length))


class Framer:
    """Takes samples in any portions and yields blocks of frames. One recording each, one thread.

    Args:
        spec: Says how long a frame is, how far the next, and whether they are centred.

    Attributes:
        block: Frames of a block.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._length = spec.fft_length
        self._hop = spec.hop_length
        self._margin = spec.fft_length // 2 if spec.centred else 0
        self.block = block_length(spec)
        self._span = (self.block - 1) * spec.hop_length + spec.fft_length
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
            yield held[start : start + self._span], self.block
            start += self.block * self._hop
        # A copy: a view would keep all that was pushed alive.
        self._pending = [held[start:].copy()]
        self._held = len(held) - start

    @property
    def waiting(self) -> int:
        """Frames that are complete in a block that is not."""
        return max(0, 1 + (self._held - self._length) // self._hop)

    def peek(self) -> tuple[Array, int]:
        """The block that is not complete yet, as :meth:`flush` yields one; nothing is ended."""
        held = np.concatenate(self._pending)
        self._pending = [held]
        filled = np.zeros(self._span, np.float32)
        filled[: len(held)] = held
        return filled, self.waiting

    def flush(self) -> Iterator[tuple[Array, int]]:
        """Ends the recording and yields what is left.

        Yields:
            A block's samples, float32 ((block - 1) * hop + frame length,), filled
            with zeros at the end, and how many of its frames are real.
        """
        if self._samples == 0:
            return
        held = np.concatenate([*self._pending, np.zeros(self._margin, np.float32)])
        self._pending, self._held = [], 0
        frames = max(0, 1 + (len(held) - self._length) // self._hop)
        for first in range(0, frames, self.block):
            block = held[first * self._hop :][: self._span]
            filled = np.zeros(self._span, np.float32)
            filled[: len(block)] = block
            yield filled, min(self.block, frames - first)


def frames_of(block: Array, length: int, hop: int) -> Array:
    """The frames (n, length) of a block's samples, without copying them."""
    count = 1 + (len(block) - length) // hop
    step = block.strides[0]
    return np.lib.stride_tricks.as_strided(
        block, shape=(count, length), strides=(hop * step, step), writeable=False
    )
