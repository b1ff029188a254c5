"""Decodes what a client sent, whose length is not known to be honest.

A megabyte of FLAC can hold hours of silence: the length that a file declares is
looked at before its samples are, and libsndfile never gives out more.
"""

from __future__ import annotations

import io

from ser_edge_runtime.audio import decode_wav
from ser_edge_runtime.errors import RecordingTooLong
from ser_edge_runtime.resampling import Samples
from ser_edge_runtime.wav import FLOAT, PCM, WavError, is_wav, read_header

NAME = "the recording"
"""What messages call bytes without a file's name."""


def decode(data: bytes, most_seconds: float) -> tuple[Samples, int]:
    """Samples and rate of a recording in any format that is read here.

    Args:
        data: All bytes.
        most_seconds: The longest that is taken.

    Returns:
        As :func:`~ser_edge_runtime.audio.load_audio`.

    Raises:
        RecordingTooLong: It lasts longer, or says that it does.
        FileError: It cannot be read as audio; the subclass says why.
    """
    declared = _declared_seconds(data)
    if declared is not None:
        _check(declared, most_seconds)
    samples, rate = decode_wav(data, NAME)
    _check(len(samples) / rate, most_seconds)
    return samples, rate


def _check(seconds: float, most_seconds: float) -> None:
    if seconds > most_seconds:
        raise RecordingTooLong(NAME, seconds, most_seconds)


def _declared_seconds(data: bytes) -> float | None:
    """The length by the header; None where the header is at fault, which decoding then says."""
    if is_wav(data[:12]):
        try:
            header = read_header(io.BytesIO(data), len(data), pipe=True)
        except WavError:
            return None
        if header.tag in (PCM, FLOAT):
            return header.present / header.frame_bytes / max(header.sample_rate, 1)
    try:
        import soundfile

        # A FLAC of undeclared length says 2**63 - 1 frames, and is refused for them.
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            return float(sound.frames / max(sound.samplerate, 1))
    except (ImportError, OSError, TypeError, RuntimeError):
        # soundfile's own errors are RuntimeErrors; TypeError stands for a headerless format.
        return None
