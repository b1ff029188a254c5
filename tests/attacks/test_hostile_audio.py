"""Hostile audio files: samples or one clear line, never another exception, never much memory."""

import os
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from ser_edge_runtime.audio import decode_wav, load_audio
from ser_edge_runtime.errors import (
    EmptyAudio,
    FileError,
    MissingFile,
    NonFiniteAudio,
    NotAudio,
    SerEdgeError,
    TruncatedAudio,
    UnreadableFile,
)
from tests.runtime.audio_files import chunk, encoded, pcm16, wav

NOISE = (np.random.default_rng(7).standard_normal(4000) * 0.2).clip(-1, 0.999)


def refused(tmp_path, data: bytes, error: type[FileError], name: str = "clip.wav") -> str:
    """Both ways in refuse it, with one line that names the file; the line."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(error) as caught:
        load_audio(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert caught.value.exit_code == 1
    return line


# Truncation


def test_wav_shorter_than_declared(tmp_path):
    line = refused(tmp_path, pcm16(NOISE)[:-2000], TruncatedAudio)
    assert "declares 4000 frames but holds 3000" in line


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_every_native_wav_cut_in_half(tmp_path, kind, subtype):
    data = encoded(NOISE, 16000, kind, subtype)
    assert "declares 4000 frames" in refused(tmp_path, data[: len(data) // 2], TruncatedAudio)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("CAF", "PCM_16"),
        ("W64", "PCM_16"),
        ("RF64", "PCM_16"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_every_other_format_cut(tmp_path, kind, subtype, share):
    data = encoded(np.tile(NOISE, 10), 16000, kind, subtype)
    path = tmp_path / "clip"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises((TruncatedAudio, NotAudio)):
        load_audio(path)
    with pytest.raises((TruncatedAudio, NotAudio)):
        decode_wav(path.read_bytes(), "-")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_cut_between_two_pages(tmp_path, subtype):
    data = encoded(np.tile(NOISE, 40), 16000, "OGG", subtype)
    last = data.rindex(b"OggS")
    assert "last Ogg page" in refused(tmp_path, data[:last], TruncatedAudio)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_cut_by_a_byte(tmp_path, subtype):
    data = encoded(NOISE, 16000, "OGG", subtype)
    refused(tmp_path, data[:-1], TruncatedAudio)


def test_ogg_cut_in_the_table_of_a_page(tmp_path):
    data = encoded(NOISE, 16000, "OGG", "VORBIS")
    refused(tmp_path, data[: data.rindex(b"OggS") + 28], TruncatedAudio)
    refused(tmp_path, data[: data.rindex(b"OggS") + 9], TruncatedAudio)


def test_bytes_behind_a_whole_ogg_are_let_be():
    data = encoded(NOISE, 16000, "OGG", "VORBIS")
    assert len(decode_wav(data + b"TAG" + bytes(125), "-")[0]) == len(NOISE)


def test_wav_without_its_last_byte(tmp_path):
    assert "holds 3999" in refused(tmp_path, pcm16(NOISE)[:-1], TruncatedAudio)


def test_wav_of_a_header_alone(tmp_path):
    assert "holds 0" in refused(tmp_path, pcm16(NOISE)[:44], TruncatedAudio)


@pytest.mark.parametrize("cut", range(1, 44))
def test_wav_cut_in_its_header(tmp_path, cut):
    refused(tmp_path, pcm16(NOISE)[:cut], NotAudio)


def test_a_pipe_that_broke_off():
    with pytest.raises(TruncatedAudio, match="-: declares 4000 frames but holds 3500"):
        decode_wav(pcm16(NOISE)[:-1000], "-")


# Nothing inside


def test_empty_file(tmp_path):
    assert "is empty" in refused(tmp_path, b"", EmptyAudio)


def test_empty_pipe():
    with pytest.raises(EmptyAudio, match="-: is empty"):
        decode_wav(b"", "-")


@pytest.mark.parametrize("after", [b"", chunk(b"LIST", b"INFO" + bytes(30))])
@pytest.mark.parametrize("extensible", [False, True])
def test_wav_of_zero_frames(tmp_path, after, extensible):
    data = wav(b"", after=after, extensible=extensible)
    assert "0 frames" in refused(tmp_path, data, EmptyAudio)
    with pytest.raises(EmptyAudio):
        decode_wav(data, "-")


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_pipe_of_unknown_length_with_nothing_in_it(length):
    with pytest.raises(EmptyAudio):
        decode_wav(wav(b"", length=length, riff=0xFFFFFFFF), "-")


@pytest.mark.parametrize("kind", ["FLAC", "AIFF", "CAF"])
def test_other_formats_of_zero_frames(tmp_path, kind):
    path = tmp_path / "clip"
    path.write_bytes(encoded(NOISE[:0], 16000, kind, "PCM_16"))
    with pytest.raises((EmptyAudio, NotAudio)):
        load_audio(path)


# Not audio


@pytest.mark.parametrize(
    "data",
    [
        b"This is a note, not a recording.\n" * 40,
        b"\x00" * 5000,
        b"RIFF",
        b"RIFF\x10\x00\x00\x00AVI LIST" + bytes(200),
        b"fLaC" + bytes(500),
        b"ID3\x04" + bytes(500),
        b"FORM\x00\x00\x10\x00AIFF" + bytes(500),
        bytes(range(256)) * 20,
        "ein Text mit Umlauten: äöü".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("name", ["clip.wav", "clip.flac", "clip.raw", "clip"])
def test_other_bytes_under_an_audio_name(tmp_path, data, name):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises((NotAudio, EmptyAudio, TruncatedAudio)):
        load_audio(path)


def test_text_named_wav(tmp_path):
    assert "no audio format" in refused(tmp_path, b"hello, world\n" * 99, NotAudio)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rate": 0}, "sample rate of 0 Hz"),
        ({"rate": 1}, "sample rate of 1 Hz"),
        ({"rate": 2**32 - 1}, "sample rate of 4294967295 Hz"),
        ({"channels": 0}, "0 channels"),
        ({"channels": 65535, "frame_bytes": 2}, "65535 channels"),
        ({"frame_bytes": 0}, "frames of 0 bytes"),
    ],
)
def test_headers_that_no_recording_has(tmp_path, fields, reason):
    assert reason in refused(tmp_path, wav(bytes(4000), **fields), NotAudio)


def test_samples_before_their_format(tmp_path):
    data = b"RIFF" + struct.pack("<I", 48) + b"WAVE" + chunk(b"data", bytes(40))
    assert "before their format" in refused(tmp_path, data, NotAudio)


def test_no_samples_at_all(tmp_path):
    whole = pcm16(NOISE)
    assert "no" in refused(tmp_path, whole[:36], NotAudio)
    assert "without a format" in refused(tmp_path, whole[:12] + bytes(8), NotAudio)


def test_a_format_chunk_too_short(tmp_path):
    data = b"RIFF" + struct.pack("<I", 99) + b"WAVE" + chunk(b"fmt ", bytes(8)) + bytes(60)
    assert "cut short" in refused(tmp_path, data, NotAudio)


@pytest.mark.parametrize("tag", [0, 2, 0x55, 0xFFFE, 0xFFFF])
def test_formats_that_do_not_fit_their_fields(tag):
    with pytest.raises(FileError):
        decode_wav(wav(bytes(4000), tag=tag, bits=16), "-")


@pytest.mark.parametrize(("bits", "frame_bytes"), [(16, 1), (0, 2), (64, 8), (32, 3), (255, 2)])
def test_widths_that_contradict_themselves_never_escape(bits, frame_bytes):
    try:
        samples, _ = decode_wav(wav(bytes(960), bits=bits, frame_bytes=frame_bytes), "-")
    except SerEdgeError:
        return
    assert np.all(np.isfinite(samples))


# Values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("kind", ["<f4", "<f8"])
@pytest.mark.parametrize("channels", [1, 2])
def test_values_that_are_no_sound(tmp_path, value, kind, channels):
    samples = np.zeros(4000, kind)
    samples[2999] = value
    data = wav(samples.tobytes(), tag=3, bits=8 * samples.itemsize, channels=channels)
    assert "NaN" in refused(tmp_path, data, NonFiniteAudio)


def test_infinities_that_cancel_between_channels(tmp_path):
    data = wav(np.array([np.inf, -np.inf], "<f4").tobytes(), tag=3, bits=32, channels=2)
    refused(tmp_path, data, NonFiniteAudio)


@pytest.mark.parametrize("bits", [0x7F800001, 0xFFFFFFFF])
def test_signalling_nan(tmp_path, bits):
    data = wav(struct.pack("<4I", 0, bits, 0, 0), tag=3, bits=32, channels=2)
    refused(tmp_path, data, NonFiniteAudio)


def test_a_double_too_large_for_float32(tmp_path):
    refused(tmp_path, wav(struct.pack("<d", 1e300), tag=3, bits=64), NonFiniteAudio)


def test_nan_in_a_big_endian_file(tmp_path):
    data = encoded(np.array([0.1, np.nan]), 16000, "AIFF", "FLOAT")
    refused(tmp_path, data, NonFiniteAudio)


# Memory


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFE])
def test_a_huge_claim_allocates_nothing(tmp_path, length):
    tracemalloc.start()
    refused(tmp_path, pcm16(NOISE, length=length), TruncatedAudio)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_huge_chunk_before_the_samples(tmp_path):
    data = pcm16(NOISE)
    refused(tmp_path, data[:36] + b"junk" + b"\xf0\xff\xff\xff" + data[36:], NotAudio)
    refused(tmp_path, data[:12] + b"fmt \xf0\xff\xff\xff" + data[20:], NotAudio)


def test_a_flac_that_claims_years(tmp_path):
    data = bytearray(encoded(NOISE, 16000, "FLAC", "PCM_16"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    tracemalloc.start()
    refused(tmp_path, bytes(data), TruncatedAudio)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_ten_thousand_chunks(tmp_path):
    samples = pcm16(NOISE, before=chunk(b"junk", b"") * 10_000)
    assert len(decode_wav(samples, "-")[0]) == 4000


def test_a_million_chunks_are_not_walked(tmp_path):
    data = pcm16(NOISE, before=chunk(b"junk", b"") * 1_000_000)
    assert "over 100000 chunks" in refused(tmp_path, data, NotAudio)


# The file system


def test_missing(tmp_path):
    with pytest.raises(MissingFile, match="does not exist"):
        load_audio(tmp_path / "none.wav")


def test_missing_folder(tmp_path):
    with pytest.raises(MissingFile):
        load_audio(tmp_path / "none" / "none.wav")


def test_a_name_with_a_null_byte():
    with pytest.raises(MissingFile, match="no file name"):
        load_audio("a\0b.wav")


def test_a_folder(tmp_path):
    with pytest.raises(UnreadableFile, match="is a folder"):
        load_audio(tmp_path)


def test_a_file_used_as_a_folder(tmp_path):
    (tmp_path / "a.wav").write_bytes(pcm16(NOISE))
    with pytest.raises(UnreadableFile, match="cannot be read"):
        load_audio(tmp_path / "a.wav" / "b.wav")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(UnreadableFile):
        load_audio(tmp_path / ("a" * 5000))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no /dev/zero")  # noqa: PTH110
def test_an_endless_device():
    with pytest.raises(UnreadableFile, match="device"):
        load_audio("/dev/zero")


def test_a_link_that_goes_in_a_circle(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "a.wav")
    with pytest.raises(UnreadableFile):
        load_audio(tmp_path / "a.wav")


AS_ANOTHER_USER = """
import os, sys
from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.errors import UnreadableFile
if os.getuid() == 0:  # root may read everything
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    load_audio(sys.argv[1])
except UnreadableFile as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="permissions of POSIX")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_no_permission(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "clip.wav"
    path.write_bytes(pcm16(NOISE))
    barred = path if what == "file" else folder
    barred.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER_USER, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        barred.chmod(0o700)
    assert done.stdout == f"{path}: may not be read; change its permissions\n"
