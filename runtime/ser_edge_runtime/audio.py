"""Samples in: any format that libsndfile reads, as float32 in one channel.

PCM and float WAV are read here with numpy alone, since importing soundfile
costs a one-shot command a third of its time. Everything else goes through
soundfile. A file that ends before it should is an error, whatever the format:
a clip that lost its second half would still get a label, and a wrong one.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ser_edge_runtime.errors import (
    EmptyAudio,
    MissingDecoder,
    MissingFile,
    NotAudio,
    PathOrName,
    SilentAudio,
    TruncatedAudio,
    UnreadableFile,
)
from ser_edge_runtime.ogg import is_complete, is_ogg
from ser_edge_runtime.pcm import mono, sample_type, scaled
from ser_edge_runtime.resampling import HIGHEST_RATE, LOWEST_RATE
from ser_edge_runtime.wav import WavError, WavHeader, is_wav, read_header

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from typing import Any

    from ser_edge_runtime.resampling import Samples

    Blocks = Generator[Samples, None, None]

SILENCE = 1e-3
"""What the loudest sample of a recording must reach, full scale = 1: -60 dB."""

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
"""The file names that a folder is searched for; a named file may have any."""

_BLOCK_SAMPLES = 131_072
# A decoder may drop its own start-up: two MP3 frames.
_MP3_SLACK = 2 * 1152
# A FLAC from a pipe declares no length; libsndfile then says 2**63 - 1.
_NO_LENGTH = 2**62
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
    with AudioFile(path) as sound:
        return _joined(sound, sound.frames), sound.sample_rate


class AudioFile:
    """A recording on disk, decoded a portion at a time: hours of it take no more memory.

    Iterate over it once, in one thread, and close it, best by ``with``::

        with AudioFile("night.flac") as sound:
            for samples in sound:
                stream.push(samples, sound.sample_rate)

    Args:
        path: As for :func:`load_audio`.

    Attributes:
        sample_rate: In Hz, as recorded, 1,000 to 768,000.
        frames: Samples of each channel; None if only reading will tell.

    Raises:
        FileError: As :func:`load_audio`. What a header does not show is found
            while reading: the last portion may be followed by a TruncatedAudio.
    """

    def __init__(self, path: PathOrName) -> None:
        self._path = path
        with contextlib.ExitStack() as opened, _faults(path):
            raw = opened.enter_context(open(path, "rb", buffering=0))  # noqa: PTH123 - pathlib costs 4 ms to load
            mode = os.fstat(raw.fileno()).st_mode
            stream: BinaryIO
            if stat.S_ISFIFO(mode):
                data = raw.readall()
                stream, size = io.BytesIO(data), len(data)
            elif stat.S_ISREG(mode):
                stream = opened.enter_context(io.BufferedReader(raw))
                size = os.fstat(raw.fileno()).st_size
            else:
                raise UnreadableFile(path, "is a device, not a file", "give a recording")
            self.sample_rate, self.frames, self._blocks = _decode(
                stream, size, path, pipe=stat.S_ISFIFO(mode)
            )
            self._file = opened.pop_all()

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Samples]:
        """Portions, float32 (k,), k >= 1, mono, finite."""
        while True:
            with _faults(self._path):
                block = next(self._blocks, None)
            if block is None:
                return
            yield block

    def close(self) -> None:
        """Closes the file; nothing more can be read."""
        self._blocks.close()
        self._file.close()


@contextlib.contextmanager
def _faults(path: PathOrName) -> Iterator[None]:
    """Says what the system means in words about ``path``."""
    try:
        yield
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
    rate, frames, blocks = _decode(io.BytesIO(data), len(data), name, pipe=True)
    return _joined(blocks, frames), rate


def check_sound(peak: float, name: PathOrName) -> None:
    """Makes sure that a recording is not silent.

    Args:
        peak: Of its samples, as :func:`~ser_edge_runtime.pcm.loudest` gives it.
        name: Names it in errors.

    Raises:
        SilentAudio: The peak is below :data:`SILENCE`.
    """
    if peak < SILENCE:
        raise SilentAudio(name)


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


def _decode(
    stream: BinaryIO, size: int, name: PathOrName, *, pipe: bool
) -> tuple[int, int | None, Blocks]:
    """The sample rate, the number of frames if it is certain, and the samples."""
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
        kind = sample_type(header)
        if kind:
            count = header.present // header.frame_bytes
            return header.sample_rate, count, _wav_blocks(stream, header, kind, name)
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
        unit = "frames" if sample_type(header) else "blocks"
        raise TruncatedAudio(name, f"declares {frames} {unit} but holds {there}", _AGAIN)


def _wav_blocks(stream: BinaryIO, header: WavHeader, kind: str, name: PathOrName) -> Blocks:
    stream.seek(header.offset)
    count = left = header.present // header.frame_bytes
    while left:
        frames = min(left, _BLOCK_SAMPLES // header.channels)
        data = stream.read(frames * header.frame_bytes)
        # The file may have been cut since its size was taken.
        frames = len(data) // header.frame_bytes
        if not frames:
            raise TruncatedAudio(name, f"declares {count} frames but holds {count - left}", _AGAIN)
        left -= frames
        data = data[: frames * header.frame_bytes]
        yield mono(scaled(data, kind).reshape(frames, header.channels), name)


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


def _decode_with_soundfile(stream: BinaryIO, name: PathOrName) -> tuple[int, int | None, Blocks]:
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
    with contextlib.ExitStack() as opened:
        opened.enter_context(sound)
        rate = int(sound.samplerate)
        _check_rate(rate, name)
        missing = _missing_by_log(sound.extra_info)
        if missing:
            raise TruncatedAudio(name, missing, _AGAIN)
        opened.pop_all()
    return rate, None, _sound_blocks(sound, soundfile.SoundFileError, name)


def _sound_blocks(sound: Any, decoder_fault: type[Exception], name: PathOrName) -> Blocks:
    declared, kind = int(sound.frames), str(sound.format)
    frames = _BLOCK_SAMPLES // sound.channels
    count = 0
    with sound:
        try:
            while len(block := sound.read(frames, dtype="float32", always_2d=True)):
                yield mono(block, name)
                count += len(block)
        except decoder_fault:
            of = f" of {declared}" if declared < _NO_LENGTH else ""
            raise TruncatedAudio(
                name, f"cannot be decoded beyond frame {count}{of}", _AGAIN
            ) from None
    slack = _MP3_SLACK if kind == "MP3" else 0
    if count + slack < declared < _NO_LENGTH:
        raise TruncatedAudio(name, f"declares {declared} frames but holds {count}", _AGAIN)
    if not count:
        raise EmptyAudio(name, "holds no sample (0 frames)", _AGAIN)


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


def _joined(blocks: Iterable[Samples], count: int | None) -> Samples:
    if count is None:
        return np.concatenate(list(blocks))
    samples = np.empty(count, np.float32)
    filled = 0
    for block in blocks:
        samples[filled : filled + len(block)] = block
        filled += len(block)
    return samples
