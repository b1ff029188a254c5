"""Each condition of the tables, where it holds and where it does not."""

from __future__ import annotations

import pytest

from ser_edge_convert.lint.conditions import CONDITIONS, failed
from tests.convert.lint.graphs import numbers, one, tensor, weights

STATE = tensor(dtype="int16", variable=True)
LONG, TALL = tensor((1, 5, 8)), tensor((5, 1, 8))

CASES = [
    ("types int8 uint8", one("ADD", tensor(), tensor()), None),
    ("types int8", one("ADD", tensor(dtype="int16")), "works on int16"),
    ("types int8", one("ADD", tensor(), output=tensor(dtype="float32")), "works on float32"),
    ("types int8", one("CONV_2D", tensor(), weights(dtype="float32"), STATE), None),
    ("constant-types int8 int32", one("CONV_2D", tensor(), weights(), numbers(1)), None),
    ("constant-types int8", one("CONV_2D", tensor(), weights(dtype="int64")), "int64 constants"),
    ("input-types 1 int32", one("GATHER", tensor(), numbers(1)), None),
    ("input-types 1 int32", one("GATHER", tensor(), tensor()), "input 1 is int8, not int32"),
    ("input-types 5 int32", one("GATHER", tensor()), None),
    ("same-arithmetic", one("CONV_2D", tensor(), weights()), None),
    (
        "same-arithmetic",
        one("CONV_2D", tensor(dtype="float32"), weights()),
        "int8 weights under float32 activations",
    ),
    ("same-arithmetic", one("CONV_2D", tensor(dtype="float32"), weights(dtype="float32")), None),
    ("static", one("ADD", tensor((1, 8))), None),
    ("static", one("ADD", tensor((-1, 8))), "dynamic shape (-1x8)"),
    ("static 1", one("ADD", tensor((-1, 8))), None),
    ("static 1", one("ADD", tensor((1, -1))), "dynamic shape (1x-1)"),
    ("innermost 3", one("ADD", tensor((1, 2, 3, 4))), None),
    ("innermost 3", one("ADD", tensor((2, 2, 3, 4))), "2x2x3x4, only the 3 innermost"),
    ("quantised", one("ADD", tensor()), None),
    ("quantised", one("ADD", tensor(scales=())), "without a scale"),
    ("quantised", one("ADD", tensor(scales=(1.0, 2.0))), "one an axis"),
    ("quantised", one("CONV_2D", tensor(), weights(scales=(1.0, 2.0))), None),
    ("same-scales", one("MAXIMUM", tensor(), tensor()), None),
    ("same-scales", one("MAXIMUM", tensor(scales=(0.2,))), "quantised differently"),
    ("rank 0 3 4", one("SLICE", LONG), None),
    ("rank 0 3 4", one("SLICE", tensor()), "input 0 has 2 axes, not 3 or 4"),
    ("option beta 1", one("SOFTMAX", tensor(), beta=1.0), None),
    ("option beta 1", one("SOFTMAX", tensor(), beta=0.5), "beta is 0.5, not 1"),
    ("option keep_dims 0", one("MEAN", tensor(), keep_dims=True), "keep_dims is 1, not 0"),
    ("option keep_dims 0", one("MEAN", tensor()), None),
    ("option padding VALID", one("PAD", tensor(), padding="SAME"), "SAME, not VALID"),
    ("equal-options a b", one("CONV_2D", a=2, b=2), None),
    ("equal-options a b", one("CONV_2D", a=2, b=1), "a is 2, b is 1"),
    ("constant 1 2", one("CONV_2D", tensor(), weights(), None), None),
    ("constant 1", one("MEAN", tensor(), tensor(dtype="int32")), "input 1 is not constant"),
    ("left-out 1 2 peephole_connections", one("LSTM", tensor(), None, None), None),
    ("left-out 1 2 a_gate", one("LSTM", tensor(), None, weights()), "uses a gate"),
    ("there 1 2 gates", one("LSTM", tensor(), weights(), weights()), None),
    ("there 1 2 gates", one("LSTM", tensor(), None, weights()), "lacks gates"),
    ("fed-inputs 1 2", one("ADD", tensor(), weights()), None),
    ("fed-inputs 2", one("ADD", tensor(), weights()), "1 computed inputs, not 2"),
    ("no-zero-padding-beside", one("CONCATENATION", tensor(), tensor()), None),
    ("no-zero-padding-beside", one("CONCATENATION", tensor(), weights()), "joins a constant"),
    ("axes-not-batch", one("MEAN", tensor(), numbers(1)), None),
    ("axes-not-batch", one("MEAN", tensor(), numbers(-2)), "reduces the batch axis"),
    ("axes-not-batch", one("MEAN", tensor(), tensor()), "not constant"),
    ("last-axis-multiple 4", one("MEAN", tensor((1, 8)), numbers(-1)), None),
    ("last-axis-multiple 4", one("MEAN", tensor((1, 6)), numbers(1)), "6 channels"),
    ("last-axis-multiple 4", one("MEAN", tensor((1, 5, 6)), numbers(1)), None),
    ("option-axis-not-batch", one("PACK", tensor(), axis=1), None),
    ("option-axis-not-batch", one("PACK", tensor(), axis=-2), "along the batch axis"),
    ("split-not-batch 0", one("SPLIT", numbers(1), tensor()), None),
    ("split-not-batch 0", one("SPLIT", numbers(0), tensor()), "splits the batch axis"),
    ("split-not-batch 0", one("SPLIT", tensor(), tensor()), "not constant"),
    ("pads-not-batch", one("PAD", tensor(), numbers(0, 0, 1, 1)), None),
    ("pads-not-batch", one("PAD", tensor(), numbers(0, 1, 0, 0)), "pads the batch axis"),
    ("pads-not-batch", one("PAD", tensor(), tensor()), "not constant"),
    ("paddings-of 3 4", one("PAD", LONG, numbers(*[0] * 6, shape=(3, 2))), None),
    ("paddings-of 3 4", one("PAD", LONG, numbers(0, 0, shape=(1, 2))), "pads 1x2"),
    ("one-axis output", one("FULLY_CONNECTED", LONG, output=tensor((1, 8))), None),
    ("one-axis output", one("FULLY_CONNECTED", LONG, output=LONG), "more than one axis"),
    ("one-axis input 16000", one("SOFTMAX", tensor((1, 16000))), None),
    ("one-axis input 16000", one("SOFTMAX", tensor((1, 16001))), "16001 elements"),
    ("one-axis input 16000", one("SOFTMAX", TALL), "more than one axis"),
    ("unit-strides", one("STRIDED_SLICE", *[tensor()] * 3, numbers(1, 1)), None),
    ("unit-strides", one("STRIDED_SLICE", *[tensor()] * 3, numbers(1, 2)), "(1, 2), not 1"),
    ("unit-strides", one("STRIDED_SLICE", *[tensor()] * 4), "not constant"),
    ("stride-at-most 3", one("CONV_2D", stride_w=3, stride_h=1), None),
    ("stride-at-most 3", one("CONV_2D", stride_w=4, padding="VALID"), "a stride of 4"),
    ("stride-at-most 3 valid", one("CONV_2D", stride_w=4, padding="VALID"), None),
    ("stride-at-most 3 valid", one("CONV_2D", stride_w=4, padding="SAME"), "a stride of 4"),
    (
        "stride-at-most 3 valid",
        one("CONV_2D", stride_w=4, padding="VALID", dilation_w_factor=2),
        "a stride of 4",
    ),
    ("pool-window 8", one("AVERAGE_POOL_2D", filter_width=47, padding="VALID"), None),
    ("pool-window 8", one("AVERAGE_POOL_2D", filter_width=9, padding="SAME"), "1x9, 8 a side"),
    ("pool-window", one("MAX_POOL_2D", filter_width=9, padding="SAME"), None),
    ("pool-window", one("MAX_POOL_2D", filter_height=257, padding="VALID"), "257x1"),
    ("reduction 4096", one("MEAN", tensor((1, 94, 64)), numbers(1)), None),
    ("reduction 4096", one("MEAN", tensor((2, 94)), numbers(1)), "its batch is 2"),
    ("reduction 4096", one("MEAN", tensor((1, 4096)), numbers(1)), "below 4096"),
    (
        "reduction 4096",
        one("MEAN", tensor((1, 300, 300), "int16"), numbers(1, 2)),
        "reduces 90000 elements, 65536 at most",
    ),
    ("reduction 4096", one("MEAN", tensor(), tensor()), "not constant"),
]


@pytest.mark.parametrize(
    ("line", "graph", "words"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_a_condition(line, graph, words):
    reason = failed(line, graph.operators[0], graph)
    if words is None:
        assert reason is None
    else:
        assert reason is not None
        assert words in reason
        assert "\n" not in reason


def test_every_condition_is_seen_to_hold_and_to_fail():
    for outcome in (True, False):
        seen = {line.split()[0] for line, _, words in CASES if (words is None) == outcome}
        assert seen == set(CONDITIONS)


def test_an_unknown_condition_is_a_fault_of_the_table():
    graph = one("ADD", tensor())
    with pytest.raises(KeyError):
        failed("blue", graph.operators[0], graph)
