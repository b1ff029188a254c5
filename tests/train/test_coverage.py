"""Accuracy against coverage: by hand, by its limits, in the report and in the card."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.model_file import default_model_path
from ser_edge_train.coverage import MIN_SCORES, Coverage, coverage, coverage_of
from ser_edge_train.predictions import ClipRow, Predictions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_coverage():
    path = ROOT / "docs" / "make_coverage.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_by_hand():
    scores, right = [0.9, 0.6, 0.6, 0.4], [True, True, False, False]
    assert coverage(scores, right, (0, 0.5, 0.6, 0.7, 0.95)) == [
        Coverage(0.0, 1.0, 0.5),
        Coverage(0.5, 0.75, pytest.approx(2 / 3)),
        # Equal to the least score is enough, as Result.or_uncertain has it.
        Coverage(0.6, 0.75, pytest.approx(2 / 3)),
        Coverage(0.7, 0.25, 1.0),
        Coverage(0.95, 0.0, None),
    ]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_less_is_answered_at_a_higher_least_score(clips):
    scores, right = zip(*clips, strict=True)
    rows = coverage(scores, right)
    assert [row.min_score for row in rows] == list(MIN_SCORES)
    shares = [row.coverage for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert rows[0] == Coverage(0.0, 1.0, np.mean(right))
    for row in rows:
        assert (row.accuracy is None) == (row.coverage == 0)


@pytest.mark.parametrize(("scores", "right"), [([], []), ([0.5], []), ([[0.5]], [[True]])])
def test_what_is_no_list_of_clips(scores, right):
    with pytest.raises(ValueError, match="one list"):
        coverage(scores, right)


def test_answers_are_among_all_classes_as_on_a_device():
    rows = [
        ClipRow("crema-d", "a", "1", "male", "test", "sad"),
        ClipRow("crema-d", "b", "1", "male", "test", "angry"),
    ]
    # CREMA-D has no calm: among its own classes the first answer would be right.
    table = Predictions(
        ("angry", "calm", "sad"), rows, np.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]])
    )
    first, *rest = coverage_of(table)
    assert first == {"min_score": 0.0, "coverage": 1.0, "accuracy": 0.5}
    assert {row["min_score"]: row["accuracy"] for row in rest}[0.6] == 1.0


def test_the_cards_table(make_coverage):
    rows = [row._asdict() for row in coverage([0.9, 0.35], [True, False], (0, 0.5, 0.95))]
    assert make_coverage.table({"validation": rows}).splitlines() == [
        "| `--min-score` | validation speakers: answered | of those right |",
        "|---|---|---|",
        "| 0 | 100.0 % | 50.0 % |",
        "| 0.5 | 50.0 % | 100.0 % |",
        "| 0.95 | 0.0 % | none |",
    ]
    page = f"before\n{make_coverage.BEGIN}old\n{make_coverage.END}after\n"
    new = make_coverage.updated(page, {"test": rows})
    assert new.startswith("before\n")
    assert new.endswith("after\n")
    assert "old" not in new
    assert make_coverage.updated(new, {"test": rows}) == new


def test_the_card_has_a_row_for_each_least_score(make_coverage):
    card = default_model_path().with_name("README.md").read_text("utf-8")
    table = card.split(make_coverage.BEGIN)[1].split(make_coverage.END)[0].splitlines()
    assert "validation" in table[0]
    assert "test" in table[0]
    assert [row.split("|")[1].strip() for row in table[2:]] == [f"{s:g}" for s in MIN_SCORES]
