"""A graph written by hand computes what numpy does, and says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.graph import read_graph
from ser_edge_convert.graph_builder import GraphBuilder
from ser_edge_convert.tflite_metadata import with_metadata
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.metadata import TensorInfo

DATA = Path(__file__).resolve().parent.parent / "data"
ROWS = np.random.default_rng(3).standard_normal((5, 6)).astype(np.float32)


def written(builder, output) -> bytes:
    return with_metadata(builder.finish(output, "given", "fed"), b"text")


def computed(make, values=ROWS):
    """What a graph of one clip of ``values`` gives; ``make`` adds what is in it."""
    builder = GraphBuilder()
    fed = builder.reshape(builder.input("fed", (1, *values.shape)), values.shape)
    made = make(builder, fed)
    if made.dtype != "float32":
        made = builder.cast(made)
    return Interpreter(written(builder, builder.reshape(made, (1, *made.shape)))).invoke(values)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add", ROWS + 2),
        ("subtract", ROWS - 2),
        ("multiply", ROWS * 2),
        ("divide", ROWS / 2),
        ("larger", np.maximum(ROWS, 2)),
        ("smaller", np.minimum(ROWS, 2)),
        ("less", ROWS < 2),
        ("differs", ROWS != 2),
    ],
)
def test_arithmetic_takes_values_and_numbers(name, expected):
    np.testing.assert_allclose(
        computed(lambda to, fed: getattr(to, name)(fed, 2.0)), expected, rtol=1e-6
    )


def test_numbers_may_stand_on_the_left():
    np.testing.assert_array_equal(computed(lambda to, fed: to.subtract(1.0, fed)), 1 - ROWS)
    np.testing.assert_array_equal(computed(lambda to, fed: to.less(0.0, fed)), ROWS > 0)


def test_rows_and_columns_are_broadcast():
    column = np.arange(5, dtype=np.float32)[:, np.newaxis]
    np.testing.assert_array_equal(
        computed(lambda to, fed: to.add(fed, to.constant(column))), ROWS + column
    )
    np.testing.assert_array_equal(
        computed(lambda to, fed: to.multiply(to.constant(column), to.constant(ROWS[0]))),
        column * ROWS[0],
    )


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda to, fed: to.clip(fed, -0.5, 0.5), np.clip(ROWS, -0.5, 0.5)),
        (lambda to, fed: to.unary("SQRT", to.multiply(fed, fed)), np.abs(ROWS)),
        (lambda to, fed: to.cast(to.multiply(fed, 3.0), "int32"), np.trunc(ROWS * 3)),
        (lambda to, fed: to.reshape(to.reduce("SUM", fed), (1,)), [ROWS.sum()]),
        (lambda to, fed: to.reduce("MEAN", fed, 1), ROWS.mean(axis=1, keepdims=True)),
        (lambda to, fed: to.reduce("REDUCE_MAX", fed, 0), ROWS.max(axis=0, keepdims=True)),
        (lambda to, fed: to.reshape(fed, (2, 15)), ROWS.reshape(2, 15)),
        (lambda to, fed: to.pad(to.reshape(fed, (30,)), 2, 1), np.pad(ROWS.ravel(), (2, 1))),
        (lambda to, fed: to.cut(fed, (1, 2), (3, 2)), ROWS[1:4, 2:4]),
        (lambda to, fed: to.gather(fed, to.constant(np.array([4, 0, 4]))), ROWS[[4, 0, 4]]),
        (lambda to, fed: to.join([fed, fed], 1), np.hstack([ROWS, ROWS])),
        (lambda to, fed: to.product(fed, ROWS.T), ROWS @ ROWS.T),
        (lambda to, fed: to.largest(fed, 2), -np.sort(-ROWS, axis=1)[:, :2]),
    ],
)
def test_every_operation_gives_what_numpy_gives(make, expected):
    found = computed(make)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_one_value_needs_no_joining():
    builder = GraphBuilder()
    fed = builder.input("fed", (1, 3))
    assert builder.join([fed], 1) is fed
    assert builder.graph.operators == []


def test_equal_constants_stand_in_the_file_once():
    builder = GraphBuilder()
    first = builder.constant([1.0, 2.0])
    assert builder.constant(np.array([1, 2], np.float64)) == first
    assert builder.constant([[1.0, 2.0]]).shape == (1, 2), "another shape is another constant"
    assert builder.constant([1, 2]).dtype == "int32"
    # The bytes of 0 are the same in both types, and a scalar is no row of one.
    kinds = {builder.constant(v) for v in (0.0, [0.0], 0, [0])}
    assert {(kind.dtype, kind.shape) for kind in kinds} == {
        ("float32", ()), ("float32", (1,)), ("int32", ()), ("int32", (1,)),
    }  # fmt: skip


def test_an_operator_is_listed_once():
    builder = GraphBuilder()
    fed = builder.input("fed", (1, 3))
    output = builder.add(builder.add(fed, 1.0), builder.multiply(fed, 2.0))
    graph = read_graph(written(builder, output))
    assert graph.counts == {"ADD": 2, "MUL": 1}
    assert len(builder.model.operatorCodes) == 2
    assert {operator.version for operator in graph.operators} == {1}


def test_an_operator_beyond_127_is_known_to_old_readers_as_newer():
    builder = GraphBuilder()
    builder.operator_code(schema.BuiltinOperator.RFFT2D, 1)
    (code,) = builder.model.operatorCodes
    assert (code.deprecatedBuiltinCode, code.builtinCode) == (127, schema.BuiltinOperator.RFFT2D)


def test_ends_have_names_and_a_signature():
    builder = GraphBuilder()
    data = written(builder, builder.add(builder.input("fed", (1, 3)), 1.0))
    graph = read_graph(data)
    assert [graph.tensors[index].name for index in (*graph.inputs, *graph.outputs)] == [
        "fed", "given",
    ]  # fmt: skip
    from ai_edge_litert.interpreter import Interpreter as Original

    runner = Original(model_content=data).get_signature_runner("serving_default")
    np.testing.assert_array_equal(
        runner(fed=np.zeros((1, 3), np.float32))["given"], np.ones((1, 3))
    )


def test_quantising_and_back_rounds_to_the_steps_of_the_tensor():
    tensor = TensorInfo((1, *ROWS.shape), "int8", 0.05, -3)
    found = computed(lambda to, fed: to.dequantise(to.quantise(fed, tensor)))
    expected = (np.clip(np.rint(ROWS / 0.05) - 3, -128, 127) + 3) * 0.05
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - ROWS).max() > 0.01


@pytest.mark.parametrize("toy", ["toy_float", "toy_int8"])
def test_a_spliced_graph_is_the_graph_itself(toy):
    data = (DATA / f"{toy}.tflite").read_bytes()
    alone = Interpreter(data)
    builder = GraphBuilder()
    value = builder.multiply(builder.input("fed", (1, 20, 4)), 0.5)
    if alone.input.quantised:
        value = builder.quantise(value, alone.input)
    value = builder.splice(schema.ModelT.InitFromPackedBuf(data, 0), value)
    assert (value.shape, value.dtype) == (alone.output.shape, alone.output.dtype)
    if alone.output.quantised:
        value = builder.dequantise(value)
    features = np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32)
    found = Interpreter(written(builder, value)).invoke(features)
    np.testing.assert_array_equal(found, alone.invoke(features * np.float32(0.5)))
    kept = read_graph(data).counts
    whole = read_graph(written(builder, value)).counts
    assert {name: whole[name] for name in kept} == kept


def test_what_was_there_before_a_splice_stays():
    data = (DATA / "toy_float.tflite").read_bytes()
    builder = GraphBuilder()
    fed = builder.add(builder.input("fed", (1, 20, 4)), builder.constant(np.full(4, 0.25)))
    given = builder.splice(schema.ModelT.InitFromPackedBuf(data, 0), fed)
    given = builder.splice(
        schema.ModelT.InitFromPackedBuf(data, 0),
        builder.multiply(fed, builder.reduce("SUM", given)),
    )
    features = np.random.default_rng(2).standard_normal((20, 4)).astype(np.float32)
    alone = Interpreter(data)
    once = alone.invoke(features + np.float32(0.25))
    twice = alone.invoke((features + np.float32(0.25)) * once.sum())
    np.testing.assert_allclose(Interpreter(written(builder, given)).invoke(features), twice, 1e-5)
