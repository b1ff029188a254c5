"""The golden vectors that a package gets: the synthetic clip, and what it allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_convert.packaging import (
    TOLERANCES,
    golden_vectors,
    package,
    synthetic_clip,
    tolerance_of,
)
from ser_edge_runtime.backends import available_backends
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.delegates import NONE, XNNPACK
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, Mfcc
from ser_edge_runtime.golden import Golden, verify_golden
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import parse_model_file, read_model_file
from tests.convert.toy_package import SPEC, graph, parts

USABLE = [name for name, _, fault in available_backends() if fault is None]
TOY_VARIANTS = {"toy_float": "float32", "toy_int8": "int8-io", "toy_stateful": "dynamic"}


def parts_of(metadata):
    """What a model file was packed with."""
    return {name: getattr(metadata, name) for name in parts()}


def between_kernels(model):
    """How far the plain kernels are from what the file holds."""
    plain = Classifier(model, delegate=NONE).probabilities(model.golden.features)
    return float(np.abs(plain - model.golden.probabilities).max())


@pytest.fixture(scope="module", params=list(TOY_VARIANTS))
def toy(request):
    return parse_model_file(
        package(graph(request.param), **parts(variant=TOY_VARIANTS[request.param])), request.param
    )


@pytest.mark.parametrize("delegate", [XNNPACK, NONE])
@pytest.mark.parametrize("backend", USABLE)
def test_every_interpreter_is_within_the_tolerance(toy, backend, delegate):
    assert toy.metadata.input == Interpreter(graph(toy.name)).input
    assert verify_golden(toy, Classifier(toy, interpreter=backend, delegate=delegate)).passed


def test_a_tolerance_is_the_variants_room_and_what_lies_between_two_kinds_of_kernels(toy):
    room = TOLERANCES[toy.metadata.variant]
    assert toy.golden.tolerance == room + between_kernels(toy)
    assert toy.golden.tolerance == pytest.approx(room, abs=1e-5), "a toy is hardly rounded"


def test_where_two_kinds_of_kernels_differ_more_than_the_room_both_are_promised():
    """The default model is such a one."""
    shipped = read_model_file("default")
    model = parse_model_file(package(shipped.flatbuffer, **parts_of(shipped.metadata)), "again")
    assert between_kernels(model) > TOLERANCES["dynamic"]
    assert model.golden.tolerance == TOLERANCES["dynamic"] + between_kernels(model)


def rows_of_probabilities(count):
    shares = st.lists(st.integers(1, 10**6), min_size=count, max_size=count)
    return shares.map(lambda parts: np.asarray(parts, np.float32) / np.float32(sum(parts)))


@given(
    st.integers(2, 9).flatmap(lambda n: st.tuples(*[rows_of_probabilities(n)] * 2)),
    st.sampled_from(sorted(TOLERANCES.values())),
)
def test_a_tolerance_holds_both_kinds_of_kernels_unless_they_disagree(both, room):
    golden, plain = both
    between = float(np.abs(golden - plain).max())
    tolerance = tolerance_of(golden, plain, room)
    assert tolerance == tolerance_of(plain, golden, room)
    assert room <= tolerance <= room + 0.05
    if between <= 0.05:
        assert between < tolerance
    else:
        assert tolerance == room


def test_kernels_that_disagree_are_not_promised():
    """A fault of one kind is to be seen where it runs, not to be packed as rounding."""
    golden, plain = np.float32([0.5, 0.5, 0]), np.float32([0.44, 0.56, 0])
    assert tolerance_of(golden, plain, 0.005) == 0.005
    assert tolerance_of(golden, np.float32([0.46, 0.54, 0]), 0.005) == pytest.approx(0.045)


def test_the_clip_is_the_same_on_every_machine():
    samples = synthetic_clip(8000, 0.5)
    assert samples.shape == (4000,)
    assert samples.dtype == np.float32
    whole = samples * 32768
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert whole[[0, 1, 2, 1000, 2000, 3999]].astype(int).tolist() == [
        -252,
        387,
        1202,
        228,
        7965,
        10175,
    ]


def test_the_clip_has_something_in_every_band():
    power = np.abs(np.fft.rfft(synthetic_clip(16000, 0.5))) ** 2
    bands = power[1:].reshape(40, -1).sum(axis=1)
    assert bands.min() > 1e-4 * bands.max()


@settings(max_examples=30)
@given(st.integers(1000, 48_000), st.floats(0.01, 0.6))
def test_any_clip_can_be_stored(rate, seconds):
    samples = synthetic_clip(rate, seconds)
    assert len(samples) == round(rate * seconds)
    golden = Golden(samples, rate, np.zeros(1, np.float32), np.ones(1, np.float32), 1e-3)
    if len(samples):
        np.testing.assert_array_equal(Golden.from_bytes(golden.to_bytes()).samples, samples)


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, offset_seconds=0.4),
        replace(SPEC, trim_db=30.0, level=0.1),
        replace(SPEC, features=(Mfcc(bands=8, count=4),)),
    ],
)
def test_golden_features_are_of_sound_not_of_filling(spec):
    model = parse_model_file(package(graph("toy_float"), **parts(front_end=spec)), "toy")
    features = model.golden.features
    assert len(np.unique(features.round(3), axis=0)) == len(features)


def test_an_offset_of_minutes_does_not_make_a_file_of_megabytes():
    spec = replace(SPEC, offset_seconds=3000.0)
    model = parse_model_file(package(graph("toy_float"), **parts(front_end=spec)), "toy")
    assert len(model.golden.samples) == 500_000


def test_golden_vectors_are_the_classifiers_own():
    model = parse_model_file(package(graph("toy_float"), **parts()), "toy")
    golden = golden_vectors(Classifier(model), Classifier(model, delegate=NONE), 0.25)
    assert golden.tolerance == pytest.approx(0.25, abs=1e-6)
    kept = replace(model.golden, tolerance=golden.tolerance)
    assert golden.to_bytes() == kept.to_bytes()


def test_the_default_models_front_end_leaves_room_below_300_kilobytes():
    """What a file holds beside a graph of 64 log-mel bands and three seconds."""
    spec = FrontEndSpec()
    samples = synthetic_clip(spec.sample_rate, 0.25)
    features = FrontEnd(spec)(samples)
    assert features.shape == spec.output_shape
    golden = Golden(samples, spec.sample_rate, features, np.ones(8) / 8, 1e-3)
    assert len(golden.to_bytes()) < 19_000
