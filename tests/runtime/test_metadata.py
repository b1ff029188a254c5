from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_runtime.errors import (
    MetadataInvalid,
    ModelFileError,
    SpecTensorMismatch,
    UnknownFormatVersion,
)
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Normaliser
from ser_edge_runtime.metadata import FORMAT_VERSION, Metadata, TensorInfo, check_fit
from ser_edge_runtime.model_file import read_model_file

from .machines import SUBNORMALS

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture(scope="module")
def metadata():
    return read_model_file(DATA / "format_v1.tflite").metadata


@pytest.fixture
def values(metadata):
    """The metadata as plain values, to be changed."""
    return json.loads(metadata.to_json())


def read(values):
    return Metadata.from_json(json.dumps(values).encode(), "m.tflite")


def test_reads_what_it_writes(metadata):
    again = Metadata.from_json(metadata.to_json().encode(), "m.tflite")
    assert again == metadata
    assert again.to_json() == metadata.to_json()


def test_a_float32_survives_the_way_through_json(metadata):
    least, small = (3e-45, 1e-38) if SUBNORMALS else (2e-38, 2e-38)
    odd = Normaliser(
        np.array([np.pi, 1e-30, -1e30, least], np.float32), np.array([small, 7, 9, 1], np.float32)
    )
    again = Metadata.from_json(replace(metadata, normaliser=odd).to_json().encode(), "m")
    assert again.normaliser == odd


def test_json_is_canonical(metadata):
    text = metadata.to_json()
    assert text == json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def test_numbers_that_are_none_are_not_written(metadata):
    with pytest.raises(ValueError):
        replace(metadata, scores={"uar": float("nan")}).to_json()


def test_each_field_must_be_there(values):
    for name in list(values):
        left = {key: value for key, value in values.items() if key != name}
        with pytest.raises(MetadataInvalid, match=name):
            read(left)


def test_no_other_field_may_be_there(values):
    with pytest.raises(MetadataInvalid, match="unknown field 'extra'"):
        read({**values, "extra": 1})
    values["input"]["extra"] = 1
    with pytest.raises(MetadataInvalid, match="metadata: input: unknown field 'extra'"):
        read(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", 5),
        ("name", "two\nlines"),
        ("name", "\x1b[2Jcleared"),
        ("name", "\ud800"),
        ("labels", "calm"),
        ("labels", ["calm"]),
        ("labels", ["calm", "calm", "loud"]),
        ("labels", ["calm", "lo\nud", "x"]),
        ("labels", ["calm", None, "x"]),
        ("front_end", None),
        ("front_end", {"hop_length": "80"}),
        ("front_end", {"hop": 80}),
        ("front_end", {"sample_rate": 10**400}),
        ("front_end", {"clip_seconds": 10**400}),
        ("front_end", {"features": [{"kind": ["log_mel"]}]}),
        ("front_end", {"features": [{"kind": "log_mel", "bands": {}}]}),
        ("normaliser", []),
        ("normaliser", {"mean": [0, 0, 0, 0], "scale": [1, 1, 1, 0]}),
        ("normaliser", {"mean": [0, 0, 0, 1e300], "scale": [1, 1, 1, 1]}),
        ("normaliser", {"mean": "0000", "scale": "1111"}),
        ("normaliser", {"mean": ["0", "0", "0", "0"], "scale": [1, 1, 1, 1]}),
        ("normaliser", {"mean": [0, 0, 0, True], "scale": [1, 1, 1, 1]}),
        ("normaliser", {"mean": [[0], [0], [0], [0]], "scale": [1, 1, 1, 1]}),
        ("temperature", 0),
        ("temperature", -1.0),
        ("temperature", "1"),
        ("temperature", True),
        ("temperature", 10**400),
        ("input", None),
        ("input", {"shape": [1, 20, 4], "dtype": "float32"}),
        ("input", {"shape": [], "dtype": "float32", "scale": 0, "zero_point": 0}),
        ("input", {"shape": [1, -20, 4], "dtype": "float32", "scale": 0, "zero_point": 0}),
        ("input", {"shape": [1, 20.0, 4], "dtype": "float32", "scale": 0, "zero_point": 0}),
        ("input", {"shape": [1, 20, 4], "dtype": "float64", "scale": 0, "zero_point": 0}),
        ("input", {"shape": [1, 20, 4], "dtype": ["int8"], "scale": 0, "zero_point": 0}),
        ("input", {"shape": [1, 20, 4], "dtype": "float32", "scale": 0.5, "zero_point": 0}),
        ("input", {"shape": [1, 20, 4], "dtype": "int8", "scale": 0, "zero_point": 0}),
        ("input", {"shape": [1, 20, 4], "dtype": "int8", "scale": 1, "zero_point": 0.5}),
        ("output", {"shape": [1, 3], "dtype": "int8", "scale": 1, "zero_point": 10**9}),
        ("target", ["cpu"]),
        ("variant", ""),
        ("flatbuffer_sha256", "00"),
        ("flatbuffer_sha256", "Z" * 64),
        ("flatbuffer_sha256", "A" * 64),
        ("provenance", []),
        ("provenance", {"recipe": "\x1b]0;title\x07"}),
        ("scores", {"\n": 1}),
        ("scores", {"folds": [{"uar": "\x00"}]}),
        ("licence", None),
        ("intended_use", "bell\x07"),
    ],
)
def test_each_field_is_held_to_its_type(values, field, value):
    with pytest.raises(MetadataInvalid) as caught:
        read({**values, field: value})
    message = str(caught.value)
    assert message.startswith("m.tflite: ")
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": 1, "name": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"temperature": ' + b"9" * 10_000 + b"}",
        b"{} {}",
    ],
)
def test_strict_json_only(text):
    with pytest.raises(MetadataInvalid) as caught:
        Metadata.from_json(text, "m.tflite")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_json_does_not_know_are_refused(metadata, word):
    text = metadata.to_json().replace('"uar":0.25', f'"uar":{word}')
    with pytest.raises(MetadataInvalid, match=f"{word} is no number"):
        Metadata.from_json(text.encode(), "m.tflite")


