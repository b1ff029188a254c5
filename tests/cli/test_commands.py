"""info, doctor, scan, recipes, and the parts that commands share, one fact each."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ser_edge import extras, options
from ser_edge.commands.doctor import FAILED, NOTE, OK, check_platform
from ser_edge.commands.doctor import _interpreters as interpreters
from ser_edge.ledger import Scored, enter, scored_by
from ser_edge.options import OutFile, Seconds, Share
from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.scorings import AlreadyScored, read_scorings
from tests.cli.test_scores import SCORES

ROOT = Path(__file__).resolve().parents[2]


# info


def test_info_says_all_that_the_metadata_say(ser_edge, model):
    metadata = read_model_file(model).metadata
    (row,) = [json.loads(line) for line in ser_edge("info", model, "--json").stdout.splitlines()]
    assert row["labels"] == list(metadata.labels)
    assert row["front_end"] == metadata.front_end.to_dict()
    assert row["front_end_sha256"] == metadata.front_end.digest
    assert row["flatbuffer_sha256"] == metadata.flatbuffer_sha256
    assert row["scores"] == metadata.scores
    assert row["provenance"] == metadata.provenance
    assert row["input"]["shape"] == list(metadata.input.shape)
    assert row["bytes"] == model.stat().st_size
    assert (row["licence"], row["intended_use"]) == (metadata.licence, metadata.intended_use)


def test_info_for_people(ser_edge, model):
    done = ser_edge("info", model)
    metadata = read_model_file(model).metadata
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("labels", "front end", "licence", "intended use", "provenance", "scores"):
        assert f"\n{words}" in done.stdout
    assert ", ".join(metadata.labels) in done.stdout
    assert metadata.licence.splitlines()[0] in done.stdout


def test_info_without_a_model_is_about_the_default_one(ser_edge):
    done = ser_edge("info", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["path"].endswith("default.tflite")
    assert row["bytes"] <= 300_000
    assert len(row["labels"]) == 8
    assert "research" in row["licence"].lower()
    assert "non-commercial" in row["licence"].lower()
    assert row["product_use"].startswith("No: it was trained on RAVDESS (")
    # In one line, and the same for programs and for people.
    assert f"\nin a product  {row['product_use']}\n" in ser_edge("info").stdout


# doctor


def test_doctor_is_well_here(ser_edge, model):
    done = ser_edge("doctor", "--model", model, "--json")
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stderr
    assert rows["model"]["status"] == OK
    assert "golden vectors hold" in rows["model"]["detail"]
    assert "used: the first that works" in rows["ai-edge-litert"]["detail"]
    assert "libsndfile" in rows["soundfile"]["detail"]
    assert rows["tensorflow"]["detail"].endswith("ai-edge-litert comes first")


def test_doctor_on_the_default_model(ser_edge):
    done = ser_edge("doctor")
    assert done.returncode == 0, done.stdout
    assert FAILED not in done.stdout


def test_doctor_fails_on_an_interpreter_that_was_asked_for_and_is_not_there(ser_edge, model):
    done = ser_edge("doctor", "--model", model, "--interpreter", "tflite-runtime")
    assert done.returncode == 1
    assert "FAILED  tflite-runtime  not used: " in done.stdout
    assert "pip install" in done.stdout
    assert "tflite-runtime was asked for" in done.stdout
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("machine", "bits", "order", "status", "words"),
    [
        ("x86_64", 64, "little", OK, "64 bits"),
        ("aarch64", 64, "little", OK, "aarch64"),
        ("armv7l", 32, "little", NOTE, "python3-numpy"),
        ("aarch64", 32, "little", NOTE, "on a 64-bit kernel"),
        ("s390x", 64, "big", FAILED, "little-endian"),
    ],
)
def test_the_platform_check(machine, bits, order, status, words):
    check = check_platform("Linux", machine, bits, order)
    assert check.status == status
    assert words in check.detail
    assert ("64-bit kernel" in check.detail) == (machine == "aarch64" and bits == 32)


BOTH = [("ai-edge-litert", "2.3.0", None), ("tflite-runtime", "2.14.0", None)]
TENSORFLOW = [("tensorflow", "2.21.0", None)]
NEITHER = [("ai-edge-litert", None, "not installed"), ("tflite-runtime", None, "not installed")]


@pytest.mark.parametrize(
    ("backends", "wanted", "used", "failed"),
    [
        (BOTH + TENSORFLOW, None, "ai-edge-litert", []),
        (BOTH + TENSORFLOW, "tflite-runtime", "tflite-runtime", []),
        (BOTH + TENSORFLOW, "tensorflow", "tensorflow", []),
        (NEITHER + TENSORFLOW, None, None, []),
        (NEITHER, "tflite-runtime", None, ["tflite-runtime"]),
    ],
)
def test_which_interpreter_is_said_to_be_used(monkeypatch, backends, wanted, used, failed):
    monkeypatch.setattr("ser_edge_runtime.interpreter.available_backends", lambda: backends)
    checks = list(interpreters(wanted))
    assert [check.name for check in checks if ", used: " in check.detail] == (
        [used] if used else []
    )
    assert [check.name for check in checks if check.status == FAILED] == failed


# scan


@pytest.fixture
def own(clips, tmp_path):
    """A folder of a user's own: two labels, two speakers."""
    names = {"1001_DFA_ANG_XX": "angry/a", "1003_DFA_NEU_XX": "neutral/a",
             "1052_TSI_ANG_XX": "angry/b", "1022_IEO_SAD_HI": "neutral/b"}  # fmt: skip
    for number, (name, where) in enumerate(names.items()):
        folder = tmp_path / "own" / where
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / f"{name}.wav", folder / f"take{number}.wav")
    return tmp_path / "own"


