"""What is said of a recording with these measures: each verdict at its limit, in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime import recording_check
from ser_edge_runtime.recording_check import (
    CLIPPED,
    DEAD_CHANNEL,
    FAILED,
    FAR,
    FASTEST,
    MUSICAL,
    NARROW,
    NOISY,
    NOTE,
    OK,
    QUIET,
    SHORTEST,
    SILENT,
    SLOWEST,
    SOME_NOISE,
    check_bandwidth,
    check_channels,
    check_clipping,
    check_distance,
    check_hum,
    check_length,
    check_level,
    check_music,
    check_noise,
    check_speed,
)
from ser_edge_runtime.recording_measures import RATE, SPEED, Measures
from tests.runtime.machines import SUBNORMALS

GOOD = Measures(
    seconds=3.0, sample_rate=RATE, peak=0.5, level=-25.0, clipped=0.0, snr=30.0,
    bandwidth=8000.0, hum=0.0, held=0.05, pitch=200.0, voice=(),
)  # fmt: skip
ALL = (
    check_length, check_level, check_clipping, check_speed, check_bandwidth, check_hum,
    check_noise, check_music,
)  # fmt: skip


def at_speed(times):
    """Measures of a voice that sounds so many times faster than speech."""
    voice = np.zeros(len(SPEED.weights))
    voice[1] = (np.log2(times) - SPEED.constant) / SPEED.weights[1]
    return replace(GOOD, voice=tuple(voice))


@pytest.mark.parametrize(
    ("check", "field", "limit", "falls", "words"),
    [
        (check_length, "seconds", SHORTEST, True, "too short"),
        (check_level, "level", SILENT, True, "silence"),
        (check_level, "level", QUIET, True, "too quiet"),
        (check_clipping, "clipped", CLIPPED, False, "clipped"),
        (check_bandwidth, "bandwidth", NARROW, True, "narrow band"),
        (check_noise, "snr", NOISY, True, "noise:"),
        (check_noise, "snr", SOME_NOISE, True, "some noise"),
        (check_music, "held", MUSICAL, False, "music"),
    ],
)
def test_a_verdict_turns_at_its_limit(check, field, limit, falls, words):
    """``falls``: below the limit is a fault, at it none; otherwise at it is one already."""
    beyond = np.nextafter(limit, -np.inf)
    bad, good = (beyond, limit) if falls else (limit, beyond)
    found = check(replace(GOOD, **{field: float(bad)}))
    assert found.detail.startswith(words)
    assert found.value == bad
    assert found.status != OK
    assert not check(replace(GOOD, **{field: float(good)})).detail.startswith(words)


def test_a_good_recording_has_no_fault_and_each_check_a_name_of_its_own():
    found = [check(GOOD) for check in ALL]
    assert {check.status for check in found} == {OK}
    assert len({check.name for check in found}) == len(ALL)
    assert check_length(GOOD).detail == "3.00 s at 16000 Hz"
    assert check_level(GOOD).detail == "speech at -25 dB of full scale, peak at -6 dB"
    assert (check_clipping(GOOD).detail, check_hum(GOOD).detail) == ("none", "none")


def test_some_noise_is_worth_a_note_and_more_a_fault():
    status = {snr: check_noise(replace(GOOD, snr=snr)).status for snr in (2.9, 3.0, 7.9, 8.0)}
    assert status == {2.9: FAILED, 3.0: NOTE, 7.9: NOTE, 8.0: OK}


def test_a_little_clipping_is_told_and_no_fault():
    found = check_clipping(replace(GOOD, clipped=0.0012))
    assert (found.status, found.detail) == (OK, "0.12 % of the samples lie in flat tops")


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_hum_is_named_by_its_mains(mains):
    found = check_hum(replace(GOOD, hum=mains))
    assert found.status == FAILED
    assert f"hum of {mains:.0f} Hz" in found.detail


@pytest.mark.parametrize("times", [0.2, 0.49, 0.51, 1.0, 1.99, 2.01, 3.0])
def test_a_speed_that_no_voice_has_is_the_headers_fault(times):
    found = at_speed(times)
    assert found.speed == pytest.approx(times)
    check = check_speed(found)
    assert (check.status == OK) == (SLOWEST <= times <= FASTEST)
    if times < SLOWEST:
        assert f"{1 / times:.1f} times too slow" in check.detail
    if times > FASTEST:
        assert f"{times:.1f} times too fast" in check.detail
        assert "16000 Hz is probably not the rate" in check.detail


def test_without_a_voice_nothing_is_said_of_its_speed():
    assert GOOD.speed == 1.0
    assert check_speed(GOOD).status == OK
    assert check_speed(GOOD).value is None


def test_a_telephones_rate_is_guessed_from_its_band():
    found = check_bandwidth(replace(GOOD, bandwidth=3500.0))
    assert "up to 3500 Hz alone" in found.detail
    assert "from 7000 Hz" in found.detail


def test_a_distance_is_a_note_never_a_fault():
    assert check_distance(FAR).status == OK
    assert check_distance(float(np.nextafter(FAR, 9))).status == NOTE


@pytest.mark.parametrize(
    ("levels", "status", "words"),
    [
        ([], OK, "one channel"),
        ([-20.0], OK, "one channel"),
        ([-20.0, -20.0 - DEAD_CHANNEL], OK, "2 channels, all with sound"),
        ([-20.0, -20.1 - DEAD_CHANNEL], FAILED, "channel 2 of 2 is dead"),
        ([-120.0, -20.0, -120.0], FAILED, "channel 1 and 3 of 3 is dead"),
        ([SILENT, -120.0], OK, "2 channels, all with sound"),  # silence is told by the level
        ([SILENT + 0.1, -120.0], FAILED, "channel 2 of 2 is dead"),
    ],
)
def test_a_dead_channel(levels, status, words):
    found = check_channels(levels)
    assert found.status == status
    assert found.detail.startswith(words)


FINITE = {"allow_nan": False, "allow_infinity": False, "allow_subnormal": SUBNORMALS}


@settings(max_examples=60)
@given(
    st.builds(
        Measures,
        seconds=st.floats(0, 1e6, **FINITE),
        sample_rate=st.integers(1, 768_000),
        peak=st.floats(0, 2**31, **FINITE),
        level=st.floats(-120, 200, **FINITE),
        clipped=st.floats(0, 1, **FINITE),
        snr=st.floats(-60, 120, **FINITE),
        bandwidth=st.floats(0, 8000, **FINITE),
        hum=st.sampled_from([0.0, 50.0, 60.0]),
        held=st.floats(0, 1, **FINITE),
        pitch=st.floats(0, 1000, **FINITE),
        voice=st.just(()) | st.tuples(*[st.floats(0, 14, **FINITE)] * len(SPEED.weights)),
    )
)
def test_whatever_is_measured_each_check_is_one_line_and_says_what_to_do(found):
    for check in ALL:
        one = check(found)
        assert one.status in (OK, NOTE, FAILED)
        assert one.detail.isprintable()
        # What was found stands before the semicolon, what to do behind it.
        assert one.status == OK or ";" in one.detail


# which of them are made


def names(found, monkeypatch, far=0.5):
    monkeypatch.setattr(recording_check, "distance", lambda *_: far)
    made = recording_check._checks(found, [], np.zeros(1, np.float32), None)
    return [check.name for check in made]


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({}, set()),
        ({"hum": 50.0, "held": 0.9}, {"music", "noise", "sample rate"}),
        ({"held": 0.9}, {"noise", "sample rate"}),
        ({"clipped": 0.1}, {"noise"}),
        ({"snr": 1.0}, {"sample rate"}),
        ({"snr": 5.0}, set()),
        ({"bandwidth": 3000.0}, set()),
    ],
)
def test_one_fault_is_not_taken_for_another(changes, left_out, monkeypatch):
    found = names(replace(GOOD, **changes), monkeypatch)
    every = [
        "length", "channels", "level", "clipping", "bandwidth", "hum", "music", "noise",
        "sample rate", "distance",
    ]  # fmt: skip
    assert found == [name for name in every if name not in left_out]


def test_a_voice_that_is_played_too_slowly_is_no_music(monkeypatch):
    assert "music" not in names(replace(at_speed(0.4), held=0.2), monkeypatch)
    assert "music" in names(replace(at_speed(0.4), held=0.2, snr=1.0), monkeypatch)
    assert "music" in names(replace(at_speed(0.6), held=0.2), monkeypatch)


@pytest.mark.parametrize("changes", [{"seconds": 0.49}, {"level": -70.1}])
def test_of_silence_and_of_a_click_nothing_more_is_said(changes, monkeypatch):
    assert names(replace(GOOD, **changes), monkeypatch) == ["length", "channels", "level"]
