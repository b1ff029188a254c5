"""docs/model-search.md is what its script makes of the trials' figures."""

from __future__ import annotations

import json

import pytest

from ser_edge_train.recipes import load_recipe
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.own import own_study
from ser_edge_train.studies.study import changed
from tests.conftest import ROOT
from tests.scripts import load_script

SEARCH = ROOT / "docs" / "model-search"
ROUNDS = ("first", "second", "third")


@pytest.fixture(scope="module")
def script():
    return load_script(ROOT / "docs" / "make_search.py")


def run_of(trial="recipe", fold=1, seed=1, ravdess=0.6, **changes):
    return {
        "trial": trial, "fold": fold, "seed": seed, "parameters": 241_000, "epochs": 30,
        "best_epoch": 21, "partition": "ab", "loss": 1.25,
        "uar": {"ravdess": ravdess, "crema-d": 0.625}, "noisy": {},
        **changes,
    }  # fmt: skip


def study_of(folder, runs, name="own", fold=1):
    folder.mkdir(exist_ok=True)
    values = {
        "identity": {"study": name, "partition": "ab"},
        "subject": {"protocol": f"speaker-folds, fold {fold}"},
        "runs": [
            {
                "variant": run["trial"], "seed": run["seed"], "parameters": run["parameters"],
                "run": run["trial"],
                "epochs": run["epochs"], "best_epoch": run["best_epoch"],
                "scores": {
                    name: {k: {"uar": v} for k, v in run[kind].items()}
                    for name, kind in (("as recorded", "uar"), ("in noise", "noisy"))
                    if run[kind]
                },
            }
            for run in runs
        ],
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(values))
    for run in runs:
        (folder / run["trial"]).mkdir(exist_ok=True)
        losses = (run["loss"] + 1, run["loss"], run["loss"] + 0.5)
        rows = [f"{epoch},2.0,0.5,{loss},0.5" for epoch, loss in enumerate(losses, start=1)]
        text = "\n".join(["epoch,loss,uar,val_loss,val_uar", *rows, ""])
        (folder / run["trial"] / "history.csv").write_text(text)
    return folder


def test_the_page_is_what_the_script_writes(script):
    assert tuple(script.ABOUT) == ROUNDS
    assert script.PAGE.read_text(encoding="utf-8") == script.written()
    for name in ROUNDS:
        names = {run["trial"] for run in script.known_runs(SEARCH / name)}
        assert names <= set(script.summaries_of(SEARCH / name)), name


@pytest.mark.parametrize("name", ROUNDS)
def test_every_trial_is_a_recipe(name):
    student = load_recipe(str(SEARCH / name / "student.toml"))
    study = own_study(STUDIES["own"], SEARCH / name / "trials.toml")
    recipes = {each.name: changed(student, each) for each in study.variants(student, ())}
    assert recipes["recipe"] == student
    assert len({recipe.digest for recipe in recipes.values()}) == len(recipes)


def test_the_script_of_the_rounds_names_them_as_they_are():
    text = (SEARCH / "run.sh").read_text(encoding="utf-8")
    assert "# ROUND is first, second or third" in text
    assert sorted(path.name for path in SEARCH.iterdir() if path.is_dir()) == sorted(ROUNDS)


def test_figures_are_those_of_the_study(script, tmp_path):
    runs = [run_of(), run_of("long", ravdess=0.65, epochs=60)]
    assert script.collect(study_of(tmp_path / "a", runs)) == runs
    (of_two,) = script.collect(study_of(tmp_path / "b", [run_of()], fold=2))
    assert of_two["fold"] == 2


def test_a_found_run_takes_the_place_of_the_known_one_that_it_is(script):
    known = [run_of(), run_of(fold=2)]
    found = [run_of(ravdess=0.7), run_of("long")]
    kept = script.merged(known, found)
    assert [(run["trial"], run["fold"]) for run in kept] == [
        ("long", 1),
        ("recipe", 1),
        ("recipe", 2),
    ]
    assert kept[1]["uar"]["ravdess"] == 0.7


def test_folds_become_a_mean_and_a_deviation(script):
    runs = [
        run_of(ravdess=0.5),
        run_of(fold=2, ravdess=0.6, epochs=20, loss=1.35),
        run_of("long", ravdess=0.55),
    ]
    text = script.table(runs, {"recipe": "the student", "long": "longer", "late": "not yet"})
    begin = "| `recipe` | the student | 241,000 | 20 to 30 | 2 "
    assert f"{begin}| 1.300 ± 0.071 |  | 55.0 ± 7.1 | 62.5 ± 0.0 |  |" in text
    assert "| `long` | longer | 241,000 | 30 | 1 | 1.250 |  | 55.0 | 62.5 |  |" in text
    assert text.endswith("Not run yet: `late`.\n")
    assert text.index("`recipe`") < text.index("`long`")


def test_what_voices_cost_stands_beside_where_it_was_scored(script, tmp_path):
    noisy = {"ravdess": 0.4, "crema-d": 0.5}
    runs = script.collect(study_of(tmp_path / "a", [run_of(noisy=noisy), run_of("quiet")]))
    assert [run["noisy"] for run in runs] == [noisy, {}]
    text = script.table(runs, {"recipe": "the student", "quiet": "not scored in noise"})
    assert "| SAVEE | all, voices | RAVDESS, voices | CREMA-D, voices | SAVEE, voices |" in text
    assert text.splitlines()[2].endswith("| 60.0 | 62.5 |  |  | 40.0 | 50.0 |  |")
    assert text.splitlines()[3].endswith("| 60.0 | 62.5 |  |  |  |  |  |")


def test_a_page_has_its_rounds_in_order(script):
    rounds = {name: ([run_of()], {"recipe": "the student"}) for name in ROUNDS}
    text = script.page(rounds)
    assert text.index("## The first round") < text.index("## The second round")
    for name in ROUNDS:
        assert f"(model-search/{name}/trials.toml)" in text


def test_an_unknown_round_is_one_line(script, monkeypatch):
    monkeypatch.setattr("sys.argv", ["make_search.py", "fourth"])
    with pytest.raises(SystemExit, match="fourth: no round; name one of first, second, third"):
        script.main()


def test_a_folder_of_another_study_or_of_none_is_one_line(script, tmp_path):
    with pytest.raises(script.SearchError, match="holds no study; name a folder of ser-edge study"):
        script.collect(tmp_path)
    with pytest.raises(script.SearchError, match="holds the study noise"):
        script.collect(study_of(tmp_path / "noise", [], name="noise"))
