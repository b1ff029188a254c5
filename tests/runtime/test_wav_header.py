"""The chunks of a WAV and the pages of an Ogg, walked by hand; Python's ``wave`` as the oracle."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.ogg import is_complete, is_ogg
from ser_edge_runtime.pcm import SAMPLE_BYTES, SAMPLE_TYPES, mono, sample_type, scaled
from ser_edge_runtime.wav import FLOAT, PCM, WavError, WavHeader, is_wav, read_header
from tests.runtime.audio_files import chunk, encoded, wav
from tests.runtime.machines import SUBNORMALS

DATA = bytes(range(1, 241))
ALL_ONES = 0xFFFFFFFF


def header(data: bytes, *, pipe: bool = False) -> WavHeader:
    stream = io.BytesIO(data)
    stream.seek(len(data))
    return read_header(stream, len(data), pipe=pipe)


@settings(max_examples=40)
@given(
    channels=st.integers(1, 8),
    width=st.sampled_from([1, 2, 3, 4]),
    rate=st.integers(1, 400_000),
    frames=st.integers(0, 50),
)
def test_what_pythons_own_module_writes_is_read(channels, width, rate, frames):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setparams((channels, width, rate, 0, "NONE", ""))
        sound.writeframes(bytes(frames * channels * width))
    data = stream.getvalue()
    found = header(data)
    assert found == WavHeader(
        PCM, channels, rate, channels * width, 8 * width, 44,
        frames * channels * width, frames * channels * width,
    )  # fmt: skip
    assert found.sample_bytes == width
    assert is_wav(data[:12])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([b"LIST", b"bext", b"JUNK", b"id3 "]), st.binary())),
    st.binary(max_size=40),
)
def test_chunks_before_and_behind_are_passed_over(before, after):
    """Those of odd length have a byte behind them that their length does not count."""
    data = wav(DATA, before=b"".join(chunk(*one) for one in before), after=after)
    found = header(data)
    assert data[found.offset : found.offset + found.present] == DATA
    assert found.declared == len(DATA)


@pytest.mark.parametrize("missing", [1, 2, 7, 239, 240])
def test_a_cut_file_holds_less_than_it_declares(missing):
    found = header(wav(DATA)[:-missing])
    assert (found.declared, found.present) == (240, 240 - missing)


@pytest.mark.parametrize(
    ("length", "riff", "pipe", "declared"),
    [
        (ALL_ONES, ALL_ONES, False, None),  # ffmpeg's, into a pipe
        (ALL_ONES, ALL_ONES, True, None),
        (0x7FFF0000, 0x7FFF0024, True, None),  # sox's
        (0x7FFF0000, 0x7FFF0024, False, 0x7FFF0000),  # the same in a file is a cut one
        (0x7FFEFFFF, 0x7FFF0023, True, 0x7FFEFFFF),
        (0, 0, False, None),  # a writer that was killed before it came back
        (0, 36, False, None),
        (0, 0x7FFF0024, False, None),
        (0, 276, False, 0),  # no samples, and then 240 bytes of something else
        (240, 0, False, 240),  # the length of the samples is believed
        (239, 276, False, 239),
    ],
)
def test_lengths_that_a_writer_could_not_know(length, riff, pipe, declared):
    found = header(wav(DATA, length=length, riff=riff), pipe=pipe)
    assert found.declared == declared
    assert found.present == min(240, 240 if declared is None else declared)


def test_a_recording_of_no_samples_has_none():
    found = header(wav(b""))
    assert (found.declared, found.present) == (0, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (wav(DATA)[:12], "without a format chunk"),
        (wav(DATA)[:19], "without a format chunk"),
        (wav(DATA)[:36], "without a data chunk"),
        (wav(DATA)[:43], "without a data chunk"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", DATA), "samples come before their format"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"\1\0" * 7), "format chunk is cut short"),
        (wav(DATA)[:30], "format chunk is cut short"),
        (wav(DATA, channels=0, frame_bytes=2), "claims 0 channels"),
        (wav(DATA, channels=1025, frame_bytes=2), "claims 1025 channels"),
        (wav(DATA, frame_bytes=0), "frames of 0 bytes"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"JUNK", b"") * 100_000, "over 100000 chunks"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"JUNK", b"", ALL_ONES) + DATA, "without a format"),
    ],
)
def test_each_fault_of_a_header_has_its_words(data, words):
    with pytest.raises(WavError, match=words) as fault:
        header(data)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("channels", [1, 2, 1024])
def test_as_many_channels_as_there_may_be(channels):
    assert header(wav(DATA, channels=channels, frame_bytes=2)).channels == channels


def test_a_later_format_counts_and_one_behind_the_samples_does_not():
    other = struct.pack("<HHIIHH", FLOAT, 2, 8000, 64000, 8, 32)
    assert header(wav(DATA, before=chunk(b"fmt ", other)))[:5] == (FLOAT, 2, 8000, 8, 32)
    assert header(wav(DATA, after=chunk(b"fmt ", other)))[:5] == (PCM, 1, 16000, 2, 16)


def test_an_extensible_format_is_the_one_that_its_guid_names():
    assert header(wav(DATA, tag=FLOAT, bits=32, extensible=True)).tag == FLOAT
    data = bytearray(wav(DATA, extensible=True))
    place = data.index(bytes.fromhex("aa00389b71"))
    data[place] ^= 1
    found = header(bytes(data))
    assert found.tag == 0xFFFE, "another GUID is not a plain tag in disguise"
    assert sample_type(found) == ""


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_header_within_the_file_or_a_fault(tail, pipe):
    data = b"RIFF\xff\0\0\0WAVE" + tail
    try:
        found = header(data, pipe=pipe)
    except WavError:
        return
    assert 0 <= found.offset <= found.offset + found.present <= len(data)


@given(st.integers(0, 283), st.integers(0, 255), st.booleans())
def test_any_byte_changed_is_a_header_within_the_file_or_a_fault(place, value, pipe):
    data = bytearray(wav(DATA))
    data[place] = value
    try:
        found = header(bytes(data), pipe=pipe)
    except WavError:
        return
    assert 0 <= found.offset <= found.offset + found.present <= len(data)
    assert found.declared is None or found.present <= found.declared


# samples


@pytest.mark.parametrize(
    ("tag", "bits", "frame", "channels", "kind"),
    [
        (PCM, 8, 1, 1, "u1"),
        (PCM, 16, 4, 2, "<i2"),
        (PCM, 24, 3, 1, "3u1"),
        (PCM, 20, 3, 1, "3u1"),  # 20 bits in three bytes, to the left
        (PCM, 17, 3, 1, "3u1"),
        (PCM, 16, 3, 1, ""),  # would fit two
        (PCM, 24, 4, 1, ""),
        (PCM, 32, 4, 1, "<i4"),
        (PCM, 64, 8, 1, ""),
        (PCM, 0, 1, 1, ""),
        (PCM, 16, 3, 2, ""),  # a frame of one sample and a half
        (FLOAT, 32, 4, 1, "<f4"),
        (FLOAT, 64, 16, 2, "<f8"),
        (FLOAT, 16, 2, 1, ""),
        (FLOAT, 32, 8, 1, ""),
        (7, 8, 1, 1, ""),  # mu-law is libsndfile's
    ],
)
def test_which_samples_are_decoded_here(tag, bits, frame, channels, kind):
    assert sample_type(WavHeader(tag, channels, 8000, frame, bits, 44, 0, 0)) == kind


@settings(max_examples=40)
@given(st.lists(st.integers(-(2**23), 2**23 - 1), max_size=20), st.sampled_from([8, 16, 24, 32]))
def test_integers_are_fractions_of_full_scale(values, bits):
    """The oracle is Python's own big integers: value / 2 ** (bits - 1), rounded once."""
    kind = {8: "u8", 16: "s16le", 24: "s24le", 32: "s32le"}[bits]
    whole = [value >> max(0, 24 - bits) for value in values]
    width = bits // 8
    stored = [value + 128 for value in whole] if bits == 8 else whole
    data = b"".join(v.to_bytes(width, "little", signed=bits > 8) for v in stored)
    found = scaled(data, SAMPLE_TYPES[kind])
    assert found.dtype == np.float32
    expected = [np.float32(value / 2 ** (bits - 1)) for value in whole]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@settings(max_examples=40)
