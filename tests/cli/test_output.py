from __future__ import annotations

import csv
import io
import json

import click
import pytest
from click.testing import CliRunner

from ser_edge.output import Output, Progress, one_line, output_options


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain.wav: fault", "plain.wav: fault"),
        ("a\nb.wav", "a\\nb.wav"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("Käse – 録音.wav", "Käse – 録音.wav"),
        ("bad\udcffbyte", "bad\udcffbyte"),
        ("line\u2028separator", "line\\u2028separator"),
        ("nul\0", "nul\\x00"),
    ],
)
def test_one_line_escapes_what_would_break_the_line(text, expected):
    assert one_line(text) == expected


def test_text_prints_the_text_and_not_the_values(capsys):
    output = Output("text")
    output.record({"path": "a.wav"}, "a.wav  angry")
    output.record({"path": "b.wav"})
    output.text("done")
    assert capsys.readouterr().out == "a.wav  angry\ndone\n"
    assert output.exit_code == 0


def test_json_prints_an_ascii_object_a_line_and_no_text(capsys):
    output = Output("json")
    output.record({"path": "K\u00e4se\udcff.wav", "score": 0.5}, "text")
    output.text("done")
    line = capsys.readouterr().out
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {"path": "K\u00e4se\udcff.wav", "score": 0.5}


def test_json_refuses_nan_rather_than_printing_invalid_json():
    with pytest.raises(ValueError, match="JSON"):
        Output("json").record({"score": float("nan")})


def test_csv_prints_one_header_and_quotes(capsys):
    output = Output("csv", ["path", "score", "error"])
    output.record({"path": 'a,"b".wav', "score": 0.25, "more": 1}, "text")
    output.record({"path": "c.wav", "error": "broken"})
    printed = capsys.readouterr().out
    assert list(csv.reader(io.StringIO(printed))) == [
        ["path", "score", "error"],
        ['a,"b".wav', "0.25", ""],
        ["c.wav", "", "broken"],
    ]
    assert "\r" not in printed


@pytest.mark.parametrize("style", ["text", "json", "csv"])
def test_an_error_is_one_stderr_line_and_sets_the_exit_code(capsys, style):
    output = Output(style, ["path", "error"])
    output.error("a\nb.wav: broken; mend it", {"path": "a\nb.wav", "error": "broken"})
    printed = capsys.readouterr()
    assert printed.err == "ser-edge: a\\nb.wav: broken; mend it\n"
    assert (printed.out == "") == (style == "text")
    assert output.exit_code == 1


def test_a_note_leaves_the_exit_code(capsys):
    output = Output("json")
    output.note("1440 clips")
    assert capsys.readouterr().err == "1440 clips\n"
    assert output.exit_code == 0


def test_progress_draws_nothing_in_the_first_two_seconds():
    stream, clock = Terminal(), Clock()
    progress = Progress("scanning", stream, clock)
    clock.now += 1.99
    progress(1, 10)
    assert stream.getvalue() == ""
    clock.now += 0.01
    progress(2, 10)
    assert stream.getvalue() == "\rscanning [#####...................] 2/10  0:08 left"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_progress_draws_nothing_where_it_is_not_wanted(stream):
    clock = Clock()
    with Progress("scanning", stream, clock, shown=False) as progress:
        clock.now += 600
        progress(1, 10)
    assert stream.getvalue() == ""


def test_without_a_terminal_progress_is_a_plain_line_once_a_minute():
    stream, clock = io.StringIO(), Clock()
    with Progress("converting", stream, clock) as progress:
        for done in range(40):
            progress.stage("trying layers", done, 40)
            clock.now += 5
    assert stream.getvalue() == (
        "trying layers 12/40  2:20 left\ntrying layers 24/40  1:20 left\n"
        "trying layers 36/40  0:20 left\n"
    )


