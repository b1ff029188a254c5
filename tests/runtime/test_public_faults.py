"""What is refused of the package itself: a name that it has not, a value that does not change."""

from __future__ import annotations

import importlib
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

import ser_edge_runtime
from ser_edge_runtime import FrontEndSpec, Normaliser, Result, SpeechGate, Voice
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.service.limits import Limits
from tests.runtime.faults import said

RECORDS = {
    "Result": Result("calm", 0.75, {"calm": 0.75, "loud": 0.25}, 3.0, 0.0, 3.0),
    "SpeechGate": SpeechGate(),
    "FrontEndSpec": FrontEndSpec(),
    "Normaliser": Normaliser.identity(3),
    "TensorInfo": TensorInfo((1, 20, 4), "float32"),
    "Limits": Limits(),
    "Voice": Voice("anna", "m", ("calm", "loud"), np.log(np.full((10, 2), 0.5, np.float32))),
}


# names


@pytest.mark.parametrize("name", ["classify", "Classifer", "load", "__wrapped__", ""])
def test_a_name_that_the_package_has_not_is_no_attribute(name):
    message = said(AttributeError, getattr, ser_edge_runtime, name)
    assert message == f"module 'ser_edge_runtime' has no attribute {name!r}"
    assert not hasattr(ser_edge_runtime, name)


@pytest.mark.parametrize("name", [n for n in ser_edge_runtime.__all__ if n != "__version__"])
def test_every_public_name_is_what_its_module_defines(name):
    found = getattr(ser_edge_runtime, name)
    assert found.__name__ == name
    assert getattr(importlib.import_module(found.__module__), name) is found
    assert found.__module__.startswith("ser_edge_runtime.")


# values


@pytest.mark.parametrize("kind", RECORDS)
def test_no_field_of_a_value_can_be_changed_or_taken_away(kind):
    value = RECORDS[kind]
    before = repr(value)
    for field in fields(value):
        change = (value, field.name, None)
        words = f"cannot assign to field {field.name!r}"
        assert said(FrozenInstanceError, setattr, *change) == words
        words = f"cannot delete field {field.name!r}"
        assert said(FrozenInstanceError, delattr, value, field.name) == words
    assert repr(value) == before


@pytest.mark.parametrize("kind", RECORDS)
def test_nothing_can_be_added_to_a_value(kind):
    """A field that is misspelt would otherwise be set and never read."""
    value = RECORDS[kind]
    words = "cannot assign to field 'labell'"
    assert said(FrozenInstanceError, setattr, value, "labell", "calm") == words
    assert said(FrozenInstanceError, delattr, value, "labell") == "cannot delete field 'labell'"
    assert not hasattr(value, "labell")
