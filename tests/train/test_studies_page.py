"""The table of a study and its page, from made-up runs: no network is trained here."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.clock import Clock
from ser_edge_train.studies.folder import StudyFolder, as_json
from ser_edge_train.studies.page import render_study, spread
from ser_edge_train.studies.pictures import picture, rows, widened
from ser_edge_train.studies.planning import plan_of_recipe, recipe_subject
from ser_edge_train.studies.table import COLUMNS, mean_and_sd, study_values, table_rows, to_csv
from tests.train.pages import Page

from .studied import PAIR, study_recipe, tones

UARS = {("plain", 3): 0.5, ("plain", 4): 0.6, ("small", 3): 0.4, ("small", 4): 0.56}


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return recipe_subject(study_recipe(), tones(tmp_path_factory.mktemp("recordings")))


def figures(uar, classes=3, clips=6):
    return {
        "clips": clips, "speakers": 1, "classes": classes, "uar": uar, "accuracy": 0.5,
        "macro_f1": 0.25,
    }  # fmt: skip


def filled(subject, out, study, uar_of, seeds=2):
    """The folder of a study whose runs scored what ``uar_of(job, condition)`` says; None: none."""
    plan = plan_of_recipe(study, subject, out, seeds=seeds)
    folder = StudyFolder(plan)
    for job in plan.jobs:
        scores = {}
        for condition in plan.conditions:
            uar = uar_of(job, condition)
            if uar is not None:
                scores[condition.name] = {"all": figures(uar)}
                if not condition.corpus:
                    scores[condition.name] |= {"one": figures(uar / 2), "two": figures(uar, 2, 4)}
            else:
                scores[condition.name] = {}
        if any(scores.values()):
            folder.keep(job, scores, {"parameters": 99, "epochs": 3, "best_epoch": 2})
    return folder


@pytest.fixture(scope="module")
def pairs(subject, tmp_path_factory):
    def uar_of(job, condition):
        return UARS[job.variant.name, job.seed]

    return filled(subject, tmp_path_factory.mktemp("pair"), PAIR, uar_of)


@pytest.fixture(scope="module")
def noise(subject, tmp_path_factory):
    def uar_of(job, condition):
        return 0.7 - (0 if condition.snr_db is None else (30 - condition.snr_db) / 100)

    return filled(subject, tmp_path_factory.mktemp("noise"), STUDIES["noise"], uar_of)


@pytest.fixture(scope="module")
def context(subject, tmp_path_factory):
    out = tmp_path_factory.mktemp("context")
    return filled(subject, out, STUDIES["context"], lambda job, _: 0.4 + job.variant.value / 10)


@pytest.fixture(scope="module")
def corpora(subject, tmp_path_factory):
    def uar_of(job, condition):
        if condition.corpus == "two" and job.variant.name == "one":
            return None
        return 0.8 if condition.corpus == job.variant.name else 0.4

    return filled(subject, tmp_path_factory.mktemp("corpora"), STUDIES["corpora"], uar_of)


# --- the table ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "mean", "deviation"),
    [([], None, None), ([0.25], 0.25, None), ([0.5, 0.7], 0.6, 0.1 * 2**0.5)],
)
def test_mean_and_sample_deviation(values, mean, deviation):
    found = mean_and_sd(values)
    assert found == (pytest.approx(mean), pytest.approx(deviation))


def test_rows_are_means_over_seeds_and_differences_are_seed_by_seed(pairs):
    rows = {(row["variant"], row["corpus"]): row for row in table_rows(pairs.plan, pairs.results())}
    assert list(rows) == [(v, c) for v in ("plain", "small") for c in ("all", "one", "two")]
    plain, small = rows["plain", "all"], rows["small", "all"]
    assert (plain["runs"], plain["clips"], plain["classes"]) == (2, 6, 3)
    assert plain["uar"] == pytest.approx(0.55)
    assert plain["uar_sd"] == pytest.approx(0.1 / 2**0.5)
    assert plain["difference"] is None
    assert small["difference"] == pytest.approx(-0.07)
    # Of -0.1 and -0.04: less than the spread of either variant.
    assert small["difference_sd"] == pytest.approx(0.06 / 2**0.5)
    assert small["accuracy_sd"] == 0
    assert rows["small", "one"]["difference"] == pytest.approx(-0.035)


def test_differences_of_conditions_are_to_the_same_run_under_the_first(noise):
    rows = [row for row in table_rows(noise.plan, noise.results()) if row["corpus"] == "all"]
    assert len(rows) == 2 * 7
    for row in rows:
        snr = None if row["condition"] == "clean" else float(row["condition"].split()[0])
        if snr is None:
            assert row["difference"] is None
        else:
            assert row["difference"] == pytest.approx((snr - 30) / 100)


def test_a_seed_that_the_baseline_lacks_is_in_no_difference(subject, tmp_path):
    def uar_of(job, condition):
        return (
            None
            if (job.variant.name, job.seed) == ("plain", 4)
            else UARS[job.variant.name, job.seed]
        )

    folder = filled(subject, tmp_path, PAIR, uar_of)
    rows = {(row["variant"], row["corpus"]): row
            for row in table_rows(folder.plan, folder.results())}  # fmt: skip
    assert rows["small", "all"]["difference"] == pytest.approx(-0.1)
    assert rows["small", "all"]["difference_sd"] is None
    assert rows["small", "all"]["runs"] == 2


def test_a_uar_that_is_not_defined_is_left_out_of_the_mean(subject, tmp_path):
    folder = filled(subject, tmp_path, PAIR, lambda job, condition: 0.5)
    job = folder.plan.jobs[0]
    folder.keep(job, {"as recorded": {"all": figures(None)}}, {})
    row = table_rows(folder.plan, folder.results())[0]
    assert (row["runs"], row["uar"], row["uar_sd"]) == (2, 0.5, None)


def test_the_csv_has_six_digits_and_empty_fields(pairs):
    text = to_csv(table_rows(pairs.plan, pairs.results()))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert rows[0]["uar"] == "0.550000"
    assert rows[0]["difference"] == ""
    assert rows[3]["difference"] == "-0.070000"


def test_the_json_says_what_the_study_is(pairs):
    values = study_values(pairs)
    assert json.loads(as_json(values)) == values
    assert values["part"] == "validation"
    assert values["subject"]["protocol"] == "speaker-folds, fold 1"
    assert [each["name"] for each in values["variants"]] == ["plain", "small"]
    assert values["variants"][1]["changes"] == {"network.filters": [2]}
    assert values["runs"][0].keys() == {
        "variant", "seed", "run", "parameters", "epochs", "best_epoch", "scores",
    }  # fmt: skip
    assert (values["runs_finished"], values["runs_planned"]) == (4, 4)


# --- the page -------------------------------------------------------------------------------


@pytest.fixture(params=["pairs", "noise", "context", "corpora"])
def some(request):
    return study_values(request.getfixturevalue(request.param))


def test_it_is_well_formed_and_asks_nobody(some):
    text = render_study(some)
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


def test_the_first_line_says_who_was_scored(some):
    title, *words = Page(render_study(some)).words
    assert title.startswith(some["study"]["name"])
    assert words[0] == "validation speakers only"
    assert "the test part was not looked at" in " ".join(words[:4])


def test_it_holds_the_numbers(pairs):
    page = Page(render_study(study_values(pairs)))
    assert "55.0 ± 7.1" in page.words
    assert "−7.0 ± 4.2" in page.words
    assert "27.5 ± 3.5" in page.words
    assert {"50.0", "60.0", "40.0", "56.0"} <= set(page.words)
    assert "network.filters = [2]" in page.words
    assert "small/seed-4" in page.words


def test_every_ratio_is_a_row_and_a_tick(noise):
    page = Page(render_study(study_values(noise)))
    assert page.words.count("15 dB") >= 4
    assert "signal-to-noise ratio, dB" in page.words
    assert {"recipe", "noise-trained"} <= set(page.words)


def test_a_matrix_has_a_dash_where_nobody_validates(corpora):
    values = study_values(corpora)
    page = Page(render_study(values))
    assert picture(values) is None
    assert "Trained on, scored on" in page.words
    cells = [tag for tag in page.tags if "--share" in (tag[1].get("style") or "")]
    assert len(cells) == 3 * 2
    assert sum("none" in (attributes["class"] or "") for _, attributes in cells) == 1
    assert page.words.count("80.0 ± 0.0") == 2
    assert page.words.count("3 classes") == 5


def test_a_study_without_a_finished_run_has_a_page(subject, tmp_path):
    for study in (PAIR, STUDIES["corpora"], STUDIES["noise"]):
        folder = StudyFolder(plan_of_recipe(study, subject, tmp_path, seeds=1))
        page = Page(render_study(study_values(folder)))
        assert page.faults == []
        assert "No run is finished yet." in page.words
        assert "The study is not finished" in page.text


def test_what_was_left_out_stands_on_the_page(pairs):
    values = study_values(pairs)
    left_out = [{"variant": "wide", "reason": "more masks than <features>"}]
    page = Page(render_study({**values, "left_out": left_out}))
    assert {"wide", "left out", "more masks than <features>"} <= set(page.words)
    assert page.faults == []


def test_the_same_values_give_the_same_bytes(some):
    assert render_study(some) == render_study(json.loads(as_json(some)))


def test_spreads_in_words():
    row = {"uar": 0.623, "uar_sd": 0.012, "difference": -0.005, "difference_sd": None}
    assert spread(row, "uar") == "62.3 ± 1.2"
    assert spread(row, "difference", signed=True) == "−0.5"
    assert spread({"difference": 0.005, "difference_sd": 0.001}, "difference", signed=True) == (
        "+0.5 ± 0.1"
    )
    assert spread({"uar": None, "uar_sd": None}, "uar") == "–"


# --- pictures -------------------------------------------------------------------------------


def test_variants_without_order_are_rows_with_a_dot_a_run(pairs):
    drawn = picture(study_values(pairs))
    assert "UAR of each variant" in drawn
    assert ">plain<" in drawn
    assert ">small<" in drawn
    assert drawn.index(">small<") < drawn.index(">plain<")


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [(65.0, 65.0, (63.0, 67.0)), (65.0, 66.0, (63.5, 67.5)), (40.0, 60.0, (40.0, 60.0))],
)
def test_an_axis_makes_no_difference_of_thousandths(low, high, ends):
    assert widened(low, high) == ends


def test_rows_that_are_all_but_equal_have_plain_ticks():
    drawn = rows({"one": [0.65862], "other": [0.65869]}, "one")
    texts = re.findall(r"<text[^>]*>(.*?)</text>", drawn)
    ticks = [float(text) for text in texts if text not in ("one", "other", "UAR, %")]
    assert min(ticks) >= 63
    assert max(ticks) <= 68
    assert len(ticks) >= 5


def test_lengths_stand_at_their_values(context):
    drawn = picture(study_values(context))
    for name in ("0.2s", "0.5s", "1s", "1.5s", "2s", "3s"):
        assert f">{name}<" in drawn


def test_a_single_run_has_no_bar(subject, tmp_path):
    folder = filled(subject, tmp_path, PAIR, lambda job, _: 0.5, seeds=1)
    page = Page(render_study(study_values(folder)))
    assert page.faults == []
    assert "50.0" in page.words
    assert "±" not in " ".join(word for word in page.words if word[:1].isdigit())


# --- the time left --------------------------------------------------------------------------


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_clock_knows_nothing_at_first_and_guesses_from_the_first_epoch():
    time = Time()
    clock = Clock(3, time)
    assert clock.seconds_left() is None
    clock.begin()
    assert clock.seconds_left() is None
    time.now = 10.0
    clock.epoch(90.0)
    # 90 of this run, and two more of 100 each.
    assert clock.seconds_left() == pytest.approx(290)
    time.now = 30.0
    assert clock.seconds_left() == pytest.approx(270)


def test_the_clock_goes_by_runs_that_were_done_from_their_beginning():
    time = Time()
    clock = Clock(4, time)
    clock.begin()
    time.now = 5.0
    clock.end(whole=False)
    assert clock.seconds_left() is None
    clock.begin()
    time.now = 45.0
    clock.end(whole=True)
    assert clock.seconds_left() == pytest.approx(80)
    clock.begin()
    time.now = 50.0
    clock.epoch(60.0)
    assert clock.seconds_left() == pytest.approx(35 + 40)
    time.now = 200.0
    assert clock.seconds_left() == pytest.approx(40)
    clock.end(whole=True)
    clock.begin()
    clock.end(whole=True)
    assert clock.seconds_left() == 0