def test_the_minute_runs_from_the_last_line_whoever_printed_it(capsys):
    stream, clock = io.StringIO(), Clock()
    output = Output("text")
    progress = output.progress("training")
    progress._stream, progress._clock, progress._terminal = stream, clock, False
    progress._line_at = clock.now
    for second in range(119):
        if second == 59:
            output.text("epoch 1/9")
        progress.stage("epoch 2/9", 0, 0, "a\nremark")
        clock.now += 1
    assert stream.getvalue() == ""
    progress.stage("epoch 2/9", 0, 0, "a\nremark")
    assert stream.getvalue() == "epoch 2/9  a\\nremark\n"
    assert capsys.readouterr().out == "epoch 1/9\n"


def test_progress_redraws_at_most_ten_times_a_second():
    stream, clock = Terminal(), Clock()
    progress = Progress("scanning", stream, clock)
    clock.now += 5
    for done in range(50):
        progress(done, 100)
        clock.now += 0.01
    assert stream.getvalue().count("\r") == 5


def test_progress_wipes_its_line_and_what_a_longer_one_left():
    stream, clock = Terminal(), Clock()
    with Progress("work", stream, clock) as progress:
        clock.now += 4000
        progress(1, 10, "loss 0.5")
        long = len(stream.getvalue()) - 1
        clock.now += 1
        progress(10, 10)
        assert stream.getvalue().endswith(" ")
        assert "10:00:00 left" in stream.getvalue()
    assert stream.getvalue().endswith("\r")
    assert long > len("work [########################] 10/10")


def test_work_of_unknown_length_shows_its_name_alone():
    stream, clock = Terminal(), Clock()
    progress = Progress("converting", stream, clock)
    clock.now += 3
    progress(0, 0)
    assert stream.getvalue() == "\rconverting"


def test_a_stage_counts_its_own_time_and_the_two_seconds_run_from_the_beginning():
    stream, clock = Terminal(), Clock()
    progress = Progress("converting", stream, clock)
    clock.now += 100
    progress.stage("comparing", 0, 10)
    clock.now += 4
    progress.stage("comparing", 2, 10)
    assert stream.getvalue().endswith("comparing [#####...................] 2/10  0:16 left")
    assert stream.getvalue().startswith("\rcomparing [")


def test_a_stage_has_a_remark_behind_it():
    stream, clock = Terminal(), Clock()
    progress = Progress("scanning", stream, clock)
    clock.now += 3
    progress.stage("epoch 2/9", 0, 4, "(study: 1:00:00 left)")
    assert stream.getvalue().endswith("] 0/4  (study: 1:00:00 left)")


def test_a_result_printed_while_progress_stands_wipes_it_first(capsys, monkeypatch):
    stream, clock = Terminal(), Clock()
    output = Output("text")
    progress = output.progress("work")
    progress._stream, progress._clock, progress._terminal = stream, clock, True
    clock.now = progress._start + 10
    progress(1, 2)
    before = stream.getvalue()
    output.text("a result")
    assert stream.getvalue() == before + "\r" + " " * (len(before) - 1) + "\r"
    assert capsys.readouterr().out == "a result\n"


@click.command()
@output_options(csv=["a"])
def both(output: Output) -> None:
    output.record({"a": 1}, "text")


@click.command()
@output_options()
def json_alone(output: Output) -> None:
    output.record({"a": 1}, "text")


def test_the_shared_options_choose_the_style():
    runner = CliRunner()
    assert runner.invoke(both, []).output == "text\n"
    assert runner.invoke(both, ["--json"]).output == '{"a": 1}\n'
    assert runner.invoke(both, ["--csv"]).output == "a\n1\n"
    assert runner.invoke(json_alone, ["--json"]).output == '{"a": 1}\n'


def test_json_and_csv_exclude_each_other_and_csv_is_offered_only_with_columns():
    refused = CliRunner().invoke(both, ["--json", "--csv"])
    assert refused.exit_code == 2
    assert "exclude each other" in refused.output
    assert CliRunner().invoke(json_alone, ["--csv"]).exit_code == 2
