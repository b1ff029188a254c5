"""The gate of a conversion: its two bounds, each met by a loss equal to it."""

from __future__ import annotations

import pytest

from ser_edge_convert.conversion import Settings
from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.gate import Gate


@pytest.mark.parametrize(
    ("drop", "agreement", "passed"),
    [
        (0.02, 0.98, True),
        (0.1 - 0.08, 1 - 0.02, True),  # which floats make a little more and a little less
        (-0.5, 1.0, True),
        (0.0201, 1.0, False),
        (0.0, 0.9799, False),
        (0.0201, 0.9799, False),
    ],
)
def test_both_bounds_must_be_met(drop, agreement, passed):
    assert Gate(0.02, 0.98).passed(drop, agreement) == passed


def test_without_a_bound_any_class_may_change():
    assert Gate(0.02).passed(0.0, 0.0)
    assert Settings().gate == Gate(0.02, 0.0)
    assert Settings(max_drop=0.1, min_agreement=0.9).gate == Gate(0.1, 0.9)


@pytest.mark.parametrize("name", ["max_drop", "min_agreement"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_a_bound_that_is_no_share_is_refused(name, value):
    with pytest.raises(ConversionRefused, match=rf"{name.replace('_', ' ')} \S+ is no share"):
        Settings(**{name: value})
