"""docs/recipes.md: what it says of runs, and that it is what its script writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ser_edge.commands.teach import command as teach_command
from ser_edge.commands.train import command as train_command
from ser_edge_train.recipes import load_recipe, recipe_names
from ser_edge_train.report import ReportError
from tests.scripts import load_script
from tests.train.fold_runs import fold_run

DOCS = Path(__file__).parents[2] / "docs"


make_recipes = load_script(DOCS / "make_recipes.py")
COMMITTED = json.loads((DOCS / "recipe-runs.json").read_text("utf-8"))


def run(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "recipe": "rnn-cremad",
        "protocol": "random",
        "sex": "mixed",
        "fold": 1,
        "seed": 1,
        "leaky": True,
        "parameters": 70123,
        "epochs": 3,
        "clips": 10,
        "speakers": 2,
        "accuracy": 0.5,
        "uar": 0.25,
        "corpora": {"crema-d": {"uar": 0.25, "accuracy": 0.5}},
        "digests": {"recipe": "a", "partition": "b", "model": "c"},
    }
    return {**values, **changes}


def two_runs(folder: Path) -> list[Path]:
    return [fold_run(folder / f"fold-{fold}", fold).path for fold in (1, 2)]


def row_of(runs: list[dict[str, Any]], begin: str) -> list[str]:
    lines = [line for line in make_recipes.page(runs).splitlines() if line.startswith(begin)]
    assert len(lines) == 1, lines
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def test_the_page_is_what_its_script_writes():
    assert make_recipes.page(COMMITTED) == (DOCS / "recipes.md").read_text("utf-8"), (
        "run: python docs/make_recipes.py"
    )


def test_every_committed_run_is_a_row_of_the_ledger():
    from ser_edge_train.scorings import read_scorings

    ledger = {
        (row.recipe, row.protocol, row.fold, row.seed, round(row.uar, 6))
        for row in read_scorings(DOCS / "test-scorings.csv")
    }
    for one in COMMITTED:
        place = (one["recipe"], one["protocol"], one["fold"], one["seed"], round(one["uar"], 6))
        assert place in ledger, place


def test_committed_runs_stand_once_and_in_order():
    places = [tuple(one[name] for name in make_recipes.IDENTITY) for one in COMMITTED]
    assert places == sorted(set(places))
    assert {one["recipe"] for one in COMMITTED} <= set(recipe_names())


def test_a_published_figure_without_runs_says_so():
    assert row_of([], "| `rnn-cremad` |")[1:] == [
        "51.38 % accuracy", "random", "not run", "not run", "not run", "",
    ]  # fmt: skip


def test_both_protocols_stand_side_by_side_with_their_spread():
    apart = {"protocol": "speaker-folds", "leaky": False}
    runs = [
        run(accuracy=0.5),
        run(accuracy=0.6, fold=2),
        run(accuracy=0.3, uar=0.2, **apart),
        run(accuracy=0.4, uar=0.4, fold=2, **apart),
    ]
    assert row_of(runs, "| `rnn-cremad` | 51")[2:] == [
        "random (LEAKY)", "55.0 ± 7.1 (2 runs)", "35.0 ± 7.1 (2 runs)", "30.0 ± 14.1 (2 runs)",
        "70,123",
    ]  # fmt: skip


def test_one_run_has_no_spread():
    assert row_of([run()], "| `rnn-cremad` | 51")[3] == "50.0 (1 run)"


def test_corpora_are_listed_for_clean_runs_alone():
    apart = run(protocol="speaker-folds", leaky=False)
    assert row_of([run(), apart], "| `rnn-cremad` | crema-d")[2:] == [
        "speaker-folds", "25.0 (1 run)", "50.0 (1 run)",
    ]  # fmt: skip


def test_models_of_one_sex_are_kept_apart():
    female = run(recipe="cnn1d-mean58", sex="female", accuracy=0.7)
    mixed = run(recipe="cnn1d-mean58", accuracy=0.2)
    assert row_of([female, mixed], "| `cnn1d-mean58`, female speakers |")[3] == "70.0 (1 run)"
    assert row_of([female, mixed], "| `cnn1d-mean58` |")[3] == "20.0 (1 run)"


def test_a_run_takes_the_place_of_the_one_it_repeats():
    known = [run(uar=0.1), run(fold=2, uar=0.2)]
    found = [run(uar=0.9), run(fold=3, uar=0.3)]
    merged = make_recipes.merged(known, found)
    assert [(one["fold"], one["uar"]) for one in merged] == [(1, 0.9), (2, 0.2), (3, 0.3)]


def test_runs_of_what_a_recipe_was_before_are_left_out():
    now = load_recipe("rnn-cremad").seed
    known = [run(seed=now + 1, uar=0.1), run(seed=now, uar=0.2), run(recipe="gone", seed=77)]
    merged = make_recipes.merged(known, [run(seed=now + 1, fold=2)])
    assert [(one["recipe"], one["uar"]) for one in merged] == [("gone", 0.25), ("rnn-cremad", 0.2)]


@pytest.mark.parametrize("name", [n for n in recipe_names() if load_recipe(n).published])
def test_a_published_recipe_is_asked_for_under_both_protocols(name):
    recipe = load_recipe(name)
    protocols = {protocol for protocol, _ in make_recipes.asked(recipe)}
    assert {one.protocol for one in recipe.published} < protocols
    assert recipe.protocol.name in protocols
    assert recipe.protocol.name in make_recipes.DISJOINT


def test_the_default_is_asked_for_corpora_that_it_never_heard_too():
    default = load_recipe("default")
    assert make_recipes.asked(default) == [("speaker-folds", "mixed"), ("cross-corpus", "mixed")]
    options = make_recipes.protocol_options(default, "cross-corpus")
    assert options == " --protocol cross-corpus --test-corpus savee --test-corpus tess"
    assert make_recipes.protocol_options(default, "speaker-folds") == ""
    assert make_recipes.asked(load_recipe("small")) == [("speaker-folds", "mixed")]
    lines = make_recipes.page([]).splitlines()
    elsewhere = [line for line in lines if options in line]
    assert [line.split()[1] for line in elsewhere] == ["teach", "train"]
    assert "--run runs/default/cross-corpus/mixed/fold-1 " in elsewhere[1]


def test_the_commands_take_options_that_train_has():
    known = {option for parameter in train_command.params for option in parameter.opts}
    known |= {option for parameter in train_command.params for option in parameter.secondary_opts}
    text = make_recipes.page([])
    commands = [line for line in text.splitlines() if line.startswith("ser-edge train")]
    assert len(commands) > len(recipe_names()) - 4
    for line in commands:
        assert {word for word in line.split() if word.startswith("--")} <= known
        taught = load_recipe(line.split()[3]).teacher is not None
        assert ("--teacher scores-1.csv" in line) == taught
    known = {option for parameter in teach_command.params for option in parameter.opts}
    teach = [line for line in text.splitlines() if line.startswith("ser-edge teach")]
    assert teach
    for line in teach:
        assert {word for word in line.split() if word.startswith("--")} <= known


def test_reports_are_collected_with_their_figures(tmp_path):
    runs = two_runs(tmp_path / "runs")
    found = make_recipes.collect(tmp_path / "runs")
    assert len(found) == 2
    report = json.loads((runs[0] / "report.json").read_text("utf-8"))
    first = next(one for one in found if one["fold"] == report["protocol"]["fold"])
    assert first["uar"] == report["scores"]["test"]["overall"]["uar"]
    assert first["digests"]["model"] == report["digests"]["model"]


def test_a_damaged_report_is_named(tmp_path):
    runs = two_runs(tmp_path / "runs")
    (runs[1] / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(ReportError, match=r"report\.json: is not JSON"):
        make_recipes.collect(tmp_path / "runs")


def test_a_run_without_a_scored_test_part_is_left_out(tmp_path):
    runs = two_runs(tmp_path / "runs")
    report = runs[0] / "report.json"
    values = json.loads(report.read_text("utf-8"))
    del values["scores"]["test"]
    report.write_text(json.dumps(values), encoding="utf-8")
    assert len(make_recipes.collect(tmp_path / "runs")) == 1
    shutil.rmtree(tmp_path / "runs")
    assert make_recipes.collect(tmp_path) == []
