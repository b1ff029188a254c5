"""Reading a fit's history, and which epoch was kept."""

from __future__ import annotations

import pytest

from ser_edge_train.report.history import HistoryError, best_epoch, read_history
from tests.train.sample_run import sample_history


def test_a_history_is_read_exactly(tmp_path):
    (tmp_path / "h.csv").write_text(sample_history(3))
    rows = read_history(tmp_path / "h.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert set(rows[0]) == {"epoch", "loss", "uar", "val_loss", "val_uar", "learning_rate"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "the first line is not epoch"),
        ("loss\n1\n", "the first line is not epoch"),
        ("epoch,loss\n", "no epoch has ended"),
        ("epoch,loss\n1,nan\n", "h.csv:2: 'nan' is no number"),
        ("epoch,loss\n1,a\n", "h.csv:2: 'a' is no number"),
        ("epoch,loss\n1,1,1\n", "h.csv:2: 3 fields instead of 2"),
        ("epoch,loss\n1,1\n3,1\n", "h.csv:3: epoch '3' where 2 is due"),
    ],
)
def test_a_broken_history_is_refused(tmp_path, content, fault):
    (tmp_path / "h.csv").write_text(content)
    with pytest.raises(HistoryError, match=fault):
        read_history(tmp_path / "h.csv")


def test_the_first_best_epoch_was_kept():
    measured = enumerate([(0.1, 3.0), (0.6, 2.0), (0.6, 1.0), (0.5, 1.0)], start=1)
    rows = [{"epoch": n, "val_uar": u, "val_loss": loss} for n, (u, loss) in measured]
    assert best_epoch(rows, "val_uar") == 2
    assert best_epoch(rows, "val_loss") == 3
    assert best_epoch([{"epoch": 1.0, "loss": 1.0}, {"epoch": 2.0, "loss": 2.0}], "val_uar") == 2
