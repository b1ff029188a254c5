"""The ledger: rows that stay, a test part that is scored once, processes that wait."""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path

import pytest

from ser_edge_train.scorings import (
    COLUMNS,
    HEADER,
    AlreadyScored,
    Scoring,
    ScoringsError,
    append_scoring,
    check_unscored,
    read_scorings,
)

ROOT = Path(__file__).resolve().parents[2]


def scoring(**changes):
    fields = {
        "recipe": "ds-cnn", "protocol": "speaker-folds", "fold": 1, "seed": 1,
        "run_digest": "a" * 64, "manifest_digest": "b" * 64, "partition_digest": "c" * 64,
        "corpus": "ravdess", "classes": 8, "clips": 300, "speakers": 5, "accuracy": 0.5,
        "uar": 1 / 3, "macro_f1": 0.25,
    }  # fmt: skip
    return Scoring(**(fields | changes))


def test_a_scoring_is_a_row(tmp_path):
    path = tmp_path / "scorings.csv"
    rows = [scoring(), scoring(corpus="all", clips=900)]
    assert append_scoring(path, rows) == 2
    lines = path.read_text().splitlines()
    assert lines[0] + "\n" == HEADER
    assert lines[1] == (
        f"ds-cnn,speaker-folds,1,1,{'a' * 64},{'b' * 64},{'c' * 64},ravdess,8,300,5,"
        "0.500000,0.333333,0.250000"
    )
    assert len(lines) == 3
    read = read_scorings(path)
    assert read[0] == scoring(uar=0.333333)
    assert read[1].corpus == "all"


def test_a_test_part_is_scored_once(tmp_path):
    path = tmp_path / "scorings.csv"
    append_scoring(path, [scoring(), scoring(corpus="savee")])
    before = path.read_bytes()
    with pytest.raises(AlreadyScored, match="a test part is scored once") as caught:
        append_scoring(path, [scoring(run_digest="d" * 64, uar=0.9)])
    assert "ds-cnn, speaker-folds, fold 1, seed 1" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(AlreadyScored):  # a corpus that was left out before changes nothing
        append_scoring(path, [scoring(run_digest="d" * 64, corpus="tess")])
    assert path.read_bytes() == before


def test_whether_it_was_scored_can_be_asked_before(tmp_path):
    path = tmp_path / "scorings.csv"
    check_unscored(path, scoring().asked, "d" * 64)
    append_scoring(path, [scoring()])
    check_unscored(path, scoring().asked, scoring().run_digest)
    check_unscored(path, scoring(fold=3).asked, "d" * 64)
    check_unscored(path, scoring(protocol="random").asked, "d" * 64)
    with pytest.raises(AlreadyScored, match="fold 1, seed 1, was scored already"):
        check_unscored(path, scoring().asked, "d" * 64)


def test_the_same_model_again_adds_nothing(tmp_path):
    path = tmp_path / "scorings.csv"
    append_scoring(path, [scoring()])
    before = path.read_bytes()
    assert append_scoring(path, [scoring()]) == 0
    assert path.read_bytes() == before
    assert append_scoring(path, [scoring(), scoring(corpus="tess")]) == 1


@pytest.mark.parametrize(
    "change",
    [{"recipe": "other"}, {"protocol": "random"}, {"fold": 2}, {"seed": 7},
     {"partition_digest": "e" * 64}],
)  # fmt: skip
def test_another_question_may_be_asked(tmp_path, change):
    path = tmp_path / "scorings.csv"
    append_scoring(path, [scoring()])
    assert append_scoring(path, [scoring(run_digest="d" * 64, **change)]) == 1
    assert len(read_scorings(path)) == 2


@pytest.mark.parametrize(
    "change",
    [{"uar": math.nan}, {"uar": 1.2}, {"uar": -0.1}, {"fold": -1}, {"run_digest": "xyz"},
     {"recipe": ""}, {"recipe": "a\nb"}, {"protocol": ""}, {"corpus": ""}],
)  # fmt: skip
def test_an_unfit_row_is_refused_and_nothing_written(tmp_path, change):
    path = tmp_path / "scorings.csv"
    with pytest.raises(ScoringsError, match=next(iter(change))):
        append_scoring(path, [scoring(), scoring(**({"corpus": "x"} | change))])
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "the first line is not"),
        ("recipe,fold\n", "the first line is not"),
        (HEADER + "a,b\n", "scorings.csv:2: 2 fields instead of 14"),
        (HEADER + ",".join(["x"] * len(COLUMNS)) + "\n", "scorings.csv:2: fold 'x' is not"),
    ],
)
def test_a_broken_ledger_is_named_and_kept(tmp_path, content, fault):
    path = tmp_path / "scorings.csv"
    path.write_text(content)
    with pytest.raises(ScoringsError, match=fault):
        append_scoring(path, [scoring()])
    assert path.read_text() == content


def append_in_child(path, number, barrier):
    barrier.wait(60)
    append_scoring(path, [scoring(recipe=f"recipe-{number}")])


def test_processes_that_append_at_once_lose_no_row(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    path = tmp_path / "scorings.csv"
    children = [
        context.Process(target=append_in_child, args=(path, number, barrier)) for number in range(6)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    assert {row.recipe for row in read_scorings(path)} == {f"recipe-{n}" for n in range(6)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["scorings.csv"]


def test_the_committed_ledger_can_be_read():
    ledger = ROOT / "docs" / "test-scorings.csv"
    assert ledger.read_text().startswith(HEADER)
    read_scorings(ledger)
