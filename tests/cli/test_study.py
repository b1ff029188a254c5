"""``ser-edge study``: explained, planned, done, gone on with, and refused, each in a process."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ser_edge.commands.study import NAMES, PROTOCOLS
from ser_edge.options import PROTOCOLS as ALL_PROTOCOLS
from ser_edge_train.partitions import PROTOCOLS as KNOWN
from ser_edge_train.studies.catalogue import STUDIES
from tests.train.studied import study_recipe, tones

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("--data", "recordings/manifest.csv", "--recipe", "toy.toml")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Recordings with their manifest, and a recipe."""
    folder = tmp_path_factory.mktemp("study")
    manifest = tones(folder / "recordings")
    manifest.write(folder / "recordings" / "manifest.csv")
    (folder / "toy.toml").write_text(study_recipe().to_toml())
    leaky = study_recipe(name="leaky", protocol={"name": "random"})
    (folder / "leaky.toml").write_text(leaky.to_toml())
    return folder


@pytest.fixture(scope="module")
def study(ser_edge, place):
    def run(*words):
        return ser_edge("study", *words, cwd=place, SER_EDGE_STORE=str(place / "store"),
                        TF_NUM_INTRAOP_THREADS="1")  # fmt: skip

    return run


@pytest.fixture(scope="module")
def done(study):
    """A study of one run, done."""
    words = ("--out", "cuts", "--seeds", "1", "--epochs", "2", "--processes", "1")
    found = study("clip-length", *WORDS, *words)
    assert found.returncode == 0, found.stderr
    return found


# --- listing --------------------------------------------------------------------------------


def test_the_names_and_protocols_of_the_options_are_those_there_are():
    assert list(STUDIES) == list(NAMES)
    honest = [name for name in ALL_PROTOCOLS if not KNOWN[name].leaky]
    assert [name for name in honest if name != "cross-corpus"] == list(PROTOCOLS)


def test_the_help_names_the_studies_and_who_is_scored(study):
    text = " ".join(study("--help").stdout.split())
    assert "Usage: ser-edge study [OPTIONS] [NAME]" in text
    assert f"NAME is {', '.join(NAMES[:-1])} or {NAMES[-1]}." in text
    assert text.count("the test part is never looked at") == 2


def test_the_list_explains_every_study_and_who_is_scored(study):
    found = study("--list")
    assert found.returncode == 0, found.stderr
    for name, each in STUDIES.items():
        assert f"{name.ljust(12)} " in found.stdout
        assert each.question in found.stdout
        assert each.method in found.stdout
    assert "the test part is never looked at" in found.stdout
    rows = [json.loads(line) for line in study("--list", "--json").stdout.splitlines()]
    assert [row["name"] for row in rows] == list(NAMES)
    assert {row["name"] for row in rows if row["takes_model"]} == {"clip-length", "noise"}


def test_a_studys_variants_are_listed_for_a_recipe(study):
    found = study("augmentation", "--list", "--recipe", "toy.toml")
    assert found.returncode == 0, found.stderr
    assert "none                  no augmentation\n" in found.stdout
    assert "without-pitch         all but pitch of waveforms (only when named)\n" in found.stdout
    rows = [
        json.loads(line)
        for line in study("context", "--list", "--recipe", "toy.toml", "--json").stdout.splitlines()
    ]
    assert [row["changes"]["front_end.clip_seconds"] for row in rows] == [0.2, 0.5, 1, 1.5, 2, 3]


def test_variants_that_hang_on_the_data_are_described(study):
    found = study("corpora", "--list", "--recipe", "toy.toml")
    assert found.stdout == "corpora has a variant for each corpus of --data, and one for all\n"


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], {"numpy", "pydantic"}),
        (["--list"], set()),
        (["augmentation", "--list", "--recipe", "toy.toml"], set()),
        (["noise", *WORDS, "--out", "dry", "--dry-run"], set()),
    ],
    ids=["help", "list", "variants", "dry-run"],
)
def test_what_trains_nothing_loads_no_tensorflow(place, words, heavy):
    code = (
        f"from ser_edge.cli import run; assert run({['study', *words]!r}) == 0\n"
        "import json, sys\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=place, check=False
    )
    assert found.returncode == 0, found.stderr
    loaded = set(json.loads(found.stdout.splitlines()[-1]))
    assert not loaded & {"tensorflow", "keras", "matplotlib", "librosa", "sklearn", *heavy}


