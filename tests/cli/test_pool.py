"""``ser-edge pool``: folds and seeds as one result, as text, JSON and files."""

from __future__ import annotations

import json

import pytest

from ser_edge_train.pooling import pool
from tests.train.fold_runs import fold_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    fold_run(folder / "scored", 1)
    fold_run(folder / "also", 2)
    fold_run(folder / "unscored", 3, parts=("validation",))
    return folder


def test_it_prints_pooled_scores_and_the_spread_over_folds(ser_edge, runs):
    done = ser_edge("pool", "scored", "also", cwd=runs)
    assert done.returncode == 0, done.stderr
    found = pool([runs / "scored", runs / "also"])
    lines = done.stdout.splitlines()
    overall = found["scores"]["overall"]
    assert any(
        line.startswith(f"test       all       UAR {100 * overall['uar']:4.1f} %") for line in lines
    )
    moments = found["spread"]["folds"]["overall"]["uar"]
    assert lines[-1] == (
        f"folds      all       UAR {100 * moments['mean']:4.1f} % ± {100 * moments['sd']:.1f}: "
        "mean of 2 folds"
    )
    assert not any(line.startswith("seeds") for line in lines)
    assert done.stderr == ""


def test_the_json_is_what_the_function_gives(ser_edge, runs):
    done = ser_edge("pool", "scored", "also", "--json", cwd=runs)
    assert json.loads(done.stdout) == pool([runs / "scored", runs / "also"])


def test_it_writes_a_report(ser_edge, runs, tmp_path):
    done = ser_edge("pool", "scored", "also", "--out", tmp_path / "deep" / "report", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"wrote {tmp_path / 'deep' / 'report' / 'pooled.html'}"
    assert sorted(path.name for path in (tmp_path / "deep" / "report").iterdir()) == [
        "pooled.html", "pooled.json",
    ]  # fmt: skip


def test_validation_parts_need_no_scored_test_part(ser_edge, runs):
    done = ser_edge("pool", "scored", "also", "unscored", "--part", "validation", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert "mean of 3 folds" in done.stdout
    assert "validation all" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ([], 2, "RUN"),
        (["absent"], 1, "absent"),
        (["scored", "unscored"], 1, "ser-edge evaluate RUN --part test"),
        (["scored", "scored"], 1, "fold 1 of seed 1"),
        (["scored", "--part", "train"], 2, "train"),
        (["scored", "--out", "scored/report.json"], 2, "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_users_get_wrong_is_one_line(ser_edge, one_line, runs, words, code, part):
    done = ser_edge("pool", *words, cwd=runs)
    one_line(done, code, part)
    assert done.stdout == ""
