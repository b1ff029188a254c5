"""Formats in: what is read, that it is what soundfile reads, and what is imported for it."""

import hashlib
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.audio import AUDIO_SUFFIXES, audio_digest, decode_wav, load_audio
from ser_edge_runtime.errors import MissingDecoder

from .audio_files import chunk, encoded, pcm16, wav

NOISE = (np.random.default_rng(0).standard_normal((3001, 2)) * 0.2).clip(-1, 0.999)
NATIVE = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]


def mean(data: bytes) -> tuple[np.ndarray, int]:
    """The oracle: soundfile's float32, channels averaged in float64."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return samples.mean(axis=1, dtype=np.float64).astype(np.float32), rate


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", NATIVE)
def test_wav_equals_soundfile_bit_for_bit(tmp_path, subtype, kind, channels):
    data = encoded(NOISE[:, :channels], 22050, kind, subtype)
    (tmp_path / "a.wav").write_bytes(data)
    expected, _ = mean(data)
    samples, rate = load_audio(tmp_path / "a.wav")
    assert (samples.dtype, samples.ndim, rate) == (np.float32, 1, 22050)
    np.testing.assert_array_equal(samples, expected)


@settings(max_examples=80, deadline=None)
@given(
    data=st.binary(min_size=24, max_size=960),
    bits=st.sampled_from([8, 16, 24, 32]),
    channels=st.integers(1, 3),
    extensible=st.booleans(),
)
def test_any_pcm_bytes_equal_soundfile(data, bits, channels, extensible):
    frame = channels * bits // 8
    file = wav(data[: len(data) // frame * frame], bits=bits, channels=channels,
               extensible=extensible)  # fmt: skip
    samples, rate = decode_wav(file, "-")
    np.testing.assert_array_equal(samples, mean(file)[0])
    assert rate == 16000


@settings(max_examples=40, deadline=None)
@given(
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=300),
    rate=st.integers(1000, 768_000),
)
def test_16_bits_survive_the_round_trip(samples, rate):
    data = wav(np.array(samples, "<i2").tobytes(), rate=rate)
    loaded, loaded_rate = decode_wav(data, "-")
    assert loaded_rate == rate
    assert (loaded * 32768).tolist() == samples


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("CAF", "PCM_16"),
        ("W64", "PCM_16"),
        ("RF64", "PCM_16"),
        ("WAV", "ULAW"),
        ("WAV", "ALAW"),
        ("WAV", "IMA_ADPCM"),
        ("NIST", "PCM_16"),
    ],
)
def test_other_formats_go_through_soundfile_whatever_the_name(tmp_path, kind, subtype):
    data = encoded(NOISE, 16000, kind, subtype)
    (tmp_path / "a.wav").write_bytes(data)
    samples, rate = load_audio(tmp_path / "a.wav")
    expected, _ = mean(data)
    assert rate == 16000
    # An MP3 decoder rounds a sample one way or the other by where a read begins.
    np.testing.assert_allclose(samples, expected, rtol=0, atol=2e-7 if kind == "MP3" else 0)
    np.testing.assert_array_equal(decode_wav(data, "-")[0], samples)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("OGG", "OPUS"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")]
)
def test_coded_files_longer_than_a_block_have_no_seams(kind, subtype, monkeypatch):
    monkeypatch.setattr("ser_edge_runtime.audio._BLOCK_SAMPLES", 2000)
    data = encoded(np.tile(NOISE, (5, 1)), 16000, kind, subtype)
    np.testing.assert_array_equal(decode_wav(data, "-")[0], mean(data)[0])


def test_big_endian_wav(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE, 8000, subtype="PCM_16", endian="BIG")
    data = (tmp_path / "a.wav").read_bytes()
    assert data[:4] == b"RIFX"
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav")[0], mean(data)[0])


def test_flac_that_declares_no_length(tmp_path):
    data = bytearray(encoded(NOISE, 16000, "FLAC", "PCM_16"))
    data[21] &= 0xF0  # the total of samples: 36 bits of STREAMINFO
    data[22:26] = bytes(4)
    samples, _ = decode_wav(bytes(data), "-")
    assert len(samples) == len(NOISE)


def test_mp3_without_its_length_frame():
    data = encoded(NOISE, 16000, "MP3", "MPEG_LAYER_III")
    second = data.index(data[:2], 4)
    samples, _ = decode_wav(data[second:], "-")
    assert abs(len(samples) - len(NOISE)) <= 3 * 1152


def test_the_mean_of_two_channels_in_antiphase_is_silence():
    left = np.sin(np.arange(100) / 5) * 0.5
    data = pcm16(np.stack([left, -left], axis=1), channels=2)
    assert np.max(np.abs(decode_wav(data, "-")[0])) < 2**-15


def test_blocks_do_not_show():
    integers = np.random.default_rng(1).integers(-32768, 32767, (150_001, 2)).astype("<i2")
    samples, _ = decode_wav(wav(integers.tobytes(), channels=2), "-")
    np.testing.assert_array_equal(samples, integers.astype(np.float64).mean(axis=1) / 32768)


@pytest.mark.parametrize("bits", [12, 20])
def test_odd_widths_are_left_justified_as_the_format_says(bits):
    container = (bits + 7) // 8
    data = wav(bytes(range(24)), bits=bits, frame_bytes=container)
    np.testing.assert_array_equal(decode_wav(data, "-")[0], mean(data)[0])


def test_chunks_around_the_samples_are_passed_over():
    plain = pcm16([0.1, 0.2, 0.3])
    odd = chunk(b"LIST", b"odd")
    data = pcm16([0.1, 0.2, 0.3], before=odd + chunk(b"bext", bytes(700)), after=odd)
    np.testing.assert_array_equal(decode_wav(data, "-")[0], decode_wav(plain, "-")[0])


def test_an_odd_byte_behind_the_last_frame_is_dropped():
    assert len(decode_wav(wav(bytes(7)), "-")[0]) == 3


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF, 0x7FFFF024])
def test_a_pipe_of_unknown_length_is_read_to_the_end(length, riff):
    if length == 0x7FFFF000:
        riff = 0x7FFFF024
    data = pcm16(NOISE[:, 0], length=length, riff=riff)
    np.testing.assert_array_equal(decode_wav(data, "-")[0], mean(pcm16(NOISE[:, 0]))[0])


@pytest.mark.parametrize(("length", "riff"), [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0, 36)])
def test_a_pipe_that_was_saved_as_a_file_is_read_to_the_end(tmp_path, length, riff):
    (tmp_path / "a.wav").write_bytes(pcm16(NOISE[:, 0], length=length, riff=riff))
    assert len(load_audio(tmp_path / "a.wav")[0]) == len(NOISE)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM"])
def test_a_coded_pipe_of_unknown_length_is_read_to_the_end(length, subtype):
    # An even count: the byte that pads a chunk would pass for a sample.
    data = encoded(NOISE[:3000, 0], 16000, "WAV", subtype)
    place = data.index(b"data") + 4
    piped = (
        data[:4] + b"\xff" * 4 + data[8:place] + length.to_bytes(4, "little") + data[place + 4 :]
    )
    np.testing.assert_array_equal(decode_wav(piped, "-")[0], mean(data)[0])


# What sox 14.4.2 writes ahead of 24-bit stereo into a pipe: extensible, its length a guess.
SOX_HEADER = bytes.fromhex(
    "5249464644f0ff7f57415645666d742028000000feff0200803e000000770100060018001600180003000000"
    "0100000000001000800000aa00389b716661637404000000aa52551564617461fcefff7f"
)


def test_what_sox_writes_into_a_pipe():
    frames = np.array([[1, -1], [2**22, 2**22], [-(2**23), 0]], dtype="<i4")
    body = frames.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    samples, rate = decode_wav(SOX_HEADER + body, "-")
    assert rate == 16000
    assert samples.tolist() == [0, 0.5, -0.5]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read_like_standard_input(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    data = pcm16(NOISE[:, 0], length=0xFFFFFFFF)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    writer.start()
    samples, _ = load_audio(tmp_path / "pipe")
    writer.join()
    assert len(samples) == len(NOISE)


def test_path_types(tmp_path):
    (tmp_path / "ä b.wav").write_bytes(pcm16([0.5, 0.25]))
    for path in (tmp_path / "ä b.wav", str(tmp_path / "ä b.wav")):
        assert load_audio(path)[0].tolist() == [0.5, 0.25]


def test_digest_is_of_the_rate_and_the_samples():
    samples = np.array([0.5, -0.25], np.float32)
    expected = hashlib.sha256((16000).to_bytes(8, "little") + samples.astype("<f4").tobytes())
    assert audio_digest(samples, 16000) == expected.hexdigest()
    assert audio_digest(samples, 8000) != audio_digest(samples, 16000)
    assert audio_digest(samples[::-1], 16000) != audio_digest(samples, 16000)
    assert audio_digest(samples.astype(">f4"), 16000) == audio_digest(samples, 16000)


def test_suffixes():
    assert {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"} == set(AUDIO_SUFFIXES)


PROBE = """
import sys
from ser_edge_runtime.audio import load_audio
for path in sys.argv[1:]:
    load_audio(path)
