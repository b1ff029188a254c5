"""The tables themselves: whole, dated, and in step with the conversion's own table."""

from __future__ import annotations

import re

import pytest

from ser_edge.commands import lint as command
from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.graph import OPERATORS
from ser_edge_convert.lint import conditions, file_conditions
from ser_edge_convert.lint.tables import TARGETS, table_of
from ser_edge_convert.targets import TARGETS as CONVERTED


def test_there_is_a_table_for_every_target():
    assert set(TARGETS) == set(CONVERTED) == set(command.TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_table_is_whole(target):
    table = table_of(target)
    assert re.fullmatch(r"2026-\d\d-\d\d", table.date)
    assert re.search(r"https://|vela \d|@litertjs", table.source)
    assert table.operators
    assert table.fallback in ("", *TARGETS)
    assert not table.in_order or table.fallback


@pytest.mark.parametrize("target", TARGETS)
def test_a_table_knows_only_operators_of_the_schema(target):
    table = table_of(target)
    assert set(table.operators) <= set(OPERATORS.values())
    assert "CUSTOM" not in table.operators


@pytest.mark.parametrize("target", TARGETS)
def test_a_tables_conditions_exist(target):
    table = table_of(target)
    lines = [*table.conditions, *(line for own in table.operators.values() for line in own)]
    assert {line.split()[0] for line in lines} <= set(conditions.CONDITIONS)
    assert {line.split()[0] for line in table.file} <= set(file_conditions.FILE_CONDITIONS)


@pytest.mark.parametrize("target", TARGETS)
def test_releases_are_numbers(target):
    for name, releases in table_of(target).versions.items():
        numbers = [tuple(map(int, release.split("."))) for release in releases]
        assert numbers, name
        assert all(len(number) in (2, 3) for number in numbers)


def test_an_operators_own_types_replace_the_general_ones():
    table = table_of("ethos-u")
    assert "types int8" in table.conditions_of("BATCH_MATMUL")
    assert "types int8 uint8 int16" not in table.conditions_of("BATCH_MATMUL")
    assert "static 1" in table.conditions_of("BATCH_MATMUL")
    assert "types int8 uint8 int16" in table.conditions_of("TANH")


def test_the_web_runs_what_a_processor_runs():
    assert table_of("web").operators == table_of("cpu").operators
    assert table_of("web").file != table_of("cpu").file


def test_the_version_that_tflite_runtime_lacks_is_known():
    # Measured: a dynamic-range loop is refused there with "FULLY_CONNECTED version '12'".
    assert table_of("cpu").versions["FULLY_CONNECTED"][12 - 1] == "2.17.0"


def test_an_unknown_target_is_refused_with_the_known_ones():
    with pytest.raises(ConversionRefused, match="no target 'moon'; choose one of cpu"):
        table_of("moon")
