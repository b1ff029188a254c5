"""What the report's page points to: recordings on the disk, and nothing beyond it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from ser_edge_train.manifest import Manifest
from ser_edge_train.predictions import Predictions
from ser_edge_train.report import read_report, write_report
from ser_edge_train.report.page import policy, render
from ser_edge_train.report.players import PLAYABLE, address, find_players
from ser_edge_train.run_directory import RunDirectory
from tests.train.pages import Page
from tests.train.sample_run import make_run

FACTS = {"temperature": 1.25, "parameters": 95432}


def with_recordings(run: RunDirectory, root: Path, keep=lambda clip: True) -> Manifest:
    """Lays a file where the run's manifest, with a new root, has each clip of the test part."""
    manifest = Manifest(root, Manifest.read(run.manifest).clips)
    manifest.write(run.manifest)
    tested = {row.key for row in Predictions.read(run.predictions).of_part("test")}
    for clip in manifest.clips:
        if clip.key in tested and keep(clip):
            path = manifest.path_of(clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF")
    return manifest


def audio(page: Page) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in page.tags if tag == "audio"]


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """A reported run whose test recordings lie beside it, under a name that has to be encoded."""
    folder = tmp_path_factory.mktemp("heard")
    run = make_run(folder / "runs" / "one")
    with_recordings(run, folder / "my #1 recordings?")
    report = write_report(run, **FACTS)
    return run, report, Page(run.report_html.read_text())


def test_every_worst_clip_has_a_player_that_waits_to_be_asked(heard):
    _, report, page = heard
    found = audio(page)
    assert len(found) == len(report["mistakes"]["test"]) == 12
    for attributes, one in zip(found, report["mistakes"]["test"], strict=True):
        assert attributes["preload"] == "none"
        assert "controls" in attributes
        assert "autoplay" not in attributes
        assert attributes["aria-label"] == f"{one['corpus']} {one['stem']}"


def test_a_player_reads_the_recording_relative_to_the_page(heard):
    run, report, page = heard
    manifest = Manifest.read(run.manifest)
    for attributes, one in zip(audio(page), report["mistakes"]["test"], strict=True):
        source = attributes["src"] or ""
        assert source.startswith("../../my%20%231%20recordings%3F/")
        expected = manifest.path_of(manifest.by_key[one["corpus"], one["stem"]])
        assert (run.path / unquote(source)).resolve() == expected.resolve()


def test_with_players_no_request_leaves_the_disk(heard):
    run, _, page = heard
    text = run.report_html.read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert "//" not in text
    rest = [pointer for pointer in page.pointers if not pointer.startswith(("#", "../../my%20"))]
    assert rest == ["data:,"]
    rules = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert rules == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self' file:"
    )
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {t for t, _ in page.tags}
    assert page.faults == []


def test_the_page_says_what_its_players_need(heard):
    assert "The page holds no audio, since the corpora's licences" in heard[2].text


def test_the_json_names_clips_and_no_place_of_this_machine(heard):
    run, report, _ = heard
    assert read_report(run.report_json) == report
    assert "recordings?" not in run.report_json.read_text()
    one = report["mistakes"]["test"][0]
    assert set(one) == {"corpus", "stem", "speaker", "label", "answer", "confidence", "truth"}


def test_recordings_that_are_gone_have_no_player(tmp_path):
    run = make_run(tmp_path / "run", parts=("test",))
    keep = write_report(run, **FACTS)["mistakes"]["test"][0]
    with_recordings(run, tmp_path / "recordings", lambda clip: clip.stem == keep["stem"])
    write_report(run)
    page = Page(run.report_html.read_text())
    assert [one["aria-label"] for one in audio(page)] == [f"{keep['corpus']} {keep['stem']}"]
    for file in (tmp_path / "recordings").rglob("*.wav"):
        file.unlink()
    write_report(run)
    page = Page(run.report_html.read_text())
    assert audio(page) == []
    assert "There are no players: the recordings do not lie on this machine" in page.text
    assert "media-src" not in run.report_html.read_text()


@pytest.mark.parametrize(
    "name",
    ["a b.wav", "100%.flac", "a#b.ogg", "ü.opus", 'q".mp3', "a?b.WAV", "x:y.wav", "<i>.wav"],
)
def test_an_address_leads_back_to_its_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    place = address(tmp_path / name, tmp_path)
    assert place is not None
    assert re.fullmatch(r"\./[A-Za-z0-9._~%/-]+", place)
    assert unquote(place) == f"./{name}"


def test_what_no_browser_plays_and_what_is_no_file_has_no_address(tmp_path):
    (tmp_path / "a.aiff").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    for name in ("a.aiff", "folder.wav", "absent.wav"):
        assert address(tmp_path / name, tmp_path) is None
    assert ".aiff" not in PLAYABLE


