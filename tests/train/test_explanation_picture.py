"""The picture of an explanation: what it shows, in three kinds of file."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from ser_edge_train.explanation import explain
from ser_edge_train.report.explanation_picture import SUFFIXES, render, write_picture
from tests.train.pages import Page
from tests.train.planted_model import RATE, noise, planted


@pytest.fixture(scope="module")
def samples():
    return noise(1.0)


@pytest.fixture(scope="module")
def found(samples):
    return explain(planted(40, 60), samples, RATE, stretch=0.1, step=0.02)


def words(found) -> str:
    rest = 100 * found.without["planted"]
    return (
        f"clip.wav: planted {100 * found.score:.1f} %; "
        f"without {found.deciding.start:.2f} to {found.deciding.end:.2f} s: {rest:.1f} %"
    )


def test_the_page_is_well_formed_and_asks_nobody(found, samples):
    text = render(found, samples, RATE, "clip.wav")
    page = Page(text)
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert "http" not in text.replace("http-equiv", "")
    pointers = {pointer for pointer in page.pointers if not pointer.startswith("#")}
    # The log-mel picture is in the page itself, as a data: address.
    assert all(pointer.startswith("data:") for pointer in pointers)
    assert any(pointer.startswith("data:image/png;base64,") for pointer in pointers)
    assert all(target.startswith("#") and target[1:] in page.ids for target in page.references)
    assert not {"script", "iframe", "img", "object", "embed"} & {tag for tag, _ in page.tags}
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_page_says_what_was_found(found, samples):
    page = Page(render(found, samples, RATE, "clip.wav"))
    assert page.words[0] == "clip.wav: why planted"
    assert words(found) in page.words  # the picture's title, read aloud
    assert f"decided by {found.deciding.start:.2f} to {found.deciding.end:.2f} s" in page.text
    for label, score in found.scores.items():
        assert label in page.words
        assert f"{100 * score:.1f}" in page.words
        assert f"{100 * found.without[label]:.1f}" in page.words


def test_the_pictures_colours_are_the_pages(found, samples):
    text = render(found, samples, RATE, "clip.wav")
    (picture,) = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert "var(--second)" in picture
    assert not re.search(r"#0[0-9](0[0-9]){2}\b", picture)
    assert "font-family" not in picture


def test_the_players_read_the_recording_from_the_disk(found, samples, tmp_path):
    (tmp_path / "my clip.wav").write_bytes(b"RIFF")
    (tmp_path / "out").mkdir()
    write_picture(tmp_path / "out" / "why.html", found, samples, RATE, tmp_path / "my clip.wav")
    page = Page((tmp_path / "out" / "why.html").read_text())
    whole, part = (attributes for tag, attributes in page.tags if tag == "audio")
    assert whole["src"] == "../my%20clip.wav"
    start, end = found.deciding.start, found.deciding.end
    assert part["src"] == f"../my%20clip.wav#t={start:.3f},{end:.3f}"
    assert whole["preload"] == part["preload"] == "none"


def test_a_recording_that_no_browser_plays_has_no_player(found, samples, tmp_path):
    write_picture(tmp_path / "why.html", found, samples, RATE, "-")
    assert "<audio" not in (tmp_path / "why.html").read_text()


def test_the_svg_stands_alone(found, samples, tmp_path):
    write_picture(tmp_path / "why.svg", found, samples, RATE, tmp_path / "clip.wav")
    text = (tmp_path / "why.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(--" not in text
    assert "#24598f" in text
    said = ["".join(element.itertext()).strip() for element in root.iter()]
    assert {words(found), "seconds", "sound", "log-mel bands"} <= set(said)
    assert not re.search(r'href="(?!#|data:)', text)


def test_the_png_is_a_picture_of_the_stretch(found, samples, tmp_path):
    write_picture(tmp_path / "why.png", found, samples, RATE, tmp_path / "clip.wav")
    pixels = matplotlib.image.imread(io.BytesIO((tmp_path / "why.png").read_bytes()))
    height, width = pixels.shape[:2]
    assert width > height > 600
    # The shade of the deciding stretch: orange over paper, in the waveform's row of axes.
    row = pixels[round(0.1 * height), :, :3]
    shaded = np.flatnonzero((row[:, 0] - row[:, 2] > 0.08) & (row[:, 0] > 0.8))
    assert len(shaded)
    left, right = 0.08 * width, width
    middle = ((shaded[0] + shaded[-1]) / 2 - left) / (right - left)
    true = (found.deciding.start + found.deciding.end) / 2
    assert middle == pytest.approx(true, abs=0.05)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_explanation_gives_the_same_bytes(found, samples, tmp_path, suffix):
    for name in ("one", "two"):
        write_picture(tmp_path / f"{name}{suffix}", found, samples, RATE, "clip.wav")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_a_deciding_stretch_it_is_a_picture_too(found, samples, tmp_path, suffix):
    nothing = replace(found, deciding=None, without=None, drops=-np.abs(found.drops))
    path = tmp_path / f"why{suffix.upper()}"
    write_picture(path, nothing, samples, RATE, "clip.wav")
    assert path.stat().st_size > 1000
    if suffix != ".png":
        assert "no stretch lowers it" in path.read_text()


@pytest.mark.parametrize("seconds", [0.02, 0.2, 7.0])
def test_any_length_can_be_drawn(seconds, tmp_path):
    samples = noise(seconds)
    found = explain(planted(40, 60), samples, RATE)
    write_picture(tmp_path / "why.svg", found, samples, RATE, "clip.wav")
    ElementTree.fromstring((tmp_path / "why.svg").read_text())


def test_silence_can_be_drawn(tmp_path):
    samples = np.zeros(RATE, np.float32)
    found = explain(planted(40, 60), samples, RATE)
    write_picture(tmp_path / "why.png", found, samples, RATE, "clip.wav")


def test_names_are_escaped(found, samples):
    page = Page(render(found, samples, RATE, "<b>&.wav"))
    assert page.faults == []
    assert "<b>&.wav" in page.words


def test_what_was_not_heard_is_grey():
    long, short = noise(1.6), noise(1.0)
    cut = render(explain(planted(0, 20), long, RATE), long, RATE, "clip.wav")
    whole = render(explain(planted(0, 20), short, RATE), short, RATE, "clip.wav")
    assert "Grey: what the front end does not show the model." in Page(cut).text
    assert "Grey" not in Page(whole).text


def test_another_suffix_is_an_error(found, samples, tmp_path):
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.html"):
        write_picture(tmp_path / "why.pdf", found, samples, RATE, "clip.wav")
