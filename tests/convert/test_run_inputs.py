"""What a conversion reads of a run: its report, and what stands for it where there is none."""

from __future__ import annotations

import json

import pytest

from ser_edge_convert.inputs import RunInputs
from ser_edge_train.report import ReportError
from ser_edge_train.run_directory import RunDirectory
from tests.convert import toy_run


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return toy_run.make_run(tmp_path, trained=False)


def test_a_run_without_a_report_has_no_temperature_and_no_scores(run):
    inputs = RunInputs.read(run)
    assert inputs.report == {}
    assert inputs.temperature is None
    assert inputs.scores() == {"protocol": {"name": "speaker-folds", "fold": 1}, "parts": {}}


def test_the_report_says_temperature_and_protocol(run):
    report = {"schema_version": 1, "protocol": {"name": "x"}, "model": {"temperature": 2}}
    run.report_json.write_text(json.dumps(report))
    inputs = RunInputs.read(run)
    assert inputs.temperature == 2.0
    assert inputs.scores() == {"protocol": {"name": "x"}, "parts": {}}


def test_scores_are_kept_to_six_digits_and_without_tables(run):
    group = {"clips": 7, "uar": 2 / 3, "uar_interval": [1 / 3, None], "recalls": {"sad": 1 / 7}}
    found = {"overall": group | {"confusion": {"counts": [[7]]}}, "corpora": {}}
    report = {"schema_version": 1, "protocol": {}, "model": {}, "scores": {"test": found}}
    run.report_json.write_text(json.dumps(report))
    kept = RunInputs.read(run).scores()["parts"]["test"]["overall"]
    assert kept == {
        "clips": 7,
        "uar": 0.666667,
        "uar_interval": [0.333333, None],
        "recalls": {"sad": 0.142857},
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has the schema version None, not 1"),
        ('{"model": {"temperature": 2}}', "has the schema version None, not 1"),
        ('{"schema_version": 2, "model": 3}', "has the schema version 2, not 1"),
    ],
)
def test_a_report_that_is_none_is_named_with_the_next_step(run, text, fault):
    run.report_json.write_text(text)
    with pytest.raises(ReportError) as caught:
        _ = RunInputs.read(run).temperature
    wanted = f"{run.report_json}: {fault}; write it anew with: ser-edge evaluate RUN"
    assert str(caught.value) == wanted