def test_scan_without_out_writes_nothing(ser_edge, own):
    before = sorted(own.parent.rglob("*"))
    done = ser_edge("scan", own, cwd=own.parent)
    assert done.returncode == 0, done.stderr
    assert "4 clips (4 usable)" in done.stdout
    assert sorted(own.parent.rglob("*")) == before


def test_scan_as_json_is_one_object(ser_edge, own, tmp_path):
    done = ser_edge("scan", own, "--out", tmp_path / "m.csv", "--json", "--workers", "1")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert row["clips"] == 4
    assert row["manifest"] == str(tmp_path / "m.csv")
    assert row["corpora"][0]["labels"] == {"angry": 2, "neutral": 2}
    assert row["faults"] == []


def test_scan_names_what_it_cannot_read_writes_the_rest_and_exits_1(
    ser_edge, one_line, own, tmp_path
):
    (own / "angry" / "a" / "broken.wav").write_text("text")
    done = ser_edge("scan", own, "--out", tmp_path / "m.csv")
    one_line(done, 1, "could not be read")
    assert "broken.wav" in done.stdout
    assert (tmp_path / "m.csv").exists()


def test_scan_recognises_the_example_clips(ser_edge, clips):
    done = ser_edge("scan", clips)
    assert done.returncode == 0, done.stderr
    assert "crema-d: 8 clips (8 usable), 8 speakers (4 female, 4 male)" in done.stdout


# recipes


def test_recipes_are_listed_and_printed(ser_edge):
    listed = ser_edge("recipes")
    assert "default" in listed.stdout
    printed = ser_edge("recipes", "default")
    source = ROOT / "train" / "ser_edge_train" / "recipes" / "default.toml"
    assert printed.stdout == source.read_text("utf-8")
    rows = [json.loads(line) for line in ser_edge("recipes", "--json").stdout.splitlines()]
    assert [row["name"] for row in rows] == [line.split()[0] for line in listed.stdout.splitlines()]


def test_a_recipe_of_ones_own_is_printed_as_it_was_understood(ser_edge, tmp_path):
    text = ser_edge("recipes", "cnn1d-quick").stdout
    (tmp_path / "mine.toml").write_text(text)
    resolved = tomllib.loads(ser_edge("recipes", tmp_path / "mine.toml").stdout)
    assert resolved["name"] == "cnn1d-quick"
    assert "weight_decay" in resolved["fit"]["optimizer"]


# extras


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["train", "--recipe", "x", "--data", "x", "--run", "x"], "train"),
        (["convert", "x", "--out", "x.tflite"], "convert"),
        (["recipes"], "train"),
    ],
)
def test_a_missing_extra_is_said_before_work_starts(monkeypatch, capsys, words, extra):
    from ser_edge.cli import run

    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    assert run(words) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"pip install 'ser-edge[{extra}]'" in printed