@given(st.lists(st.floats(width=64, allow_subnormal=SUBNORMALS), max_size=20))
def test_floats_are_kept_and_what_is_too_large_is_infinite(values):
    found = scaled(np.array(values, "<f8").tobytes(), "<f8")
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, np.array(values, np.float64).astype(np.float32))


def test_every_type_of_sample_has_its_bytes():
    for kind in SAMPLE_TYPES.values():
        assert len(scaled(bytes(12 * SAMPLE_BYTES[kind]), kind)) == 12


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**31 * 1.001])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_no_possible_sample_is_refused(bad, channels):
    block = np.zeros((9, channels), np.float32)
    block[4, -1] = bad * channels
    with pytest.raises(Exception, match=r"^x\.wav: .*; ") as fault:
        mono(block, "x.wav")
    assert type(fault.value).__name__ == "NonFiniteAudio"
    block[4, -1] = 2.0**31
    assert mono(block, "x.wav")[4] == 2.0**31 / channels


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.floats(-1, 1, width=32, allow_subnormal=SUBNORMALS), min_size=3, max_size=3),
        min_size=1,
    )
)
def test_channels_become_their_mean(rows):
    found = mono(np.array(rows, np.float32), "x")
    expected = [np.float32(sum(map(float, row)) / 3) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert found.dtype == np.float32


# pages of an Ogg


def page(body: bytes, *, last: bool = False, first: bool = False) -> bytes:
    table = bytes([255] * (len(body) // 255) + [len(body) % 255])
    flags = 4 * last + 2 * first
    return b"OggS" + bytes([0, flags]) + bytes(20) + bytes([len(table)]) + table + body


def complete(data: bytes) -> bool:
    stream = io.BytesIO(data)
    return is_complete(stream, len(data))


@pytest.mark.parametrize("sizes", [[0], [1], [255], [254, 256, 510], [30_000, 7]])
def test_pages_up_to_the_last_are_a_whole_file_and_each_cut_is_seen(sizes):
    pages = [page(bytes(size), last=n == len(sizes)) for n, size in enumerate(sizes, 1)]
    data = b"".join(pages)
    assert complete(data)
    ends = {sum(map(len, pages[:n])) for n in range(len(pages) + 1)}
    for size in {*range(0, len(data), 97), *range(len(data) - 40, len(data)), *ends} - {len(data)}:
        assert size < 0 or not complete(data[:size]), size


def test_a_last_page_in_the_middle_is_one_of_a_chain():
    one, other = page(b"a", last=True), page(b"b")
    assert not complete(one + other)
    assert complete(one + other + page(b"", last=True))


def test_what_other_tools_put_behind_the_last_page_is_let_be():
    assert complete(page(b"a", last=True) + b"TAG" + bytes(125))
    assert not complete(page(b"a") + b"TAG" + bytes(125))
    # A page that has only just begun is no tag.
    assert not complete(page(b"a", last=True) + b"OggS" + bytes(3))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_what_libsndfile_writes_is_whole_until_it_is_cut(subtype):
    data = encoded(np.sin(np.arange(48_000) / 20), 48_000, "OGG", subtype)
    assert is_ogg(data[:4])
    assert complete(data)
    for share in (0.1, 0.5, 0.9, 0.999):
        assert not complete(data[: int(share * len(data))])


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_page_give_an_answer(tail):
    assert isinstance(complete(page(b"a", last=True) + b"OggS" + tail), bool)


@pytest.mark.parametrize("data", [b"", b"Ogg", b"oggS", b"RIFF", b"\0OggS"])
def test_what_is_no_ogg(data):
    assert not is_ogg(data)
