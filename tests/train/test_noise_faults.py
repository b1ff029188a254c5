"""Folders of noise with something in them that is none, and babble without a voice."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.resampling import HIGHEST_RATE, LOWEST_RATE
from ser_edge_train.augmentation.recorded_noise import NoiseRecordings
from ser_edge_train.disturbances import Disturber, disturbances, write_babble
from ser_edge_train.errors import NoNoise
from ser_edge_train.manifest import Manifest
from ser_edge_train.recipes.augmentation import RecordedNoise

from .recordings import make_clip, write_wav

CHECK = "check that it is a recording, or take it out of the folder"
NO_AUDIO = f"is not audio that libsndfile reads; {CHECK}"
CLEAN = np.full(400, 0.1, np.float32)
HOW = RecordedNoise(folder="unused", snr_db=(5, 5))


def encoded(kind: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 1500)
    soundfile.write(stream, samples, 16_000, format=kind, subtype=subtype)
    return stream.getvalue()


FILES = {
    "pcm.wav": encoded("WAV", "PCM_16"),
    "float.wav": encoded("WAV", "FLOAT"),
    "a.flac": encoded("FLAC", "PCM_16"),
    "a.ogg": encoded("OGG", "VORBIS"),
}


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"free noise, have fun\n", b"\0" * 4096, b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"],
)
@pytest.mark.parametrize("name", ["bad.wav", "bad.flac", "street/bad.ogg"])
def test_a_file_among_recordings_that_is_none_is_named(tmp_path, content, name):
    write_wav(tmp_path / "noise" / "good.wav", 1)
    bad = tmp_path / "noise" / name
    bad.parent.mkdir(exist_ok=True)
    bad.write_bytes(content)
    with pytest.raises(NoNoise) as caught:
        NoiseRecordings.of(tmp_path / "noise")
    assert str(caught.value) == f"{bad}: {NO_AUDIO}"
    # A disturbed model is told the same before anything is computed.
    with pytest.raises(NoNoise) as again:
        Disturber(disturbances(tmp_path / "noise", "a street")[2])
    assert str(again.value) == str(caught.value)
    # What the message says helps, and nobody else took the file away.
    assert bad.read_bytes() == content
    bad.unlink()
    assert len(NoiseRecordings.of(tmp_path / "noise").recordings) == 1


@pytest.mark.parametrize("rate", [LOWEST_RATE, HIGHEST_RATE])
def test_a_rate_that_can_be_resampled_is_taken_and_the_next_is_not(tmp_path, rate):
    beyond = rate - 1 if rate == LOWEST_RATE else rate + 1
    path = write_wav(tmp_path / "a.wav", 1, rate)
    added = NoiseRecordings.of(tmp_path).add(CLEAN, 16_000, HOW, np.random.default_rng(0))
    assert np.isfinite(added).all()
    write_wav(path, 1, beyond)
    with pytest.raises(NoNoise) as caught:
        NoiseRecordings.of(tmp_path)
    assert str(caught.value) == f"{path}: has 3200 frames at {beyond} Hz; {CHECK}"


def test_one_sample_is_a_recording_and_none_is_not(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.array([7]))
    assert NoiseRecordings.of(tmp_path).recordings[0].frames == 1
    write_wav(path, np.array([]))
    with pytest.raises(NoNoise) as caught:
        NoiseRecordings.of(tmp_path)
    assert str(caught.value) == f"{path}: has 0 frames at 16000 Hz; {CHECK}"


@settings(max_examples=150)
@given(st.data())
def test_a_recording_cut_or_changed_anywhere_adds_noise_or_is_named(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(FILES)))
    content = bytearray(FILES[name])
    del content[data.draw(st.integers(0, len(content))) :]
    for place in data.draw(st.lists(st.integers(0, 90), max_size=3)):
        if place < len(content):
            content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("noise") / name
    path.write_bytes(content)
    message, added = "", CLEAN
    try:
        noise = NoiseRecordings.of(path.parent)
        added = noise.add(CLEAN, 16_000, HOW, np.random.default_rng(0))
    except NoNoise as fault:
        message = str(fault)
    assert message == "" or message.startswith(f"{path}: ")
    assert message == "" or message.endswith(f"; {CHECK}")
    assert message.isprintable()
    assert added.shape == CLEAN.shape
    assert np.isfinite(added).all()


def test_babble_of_nobody_makes_no_folder_and_changes_none(tmp_path):
    manifest = Manifest(tmp_path, (make_clip(1),))
    with pytest.raises(ValueError, match=r"^babble needs voices$"):
        write_babble(manifest, [], tmp_path / "babble")
    assert not (tmp_path / "babble").exists()
    (tmp_path / "babble").mkdir()
    (tmp_path / "babble" / "babble-1.wav").write_bytes(b"an earlier one")
    with pytest.raises(ValueError, match=r"^babble needs voices$"):
        write_babble(manifest, [], tmp_path / "babble")
    assert (tmp_path / "babble" / "babble-1.wav").read_bytes() == b"an earlier one"
