"""Run with every interpreter that is installed; CI runs it with tflite-runtime in its own place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime import interpreter as module
from ser_edge_runtime.backends import Backend, available_backends
from ser_edge_runtime.errors import (
    InterpreterError,
    InvalidThreads,
    InvokeFailed,
    ModelRejected,
    NoInterpreter,
    UnsupportedTensors,
)
from ser_edge_runtime.interpreter import Interpreter, dequantise, quantise
from ser_edge_runtime.metadata import TensorInfo

DATA = Path(__file__).resolve().parent.parent / "data"
USABLE = [name for name, _, fault in available_backends() if fault is None]

FEATURES = np.random.default_rng(5).standard_normal((20, 4)).astype(np.float32)


def graph(name):
    return (DATA / f"{name}.tflite").read_bytes()


def weights(seed, *shape):
    """As tests/data/make_toy_models.py draws them."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def expected_logits(features):
    """What toy_float computes, in numpy."""
    return features.mean(axis=0) @ weights(1, 3, 4).T + weights(2, 3)


@pytest.fixture(params=USABLE)
def backend(request):
    return request.param


def test_floats_in_logits_out(backend):
    interpreter = Interpreter(graph("toy_float"), backend=backend)
    assert interpreter.backend == backend
    assert interpreter.input == TensorInfo((1, 20, 4), "float32")
    assert interpreter.output == TensorInfo((1, 3), "float32")
    logits = interpreter.invoke(FEATURES)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected_logits(FEATURES), atol=1e-6)


def test_int8_is_quantised_going_in_and_dequantised_coming_out(backend):
    interpreter = Interpreter(graph("toy_int8"), backend=backend)
    assert interpreter.input == TensorInfo((1, 20, 4), "int8", 1 / 32, 3)
    assert interpreter.output == TensorInfo((1, 3), "int8", 1 / 8, -5)
    logits = interpreter.invoke(FEATURES)
    assert logits.dtype == np.float32
    # An output quantum of 1/8, and the kernels' own rounding on the way.
    np.testing.assert_allclose(logits, expected_logits(FEATURES), atol=0.25)
    np.testing.assert_array_equal(logits * 8, np.rint(logits * 8))


def test_values_beyond_the_range_of_int8_saturate(backend):
    interpreter = Interpreter(graph("toy_int8"), backend=backend)
    highest = np.full((20, 4), (127 - 3) / 32, np.float32)
    np.testing.assert_array_equal(interpreter.invoke(highest * 1000), interpreter.invoke(highest))


def test_state_goes_on_until_it_is_reset(backend):
    interpreter = Interpreter(graph("toy_stateful"), backend=backend)
    first, second = interpreter.invoke(FEATURES), interpreter.invoke(FEATURES)
    assert not np.array_equal(first, second)
    interpreter.reset()
    np.testing.assert_array_equal(interpreter.invoke(FEATURES), first)


def test_a_graph_without_state_may_be_reset(backend):
    interpreter = Interpreter(graph("toy_float"), backend=backend)
    first = interpreter.invoke(FEATURES)
    interpreter.reset()
    np.testing.assert_array_equal(interpreter.invoke(FEATURES), first)


def test_results_are_copies(backend):
    interpreter = Interpreter(graph("toy_float"), backend=backend)
    first = interpreter.invoke(FEATURES)
    kept = first.copy()
    interpreter.invoke(FEATURES + 1)
    np.testing.assert_array_equal(first, kept)


def test_features_of_another_layout_in_memory_give_the_same(backend):
    interpreter = Interpreter(graph("toy_float"), backend=backend)
    expected = interpreter.invoke(FEATURES)
    for features in (
        np.asfortranarray(FEATURES),
        FEATURES.astype(np.float64),
        np.repeat(FEATURES, 2, axis=0)[::2],
    ):
        np.testing.assert_array_equal(interpreter.invoke(features), expected)


@pytest.mark.parametrize("shape", [(20,), (1, 20, 4), (19, 4), (4, 20), ()])
def test_features_of_another_shape_are_a_mistake_of_the_caller(shape):
    interpreter = Interpreter(graph("toy_float"))
    with pytest.raises(ValueError, match=r"shape \(20, 4\) expected"):
        interpreter.invoke(np.zeros(shape, np.float32))


def test_threads_change_nothing_that_can_be_seen(backend):
    results = [
        Interpreter(graph("toy_float"), backend=backend, threads=threads).invoke(FEATURES)
        for threads in (1, 2, 4)
    ]
    np.testing.assert_allclose(results[1:], results[:1] * 2, atol=1e-6)


@pytest.mark.parametrize("threads", [0, -1, 257, 100_000, 1.5, True, "2"])
def test_a_number_of_threads_that_would_crash_is_refused(threads):
    with pytest.raises(InvalidThreads) as caught:
        Interpreter(graph("toy_float"), threads=threads)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["toy_two_inputs", "toy_two_outputs"])
def test_one_input_and_one_output_only(backend, name):
    with pytest.raises(UnsupportedTensors, match=r"inputs and \d outputs; export it"):
        Interpreter(graph(name), backend=backend)


def test_tensors_of_other_types_are_refused(backend):
    with pytest.raises(UnsupportedTensors, match="the graph's input is bytes"):
        Interpreter(graph("toy_strings"), backend=backend)


