"""A lint report's verdict, share and counts, from findings made up here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_convert.lint.compilers import Compilation
from ser_edge_convert.lint.report import Finding, Report, Status, is_leading_conversion

MAPPED, CPU, MISSING = Status.MAPPED, Status.CPU, Status.MISSING
TAKEN = Compilation("vela 5", True, {"operators": 3})
REFUSED = Compilation("vela 5", False, {}, (), "out of memory")


def finding(position, status, operator="CONV_2D"):
    reasons = () if status is MAPPED else ("why",)
    return Finding(0, position, operator, 1, f"t{position}", status, reasons)


def report(*statuses, **changes):
    found = tuple(finding(place, status) for place, status in enumerate(statuses))
    plain = Report("npu", "its manual", "2026-11-21", True, False, found, (), ())
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (report(MAPPED, MAPPED), "runs on npu: 2 of 2 operators mapped"),
        (report(MAPPED, CPU), "runs on npu: 1 of 2 operators mapped"),
        (report(MAPPED, CPU, accelerator=False), "runs on npu"),
        (report(CPU, accelerator=False), "runs on npu"),
        (
            report(MAPPED, CPU, CPU, in_order=True),
            "runs on npu: 1 of 3 operators mapped, 33 % before the first that is not",
        ),
        (report(CPU, CPU), "does not run on npu: not one operator is mapped to it"),
        (report(), "does not run on npu: not one operator is mapped to it"),
        (report(MAPPED, MISSING), "does not run on npu: no kernel for CONV_2D as used here"),
        (
            report(MAPPED, MISSING, faults=("too large", "no input")),
            "does not run on npu: too large; no input",
        ),
        (
            report(MAPPED, compilation=TAKEN),
            "runs on npu: 1 of 1 operators mapped; vela 5 takes it",
        ),
        (
            report(MISSING, compilation=TAKEN),
            "runs on npu; vela 5 takes it, though its table has it otherwise: "
            "no kernel for CONV_2D as used here",
        ),
        (
            report(MAPPED, MISSING, in_order=True, compilation=TAKEN),
            "runs on npu; vela 5 takes it, though its table has it otherwise: "
            "no kernel for CONV_2D as used here",
        ),
        (
            report(MAPPED, compilation=REFUSED),
            "does not run on npu: vela 5 refuses it: out of memory",
        ),
        (
            report(MISSING, compilation=REFUSED),
            "does not run on npu: vela 5 refuses it: no kernel for CONV_2D as used here",
        ),
        (
            report(MAPPED, compilation=replace(REFUSED, message="")),
            "does not run on npu: vela 5 refuses it: nothing is left for the target",
        ),
    ],
)
def test_the_verdict_says_whether_it_runs_or_why_not(made, verdict):
    assert made.verdict == verdict
    assert made.runs == verdict.startswith("runs")
    assert made.to_dict()["verdict"] == verdict


def test_operators_without_a_kernel_are_named_once_each_in_their_order():
    names = ["LSTM", "ABS", "LSTM", "PAD", "EXP", "SIN", "COS", "GATHER", "TILE"]
    found = tuple(finding(place, MISSING, name) for place, name in enumerate(names))
    words = "no kernel for ABS, COS, EXP, GATHER, LSTM, PAD, SIN, TILE as"
    assert words in report(findings=found).verdict


STATUSES = st.lists(st.sampled_from(list(Status)), max_size=12)


@settings(max_examples=50)
@given(STATUSES, st.booleans(), st.booleans(), st.sampled_from([None, TAKEN, REFUSED]))
def test_every_report_counts_all_its_operators_and_is_json(statuses, accelerator, order, compiled):
    made = report(*statuses, accelerator=accelerator, in_order=order, compilation=compiled)
    assert sum(made.counts.values()) == len(statuses)
    assert list(made.counts) == ["mapped", "cpu", "missing"]
    if compiled is not None:
        assert made.runs == compiled.accepted
    elif MISSING in statuses:
        assert not made.runs
    assert made.verdict.isprintable()
    values = json.loads(json.dumps(made.to_dict()))
    assert values["runs"] == made.runs
    assert [row["status"] for row in values["findings"]] == [str(one) for one in statuses]
    if order and statuses:
        assert made.share == statuses.count(MAPPED) / len(statuses)
    else:
        assert made.share is None


def test_a_compilers_word_goes_into_the_values():
    values = report(MAPPED, compilation=replace(TAKEN, unmapped=(("PAD", "t1", "too deep"),)))
    assert values.to_dict()["compiler"] == {
        "compiler": "vela 5", "accepted": True, "summary": {"operators": 3},
        "unmapped": (("PAD", "t1", "too deep"),), "message": "",
    }  # fmt: skip
    assert report(MAPPED).to_dict()["compiler"] is None


@pytest.mark.parametrize(
    ("names", "leading"),
    [
        (["QUANTIZE"], True),
        (["QUANTIZE", "QUANTIZE"], True),
        (["CONV_2D"], False),
        (["CONV_2D", "QUANTIZE"], False),
        (["QUANTIZE", "CONV_2D"], False),
        (["DEQUANTIZE"], False),
    ],
)
def test_only_conversions_at_the_very_beginning_are_passed_over(names, leading):
    *before, last = [finding(place, CPU, name) for place, name in enumerate(names)]
    assert is_leading_conversion(last, before) == leading
