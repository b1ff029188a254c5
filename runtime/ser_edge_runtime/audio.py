"""Samples in: any format that libsndfile reads, as float32 in one channel.

PCM and float WAV are read here with numpy alone, since importing soundfile
costs a one-shot command a third of its time. Everything else goes through
soundfile. A file that ends before it should is an error, whatever the format:
a clip that lost its second half would still get a label, and a wrong one.
"""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ser_edge_runtime.errors import (
    EmptyAudio,
    MissingDecoder,
    MissingFile,
    NonFiniteAudio,
    NotAudio,
    PathOrName,
    TruncatedAudio,
    UnreadableFile,
)
from ser_edge_runtime.ogg import is_complete, is_ogg
from ser_edge_runtime.resampling import HIGHEST_RATE, LOWEST_RATE
from ser_edge_runtime.wav import FLOAT, PCM, WavError, WavHeader, is_wav, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_edge_runtime.resampling import Samples

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
"""The file names that a folder is searched for; a named file may have any."""

_BLOCK_SAMPLES = 131_072
# The largest scale in use, that of 32-bit integers, unscaled. Beyond it the
# power spectrum would overflow float32.
_LOUDEST = 2.0**31
# A decoder may drop its own start-up: two MP3 frames.
_MP3_SLACK = 2 * 1152
_CHECK = "check that it is a recording, or convert it to WAV"
_AGAIN = "copy or record it again"


def load_audio(path: PathOrName) -> tuple[Samples, int]:
    """Reads a recording; several channels become their mean.

    Integers are scaled so that full scale is 1: 16 bits are divided by 32768.

    Args:
        path: A file of any name; its content decides the format. A named pipe
            is read to its end, like standard input (:func:`decode_wav`).

    Returns:
        The samples, float32, shape (n,), n from 1 on, finite, and their rate
        in Hz as recorded, 1,000 to 768,000.

    Raises:
        MissingFile: Nothing has this name.
        UnreadableFile: It is a folder, or the system does not let it be read.
        EmptyAudio: It has no byte or no frame.
        TruncatedAudio: It holds less than it declares.
        NotAudio: It is none of the formats, or contradicts itself.
        NonFiniteAudio: Samples are NaN, infinite or over 2**31.
        MissingDecoder: It needs soundfile, which is not installed.
    """
    try:
        with open(path, "rb", buffering=0) as raw:  # noqa: PTH123 - pathlib costs 4 ms to load
            mode = os.fstat(raw.fileno()).st_mode
            if stat.S_ISFIFO(mode):
                return decode_wav(raw.readall(), os.fspath(path))
            if not stat.S_ISREG(mode):
                raise UnreadableFile(path, "is a device, not a file", "give a recording")
            stream = io.BufferedReader(raw)
            return _decode(stream, os.fstat(raw.fileno()).st_size, path, pipe=False)
    except FileNotFoundError:
        raise MissingFile(path, "does not exist", "check the name") from None
    except IsADirectoryError:
        raise UnreadableFile(path, "is a folder", "give a file in it") from None
    except PermissionError:
        raise UnreadableFile(path, "may not be read", "change its permissions") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableFile(path, f"cannot be read ({reason})", "check the disk") from None
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise MissingFile(repr(path), "is no file name", "check the name") from None


def decode_wav(data: bytes, name: PathOrName) -> tuple[Samples, int]:
    """Decodes a recording that came through a pipe, like :func:`load_audio`.

    A program that writes a WAV into a pipe cannot know its length: 0, all ones
    and lengths near 2 GiB are read to the end. Other formats are read too.

    Args:
        data: All bytes.
        name: What errors call it, as ``-``.

    Returns:
        As :func:`load_audio`.

    Raises:
        SerEdgeError: As :func:`load_audio`.
    """
    return _decode(io.BytesIO(data), len(data), name, pipe=True)