def test_links_are_followed_before_the_way_is_measured(tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "clip.wav").write_bytes(b"")
    (tmp_path / "near").symlink_to(tmp_path / "far" / "away")
    place = address(tmp_path / "clip.wav", tmp_path / "near")
    assert place == "../../clip.wav"
    assert (tmp_path / "near" / place).resolve() == tmp_path / "clip.wav"


def test_a_clip_that_the_manifest_does_not_have_is_left_out(tmp_path):
    assert find_players(Manifest(tmp_path, ()), [("savee", "DC_a01")], tmp_path) == {}


def test_only_pages_with_players_may_load_media():
    assert "media-src" not in policy({})
    assert policy({("a", "b"): "./x.wav"}).endswith("media-src 'self' file:")


def leaky_report(report, **clean):
    protocol = {**report["protocol"], "name": "augment-then-split", "speaker_disjoint": False,
                "leaky": True, "leaks": ["712 copies of training clips in test"]}  # fmt: skip
    return {**report, "protocol": protocol, **clean}


def rendered(report) -> Page:
    return Page(render(report, [{"epoch": 1.0, "loss": 1.0}, {"epoch": 2.0, "loss": 0.5}]))


def test_a_leaky_report_says_so_first_and_shows_the_clean_figure_beside_it(heard):
    _, report, _ = heard
    other = {
        "protocol": {"name": "speaker-disjoint", "fold": 2, "leaks": [], "leaky": False},
        "scores": {"validation": report["scores"]["validation"], "test": report["scores"]["test"]},
    }
    other = json.loads(json.dumps(other))
    other["scores"]["test"]["overall"] |= {"uar": 0.4321, "uar_interval": [0.4, 0.5]}
    model = {**report["model"], "best_epoch": 1}
    page = rendered(leaky_report({**report, "model": model}, clean=other))
    assert page.faults == []
    assert page.words[0].endswith("% UAR, LEAKY")
    assert page.words[1:5] == [
        "LEAKY",
        "augment-then-split, fold 1, seed 1",
        "712 copies of training clips in test: these scores do not hold for unseen speakers",
        "without the leak: 43.2 % UAR, speaker-disjoint, fold 2",
    ]
    assert "43.2 % without the leak: speaker-disjoint, fold 2" in page.text
    assert "95 % interval 40.0 – 50.0 %, test part" in page.text


def test_a_leaky_report_without_a_clean_figure_is_leaky_all_the_same(heard):
    _, report, _ = heard
    model = {**report["model"], "best_epoch": 1}
    page = rendered(leaky_report({**report, "model": model}))
    assert page.words[1] == "LEAKY"
    assert "without the leak" not in page.text


def test_what_is_shared_without_being_a_leak_is_noted_below(heard):
    _, report, _ = heard
    protocol = {**report["protocol"], "leaky": False, "leaks": ["2 sentences in train and test"]}
    model = {**report["model"], "best_epoch": 1}
    page = rendered({**report, "protocol": protocol, "model": model})
    assert page.words[1] == "speaker-disjoint"
    assert "Found in more than one part: 2 sentences in train and test." in page.text


def test_the_clean_figure_is_kept_when_the_report_is_written_anew(tmp_path):
    run = make_run(tmp_path / "run", parts=("test",))
    report = write_report(run, **FACTS)
    clean = {"protocol": report["protocol"], "scores": report["scores"]}
    assert "clean" not in report
    assert write_report(run, leaks=["copies"], clean=clean)["clean"] == clean
    assert write_report(run)["clean"] == clean
    assert json.loads(run.report_json.read_text())["clean"] == clean


def test_a_report_of_before_has_no_mistakes_and_is_a_page(heard):
    _, report, _ = heard
    before = {key: value for key, value in report.items() if key != "mistakes"}
    page = Page(render(before, [{"epoch": 1.0, "loss": 1.0}] * 40))
    assert page.faults == []
    assert "Worst clips" not in page.words


def test_a_model_that_is_always_right_has_no_worst_clip(tmp_path):
    run = make_run(tmp_path / "run", parts=("test",))
    table = Predictions.read(run.predictions)
    sure = [[float(label == row.label) for label in table.labels] for row in table]
    Predictions(table.labels, table.rows, sure).write(run.predictions)
    report = write_report(run, **FACTS)
    assert report["mistakes"] == {"test": []}
    assert "No answer was wrong." in Page(run.report_html.read_text()).words


def test_the_page_is_the_same_from_any_folder(heard, tmp_path, monkeypatch):
    run, _, _ = heard
    before = run.report_html.read_bytes()
    monkeypatch.chdir(tmp_path)
    write_report(os.path.relpath(run.path, tmp_path))
    assert run.report_html.read_bytes() == before
