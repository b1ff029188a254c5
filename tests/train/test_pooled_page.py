"""The page of pooled runs: its first line, its numbers, and that it asks nobody."""

from __future__ import annotations

import json

import pytest

from ser_edge_train.manifest import Manifest
from ser_edge_train.pooling import pool, pooled_files
from ser_edge_train.report.page import percent
from ser_edge_train.report.pooled_page import (
    mean_and_sd,
    protocol_words,
    render_pooled,
    write_pooled_report,
)
from tests.train.fold_runs import fold_run
from tests.train.pages import Page


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    return [fold_run(folder / f"{seed}-{fold}", fold, seed) for seed in (1, 2) for fold in (1, 2)]


@pytest.fixture(scope="module")
def folds(runs):
    return pool(runs[:2])


@pytest.fixture(scope="module")
def both(runs):
    return pool(runs)


def test_it_is_well_formed_and_asks_nobody(both):
    text = render_pooled(both)
    page = Page(text)
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert "http" not in text.replace("http-equiv", "")
    assert "//" not in text
    assert {pointer for pointer in page.pointers if not pointer.startswith("#")} == {"data:,"}
    assert all(target.startswith("#") and target[1:] in page.ids for target in page.references)
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {t for t, _ in page.tags}
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert all(table[:1] == ["caption"] and "th" in table for table in page.tables)


def test_the_first_line_is_the_protocol(both):
    title, *words = Page(render_pooled(both)).words
    uar = percent(both["scores"]["overall"]["uar"])
    assert title == f"default, 4 runs: {uar} % UAR, speaker-disjoint"
    assert words[:2] == ["speaker-disjoint", "speaker-folds, folds 1, 2, seeds 1, 2"]


def test_a_leaky_pool_says_so_first(both):
    protocol = {**both["protocol"], "leaky": True, "speaker_disjoint": False,
                "leaks": ["3 speakers in both train and test"]}  # fmt: skip
    page = Page(render_pooled({**both, "protocol": protocol}))
    assert page.words[0].endswith("LEAKY")
    assert page.words[1] == "LEAKY"
    assert "3 speakers in both train and test: these scores do not hold" in page.text
    assert page.faults == []


def test_it_holds_the_numbers(both):
    page = Page(render_pooled(both))
    cells = set(page.words)
    for over in ("folds", "seeds"):
        moments = both["spread"][over]
        assert mean_and_sd(moments["overall"]["uar"]) in cells
        for corpus in moments["corpora"].values():
            assert mean_and_sd(corpus["uar"]) in cells
    for run in both["runs"]:
        assert run["run"] in cells
        assert percent(run["uar"]) in cells
        assert set(run["digests"].values()) <= cells
        assert {percent(value) for value in run["corpora"].values()} <= cells
    assert set(both["digests"].values()) <= cells
    assert "mean ± standard deviation of 2 folds, each the mean of 2 seeds" in page.text
    assert "mean ± standard deviation of 2 seeds, each pooled over its folds" in page.text


def test_one_seed_has_no_column_of_seeds(folds):
    page = Page(render_pooled(folds))
    assert "mean ± standard deviation of 2 folds" in page.text
    assert "Seeds" not in page.words
    assert page.faults == []


def test_a_single_run_has_neither(runs):
    page = Page(render_pooled(pool(runs[:1])))
    assert "standard deviation of" not in page.text
    assert page.faults == []


def test_validation_parts_are_said_to_flatter(runs):
    text = Page(render_pooled(pool(runs[:2], "validation"))).text
    assert "each run chose its epoch on its own, so the figures flatter" in text
    assert "Some clips validate in several folds" in text


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([1], "fold 1"), ([1, 2], "folds 1, 2"), ([1, 2, 3, 4, 5], "folds 1 to 5"),
     ([1, 3, 5], "folds 1, 3, 5")],
)  # fmt: skip
def test_folds_in_words(numbers, words):
    protocol = {"name": "speaker-folds", "folds": numbers, "seeds": [7]}
    assert protocol_words(protocol) == f"speaker-folds, {words}, seed 7"


def test_moments_in_words():
    assert mean_and_sd({"mean": 0.6234, "sd": 0.0119, "count": 5}) == "62.3 ± 1.2"
    assert mean_and_sd({"mean": 0.6234, "sd": None, "count": 1}) == "62.3"
    assert mean_and_sd({"mean": None, "sd": None, "count": 0}) == "–"


def test_it_is_written_with_players_where_the_recordings_are(runs, folds, tmp_path):
    run = fold_run(tmp_path / "run", 1)
    manifest = Manifest(tmp_path / "recordings", Manifest.read(run.manifest).clips)
    manifest.write(run.manifest)
    one = folds["mistakes"][0]
    path = manifest.path_of(manifest.by_key[one["corpus"], one["stem"]])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF")
    write_pooled_report(folds, [run, runs[1]], tmp_path / "reports" / "folds")
    json_file, html_file = pooled_files(tmp_path / "reports" / "folds")
    assert json.loads(json_file.read_text()) == folds
    page = Page(html_file.read_text())
    (player,) = (attributes for tag, attributes in page.tags if tag == "audio")
    assert (html_file.parent / (player["src"] or "")).resolve() == path.resolve()


def test_the_same_runs_give_the_same_bytes(runs, tmp_path):
    for name in ("one", "two"):
        write_pooled_report(pool(runs), runs, tmp_path / name)
    for one, two in zip(
        pooled_files(tmp_path / "one"), pooled_files(tmp_path / "two"), strict=True
    ):
        assert one.read_bytes() == two.read_bytes()


def test_an_augmented_copy_is_named_and_has_no_player(folds):
    one = {**folds["mistakes"][0], "copy": 2}
    place = {(one["corpus"], one["stem"]): "./x.wav"}
    page = Page(render_pooled({**folds, "mistakes": [one]}, place))
    assert f"{one['stem']}, copy 2" in page.words
    assert "audio" not in {tag for tag, _ in page.tags}