def audio_digest(samples: Samples, sample_rate: int) -> str:
    """Names a recording by what is heard, whatever its file is called.

    Args:
        samples: float32, shape (n,).
        sample_rate: Their rate in Hz.

    Returns:
        SHA-256 in hexadecimal over the rate (8 bytes) and the samples
        (4 bytes each), little-endian both.
    """
    from hashlib import sha256

    digest = sha256(int(sample_rate).to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(samples, dtype="<f4").data)
    return digest.hexdigest()


def _decode(stream: BinaryIO, size: int, name: PathOrName, *, pipe: bool) -> tuple[Samples, int]:
    if not size:
        raise EmptyAudio(name, "is empty (0 bytes)", _AGAIN)
    head = stream.read(12)
    repaired: BinaryIO = stream
    if is_wav(head):
        try:
            header = read_header(stream, size, pipe=pipe)
        except WavError as fault:
            raise NotAudio(name, str(fault), _CHECK) from None
        _check_rate(header.sample_rate, name)
        _check_length(header, name)
        kind = _sample_type(header)
        if kind:
            blocks = _wav_blocks(stream, header, kind)
            count = header.present // header.frame_bytes
            return _gather(blocks, count, name), header.sample_rate
        if header.declared is None:
            repaired = _with_length(stream, header)
    elif is_ogg(head) and not is_complete(stream, size):
        raise TruncatedAudio(name, "ends before its last Ogg page", _AGAIN)
    repaired.seek(0)
    return _decode_with_soundfile(repaired, name)


def _check_rate(rate: int, name: PathOrName) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise NotAudio(name, f"claims a sample rate of {rate} Hz", _CHECK)


def _check_length(header: WavHeader, name: PathOrName) -> None:
    declared = header.present if header.declared is None else header.declared
    if declared < header.frame_bytes:
        raise EmptyAudio(name, "holds no sample (0 frames)", _AGAIN)
    if header.present < declared:
        frames = declared // header.frame_bytes
        there = header.present // header.frame_bytes
        unit = "frames" if _sample_type(header) else "blocks"
        raise TruncatedAudio(name, f"declares {frames} {unit} but holds {there}", _AGAIN)


def _sample_type(header: WavHeader) -> str:
    """The numpy type of a sample that is decoded here, else an empty string."""
    size = header.sample_bytes
    if header.tag == PCM and 8 * (size - 1) < header.bits <= 8 * size:
        return {1: "u1", 2: "<i2", 3: "3u1", 4: "<i4"}.get(size, "")
    if header.tag == FLOAT and header.bits == 8 * size:
        return {4: "<f4", 8: "<f8"}.get(size, "")
    return ""


def _wav_blocks(stream: BinaryIO, header: WavHeader, kind: str) -> Iterator[Samples]:
    """The frames of a WAV, float, shape (frames, channels), a block at a time."""
    stream.seek(header.offset)
    left = header.present // header.frame_bytes
    while left:
        frames = min(left, _BLOCK_SAMPLES // header.channels)
        data = stream.read(frames * header.frame_bytes)
        # The file may have been cut since its size was taken.
        frames = len(data) // header.frame_bytes
        if not frames:
            return
        left -= frames
        data = data[: frames * header.frame_bytes]
        yield _scaled(data, kind).reshape(frames, header.channels)


def _scaled(data: bytes, kind: str) -> Samples:
    if kind == "u1":
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) * np.float32(2.0**-7)
    if kind == "<i2":
        return np.frombuffer(data, "<i2") * np.float32(2.0**-15)
    if kind == "3u1":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)
    if kind == "<i4":
        return np.frombuffer(data, "<i4").astype(np.float32) * np.float32(2.0**-31)
    with np.errstate(all="ignore"):  # too large for float32 becomes infinite: refused later
        return np.frombuffer(data, kind).astype(np.float32)


def _with_length(stream: BinaryIO, header: WavHeader) -> BinaryIO:
    """The same WAV with its length filled in, for libsndfile to read to the end."""
    stream.seek(0)
    data = bytearray(stream.read())
    data[header.offset - 4 : header.offset] = min(header.present, 2**32 - 2).to_bytes(4, "little")
    data[4:8] = min(len(data) - 8, 2**32 - 2).to_bytes(4, "little")
    return io.BytesIO(bytes(data))


