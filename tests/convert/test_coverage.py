"""What a calibration covered, from graphs written by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ser_edge_convert import coverage
from ser_edge_convert.graph import Graph, Operator, Tensor

LABELS = ("angry", "happy", "sad")


def tensor(name, scale=None, zero=0, dtype="int8", **change):
    scales, zeros = ((), ()) if scale is None else ((scale,), (zero,))
    values = {"shape": (1, 4), "constant": False, "variable": False, "bytes": 0}
    return Tensor(name, dtype=dtype, scales=scales, zero_points=zeros, **values | change)


def operator(name, inputs, outputs):
    return Operator(name, 1, inputs, outputs)


@pytest.fixture
def inner():
    """Floats in and out, int8 within: -1.28 to 1.27 in, 0 to 25.5 inside, -12.8 to 12.7 out."""
    tensors = (
        tensor("features", dtype="float32"),
        tensor("quantised", 0.01),
        tensor("kernel", 0.5, constant=True, bytes=4),
        tensor("hidden", 0.1, -128),
        tensor("logits", 0.1),
        tensor("out", dtype="float32"),
    )
    operators = (
        operator("QUANTIZE", (0,), (1,)),
        operator("CONV_2D", (1, 2), (3,)),
        operator("FULLY_CONNECTED", (3, 2), (4,)),
        operator("DEQUANTIZE", (4,), (5,)),
    )
    return Graph(tensors, operators, (0,), (5,), 1)


def measured(graph, features=None, logits=None, classes=LABELS, **settings):
    features = np.zeros((2, 5, 4), np.float32) if features is None else features
    logits = np.zeros((2, 3), np.float32) if logits is None else logits
    return coverage.measure(graph, features, logits, classes=classes, labels=LABELS, **settings)


def test_every_activation_has_its_range_and_no_weight_has(inner):
    found = measured(inner)
    assert [r.name for r in found.ranges] == ["quantised", "hidden", "logits"]
    assert [r.position for r in found.ranges] == [1, 3, 4]
    lows = [r.low for r in found.ranges]
    highs = [r.high for r in found.ranges]
    assert lows == pytest.approx([-1.28, 0.0, -12.8])
    assert highs == pytest.approx([1.27, 25.5, 12.7])


def test_values_beyond_the_range_are_counted_at_both_ends(inner):
    features = np.zeros((10, 5, 4), np.float32)
    features[0, 0] = [1.274, 1.276, -1.284, -1.286]  # half a step beyond still rounds to it
    logits = np.zeros((10, 3), np.float32)
    logits[3] = [13.0, -13.0, 12.7]
    assert measured(inner, features, logits).outside == {
        "input": pytest.approx(2 / 200),
        "output": pytest.approx(2 / 30, abs=1e-6),
    }


def test_many_clips_are_counted_in_pieces(inner):
    features = np.zeros((2 * coverage.ROWS + 3, 5, 4), np.float32)
    features[[0, coverage.ROWS, -1]] = 9
    share = 3 / len(features)
    assert measured(inner, features).outside["input"] == pytest.approx(share, abs=1e-6)


def test_int8_at_the_ends_is_measured_at_the_ends(inner):
    graph = Graph(inner.tensors[1:5], (operator("CONV_2D", (0, 1), (2,)),), (0,), (3,), 1)
    found = measured(graph, np.full((1, 2), 5, np.float32), np.full((1, 3), 50, np.float32))
    assert found.outside == {"input": 1.0}, "the output is made by nothing, so it has no range"
    made = replace(graph, operators=(*graph.operators, operator("ADD", (2, 2), (3,))))
    logits = np.full((1, 3), 50, np.float32)
    assert measured(made, logits=logits).outside == {"input": 0.0, "output": 1.0}


def test_sixteen_bits_reach_further(inner):
    wide = replace(inner.tensors[1], dtype="int16")
    graph = replace(inner, tensors=(inner.tensors[0], wide, *inner.tensors[2:]))
    assert measured(graph).ranges[0].high == pytest.approx(327.67)


def test_a_network_in_floats_has_no_ranges():
    tensors = (tensor("features", dtype="float32"), tensor("logits", dtype="float32"))
    graph = Graph(tensors, (operator("FULLY_CONNECTED", (0,), (1,)),), (0,), (1,), 1)
    found = measured(graph)
    assert (found.ranges, found.outside, found.warnings) == ((), {}, [])


def test_no_clip_is_no_share(inner):
    none = np.zeros((0, 5, 4), np.float32)
    assert measured(inner, none, np.zeros((0, 3), np.float32)).outside == {
        "input": 0.0, "output": 0.0,
    }  # fmt: skip


def test_all_well_warns_of_nothing(inner):
    assert measured(inner).warnings == []


def test_a_class_without_clips_is_named(inner):
    found = measured(inner, classes={"happy"})
    assert found.absent == ("angry", "sad")
    (line,) = found.warnings
    assert "no clip of the class angry, sad" in line
    assert "--calibration-size" in line
    assert found.summary()["absent_classes"] == ["angry", "sad"]


def test_saturation_is_said_with_its_share_and_end(inner):
    features = np.zeros((100, 5, 4), np.float32)
    features[:2] = 9
    (line,) = measured(inner, features).warnings
    assert "saturates: 2.0 % of the input values" in line
    assert line.endswith("; raise --calibration-size")
    assert "\n" not in line


def test_whoever_calibrates_on_all_clips_is_not_told_to_take_more(inner):
    features = np.zeros((100, 5, 4), np.float32)
    features[:2] = 9
    absent, saturates = measured(inner, features, classes={"sad"}, whole=True).warnings
    assert absent.endswith("; add training clips of it")
    assert saturates.endswith("; train on more clips, these are all")


def test_a_share_at_the_bound_is_no_warning(inner):
    features = np.zeros((100, 5, 4), np.float32)
    features[0] = 9
    found = measured(inner, features)
    assert found.outside["input"] == coverage.MOST_OUTSIDE
    assert found.warnings == []


def test_the_model_file_keeps_ranges_by_position_and_the_report_names_them(inner):
    found = measured(inner)
    assert found.summary()["ranges"]["1"] == [-1.28, 1.27]
    assert found.listing()[1] == {"position": 3, "tensor": "hidden", "low": 0.0, "high": 25.5}
    json.dumps([found.summary(), found.listing()], allow_nan=False)


def test_too_many_ranges_are_left_to_the_report(inner):
    found = measured(inner)
    many = replace(found, ranges=tuple(
        replace(found.ranges[0], position=n) for n in range(coverage.MOST_RANGES + 1)
    ))  # fmt: skip
    assert many.summary()["ranges"] is None
    assert len(many.listing()) == coverage.MOST_RANGES + 1
    assert replace(many, ranges=many.ranges[1:]).summary()["ranges"] is not None