# --- trials of one's own --------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials(place):
    text = '[[trial]]\nname = "long"\nsummary = "more epochs"\nchanges = { "fit.epochs" = 9 }\n'
    (place / "trials.toml").write_text(text)
    return ("own", "--trials", "trials.toml")


def test_own_trials_are_listed_and_planned(study, trials):
    found = study(*trials, "--list", "--recipe", "toy.toml")
    assert found.stdout == "recipe  the recipe as it is\nlong    more epochs\n"
    planned = study(*trials, *WORDS, "--out", "mine", "--seeds", "1", "--dry-run", "--json")
    rows = [json.loads(line) for line in planned.stdout.splitlines()]
    assert [row["variant"] for row in rows if "variant" in row] == ["recipe", "long"]
    assert rows[-1]["changes"] == {"fit.epochs": 9}


def test_trials_and_the_study_own_need_each_other(study, trials):
    for words in (("own", *WORDS, "--out", "x"), ("noise", *trials[1:], *WORDS, "--out", "x")):
        found = study(*words)
        assert found.returncode == 2
        assert "--trials and the study own need each other" in found.stderr


def test_a_wrong_file_of_trials_is_one_line(study, place):
    (place / "wrong.toml").write_text("[[trial]]\n")
    found = study("own", "--trials", "wrong.toml", *WORDS, "--out", "x")
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("ser-edge: wrong.toml: trial.0.name: field required; ")


# --- planning -------------------------------------------------------------------------------


def test_a_dry_run_says_which_runs_would_be_made_and_makes_none(study, place):
    found = study("context", *WORDS, "--out", "planned", "--seeds", "2", "--dry-run")
    assert found.returncode == 0, found.stderr
    assert "context: 12 runs, scored on 10 validation clips; the test part is not looked at" in (
        found.stdout
    )
    lines = [line for line in found.stdout.splitlines() if line.startswith("to do")]
    assert len(lines) == 12
    assert lines[0] == "to do     planned/0.2s/seed-3"
    assert not (place / "planned").exists()


def test_variants_are_chosen_by_name_and_pattern(study):
    words = (*WORDS, "--out", "chosen", "--seeds", "1", "--dry-run", "--json")
    found = study("augmentation", *words, "--variants", "none,without-t*")
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [row["variant"] for row in rows] == ["none", "without-time-shift"]
    assert {row["state"] for row in rows} == {"to do"}


# --- doing ----------------------------------------------------------------------------------


