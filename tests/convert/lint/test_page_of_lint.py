"""docs/lint.md: it knows today's tables and the models that ship; how its rows are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_edge_convert.lint import Finding, Report, Status, lint
from ser_edge_convert.lint.compilers import Compilation
from ser_edge_convert.lint.tables import TARGETS, table_of
from ser_edge_runtime.model_file import default_model_path
from tests.scripts import load_script

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "lint.md").read_text("utf-8")
SHIPPED = sorted(default_model_path().parent.glob("*.tflite"))
JUDGED = ("ethos-u", "micro")

make_lint = load_script(DOCS / "make_lint.py")


def rows_of(heading):
    """The rows of the page's table under this heading, a list of cells each."""
    lines = PAGE.splitlines()
    start = lines.index(heading) + 2
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


def finding(operator="CONV_2D", status=Status.MAPPED, output="out"):
    return Finding(0, 0, operator, 1, output, status, () if status is Status.MAPPED else ("why",))


def report(target, *findings, runs=True):
    beside = target == "ethos-u"
    found = Report(target, "a table", "2026-11-21", beside, False, tuple(findings), (), ())
    assert found.runs == runs
    return found


# --- the page -------------------------------------------------------------------------------


def test_the_page_has_the_tables_of_today():
    wanted = [
        [
            target,
            str(len(table_of(target).operators)),
            table_of(target).source,
            table_of(target).date,
        ]
        for target in TARGETS
    ]
    assert rows_of("| target | operators | source | read |") == wanted


def test_every_model_that_ships_was_given_to_both_judges():
    rows = rows_of("| model | target | by the table | by its judge | same |")
    asked = {(name, target) for name, target, *_ in rows}
    assert {(path.stem, target) for path in SHIPPED for target in JUDGED} <= asked
    assert len(asked) == len(rows)


@pytest.mark.parametrize("target", JUDGED)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_the_page_says_of_a_model_is_what_the_table_says_today(path, target):
    (row,) = [
        row
        for row in rows_of("| model | target | by the table | by its judge | same |")
        if row[:2] == [path.stem, target]
    ]
    found = lint(make_lint.read_flatbuffer(path)[0], target)
    mapped, total = found.counts["mapped"], sum(found.counts.values())
    assert row[2] == (f"{mapped} of {total}" if found.runs else "refused")
    # A judge who takes a file names itself; one who does not has nothing to count.
    assert (row[3] == "refused") == (not found.runs)


def test_table_and_judge_agree_on_every_model_of_the_page():
    rows = rows_of("| model | target | by the table | by its judge | same |")
    assert {row[4] for row in rows} == {"yes"}


# --- a row ----------------------------------------------------------------------------------


def test_a_row_says_what_both_make_of_a_model():
    found = report("micro", finding(), finding("RELU"))
    judged = Compilation("tflite-micro 1", True, {"arena_bytes": 9})
    assert make_lint.row("toy", found, judged) == (
        "| toy | micro | 2 of 2 | tflite-micro 1: arena_bytes 9 | yes |"
    )
    nothing = Compilation("tflite-micro 1", True, {})
    assert make_lint.row("toy", found, nothing).endswith("| tflite-micro 1: runs | yes |")


def test_two_refusals_agree():
    found = report("micro", finding(status=Status.MISSING), runs=False)
    judged = Compilation("tflite-micro 1", False, {}, message="no kernel")
    assert make_lint.row("toy", found, judged) == "| toy | micro | refused | refused | yes |"


@pytest.mark.parametrize("target", JUDGED)
def test_one_refusal_is_a_difference(target):
    refused = report(target, finding(status=Status.MISSING), runs=False)
    taken = report(target, finding())
    for found, accepted in ((refused, True), (taken, False)):
        judged = Compilation("its judge", accepted, {})
        assert make_lint.row("toy", found, judged).endswith("| **no** |")


def test_vela_must_leave_the_same_operators_to_the_processor():
    found = report(
        "ethos-u", finding(), finding("SOFTMAX", Status.CPU, "b"), finding("MEAN", Status.CPU, "a")
    )
    left = (("MEAN", "a", "by vela's reason"), ("SOFTMAX", "b", "by another"))
    summary = {"accelerator": "ethos-u55-128", "operators_on_cpu": 2}

    def told(unmapped):
        judged = Compilation("vela 5", True, summary, unmapped)
        return make_lint.row("toy", found, judged)

    assert told(left) == "| toy | ethos-u | 1 of 3 | vela 5: operators_on_cpu 2 | yes |"
    # The operator's name alone is not enough: another of its kind may have stayed.
    for other in (left[:1], (("MEAN", "c", ""), left[1]), (*left, ("CONV_2D", "out", ""))):
        assert told(other).endswith("| **no** |")


def test_the_interpreter_of_microcontrollers_has_no_processor_beside_it():
    """Only for vela are the operators compared by name: micro runs all of them or none."""
    found = report("micro", finding())
    judged = Compilation("tflite-micro 1", True, {}, (("CONV_2D", "out", "by nobody"),))
    assert make_lint.row("toy", found, judged).endswith("| yes |")


def test_without_the_judges_there_is_no_page(monkeypatch, capsys):
    monkeypatch.setattr(make_lint, "compile_for", lambda flatbuffer, target: None)
    with pytest.raises(SystemExit, match="the judge of ethos-u is not installed"):
        make_lint.main([str(default_model_path())])
    printed = capsys.readouterr().out
    assert printed == PAGE[: len(printed)]
    assert printed.endswith(
        "| model | target | by the table | by its judge | same |\n|---|---|---|---|---|\n"
    )
