"""Sound from a pipe as it comes: raw samples, or a WAV whose end nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader, BytesIO

from ser_edge_runtime.errors import NotAudio, TruncatedAudio
from ser_edge_runtime.pcm import SAMPLE_BYTES, SAMPLE_TYPES, mono, sample_type, scaled
from ser_edge_runtime.resampling import HIGHEST_RATE, LOWEST_RATE, Samples
from ser_edge_runtime.wav import WavError, is_wav, read_header

_PORTION_SECONDS = 0.1
_LONGEST_HEADER = 1 << 20
_HINT = "pipe raw samples, or a PCM WAV"


class PcmPipe:
    """Samples from a pipe, given out as they arrive. Iterate over it once, in one thread.

    A WAV tells what its samples are by its header; anything else is taken for
    raw samples of the kind that is given.

    Args:
        stream: The pipe.
        name: What errors call it, as ``-``.
        sample_rate: Rate of raw samples, in Hz.
        kind: Their type, a name of :data:`~ser_edge_runtime.pcm.SAMPLE_TYPES`.
        channels: How many channels they alternate between; their mean is taken.

    Attributes:
        sample_rate: Of the samples that come, in Hz: the header's, if there is one.

    Raises:
        NotAudio: A WAV that holds no plain samples, or contradicts itself.
        TruncatedAudio: A WAV that ends in its header.
    """

    def __init__(
        self, stream: BufferedReader, name: str, sample_rate: int, kind: str, channels: int
    ) -> None:
        self._stream = stream
        self._name = name
        self.sample_rate = sample_rate
        self._kind = SAMPLE_TYPES[kind]
        self._channels = channels
        self._left: int | None = None
        self._rest = stream.read(12)
        if is_wav(self._rest):
            self._read_header()
        self._frame_bytes = SAMPLE_BYTES[self._kind] * self._channels

    def __iter__(self) -> Iterator[Samples]:
        """Portions, float32 (k,), k >= 1, at most a tenth of a second each.

        Raises:
            NonFiniteAudio: Samples are NaN, infinite or over 2**31.
        """
        most = max(1, round(_PORTION_SECONDS * self.sample_rate)) * self._frame_bytes
        data = self._rest
        while True:
            whole = len(data) // self._frame_bytes * self._frame_bytes
            if whole:
                samples = scaled(data[:whole], self._kind).reshape(-1, self._channels)
                yield mono(samples, self._name)
            wanted = most - (len(data) - whole)
            if self._left is not None:
                wanted = min(wanted, self._left)
            fresh = self._stream.read1(wanted) if wanted else b""
            if not fresh:
                return
            if self._left is not None:
                self._left -= len(fresh)
            data = data[whole:] + fresh

    def _read_header(self) -> None:
        head = bytearray(self._rest)
        while True:
            chunk = self._stream.read(8)
            if len(chunk) < 8:
                raise TruncatedAudio(self._name, "is a WAV that ends in its header", _HINT)
            head += chunk
            if chunk[:4] == b"data":
                break
            length = int.from_bytes(chunk[4:], "little")
            length += length & 1
            if len(head) + length > _LONGEST_HEADER:
                raise NotAudio(self._name, "is a WAV without samples in its first MiB", _HINT)
            head += self._stream.read(length)
        try:
            header = read_header(BytesIO(head), len(head), pipe=True)
        except WavError as fault:
            raise NotAudio(self._name, str(fault), _HINT) from None
        self._kind = sample_type(header)
        if not self._kind:
            raise NotAudio(
                self._name,
                "is a WAV of compressed samples or of a kind not read here",
                _HINT,
            )
        if not LOWEST_RATE <= header.sample_rate <= HIGHEST_RATE:
            claim = f"claims a sample rate of {header.sample_rate} Hz"
            raise NotAudio(self._name, claim, _HINT)
        self.sample_rate, self._channels = header.sample_rate, header.channels
        # Who writes into a pipe without knowing the length leaves 0 or nearly 2 GiB.
        self._left = header.declared or None
        self._rest = b""
