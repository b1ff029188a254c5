"""What each disturbance does to samples: how loud, how wide, how long, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_train.disturbances import (
    BABBLE_RATE,
    BABBLE_SECONDS,
    BABBLE_TRACKS,
    CLEAN,
    Disturbance,
    Disturber,
    disturbances,
    write_babble,
)
from ser_edge_train.errors import NoNoise
from ser_edge_train.manifest import Manifest
from tests.train.recordings import make_clip, noise, write_wav

RATE = 16_000
DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Eight speakers, two short clips each."""
    folder = tmp_path_factory.mktemp("voices")
    clips = []
    for number in range(16):
        path = write_wav(folder / f"clip-{number}.wav", noise(number, 0.3, 0.02 * (number + 1)))
        digest = audio_digest(*load_audio(path))
        clips.append(
            make_clip(number, path=path.name, speaker=f"s{number // 2}", audio_sha256=digest)
        )
    return Manifest(folder, tuple(clips))


@pytest.fixture(scope="module")
def babble(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("babble")
    write_babble(manifest, manifest.clips, folder)
    return folder


@pytest.fixture(scope="module")
def every(babble):
    return {one.name: one for one in disturbances(babble, "voices")}


@pytest.fixture(scope="module")
def speech():
    """A second of tones in and beside a telephone's band."""
    time = np.arange(RATE) / RATE
    tones = [np.sin(2 * np.pi * hertz * time) for hertz in (80, 1000, 6000)]
    return (0.1 * np.sum(tones, axis=0)).astype(np.float32)


def level(samples, hertz):
    """Amplitude of a tone in the middle half second."""
    middle = samples[RATE // 4 : 3 * RATE // 4].astype(np.float64)
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / RATE)
    return 2 * abs(np.mean(middle * turns))


def snr_db(clean, noisy):
    added = noisy.astype(np.float64) - clean
    return 10 * np.log10(np.mean(clean.astype(np.float64) ** 2) / np.mean(added**2))


def test_the_clean_recording_comes_first_and_names_differ(every):
    assert next(iter(every)) == CLEAN.name
    assert len(every) == 9
    assert len({Disturber(one).digest for one in every.values()}) == 9


def test_the_clean_recording_stays(every, speech):
    np.testing.assert_array_equal(Disturber(every["clean"])(speech, RATE, DIGEST), speech)


@pytest.mark.parametrize("name", ["white noise", "recorded noise"])
def test_noise_lies_ten_decibels_below(every, speech, name):
    noisy = Disturber(every[name])(speech, RATE, DIGEST)
    assert snr_db(speech, noisy) == pytest.approx(10, abs=0.01)


def test_a_telephone_leaves_its_band(every, speech):
    heard = Disturber(every["telephone"])(speech, RATE, DIGEST)
    assert len(heard) == len(speech)
    assert level(heard, 1000) == pytest.approx(0.1, rel=0.1)
    assert level(heard, 80) < 0.01
    assert level(heard, 6000) < 0.001


def test_opus_keeps_speech_but_not_the_samples(every, speech):
    heard = Disturber(every["Opus"])(speech, RATE, DIGEST)
    assert level(heard, 1000) == pytest.approx(0.1, rel=0.3)
    assert 0 < snr_db(speech, heard) < 40


def test_louder_and_softer_are_twelve_decibels(every, speech):
    factor = 10 ** (12 / 20)
    softer = Disturber(every["softer"])(speech, RATE, DIGEST)
    louder = Disturber(every["louder"])(speech, RATE, DIGEST)
    np.testing.assert_allclose(softer * factor, speech, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(louder, speech * factor, rtol=1e-5, atol=1e-8)
    assert abs(louder).max() > 1
    clipped = Disturber(every["louder, clipped"])(speech, RATE, DIGEST)
    np.testing.assert_array_equal(clipped, np.clip(louder, -1, 1))


def test_a_second_of_silence_stands_before_and_behind(every, speech):
    heard = Disturber(every["silence around"])(speech, RATE, DIGEST)
    assert len(heard) == 3 * RATE
    assert not heard[:RATE].any()
    assert not heard[2 * RATE :].any()
    np.testing.assert_array_equal(heard[RATE : 2 * RATE], speech)


def test_the_noise_of_a_recording_is_always_the_same_and_its_own(every, speech):
    first, again = (Disturber(every["white noise"])(speech, RATE, DIGEST) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = Disturber(every["white noise"])(speech, RATE, "cd" * 32)
    assert not np.array_equal(first, other)


def test_the_digest_knows_noise_by_its_content(every, manifest, babble, tmp_path):
    write_babble(manifest, manifest.clips[::-1], tmp_path)
    moved = {one.name: one for one in disturbances(tmp_path, "the same elsewhere")}
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"babble-{number}.wav" for number in range(1, BABBLE_TRACKS + 1)]
    for name, one in every.items():
        assert Disturber(one).digest == Disturber(moved[name]).digest
    write_babble(manifest, manifest.clips[:4], tmp_path)
    recorded = Disturber(moved["recorded noise"]).digest
    assert recorded != Disturber(every["recorded noise"]).digest


def test_babble_is_many_voices_of_equal_power(babble):
    tracks = [load_audio(path) for path in sorted(babble.iterdir())]
    assert {rate for _, rate in tracks} == {BABBLE_RATE}
    assert {len(samples) for samples, _ in tracks} == {round(BABBLE_SECONDS * BABBLE_RATE)}
    assert all(abs(abs(samples).max() - 0.9) < 1e-3 for samples, _ in tracks)
    assert len({samples.tobytes() for samples, _ in tracks}) == len(tracks)


def test_a_strength_is_part_of_the_digest():
    digests = {Disturber(Disturbance("x", "", gain_db=db)).digest for db in (-12.0, 0.0, 12.0)}
    assert len(digests) == 3
    # Names and words are not.
    assert Disturber(Disturbance("y", "z")).digest == Disturber(CLEAN).digest


def test_what_cannot_be_mixed(manifest, tmp_path):
    with pytest.raises(ValueError, match="needs voices"):
        write_babble(manifest, [], tmp_path)
    with pytest.raises(NoNoise):
        Disturber(disturbances(tmp_path / "nowhere", "")[2])