def test_what_an_extra_lacks(monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "mic", ("json", "no_such_module"))
    assert extras.missing("mic") == ["no_such_module"]
    extras.need("mic", "listening", "json")
    with pytest.raises(MissingExtra, match=r"listening needs .* pip install 'ser-edge\[mic\]'"):
        extras.need("mic", "listening")


def test_every_module_of_an_extra_is_a_dependency_of_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"sklearn": "scikit-learn", "tomli_w": "tomli-w", "keras": "tensorflow"}
    wanted = project["optional-dependencies"]
    for extra, modules in extras.EXTRAS.items():
        listed = wanted[extra] + (wanted["train"] if extra == "convert" else [])
        for module in modules:
            name = names.get(module, module)
            assert any(entry.startswith(name) for entry in listed), (extra, module)


# option types and defaults


@click.command()
@click.option("--seconds", type=Seconds())
@click.option("--share", type=Share())
@click.option("--out", type=OutFile())
def typed(**values: object) -> None:
    click.echo(values)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--seconds", "0.5"], 0),
        (["--seconds", "3600"], 0),
        (["--seconds", "3601"], 2),
        (["--seconds", "0"], 2),
        (["--seconds", "nan"], 2),
        (["--share", "0"], 0),
        (["--share", "1"], 0),
        (["--share", "1.01"], 2),
        (["--share", "-0.1"], 2),
        (["--share", "two"], 2),
        (["--out", "file"], 0),
        (["--out", "."], 2),
        (["--out", "absent/file"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_option_types(words, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(typed, words).exit_code == code


@pytest.mark.parametrize(
    ("system", "variable", "tail"),
    [
        ("linux", "XDG_CACHE_HOME", "cache/ser-edge/features"),
        ("win32", "LOCALAPPDATA", "cache/ser-edge/features"),
        ("linux", None, "home/.cache/ser-edge/features"),
        ("darwin", None, "home/Library/Caches/ser-edge/features"),
        ("win32", None, "home/AppData/Local/ser-edge/features"),
    ],
)
def test_the_default_store_is_in_the_users_cache(monkeypatch, system, variable, tail):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "cache")
    assert options.default_store() == Path(tail)


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ([], None, Path("cache")),
        ([], "", Path("cache")),
        ([], "of/the/environment", Path("of/the/environment")),
        (["--store", "here"], "of/the/environment", Path("here")),
    ],
)
def test_a_command_gets_the_store_as_a_path(monkeypatch, words, environment, expected):
    got = []
    command = click.command(options.store_option(lambda store: got.append(store)))
    monkeypatch.setattr(options, "default_store", lambda: Path("cache"))
    done = CliRunner().invoke(command, words, env={"SER_EDGE_STORE": environment})
    assert (done.exit_code, got) == (0, [expected]), done.output


# ledger

SCORED = Scored("toy", "speaker-folds", 1, 5, "ab" * 32, "cd" * 32, "ef" * 32)


def test_the_ledger_gets_a_row_a_corpus_once(tmp_path):
    ledger = tmp_path / "scorings.csv"
    test = SCORES["parts"]["test"]
    assert enter(ledger, SCORED, test) == 3
    assert enter(ledger, SCORED, test) == 0
    rows = read_scorings(ledger)
    assert [row.corpus for row in rows] == ["ravdess", "tess", "all"]
    assert (rows[0].classes, rows[0].speakers, rows[0].uar) == (8, 5, 0.57)
    with pytest.raises(AlreadyScored):
        enter(ledger, SCORED._replace(network="12" * 32), test)


def test_a_model_file_that_says_too_little_cannot_be_entered(model):
    metadata = read_model_file(model).metadata
    assert scored_by(metadata, "cd" * 32, "ef" * 32) is None


@pytest.mark.parametrize("fold", ["1", 1.5, None, [1]])
def test_provenance_of_odd_types_cannot_be_entered(model, fold):
    from dataclasses import replace

    made_from = {"recipe": {"name": "toy"}, "protocol": {"name": "random", "fold": 1},
                 "seed": 5, "network": "ab"}  # fmt: skip
    metadata = replace(read_model_file(model).metadata, provenance=made_from)
    assert scored_by(metadata, "cd", "ef") == Scored("toy", "random", 1, 5, "ab", "cd", "ef")
    made_from["protocol"]["fold"] = fold
    assert scored_by(metadata, "cd", "ef") is None
