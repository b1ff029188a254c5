"""A model file whose making nobody knows is not entered in the ledger of scored test parts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from ser_edge.cli import run
from ser_edge_runtime.model_file import build_model_file, read_model_file
from ser_edge_train import evaluation
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions
from ser_edge_train.scan import scan
from ser_edge_train.scorings import AlreadyScored, read_scorings

MADE_FROM = {
    "recipe": {"name": "toy"},
    "protocol": {"name": "speaker-folds", "fold": 2},
    "seed": 5,
    "network": "ab" * 32,
}
SAID = (
    ": its provenance does not name recipe, fold, seed and network; "
    "leave out --ledger, or convert it from its run again"
)
UNKNOWN = [
    {},
    {"packed_from": "cd" * 32},
    *({name: value for name, value in MADE_FROM.items() if name != left} for left in MADE_FROM),
    MADE_FROM | {"recipe": "toy"},
    MADE_FROM | {"recipe": {}},
    MADE_FROM | {"recipe": {"name": 3}},
    MADE_FROM | {"protocol": {"name": "speaker-folds"}},
    MADE_FROM | {"protocol": {"name": "speaker-folds", "fold": "2"}},
    MADE_FROM | {"protocol": {"name": None, "fold": 2}},
    MADE_FROM | {"seed": 5.5},
    MADE_FROM | {"seed": True},
    MADE_FROM | {"network": None},
    MADE_FROM | {"network": ["ab" * 32]},
]


@pytest.fixture(scope="module")
def place(clips, tmp_path_factory):
    """Two recordings, their manifest, and a partition in which both are tested."""
    folder = tmp_path_factory.mktemp("ledger")
    rows = ["path,label,speaker"]
    for clip, label in zip(sorted(clips.glob("*.wav")), ("calm", "loud"), strict=False):
        shutil.copy(clip, folder / f"{label}.wav")
        rows.append(f"{label}.wav,{label},{label}")
    (folder / "own.csv").write_text("\n".join([*rows, ""]))
    manifest = scan([folder / "own.csv"])
    manifest.write(folder / "manifest.csv")
    Partition.of(manifest.usable, lambda clip: "test").write(folder / "partition.csv")
    return folder


@pytest.fixture
def evaluate(place, model, tmp_path, capsys):
    """Scores the small model, said to be made of so and so, on the test part."""
    whole = read_model_file(model)

    def call(made_from, *words):
        metadata = replace(whole.metadata, provenance=made_from)
        path = tmp_path / "made.tflite"
        path.write_bytes(build_model_file(whole.flatbuffer, metadata, whole.golden))
        files = ["--data", place / "manifest.csv", "--partition", place / "partition.csv"]
        words = ["evaluate", path, *files, "--processes", "1", *words]
        code = run([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return call


@pytest.mark.parametrize("made_from", UNKNOWN, ids=lambda value: json.dumps(value)[:60])
def test_a_model_of_unknown_making_is_not_entered(evaluate, tmp_path, made_from):
    ledger = tmp_path / "scorings.csv"
    code, out, lines = evaluate(made_from, "--ledger", ledger)
    assert (code, out) == (1, "")
    assert lines[-1] == f"ser-edge: {tmp_path / 'made.tflite'}{SAID}"
    assert not ledger.exists()


@pytest.fixture
def nobody_listens(monkeypatch):
    """Whoever looks at a clip fails."""

    def look(*clips, **how):
        raise AssertionError("the test part was looked at")

    monkeypatch.setattr(evaluation, "evaluate_model", look)


def test_nothing_is_looked_at_that_may_not_be_entered(evaluate, tmp_path, request):
    ledger = tmp_path / "scorings.csv"
    assert evaluate(MADE_FROM, "--ledger", ledger)[0] == 0
    before = ledger.read_bytes()
    request.getfixturevalue("nobody_listens")
    assert evaluate({}, "--ledger", ledger)[2][-1].endswith(SAID)
    code, out, lines = evaluate(MADE_FROM | {"network": "cd" * 32}, "--ledger", ledger)
    assert (code, out) == (1, "")
    assert lines[-1].startswith(
        f"ser-edge: {ledger}: the test part of toy, speaker-folds, fold 2, seed 5, was scored "
        f"already, with the model {'ab' * 6}; a test part is scored once; choose on"
    )
    assert ledger.read_bytes() == before
    # The model that was scored may be scored again.
    assert "the test part was looked at" in "".join(evaluate(MADE_FROM, "--ledger", ledger)[2])


def test_predictions_are_there_even_where_the_ledger_cannot_be_written(
    evaluate, tmp_path, monkeypatch
):
    """Somebody else scored the part while this call did: what it found is not lost."""

    def enter(ledger, scored, scores):
        raise AlreadyScored(ledger, "was scored meanwhile", "choose on the validation part")

    monkeypatch.setattr("ser_edge.commands.evaluate.enter", enter)
    out = tmp_path / "predictions.csv"
    code, _, lines = evaluate(MADE_FROM, "--ledger", tmp_path / "scorings.csv", "--out", out)
    assert code == 1
    assert "was scored meanwhile" in lines[-1]
    assert len(Predictions.read(out)) == 2


def test_a_ledger_that_is_there_keeps_its_rows_and_takes_the_others(evaluate, tmp_path):
    ledger = tmp_path / "scorings.csv"
    code, out, _ = evaluate(MADE_FROM, "--ledger", ledger)
    assert (code, f"{ledger}: 2 rows added\n" in out) == (0, True)
    before = ledger.read_bytes()
    assert evaluate({}, "--ledger", ledger)[0] == 1
    assert ledger.read_bytes() == before
    rows = read_scorings(ledger)
    assert [row.corpus for row in rows] == ["own", "all"]
    assert {(row.recipe, row.fold, row.seed, row.run_digest) for row in rows} == {
        ("toy", 2, 5, "ab" * 32)
    }
    other = MADE_FROM | {"recipe": {"name": "another"}}
    assert evaluate(other, "--ledger", ledger)[0] == 0
    assert ledger.read_bytes().startswith(before)
    assert len(read_scorings(ledger)) == 4


def test_the_next_step_works_the_model_is_scored_without_the_ledger(evaluate, tmp_path):
    code, out, lines = evaluate({}, "--out", tmp_path / "predictions.csv", "--json")
    assert code == 0, lines
    assert json.loads(out)["scores"]["overall"]["clips"] == 2
    assert (tmp_path / "predictions.csv").is_file()