print(*sorted(sys.modules))
"""


def modules_loaded_for(*paths: object) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_soundfile_is_not_imported_for_pcm_and_float_wav(tmp_path):
    paths = []
    for kind in ("WAV", "WAVEX"):
        for subtype in NATIVE:
            path = tmp_path / f"{kind}-{subtype}.wav"
            path.write_bytes(encoded(NOISE, 16000, kind, subtype))
            paths.append(path)
    loaded = modules_loaded_for(*paths)
    assert "numpy" in loaded
    assert not loaded & {"soundfile", "_soundfile", "cffi", "_cffi_backend", "scipy", "librosa"}
    # Milliseconds each, and none is needed to read a WAV; numpy below 1.25 loads two itself.
    numpys = set(subprocess.run(
        [sys.executable, "-c", "import sys, numpy; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split())  # fmt: skip
    assert not (loaded - numpys) & {"pathlib", "dataclasses", "wave", "hashlib"}


def test_soundfile_is_imported_for_flac(tmp_path):
    (tmp_path / "a.flac").write_bytes(encoded(NOISE, 16000, "FLAC", "PCM_16"))
    assert "soundfile" in modules_loaded_for(tmp_path / "a.flac")


def test_without_soundfile_pcm_is_read_and_the_rest_says_what_to_install(monkeypatch):
    flac = encoded(NOISE, 16000, "FLAC", "PCM_16")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert len(decode_wav(pcm16([0.1]), "-")[0]) == 1
    with pytest.raises(MissingDecoder, match="pip install soundfile") as caught:
        decode_wav(flac, "a.flac")
    assert str(caught.value).startswith("a.flac: ")


def test_without_libsndfile_the_same(monkeypatch, tmp_path):
    (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found')")
    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDecoder, match="libsndfile"):
        decode_wav(b"fLaC" + bytes(40), "a.flac")
