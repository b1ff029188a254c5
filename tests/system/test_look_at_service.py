"""What docs/look_at_service.py concludes, without a browser."""

from __future__ import annotations

import io
import os
import wave

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.scripts import load_script
from tests.signals import noise


@pytest.fixture(scope="module")
def script():
    return load_script(ROOT / "docs" / "look_at_service.py")


def wav(samples, rate=16000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(32768 * samples, -32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def test_a_clip_is_found_at_any_place_level_and_rate(script):
    from ser_edge_runtime import load_audio
    from ser_edge_runtime.resampling import resample

    samples, rate = load_audio(script.CLIP)
    played = np.tile(resample(samples, rate, 44100), 2)[20_000:]
    assert script.correlation(wav(0.3 * played, 44100), script.CLIP) > 0.95


def test_another_sound_is_not_taken_for_it(script):
    assert script.correlation(wav(noise(48_000)), script.CLIP) < 0.2
    assert script.correlation(wav(np.zeros(48_000)), script.CLIP) < 0.2


def test_all_requests_are_listed_and_nothing_else(script):
    asked = {"method": "Network.requestWillBeSent", "params": {"request": {"url": "http://a/"}}}
    answered = {"method": "Network.responseReceived", "params": {"response": {"url": "http://b/"}}}
    assert script.asked_for([asked, answered, asked]) == ["http://a/", "http://a/"]


def test_orders_and_answers_are_told_apart_from_what_happens_meanwhile(script):
    browser = script.Browser.__new__(script.Browser)
    browser._read, answers = os.pipe()
    orders, browser._write = os.pipe()
    browser._buffer, browser._count, browser.events = b"", 0, []
    os.write(answers, b'{"method": "Page.loadEventFired"}\0{"id": 1, "res')
    os.write(answers, b'ult": {"value": 7}}\0')
    assert browser.send("Some.order", key="word") == {"value": 7}
    order = os.read(orders, 1000)
    assert order == b'{"id": 1, "method": "Some.order", "params": {"key": "word"}}\0'
    assert [event["method"] for event in browser.events] == ["Page.loadEventFired"]
    os.write(answers, b'{"id": 2, "error": {"message": "no such order"}}\0')
    with pytest.raises(SystemExit, match="no such order"):
        browser.send("Other.order")
    os.close(answers)
    with pytest.raises(SystemExit, match="Chromium ended"):
        browser.send("Last.order")
    for end in (orders, browser._read, browser._write):
        os.close(end)


def test_without_chromium_it_says_so(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "CHROMIUM", ("no-such-browser",))
    monkeypatch.setattr("sys.argv", ["look_at_service.py"])
    assert script.main() == 2
    assert "no-such-browser" in capsys.readouterr().err
