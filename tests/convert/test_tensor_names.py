"""Short names of tensors: one operation each, all different, nothing else touched."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_convert.graph import read_graph
from ser_edge_convert.tensor_names import with_short_names
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import read_model_file
from tests.convert import bare_run, toy_run

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ROOT / "runtime" / "ser_edge_runtime" / "models" / "default.tflite"
KERNEL = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return bare_run.graph(KERNEL, softmax=True)


def named(flatbuffer: bytes, names: list[str]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for tensor, name in zip(model.subgraphs[0].tensors, names, strict=False):
        tensor.name = name
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def names_of(flatbuffer: bytes) -> list[str]:
    return [tensor.name for tensor in read_graph(flatbuffer).tensors]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["a/Relu;b/add;c/conv"], ["a/Relu"]),
        (["a;b", "a;c", "a;d"], ["a", "a_2", "a_3"]),
        (["a;b", "a"], ["a_2", "a"]),
        (["a;b", "a_2", "a"], ["a_3", "a_2", "a"]),
        (["a;b1", "a;b"], ["a", "a_2"]),
        (["a;", "a"], ["a_2", "a"]),
        ([";b", ";c"], [";b", ";c"]),
        (["", "a"], ["", "a"]),
    ],
)
def test_what_is_kept_of_a_name(plain, before, after):
    assert names_of(with_short_names(named(plain, before)))[: len(before)] == after


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1).map(";".join), max_size=5))
def test_no_two_joined_names_become_one(plain, names):
    before = names_of(named(plain, names))
    after = names_of(with_short_names(named(plain, names)))
    joined = [new for old, new in zip(before, after, strict=True) if ";" in old]
    others = {old for old in before if ";" not in old}
    assert len(set(joined)) == len(joined)
    assert not others & set(joined)
    assert [new for old, new in zip(before, after, strict=True) if ";" not in old] == [
        old for old in before if ";" not in old
    ]


def test_nothing_but_names_is_changed():
    before = read_model_file(SHIPPED).flatbuffer
    after = with_short_names(before)
    first = schema.ModelT.InitFromPackedBuf(before, 0)
    second = schema.ModelT.InitFromPackedBuf(after, 0)
    for old, new in zip(first.subgraphs[0].tensors, second.subgraphs[0].tensors, strict=True):
        assert text(old.name).startswith(text(new.name).rstrip("_23456789"))
        old.name = new.name = ""
    assert described(second) == described(first)
    assert len(after) < len(before)


def described(value: object) -> object:
    if isinstance(value, list):
        return [described(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return (
        {k: described(v) for k, v in vars(value).items()} if hasattr(value, "__dict__") else value
    )


def text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def test_the_answers_are_the_same_bit_for_bit(plain):
    joined = named(plain, [f"layer/Relu;other/{number}" for number in range(20)])
    clips = np.random.default_rng(4).normal(size=(5, *toy_run.SPEC.output_shape))
    for clip in clips.astype(np.float32):
        given, expected = (
            Interpreter(file).invoke(clip) for file in (with_short_names(joined), plain)
        )
        np.testing.assert_array_equal(given, expected)


def test_short_names_stay_and_a_second_time_changes_nothing(plain):
    once = with_short_names(named(plain, ["a;b", "a;c"]))
    assert with_short_names(once) == once