def test_a_study_prints_runs_and_a_table_and_writes_three_files(done, place):
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert "clip-length: 1 run, scored on 10 validation clips; the test part is not looked at" in (
        lines
    )
    assert "run 1 of 1: recipe, seed 3" in lines
    assert any(line.startswith("  the first epoch is done, about 0:") for line in lines)
    table = [line for line in lines if line.startswith("recipe  ")]
    assert [line.split("  ")[1].strip() for line in table] == [
        "whole", "3 s", "2.5 s", "2 s", "1.5 s", "1 s", "0.5 s",
    ]  # fmt: skip
    assert table[0].split("UAR")[1].endswith("%")
    assert table[1].endswith("%  +0.0 to whole")
    assert lines[-1] == "wrote cuts/study.html"
    names = {entry.name for entry in (place / "cuts").iterdir()}
    assert names == {"study.json", "study.csv", "study.html", "recipe"}
    values = json.loads((place / "cuts" / "study.json").read_text())
    with (place / "cuts" / "study.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["corpus"] == "all"]
    assert len(rows) == len(table) == 7
    assert f"{100 * float(rows[0]['uar']):.1f}" == f"{100 * values['table'][0]['uar']:.1f}"


def test_a_dry_run_knows_what_is_finished(done, study):
    words = (*WORDS, "--out", "cuts", "--epochs", "2", "--seeds", "2", "--dry-run")
    found = study("clip-length", *words)
    assert found.stdout.splitlines()[-2:] == [
        "finished  cuts/recipe/seed-3", "to do     cuts/recipe/seed-4",
    ]  # fmt: skip


def test_the_same_command_again_trains_nothing(done, study, place):
    before = (place / "cuts" / "study.csv").read_bytes()
    again = study("clip-length", *WORDS, "--out", "cuts", "--seeds", "1", "--epochs", "2")
    assert again.returncode == 0, again.stderr
    assert "run 1 of 1" not in again.stdout
    assert (place / "cuts" / "study.csv").read_bytes() == before


def test_a_finished_run_is_scored_in_noise_as_json(done, study):
    words = ("--model", "cuts/recipe/seed-3", "--out", "noise", "--processes", "1", "--json")
    found = study("noise", *words)
    assert found.returncode == 0, found.stderr
    run, values = [json.loads(line) for line in found.stdout.splitlines()]
    assert run["variant"] == "model"
    assert list(run["scores"])[:2] == ["clean", "30 dB"]
    assert values["study"]["name"] == "noise"
    assert values["subject"]["kind"] == "model"
    assert [row["condition"] for row in values["table"] if row["corpus"] == "all"] == list(
        run["scores"]
    )


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["weather", "--out", "x"], 2, "'weather' is not one of"),
        ([], 2, "NAME is missing; list the studies with --list"),
        (["noise", *WORDS], 2, "--out is needed"),
        (["noise", "--out", "x"], 2, "--data is needed"),
        (["noise", *WORDS, "--out", "x", "--seeds", "0"], 2, "--seeds"),
        (["context", *WORDS, "--out", "x", "--variants", "9s"], 2,
         "'9s' is no variant of context for this recipe: 0.2s, 0.5s"),
        (["context", *WORDS, "--out", "x", "--noise", "recordings"], 2,
         "for the studies noise and own"),
        (["noise", *WORDS, "--out", "x", "--noise", "absent"], 1, "absent"),
        (["context", *WORDS, "--out", "recordings"], 1,
         "recordings: holds other things (folder0); name another folder with --out"),
        (["noise", *WORDS[:2], "--recipe", "leaky.toml", "--out", "x"], 2,
         "its protocol random leaks"),
        (["noise", *WORDS[:2], "--recipe", "absent", "--out", "x"], 2, "absent: no such recipe"),
        (["noise", *WORDS[:2], "--model", "absent.tflite", "--out", "x"], 2, "--partition"),
        (["noise", *WORDS[:2], "--model", "recordings", "--out", "x"], 1, "not a run"),
        (["noise", "--model", "recordings", "--out", "x", "--epochs", "2"], 2,
         "--epochs is for trainings"),
        (["noise", *WORDS, "--out", "x", "--partition", "p.csv", "--fold", "2"], 2,
         "--partition divides by itself"),
        (["noise", "--data", "absent.csv", "--out", "x"], 1, "absent.csv"),
    ],
    ids=lambda value: " ".join(value[:1] + value[-2:]) if isinstance(value, list) else None,
)  # fmt: skip
def test_what_users_get_wrong_is_one_line(study, one_line, place, words, code, part):
    found = study(*words)
    one_line(found, code, part)
    assert found.stdout == ""
    assert not (place / "x").exists()


def test_a_run_of_another_recipe_in_the_folder_is_refused(done, study, one_line):
    found = study("clip-length", *WORDS, "--out", "cuts", "--seeds", "1", "--epochs", "3")
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "cuts/recipe/seed-3: began with another recipe (fit.epochs differs)" in found.stderr


def test_the_folder_of_another_study_is_refused(done, study, one_line):
    found = study("noise", *WORDS, "--out", "cuts", "--dry-run")
    one_line(found, 1, "cuts: holds the study clip-length; name the same or name another folder")


def test_a_study_that_trains_takes_no_finished_model(done, study, one_line):
    found = study("context", "--model", "cuts/recipe/seed-3", "--out", "x")
    one_line(found, 2, "context compares trainings: name a recipe")
