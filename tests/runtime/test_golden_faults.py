"""Golden vectors that are none: the model, what is wrong with its golden.npz and what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import stored_zip
from ser_edge_runtime.errors import GoldenInvalid
from ser_edge_runtime.golden import BadGolden, Golden
from ser_edge_runtime.model_file import build_model_file, read_model_file
from tests.runtime.faults import DAMAGED, said
from tests.runtime.test_golden import DATA, in_format_1, npy, with_member

NAMES = ("samples", "sample_rate", "features", "probabilities", "tolerance", "rows")
SHAPES = "its arrays have other shapes than the format's"
NO_NUMBER = "it holds what is no number"
NOTHING = "no samples, or a sample rate or tolerance that is not above 0"
LARGEST = float.fromhex("0x1.fffffep+127")


@pytest.fixture(scope="module")
def model():
    return replace(read_model_file(DATA / "format_v2.tflite"), name="m.tflite")


@pytest.fixture(scope="module")
def golden(model):
    return model.golden


def refused(model, data):
    """What is wrong with an npz, which is said of the model that carries it too."""
    fault = said(BadGolden, Golden.from_bytes, data)
    message = said(GoldenInvalid, lambda: replace(model, golden_npz=data).golden)
    assert message == f"m.tflite: golden.npz: {fault}; {DAMAGED}"
    return fault


def members_of(golden):
    data = golden.to_bytes()
    limit = len(data)
    return stored_zip.parse(data, most_members=8, largest_zip=limit, largest_member=limit)[1]


# the zip around the arrays


@given(st.data())
def test_an_npz_that_is_cut_anywhere_is_refused(model, golden, data):
    whole = golden.to_bytes()
    size = data.draw(st.integers(0, len(whole) - 1))
    fault = refused(model, whole[:size])
    assert fault == "not a plain npz (no end record at the end)"


def changes(members):
    """The members with one left out, renamed or added, and in another order."""
    for name in members:
        yield {key: content for key, content in members.items() if key != name}
        other = name.replace(".npy", ".dat")
        yield {other if key == name else key: content for key, content in members.items()}
    yield members | {"more.npy": members["rows.npy"]}
    yield dict(reversed(members.items()))
    yield {}


def test_other_arrays_than_the_formats_are_refused(model, golden):
    members = members_of(golden)
    assert [name.removesuffix(".npy") for name in members] == list(NAMES)
    first_format = [f"{name}.npy" for name in NAMES if name != "rows"]
    for other in changes(members):
        if list(other) != first_format:
            fault = refused(model, stored_zip.build(other))
            assert fault == "it holds other arrays than the format's"


# the arrays


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("samples", "<i2", ()),
        ("samples", "<i2", (1, 2)),
        ("sample_rate", "<i4", (1,)),
        ("probabilities", "<f4", ()),
        ("probabilities", "<f4", (1, 3)),
        ("probabilities", "<f4", (3, 1)),
        ("tolerance", "<f8", (1,)),
        ("tolerance", "<f8", (1, 1)),
        ("rows", "<i4", ()),
        ("rows", "<i4", (20, 1)),
    ],
)
def test_an_array_of_another_number_of_axes_is_refused(model, golden, name, kind, shape):
    other = npy(np.ones(shape, kind))
    assert refused(model, with_member(golden, name, other)) == SHAPES


@given(name=st.sampled_from(NAMES), size=st.integers(-400, 400).filter(bool))
def test_an_array_that_is_longer_or_shorter_than_it_says_is_refused(model, golden, name, size):
    content = members_of(golden)[f"{name}.npy"]
    start = content.index(b"\n") + 1
    other = content[: max(start, len(content) + size)] + bytes(max(0, size))
    fault = refused(model, with_member(golden, name, other))
    assert fault == f"{name} is not as long as it says"


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ("20 4,", "has no shape that an array can have"),
        ("2 0, 4", "has no shape that an array can have"),
        ("0, 999999999, 999999999, 999999999", "has no shape that an array can have"),
        ("0, 999999999999999999999", "has no shape that an array can have"),
        ("0" * 5000, "is no array of float32"),
        ("20,, 4", "is no array of float32"),
        ("20, 4,", "is not written in the one way there is"),
        ("020, 4", "is not written in the one way there is"),
        ("", "is not as long as it says"),
    ],
    ids=lambda text: text[:12],
)
def test_a_shape_that_is_none_is_a_fault_of_the_file(model, golden, shape, fault):
    """Whoever follows slots falls back on the model before only where it is one."""
    whole = members_of(golden)["features.npy"]
    _, _, content = whole.partition(b"\n")
    content = b"" if shape.startswith("0,") else content
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    other = magic + header.encode() + content
    assert refused(model, with_member(golden, "features", other)) == f"features {fault}"


# the numbers in them


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@given(place=st.integers(0, 79))
def test_one_value_that_is_no_number_is_found_anywhere(model, golden, bad, place):
    features = golden.features.copy()
    features.flat[place] = bad
    assert refused(model, replace(golden, features=features).to_bytes()) == NO_NUMBER
    probabilities = golden.probabilities.copy()
    probabilities[place % 3] = bad
    assert refused(model, replace(golden, probabilities=probabilities).to_bytes()) == NO_NUMBER


def test_the_largest_numbers_are_read(golden):
    features = golden.features.copy()
    features[3] = [LARGEST, -LARGEST, 0, 1]
    vast = replace(golden, features=features, tolerance=1e308)
    again = Golden.from_bytes(vast.to_bytes())
    np.testing.assert_array_equal(again.features, features)
    assert again.tolerance == 1e308


@pytest.mark.parametrize(
    "change",
    [
        {"samples": np.zeros(0, np.float32)},
        {"sample_rate": 0},
        {"sample_rate": -8000},
        {"tolerance": 0.0},
        {"tolerance": -1e-300},
    ],
    ids=str,
)
def test_vectors_of_nothing_or_that_allow_nothing_are_refused(model, golden, change):
    assert refused(model, replace(golden, **change).to_bytes()) == NOTHING
    first = in_format_1(replace(golden, **change))
    assert refused(model, first) == NOTHING


def test_the_least_that_vectors_may_hold_is_read(golden):
    least = replace(golden, samples=np.zeros(1, np.float32), sample_rate=1, tolerance=1e-300)
    again = Golden.from_bytes(least.to_bytes())
    assert (len(again.samples), again.sample_rate, again.tolerance) == (1, 1, 1e-300)


# the vectors of another model


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_vectors_of_other_classes_are_refused_and_not_packed(model, golden, classes):
    other = replace(golden, probabilities=np.full(classes, 0.25, np.float32))
    fault = f"golden.npz: other classes than the model's; {DAMAGED}"
    assert Golden.from_bytes(other.to_bytes()).probabilities.shape == (classes,)
    found = replace(model, golden_npz=other.to_bytes())
    assert said(GoldenInvalid, lambda: found.golden) == f"m.tflite: {fault}"
    # Who packs a model has no file yet, but its name.
    built = said(GoldenInvalid, build_model_file, model.flatbuffer, model.metadata, other)
    assert built == f"toy: {fault}"
