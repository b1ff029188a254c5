"""The report's pictures by themselves: what they leave out, and labels that do not collide."""

from __future__ import annotations

import re

from ser_edge_train.report import plots


def history(*rows):
    return [{"epoch": n, "loss": a, "val_loss": b} for n, (a, b) in enumerate(rows, start=1)]


def label_heights(picture):
    """Height of each text in the picture, by what it says, in its own units."""
    found = re.findall(r'<text [^>]*\by="([-\d.]+)"[^>]*>([^<]+)</text>', picture)
    return {text: float(height) for height, text in found}


def test_curves_that_end_in_one_point_have_labels_apart():
    picture = plots.curve(history((2.0, 2.1), (1.0, 1.0)), "loss", 2, percent=False)
    heights = label_heights(picture)
    assert abs(heights["training"] - heights["validation"]) >= 9  # the size of the type


def test_labels_stand_at_the_end_of_their_own_curves():
    picture = plots.curve(history((2.0, 2.1), (0.5, 1.9)), "loss", 2, percent=False)
    heights = label_heights(picture)
    assert heights["training"] > heights["validation"]  # SVG counts downwards


def test_a_measure_that_was_not_taken_has_no_picture():
    assert plots.curve(history((2.0, 2.1)), "uar", 1, percent=True) is None


def test_shares_are_shown_in_per_cent():
    rows = [{"epoch": 1, "uar": 0.25}, {"epoch": 2, "uar": 0.75}]
    ticks = {t for t in label_heights(plots.curve(rows, "uar", 2, percent=True)) if t.isdigit()}
    assert any(int(tick) > 25 for tick in ticks)


def test_empty_bins_and_single_speakers_can_be_drawn():
    empty = {"clips": 0, "confidence": None, "accuracy": None}
    full = {"clips": 3, "confidence": 0.9, "accuracy": 1.0}
    assert "confidence of the answer" in plots.reliability([empty, empty, full])
    assert "tess" in plots.speakers({"tess": {"tess/OAF": 0.5}})


def test_names_are_escaped():
    assert "<b>" not in plots.speakers({"<b>own</b>": {"x": 0.5}})


def test_the_learning_rate_is_drawn_where_it_moves():
    falling = [{"epoch": n, "loss": 1.0, "learning_rate": 0.01 / n} for n in (1, 2, 3)]
    assert "Learning rate by epoch" in plots.learning_rate(falling, 2)
    steady = [{**row, "learning_rate": 0.01} for row in falling]
    assert plots.learning_rate(steady, 2) is None
    assert plots.learning_rate(history((2.0, 2.1), (1.0, 1.0)), 2) is None
