"""Reading Chromium's network log, without a browser."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.scripts import load_script


@pytest.fixture(scope="module")
def script():
    return load_script(ROOT / "docs" / "look_at_page.py")


def event(url, **values):
    return {"phase": 1, "type": 2, "params": {"url": url, **values}}


def test_what_the_page_asked_for_is_found_once(script):
    asked = event("https://example.org/font.woff2", initiator="file://")
    log = {"events": [asked, asked, event("http://192.0.2.1/seen", initiator="null")]}
    assert script.requests_in(log) == ["https://example.org/font.woff2", "http://192.0.2.1/seen"]


@pytest.mark.parametrize(
    "other",
    [
        event("https://update.googleapis.com/service", initiator="not an origin"),
        event("https://clients2.google.com/time"),
        event("file:///home/me/clip.wav", initiator="file://"),
        event("data:,", initiator="file://"),
        {"phase": 0, "type": 1},
        {"phase": 0, "type": 1, "params": {"host": "example.org"}},
    ],
    ids=["the browser", "nobody", "the disk", "the page itself", "no values", "no address"],
)
def test_what_is_no_request_of_the_page_is_passed_over(script, other):
    assert script.requests_in({"events": [other]}) == []


def test_without_chromium_it_says_so(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "CHROMIUM", ("no-such-browser",))
    monkeypatch.setattr("sys.argv", ["look_at_page.py", "page.html"])
    assert script.main() == 2
    assert "no-such-browser" in capsys.readouterr().err
