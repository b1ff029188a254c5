"""A front end or a normaliser that cannot be: which part of it, and what is expected there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.errors import SpecError
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser
from ser_edge_runtime.front_end.kinds import FEATURES
from tests.runtime.faults import said

KINDS = (
    "front end: features: each needs a kind, one of "
    "chroma, delta, log_mel, mfcc, rms, spectral_contrast, zcr"
)
NO_LIST = "front end: features: a list of tables is expected"
TABLE = "normaliser: a table with mean and scale is expected"
ABOVE_0 = "normaliser: every scale must be above 0"
# Beyond float64, and the last that float32 can hold.
HUGE, LARGEST = 10**400, float.fromhex("0x1.fffffep+127")


def of_features(value):
    """What is said of a front end with these features, as JSON and as plain values."""
    message = said(SpecError, FrontEndSpec.from_dict, {"features": value})
    assert said(SpecError, FrontEndSpec.from_json, json.dumps({"features": value})) == message
    return message


# the front end's features


@pytest.mark.parametrize("value", ["mfcc", {"kind": "mfcc"}, {}, 3, 0, True, False, ""])
def test_features_that_are_no_list_are_refused(value):
    assert of_features(value) == NO_LIST


@pytest.mark.parametrize(
    "feature",
    [
        "mfcc", 3, None, [], ["mfcc"], {}, {"bands": 3}, {"kind": "plp"}, {"kind": "MFCC"},
        {"kind": ""}, {"kind": None}, {"kind": ["mfcc"]}, {"kind": {"mfcc": 1}}, {"Kind": "mfcc"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("before", [[], [{"kind": "zcr"}]], ids=["alone", "second"])
def test_a_feature_without_a_known_kind_is_refused_with_the_kinds_there_are(feature, before):
    assert of_features([*before, feature]) == KINDS


def test_the_kinds_that_are_named_are_those_that_are_read():
    named = KINDS.partition("one of ")[2].split(", ")
    assert named == sorted(FEATURES)
    for kind in named:
        before = [{"kind": "mfcc"}] if kind == "delta" else []
        spec = FrontEndSpec.from_dict({"features": [*before, {"kind": kind}]})
        assert spec.features[-1].kind == kind


# numbers


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"clip_seconds": HUGE}, "clip_seconds"),
        ({"trim_db": HUGE}, "trim_db"),
        ({"level": -HUGE}, "level"),
        ({"offset_seconds": HUGE}, "offset_seconds"),
        ({"features": [{"kind": "log_mel", "fmax": HUGE}]}, "feature log_mel: fmax"),
        (
            {"features": [{"kind": "spectral_contrast", "quantile": HUGE}]},
            "feature spectral_contrast: quantile",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_number_that_no_float_can_hold_is_too_large(fields, name):
    words = f"front end: {name} is too large a number"
    assert said(SpecError, FrontEndSpec.from_dict, fields) == words
    assert said(SpecError, FrontEndSpec.from_json, json.dumps(fields)) == words


def test_a_program_is_told_so_too():
    words = "front end: clip_seconds is too large a number"
    assert said(SpecError, FrontEndSpec, clip_seconds=HUGE) == words
    words = "front end: feature log_mel: fmin is too large a number"
    assert said(SpecError, FrontEndSpec, features=(LogMel(fmin=HUGE),)) == words


def test_what_is_shown_of_a_wrong_value_is_short():
    message = said(SpecError, FrontEndSpec.from_dict, {"window": ["x" * 9999]})
    assert message.startswith("front end: window must be str, not ['xxx")
    assert len(message) < 200
    message = said(SpecError, FrontEndSpec.from_dict, {"y\n" * 9999: 1})
    assert message.startswith("front end: unknown field 'y\\ny\\n")
    assert len(message) < 600
    digits = said(SpecError, FrontEndSpec.from_dict, {"window": 10**5000})
    assert digits == "front end: window must be str, not a number of thousands of digits"


@pytest.mark.parametrize("values", [["x"], [[1.0], [2.0, 3.0]], [None], "1", [{}]])
def test_a_normaliser_of_no_numbers_is_refused(values):
    for mean, scale in ((values, [1.0]), ([1.0], values)):
        message = said(SpecError, Normaliser, mean, scale)
        assert message.startswith("normaliser: mean and scale must be ")


# the normaliser


@pytest.mark.parametrize(
    "value",
    [
        None, 3, "mean", [], [0, 1], {}, {"mean": [0]}, {"scale": [1]}, {"Mean": [0], "scale": [1]},
        {"mean": [0], "scale": [1], "more": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_normaliser_that_is_no_table_of_the_two_is_refused(value):
    assert said(SpecError, Normaliser.from_dict, value) == TABLE
    assert said(SpecError, Normaliser.from_json, json.dumps(value)) == TABLE


@pytest.mark.parametrize("scale", [0.0, -0.0, -1.0, -LARGEST, 1e-60])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_scale_that_is_not_above_0_is_refused(scale, place):
    """The last one is 0 as a float32: what it would be divided by."""
    scales = [1.0, 1.0, 1.0]
    scales[place] = scale
    text = json.dumps({"mean": [0, 0, 0], "scale": scales})
    assert said(SpecError, Normaliser.from_json, text) == ABOVE_0
    assert said(SpecError, Normaliser, np.zeros(3), np.array(scales)) == ABOVE_0


@pytest.mark.parametrize("scale", [2.0**-126, LARGEST])
def test_the_least_and_the_largest_scale_divide(scale):
    found = Normaliser.from_json(json.dumps({"mean": [0], "scale": [scale]}))
    assert found(np.array([scale], np.float32)).tolist() == [1.0]


# JSON


@given(st.data())
@pytest.mark.parametrize(
    ("read", "whole", "part"),
    [
        (FrontEndSpec.from_json, FrontEndSpec().to_json(), "front end"),
        (Normaliser.from_json, Normaliser.identity(4).to_json(), "normaliser"),
    ],
    ids=["front end", "normaliser"],
)
def test_a_text_that_is_cut_anywhere_is_no_json(read, whole, part, data):
    size = data.draw(st.integers(0, len(whole) - 1))
    assert said(SpecError, read, whole[:size]).startswith(f"{part}: not JSON (")
