"""Whether a model may be used in a product: one answer, that of the strictest source."""

from __future__ import annotations

import pytest

from ser_edge_runtime.licences import ANSWERS, LICENCES, corpora_of, product_answer
from ser_edge_train.corpora import crema_d
from ser_edge_train.manifest import CORPUS_LABELS


def test_every_known_corpus_has_a_licence():
    assert set(LICENCES) == set(CORPUS_LABELS)
    assert crema_d.NAME in LICENCES
    assert [name for name, one in LICENCES.items() if one.commercial] == ["crema-d"]


@pytest.mark.parametrize(
    ("corpora", "licence", "answer"),
    [
        (["crema-d"], "Open Database License 1.0",
         "Yes: it was trained on CREMA-D (Open Database License 1.0) alone, which permits it "
         "where the source is named."),
        (["tess", "crema-d"], "free of all",
         "No: it was trained on TESS (CC BY-NC-ND 4.0), which may not be used commercially."),
        # A forbidding corpus outweighs one that nobody knows.
        (["mine", "ravdess", "savee"], "mine",
         "No: it was trained on RAVDESS (CC BY-NC-SA 4.0) and SAVEE (research use only), which "
         "may not be used commercially."),
        (["crema-d"], "for Research only",
         "No: the licence of its weights is for research or non-commercial use."),
        (["mine"], "Non-Commercial",
         "No: the licence of its weights is for research or non-commercial use."),
        (["mine", "crema-d", "yours"], "mine",
         "Ask whose recordings these are: it was trained on mine and yours, of unknown licence."),
        (list("abcdefg"), "",
         "Ask whose recordings these are: it was trained on a, b, c, d and e and others, of "
         "unknown licence."),
        ([], "MIT", "Not known: the file does not say which recordings it was trained on."),
        ([], "non-commercial",
         "No: the licence of its weights is for research or non-commercial use."),
    ],
)  # fmt: skip
def test_the_answer(corpora, licence, answer):
    assert product_answer(corpora, licence) == answer
    assert product_answer(corpora[::-1], licence) == answer
    assert "\n" not in answer
    assert answer.startswith(ANSWERS)


def test_a_files_corpora_are_those_it_names():
    scores = {"parts": {"test": {"corpora": {"tess": {}}}}}
    assert corpora_of({"corpora": ["savee", "crema-d", "savee"]}, scores) == ("crema-d", "savee")
    assert corpora_of({"corpora": []}, scores) == ()


def test_an_older_files_corpora_are_those_it_was_scored_on():
    scores = {
        "parts": {
            "validation": {"corpora": {"crema-d": {}, "savee": {}}},
            "test": {"corpora": {"tess": {}, "savee": {}}},
        }
    }
    assert corpora_of({}, scores) == ("crema-d", "savee", "tess")


@pytest.mark.parametrize(
    "scores",
    [{}, {"parts": 3}, {"parts": {"test": None}}, {"parts": {"test": {"corpora": ["tess"]}}}],
)
def test_what_is_no_table_names_no_corpus(scores):
    assert corpora_of({}, scores) == ()
    assert corpora_of({"corpora": [3, "", None, "tess"]}, scores) == ("tess",)