def test_a_number_too_large_for_a_float_is_refused_wherever_it_stands(metadata):
    text = metadata.to_json().replace('"uar":0.25', '"uar":1e999')
    with pytest.raises(MetadataInvalid, match=r"scores\.uar must be finite"):
        Metadata.from_json(text.encode(), "m.tflite")


def test_a_name_that_stands_twice_in_an_inner_table_is_refused(metadata):
    text = metadata.to_json().replace('"uar":', '"uar":1,"uar":')
    with pytest.raises(MetadataInvalid, match="stands twice"):
        Metadata.from_json(text.encode(), "m.tflite")


def test_a_megabyte_of_a_field_name_makes_no_megabyte_of_message(values):
    with pytest.raises(MetadataInvalid) as caught:
        read({**values, "x" * 1_000_000: 1})
    assert len(str(caught.value)) < 500


def test_a_later_format_is_refused_whatever_else_it_holds():
    with pytest.raises(UnknownFormatVersion, match="format 3, this version reads up to 2"):
        Metadata.from_json(b'{"format_version": 3, "new": true}', "m.tflite")


@pytest.mark.parametrize("version", ["1", 0, -1, 1.0, True, None])
def test_a_format_version_is_a_whole_number(values, version):
    with pytest.raises(MetadataInvalid, match="format_version"):
        read({**values, "format_version": version})


def test_this_version_is_the_newest():
    assert FORMAT_VERSION == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": TensorInfo((1, 19, 4), "float32")}, "gives 1 x 20 x 4, the graph takes 1 x 19"),
        ({"input": TensorInfo((1, 80), "float32")}, "the graph takes 1 x 80"),
        ({"input": TensorInfo((2, 20, 4), "float32")}, "the graph takes 2 x 20 x 4"),
        ({"output": TensorInfo((1, 4), "float32")}, "3 labels, the graph gives 1 x 4"),
        ({"output": TensorInfo((1, 1, 3), "float32")}, "3 labels, the graph gives 1 x 1 x 3"),
        ({"labels": ("a", "b")}, "2 labels, the graph gives 1 x 3"),
        ({"normaliser": Normaliser.identity(5)}, "normaliser has 5 features, the front end 4"),
        ({"front_end": FrontEndSpec(clip_seconds=None)}, "clip_seconds is None"),
    ],
)
def test_parts_that_do_not_fit_are_named(metadata, change, message):
    with pytest.raises(SpecTensorMismatch, match=message):
        check_fit(replace(metadata, **change), "m.tflite")


def test_a_graph_that_would_exhaust_a_device_is_refused(metadata):
    spec = FrontEndSpec(hop_length=16, features=(LogMel(bands=64),), clip_seconds=3600.0)
    vast = replace(
        metadata,
        front_end=spec,
        normaliser=Normaliser.identity(64),
        input=TensorInfo((1, *spec.output_shape), "float32"),
    )
    with pytest.raises(SpecTensorMismatch, match="over 16777216 values"):
        check_fit(vast, "m.tflite")


def test_flat_and_mean_layouts_fit_too(metadata):
    for layout, shape in (("flat", (1, 80)), ("mean", (1, 4))):
        fitting = replace(
            metadata,
            front_end=replace(metadata.front_end, layout=layout),
            normaliser=Normaliser.identity(shape[1]),
            input=TensorInfo(shape, "float32"),
        )
        check_fit(fitting, "m.tflite")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data())
def test_whatever_stands_in_a_field_it_is_read_or_named(metadata, data):
    values = json.loads(metadata.to_json())
    field = data.draw(st.sampled_from([*values, "front_end", "normaliser", "input"]))
    if isinstance(values[field], dict) and values[field] and data.draw(st.booleans()):
        values[field][data.draw(st.sampled_from(sorted(values[field])))] = data.draw(PLAIN)
    else:
        values[field] = data.draw(PLAIN)
    try:
        found = read(values)
        check_fit(found, "m.tflite")
    except ModelFileError:
        return
    assert found.to_json()