def test_an_operator_that_nobody_knows_is_refused_in_one_line(backend):
    with pytest.raises(ModelRejected, match="FromNowhere") as caught:
        Interpreter(graph("toy_unknown_op"), backend=backend)
    assert str(caught.value).isprintable()


def test_shapes_that_contradict_each_other_are_refused(backend):
    """tflite-runtime 2.14 lets this graph through, with an output of no values."""
    with pytest.raises((ModelRejected, UnsupportedTensors)):
        Interpreter(graph("toy_bad_shapes"), backend=backend)


@pytest.mark.parametrize("data", [b"not a flatbuffer at all", b"\0" * 64], ids=["text", "zeros"])
def test_bytes_that_are_no_graph_are_refused(backend, data):
    with pytest.raises(ModelRejected):
        Interpreter(data, backend=backend)


def test_a_graph_cut_short_is_refused(backend):
    if backend == "tflite-runtime":
        pytest.skip(
            "2.14 does not verify a graph and crashes: digests are checked before it is fed"
        )
    with pytest.raises(ModelRejected):
        Interpreter(graph("toy_float")[:400], backend=backend)


def test_it_prints_what_it_is():
    assert "(1, 20, 4)" in repr(Interpreter(graph("toy_float")))


class Runner:
    """Stands for a package's interpreter that goes wrong in a chosen way."""

    inputs = ((1, 20, 4), np.float32, (0.0, 0))
    outputs = ((1, 3), np.float32, (0.0, 0))
    fault = None

    def __init__(self, **options):
        self.options = options

    def allocate_tensors(self):
        if self.fault:
            raise self.fault

    def get_input_details(self):
        return [dict(zip(("shape", "dtype", "quantization"), self.inputs, strict=True), index=0)]

    def get_output_details(self):
        return [dict(zip(("shape", "dtype", "quantization"), self.outputs, strict=True), index=1)]

    def set_tensor(self, index, value):
        pass

    def invoke(self):
        raise RuntimeError("tensorflow/lite/kernels/x.cc:5\nit stopped")


@pytest.fixture
def pretend(monkeypatch):
    def with_runner(**attributes):
        runner = type("Odd", (Runner,), attributes)
        monkeypatch.setattr(
            module, "choose", lambda name: Backend("pretended", runner, lambda *_: None, None)
        )

    return with_runner


def test_a_failure_while_running_is_one_line(pretend):
    pretend()
    with pytest.raises(InvokeFailed, match=r"pretended failed on the graph: .*x.cc:5 it stopped"):
        Interpreter(b"").invoke(FEATURES)


def test_a_package_built_for_another_numpy_is_named_as_that(pretend):
    pretend(fault=SystemError("returned a result with an exception set"))
    with pytest.raises(NoInterpreter, match=f"pretended and numpy {np.__version__} do not fit"):
        Interpreter(b"")


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": ((2, 20, 4), np.float32, (0.0, 0))},
        {"inputs": ((1, 0, 4), np.float32, (0.0, 0))},
        {"inputs": ((20,), np.float32, (0.0, 0))},
        {"inputs": ((1, 20, 4), np.float16, (0.0, 0))},
        {"inputs": ((1, 20, 4), np.int8, (0.0, 0))},
        {"outputs": ((1, 3), np.int64, (0.0, 0))},
        {"outputs": ((1, 3), np.bool_, (0.0, 0))},
    ],
)
def test_tensors_that_cannot_be_fed_or_read_are_refused(pretend, change):
    pretend(**change)
    with pytest.raises(UnsupportedTensors):
        Interpreter(b"")


INT8 = TensorInfo((1, 4), "int8", 0.5, 10)


def test_quantising_rounds_and_saturates():
    values = np.array([0, 0.24, 0.26, -0.26, 1e9, -1e9, 58.5, -69], np.float32)
    np.testing.assert_array_equal(
        quantise(values, INT8), np.array([10, 10, 11, 9, 127, -128, 127, -128], np.int8)
    )
    assert quantise(values, INT8).dtype == np.int8


def test_dequantising_does_not_overflow():
    held = np.array([-128, 10, 127], np.int8)
    np.testing.assert_array_equal(dequantise(held, INT8), np.array([-69, 0, 58.5], np.float32))


@given(
    st.sampled_from(["int8", "uint8", "int16"]),
    st.floats(2**-20, 2**10, width=32, allow_subnormal=False),
    st.integers(-128, 127),
    st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)
def test_what_is_quantised_comes_back_within_half_a_quantum(dtype, scale, zero_point, value):
    tensor = TensorInfo((1, 1), dtype, scale, max(zero_point, np.iinfo(dtype).min))
    limits = (np.array([np.iinfo(dtype).min, np.iinfo(dtype).max]) - tensor.zero_point) * scale
    back = dequantise(quantise(np.array([value], np.float32), tensor), tensor)[0]
    nearest = np.clip(value, *limits)
    assert abs(back - nearest) <= 0.5 * scale + 1e-5 * abs(nearest)


def test_float_tensors_pass_unchanged():
    tensor = TensorInfo((1, 4), "float32")
    np.testing.assert_array_equal(quantise(FEATURES, tensor), FEATURES)
    np.testing.assert_array_equal(dequantise(FEATURES, tensor), FEATURES)


def test_all_its_errors_are_interpreter_errors():
    for error in (InvalidThreads, InvokeFailed, ModelRejected, NoInterpreter, UnsupportedTensors):
        assert issubclass(error, InterpreterError)
