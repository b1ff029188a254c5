"""The gate: each limit at its edge, small classes by their interval alone."""

from __future__ import annotations

import pytest

from ser_edge_convert.audit.limits import Limits, check, points
from ser_edge_convert.errors import ConversionRefused


def variant(*, drop=0.0, interval=(-0.001, 0.002), share=1.0, **classes):
    return {
        "drops": {"uar": {"value": drop, "interval": None if interval is None else list(interval)}},
        "classes": {
            name: {"clips": clips, "drop": fall, "interval": ends}
            for name, (clips, fall, ends) in classes.items()
        },
        "agreement": {"share": share},
    }


def failed(found, limits=None):
    return [row["name"] for row in check(found, limits or Limits()) if not row["passed"]]


def test_nothing_lost_passes():
    assert failed(variant(calm=(300, 0.0, [0.0, 0.0]))) == []


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (variant(drop=0.005), []),
        (variant(drop=0.0051), ["uar-drop"]),
        (variant(interval=(0.0, 0.01)), []),
        (variant(interval=(0.0, 0.0101)), ["uar-drop-upper"]),
        (variant(share=0.98), []),
        (variant(share=0.9799), ["agreement"]),
        (variant(calm=(200, 0.03, [0.0, 0.2])), []),
        (variant(calm=(200, 0.031, [0.0, 0.2])), ["class-drop: calm"]),
        (variant(calm=(199, 0.2, [0.0, 0.4])), []),
        (variant(calm=(199, 0.2, [0.031, 0.4])), ["class-drop: calm"]),
        (variant(calm=(0, None, None)), []),
    ],
)
def test_limits_at_their_edges(found, names):
    assert failed(found) == names


def test_every_limit_has_a_row_and_every_class():
    rows = check(variant(calm=(300, 0.01, [0, 0.1]), sad=(10, 0.1, [0, 1])), Limits())
    assert [row["name"] for row in rows] == [
        "uar-drop", "uar-drop-upper", "class-drop: calm", "class-drop: sad", "agreement",
    ]  # fmt: skip
    assert all(set(row) == {"name", "found", "limit", "passed", "text"} for row in rows)


def test_all_that_failed_is_named():
    found = variant(drop=0.2, interval=(0.1, 0.3), share=0.5, sad=(500, 0.4, [0.3, 0.5]))
    assert failed(found) == ["uar-drop", "uar-drop-upper", "class-drop: sad", "agreement"]


def test_one_speaker_bounds_nothing():
    found = variant(interval=None)
    assert failed(found) == ["uar-drop-upper"]
    row = next(row for row in check(found, Limits()) if row["name"] == "uar-drop-upper")
    assert row["found"] is None
    assert "one speaker" in row["text"]


def test_a_small_class_without_interval_is_reported_and_passes():
    (row,) = [r for r in check(variant(sad=(5, 0.4, None)), Limits()) if "sad" in r["name"]]
    assert row["passed"]
    assert "too few" in row["text"]


def test_limits_can_be_moved():
    limits = Limits(max_drop=0.3, max_drop_upper=0.4, max_class_drop=0.5, min_agreement=0.4)
    found = variant(drop=0.2, interval=(0.1, 0.3), share=0.5, sad=(500, 0.4, [0.3, 0.5]))
    assert failed(found, limits) == []


def test_a_class_may_be_judged_from_fewer_clips():
    found = variant(calm=(50, 0.2, [0.0, 0.4]))
    assert failed(found, Limits(class_clips=50)) == ["class-drop: calm"]


def test_texts_say_what_was_found_and_what_is_allowed():
    found = variant(drop=0.0123, share=0.9, calm=(300, -0.02, [-0.1, 0.0]))
    text = {row["name"]: row["text"] for row in check(found, Limits())}
    assert text["uar-drop"] == "UAR falls by 1.23 points, 0.50 points allowed"
    assert text["agreement"] == "90.00 % of the answers are the same, 98 % asked"
    assert text["class-drop: calm"].startswith("recall of calm rises by 2.00 points")
    assert "95 %" in text["uar-drop-upper"]


@pytest.mark.parametrize(
    "values",
    [
        {"max_drop": -0.1},
        {"max_drop_upper": 1.5},
        {"max_class_drop": 3},
        {"min_agreement": 98},
        {"confidence": 1.0},
        {"confidence": 0.4},
        {"class_clips": 0},
    ],
)
def test_what_is_no_limit_is_refused(values):
    with pytest.raises(ConversionRefused, match=next(iter(values))):
        Limits(**values)


def test_points():
    assert points(0.01234) == "1.23 points"


def test_they_go_into_the_document():
    assert Limits().to_dict() == {
        "max_drop": 0.005,
        "max_drop_upper": 0.01,
        "max_class_drop": 0.03,
        "min_agreement": 0.98,
        "confidence": 0.95,
        "class_clips": 200,
    }
