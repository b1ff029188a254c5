"""The microphone, on a stand-in for sounddevice: what PortAudio does is told to it here.

``docs/listen_to_sound_server.py`` runs the same code against a real sound server.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from ser_edge_runtime import microphone
from ser_edge_runtime.errors import MissingExtra, NoMicrophone
from ser_edge_runtime.microphone import WAITING_PORTIONS, Microphone, input_devices

DEVICES = [
    {"name": "speaker", "max_input_channels": 0, "default_samplerate": 48000.0},
    {"name": "inner mic", "max_input_channels": 2, "default_samplerate": 44100.0},
    {"name": "usb mic", "max_input_channels": 1, "default_samplerate": 16000.0},
]


class PortAudioError(Exception):
    pass


class InputStream:
    def __init__(self, **settings):
        if settings["samplerate"] == 7:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.settings = settings
        self.active = False
        self.closed = False
        InputStream.last = self

    def start(self):
        if self.settings["device"] == "busy":
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.active = True

    def close(self):
        self.active, self.closed = False, True

    def record(self, values, overflow=False):
        block = np.asarray(values, np.float32).reshape(-1, 1)
        status = types.SimpleNamespace(input_overflow=overflow)
        self.settings["callback"](block, len(block), None, status)
        block[:] = 9.0  # PortAudio fills the same memory again


def query_devices(device=None, kind=None):
    if kind is None:
        return DEVICES
    if device == "no such":
        raise ValueError("No input device matching 'no such'")
    return DEVICES[1 if device is None or device == "busy" else int(device)]


@pytest.fixture(autouse=True)
def sounddevice(monkeypatch):
    library = types.ModuleType("sounddevice")
    library.PortAudioError = PortAudioError
    library.InputStream = InputStream
    library.query_devices = query_devices
    library.default = types.SimpleNamespace(device=(1, 0))
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


def test_devices_are_those_that_record():
    inner, usb = input_devices()
    assert (inner.number, inner.name, inner.sample_rate, inner.default) == (
        1, "inner mic", 44100, True,
    )  # fmt: skip
    assert (usb.number, usb.channels, usb.default) == (2, 1, False)


def test_portions_come_in_their_order_and_stay_as_they_were():
    with Microphone(2) as recording:
        assert recording.name == "usb mic"
        assert recording.sample_rate == 16000
        assert InputStream.last.settings["blocksize"] == 1600
        for value in (0.1, 0.2):
            InputStream.last.record([value] * 3)
        portions = iter(recording)
        for value in (0.1, 0.2):
            np.testing.assert_array_equal(next(portions), np.full(3, value, np.float32))
        assert recording.overruns == 0
    assert InputStream.last.closed


def test_the_rate_is_the_devices_own_unless_one_is_asked_for():
    assert Microphone().sample_rate == 44100
    assert Microphone(sample_rate=8000).sample_rate == 8000


def test_overruns_of_the_device_are_counted():
    with Microphone() as recording:
        InputStream.last.record([0.1])
        InputStream.last.record([0.1], overflow=True)
        InputStream.last.record([0.1], overflow=True)
        assert recording.overruns == 2


def test_sound_that_nobody_takes_is_lost_counted_and_bounded():
    with Microphone() as recording:
        for number in range(WAITING_PORTIONS + 7):
            InputStream.last.record([number])
        assert recording.overruns == 7
        portions = iter(recording)
        assert [int(next(portions)[0]) for _ in range(WAITING_PORTIONS)] == list(
            range(WAITING_PORTIONS)
        )


def test_a_device_that_is_gone_is_said_after_what_it_recorded(monkeypatch):
    monkeypatch.setattr(microphone, "_LOOK_EVERY", 0.001)
    with Microphone() as recording:
        InputStream.last.record([0.5])
        InputStream.last.active = False
        portions = iter(recording)
        assert len(next(portions)) == 1
        with pytest.raises(NoMicrophone, match="inner mic has stopped"):
            next(portions)


@pytest.mark.parametrize(
    ("device", "rate", "words"),
    [
        ("no such", None, "'no such' cannot be opened .*--list-devices"),
        (None, 7, "the default microphone cannot be opened .*sample rate"),
        ("busy", None, "inner mic does not record .*unavailable"),
    ],
)
def test_what_cannot_be_opened_is_named(device, rate, words):
    with pytest.raises(NoMicrophone, match=words), Microphone(device, rate):
        pass


def test_without_sounddevice_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"ser-edge\[mic\]") as caught:
        Microphone()
    assert caught.value.exit_code == 2


def test_without_portaudio_its_package_is_named(monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(NoMicrophone, match="apt install libportaudio2"):
        input_devices()