class _Quiet:
    """A stream for libsndfile, which calls it from C: an exception there ends on stderr."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tell = stream.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stays where it is if asked for a place before the start: broken headers do."""
        try:
            return self._stream.seek(offset, whence)
        except (OSError, ValueError):
            return self._stream.tell()

    def read(self, count: int) -> bytes:
        """Reads nothing where the disk fails; the clip then is found to be short."""
        try:
            return self._stream.read(max(count, 0))
        except OSError:
            return b""


def _decode_with_soundfile(stream: BinaryIO, name: PathOrName) -> tuple[Samples, int]:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the package without libsndfile
        raise MissingDecoder(
            name,
            "is no PCM WAV and needs soundfile with libsndfile",
            "run: pip install soundfile (on Debian also: apt install libsndfile1)",
        ) from None

    class Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
        # soundfile seeks to where it is after each read. In Opus that decodes
        # other samples, and in a FLAC of undeclared length it fails.
        def seekable(self) -> bool:
            return False

    try:
        sound = Forward(_Quiet(stream))
    except (soundfile.SoundFileError, TypeError):
        # soundfile raises TypeError for headerless formats.
        raise NotAudio(name, "is no audio format that is read here", _CHECK) from None
    with sound:
        rate, declared, kind = int(sound.samplerate), int(sound.frames), str(sound.format)
        _check_rate(rate, name)
        missing = _missing_by_log(sound.extra_info)
        if missing:
            raise TruncatedAudio(name, missing, _AGAIN)
        frames = _BLOCK_SAMPLES // sound.channels
        pieces: list[Samples] = []
        count = 0
        try:
            while len(block := sound.read(frames, dtype="float32", always_2d=True)):
                pieces.append(_mono(block, name))
                count += len(block)
        except soundfile.SoundFileError:
            raise TruncatedAudio(
                name, f"cannot be decoded beyond frame {count} of {declared}", _AGAIN
            ) from None
    slack = _MP3_SLACK if kind == "MP3" else 0
    # A FLAC from a pipe declares no length; libsndfile then says 2**63 - 1.
    if count + slack < declared < 2**62:
        raise TruncatedAudio(name, f"declares {declared} frames but holds {count}", _AGAIN)
    if not count:
        raise EmptyAudio(name, "holds no sample (0 frames)", _AGAIN)
    return np.concatenate(pieces), rate


def _missing_by_log(log: str) -> str:
    """What libsndfile's log says is missing; it corrects a length without an error."""
    import re

    line = r"^\s*(?:data|Data Size|SSND|BODY|riff)\s*:\s*(\d+) \(should be (\d+)\)"
    found = re.search(line, log, re.MULTILINE)
    if found and int(found[2]) < int(found[1]):
        return f"declares {found[1]} bytes of audio but holds {found[2]}"
    line = r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)"
    found = re.search(line, log)
    if found and int(found[1]) < int(found[2]):
        return f"declares {found[2]} frames but holds {found[1]}"
    return ""


def _gather(blocks: Iterator[Samples], count: int, name: PathOrName) -> Samples:
    samples = np.empty(count, np.float32)
    filled = 0
    for block in blocks:
        samples[filled : filled + len(block)] = _mono(block, name)
        filled += len(block)
    if filled < count:
        raise TruncatedAudio(name, f"declares {count} frames but holds {filled}", _AGAIN)
    return samples


def _mono(block: Samples, name: PathOrName) -> Samples:
    """The mean of the channels, float32, checked to be a possible recording."""
    # A signalling NaN warns at any arithmetic; the check finds it.
    with np.errstate(all="ignore"):
        mean = block.mean(axis=1, dtype=np.float64) if block.shape[1] > 1 else block[:, 0]
        fine = bool(np.all(np.abs(mean) <= _LOUDEST))
    if not fine:
        raise NonFiniteAudio(
            name, "holds samples that are NaN, infinite or over 2**31", "export it again"
        )
    return mean.astype(np.float32, copy=False)
