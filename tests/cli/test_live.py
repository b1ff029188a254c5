from __future__ import annotations

import io
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge.interrupt import Stop
from ser_edge.live import LiveLine, bar, live_line

LABELS = ["angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
SCORES = dict(zip(LABELS, [0.5, 0.25, 0.125, 0.125, 0.0, 0.0, 0.0, 0.0], strict=True))


@pytest.mark.parametrize(
    ("share", "fine", "plain"),
    [(0.0, "    ", "    "), (0.5, "██  ", "##  "), (1.0, "████", "####"), (0.28, "█▏  ", "#   ")],
)
def test_bars(share, fine, plain):
    assert bar(share, 4, fine=True) == fine
    assert bar(share, 4, fine=False) == plain


def test_a_wide_line_has_every_name_and_its_bar():
    line = live_line(12.34, "angry", SCORES, 160, fine=True)
    assert line.startswith("    12.3 s  angry     50 %")
    for label in LABELS:
        assert f" {label} " in line
    assert "angry ███" in line


def test_eighty_columns_hold_all_labels_cut_short():
    line = live_line(12.34, "angry", SCORES, 79, fine=True)
    assert len(line) <= 79
    for label in LABELS:
        assert f" {label[:3]} " in line


def test_a_narrow_terminal_gets_the_answer_alone():
    line = live_line(12.34, "surprise", SCORES, 30, fine=True)
    assert line.split() == ["12.3", "s", "surprise", "0", "%"]


def test_words_that_are_no_label_have_no_percentage():
    line = live_line(3.0, "no speech", dict.fromkeys(LABELS, 0.0), 100, fine=True)
    assert "no speech" in line
    assert "%" not in line
    assert "█" not in line


@given(
    columns=st.integers(1, 300),
    scores=st.dictionaries(st.text("abcdé", min_size=1, max_size=20), st.floats(0, 1), min_size=1),
    fine=st.booleans(),
)
def test_no_line_is_longer_than_the_terminal(columns, scores, fine):
    for label in (max(scores, key=scores.get), "no speech"):
        assert len(live_line(1e5, label, scores, columns, fine=fine)) <= columns


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "█"), ("ascii", "#"), ("latin-1", "#")])
def test_the_line_is_redrawn_in_place_with_what_the_terminal_has(monkeypatch, encoding, sign):
    monkeypatch.setenv("COLUMNS", "120")
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding=encoding)
    live = LiveLine(stream)
    live.draw(1.0, "angry", SCORES)
    live.draw(2.0, "a", {"a": 1.0})
    live.leave()
    live.leave()
    text = data.getvalue().decode(encoding)
    empty, first, second = text.split("\r")
    assert empty == ""
    assert sign in first
    assert len(second.rstrip("\n")) == len(first), "what was longer is wiped out"
    assert text.count("\n") == 1


def test_items_come_until_they_end():
    with Stop() as stop:
        assert list(stop.until([1, 2, 3])) == [1, 2, 3]
        assert not stop.asked


def test_a_signal_lets_the_item_in_hand_be_finished():
    done = []
    with Stop() as stop:
        for item in stop.until(range(10)):
            if item == 2:
                signal.raise_signal(signal.SIGINT)
            done.append(item)
        assert stop.asked
        assert stop.wait(lambda: 1) is None
    assert done == [0, 1, 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_the_next_item(number):
    def items():
        yield 1
        signal.raise_signal(number)
        yield 2

    with Stop() as stop:
        assert list(stop.until(items())) == [1]
        assert stop.asked


def test_a_second_signal_interrupts_whatever_goes_on():
    with Stop():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Stop():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_fault_while_waiting_is_no_signal():
    def items():
        yield 1
        raise ValueError("broken")

    with Stop() as stop, pytest.raises(ValueError, match="broken"):
        list(stop.until(items()))
    assert not stop.asked
