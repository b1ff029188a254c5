from __future__ import annotations

from pathlib import Path

import pytest

from ser_edge.scores import (
    Loss,
    ScoreRow,
    conversion_loss,
    other_scores,
    part_rows,
    protocol_words,
    row_line,
    score_rows,
)
from ser_edge_runtime.wording import counted
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]


def group(uar, speakers=5, interval=(0.5, 0.7)):
    return {
        "clips": 288,
        "speakers": speakers,
        "accuracy": uar + 0.01,
        "uar": uar,
        "uar_interval": None if interval is None else list(interval),
        "macro_f1": uar,
        "recalls": dict.fromkeys("abcdefgh", uar),
    }


SCORES = {
    "protocol": {"name": "speaker-folds", "fold": 1, "speaker_disjoint": True, "leaks": []},
    "parts": {
        "validation": {"overall": group(0.6), "corpora": {"ravdess": group(0.61)}},
        "test": {
            "overall": group(0.58),
            "corpora": {"ravdess": group(0.57), "tess": group(0.5, 1, None)},
        },
    },
    "conversion": {
        "part": "validation",
        "clips": 1200,
        "speakers": 14,
        "before": {"clips": 1200, "accuracy": 0.61, "uar": 0.6},
        "after": {"clips": 1200, "accuracy": 0.6, "uar": 0.595},
    },
}


def test_the_test_part_comes_first_and_all_comes_last():
    rows = score_rows(SCORES)
    assert [(row.part, row.corpus) for row in rows] == [
        ("test", "ravdess"),
        ("test", "tess"),
        ("test", "all"),
        ("validation", "ravdess"),
        ("validation", "all"),
    ]
    assert rows[0] == ScoreRow("test", "ravdess", 8, 5, 288, 0.57, (0.5, 0.7), 0.58)
    assert rows[1].interval is None


def test_a_row_as_text():
    first, single, *_ = map(row_line, score_rows(SCORES))
    assert first == (
        "test       ravdess   UAR 57.0 % (50.0 to 70.0), accuracy 58.0 %: "
        "8 classes, 288 clips of 5 speakers"
    )
    assert "(" not in single
    assert single.endswith(": 8 classes, 288 clips of 1 speaker")


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes"), (21, "21 classes")]
)
def test_a_number_and_its_noun(number, words):
    assert counted(number, "class", "classes") == words
    assert counted(number, "speaker") == words.replace("classes", "speakers").replace(
        "class", "speaker"
    )


def test_the_loss_of_the_conversion():
    assert conversion_loss(SCORES) == Loss(1200, 14, (0.6, 0.595), (0.61, 0.6))


def test_the_protocol_in_words_leaks_first():
    assert protocol_words(SCORES) == "protocol speaker-folds, fold 1, no speaker in two parts"
    leaky = SCORES["protocol"] | {"leaks": ["3 speakers in both train and test"]}
    words = protocol_words({"protocol": leaky})
    assert words.startswith("LEAKY, not comparable: 3 speakers in both train and test")
    assert "no speaker in two parts" not in protocol_words(
        {"protocol": {"name": "x", "fold": 1, "speaker_disjoint": False}}
    )


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"protocol": "none", "parts": "none", "conversion": "none"},
        {"parts": {"test": 3}},
        {"parts": {"test": {"overall": [], "corpora": 1}}},
        {"parts": {"test": {"overall": {"uar": "0.9"}}}},
        {"parts": {"test": {"overall": group(0.5) | {"clips": True}}}},
        {"parts": {"test": {"overall": group(0.5) | {"clips": 10**400}}}},
        {"parts": {"test": {"overall": group(0.5) | {"uar": -(10**400)}}}},
        {"parts": {"test": {"overall": group(0.5) | {"speakers": float("inf")}}}},
        {"conversion": SCORES["conversion"] | {"clips": 10**400}},
        {"conversion": {"clips": 1, "speakers": 1, "before": {"uar": 1}, "after": None}},
    ],
)
def test_what_anybody_may_have_written_is_no_fault(scores):
    assert score_rows(scores) == []
    assert conversion_loss(scores) is None
    assert protocol_words(scores) == ""


@pytest.mark.parametrize("interval", [0.5, [0.5], ["a", "b"], {"low": 0.5}, [0.1, 10**400]])
def test_an_odd_interval_is_left_out(interval):
    (row,) = part_rows("test", {"overall": group(0.5) | {"uar_interval": interval}})
    assert row.interval is None


def test_other_scores_are_those_without_a_form_of_their_own():
    assert other_scores(SCORES | {"uar": 0.25, "protocol": "none"}) == {
        "uar": 0.25,
        "protocol": "none",
    }


@pytest.fixture(scope="module")
def make_scores():
    return load_script(ROOT / "docs" / "make_scores.py")


def test_the_readmes_table_has_the_test_part_alone(make_scores):
    table = make_scores.table(SCORES).splitlines()
    assert table[2] == "| ravdess | 8 | 5 | 288 | 57.0 % | 50.0 to 70.0 % | 58.0 % |"
    assert table[3] == "| tess | 8 | 1 | 288 | 50.0 % | one speaker | 51.0 % |"
    assert table[4].startswith("| all |")
    assert "UAR from 60.0 to 59.5 %\non 1200 clips of 14 validation speakers." in make_scores.table(
        SCORES
    )


def test_without_a_test_part_the_table_is_validation_and_says_so(make_scores):
    parts = {"validation": SCORES["parts"]["test"]}
    page = make_scores.table({**SCORES, "parts": parts})
    assert page.splitlines()[0].startswith("| corpus | classes | validation speakers |")
    assert "| ravdess | 8 | 5 | 288 | 57.0 % |" in page
    assert make_scores.UNSCORED in page
    assert make_scores.UNSCORED not in make_scores.table(SCORES)


def test_the_table_replaces_what_stands_between_the_marks(make_scores):
    readme = f"before\n{make_scores.BEGIN}old\n{make_scores.END}after\n"
    once = make_scores.updated(readme, SCORES)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert make_scores.updated(once, SCORES) == once
