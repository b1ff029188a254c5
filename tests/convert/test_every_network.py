"""Each network that a recipe can name, exported: the file says what Keras says."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert import export  # noqa: E402
from ser_edge_convert.fused_lstm import prepare  # noqa: E402
from ser_edge_convert.graph import read_graph  # noqa: E402
from ser_edge_train.networks import build  # noqa: E402
from tests.convert.test_export import BOUND, answers  # noqa: E402
from tests.train.small_networks import SMALL  # noqa: E402

# tensorflow 2.21.0 warns of every int8 conversion by its own calibrator; nothing is left to give.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Statistics for quantized inputs were expected:UserWarning"
)

SHAPE = (24, 10)
RECURRENT = {"cnn_lstm": "fused", "lstm_cnn": "fused", "rnn": "unrolled"}


def clips(count: int, seed: int) -> np.ndarray:
    """As a normaliser leaves them; each clip has a mean and a loudness of its own."""
    rng = np.random.default_rng(seed)
    slow, fast = rng.normal(size=(count, 1, SHAPE[1])), rng.normal(size=(count, *SHAPE))
    return ((slow + fast * rng.uniform(0.3, 1.5, (count, 1, 1))) / 1.4).astype(np.float32)


def seasoned(name: str, **parameters: object):
    """A network whose normalisations have seen clips, and whose logits differ."""
    keras.utils.set_random_seed(1)
    model = build(name, SHAPE, 4, **{**SMALL[name], **parameters})
    for step in range(30):
        model(clips(32, step), training=True)
    last = model.get_layer("logits")
    last.kernel.assign(
        np.random.default_rng(3).normal(scale=2.0, size=last.kernel.shape).astype(np.float32)
    )
    return model


def exported(model, variant: str) -> tuple[bytes, dict[str, str]]:
    copy, forms = prepare(model, "fused")
    return export.to_flatbuffer(copy, variant, clips(150, 100)), forms


def probe() -> np.ndarray:
    """Of the clips that were calibrated on: what lies beyond their range is another matter."""
    return clips(150, 100)[:40]


@pytest.mark.parametrize("variant", ["float32", "int8"])
@pytest.mark.parametrize("name", SMALL)
def test_a_network_says_the_same_as_a_file(name, variant):
    model = seasoned(name)
    flatbuffer, forms = exported(model, variant)
    expected = export.network_logits(model, probe())
    error = np.abs(answers(flatbuffer, probe()) - expected).max() / np.ptp(expected)
    assert error < BOUND[variant]
    assert set(forms.values()) == ({RECURRENT[name]} if name in RECURRENT else set())
    graph = read_graph(flatbuffer)
    assert graph.subgraphs == 1
    assert "WHILE" not in graph.counts
    assert (graph.inner_floats == ()) is (variant == "int8")
    assert not {"REDUCE_MAX", "SQRT"} & graph.counts.keys(), "not on every interpreter"


@pytest.mark.parametrize("variant", ["dynamic", "int16x8"])
def test_a_simple_rnn_is_unrolled_in_every_variant(variant):
    model = seasoned("rnn")
    flatbuffer, forms = exported(model, variant)
    expected = export.network_logits(model, probe())
    assert set(forms.values()) == {"unrolled"}
    assert not read_graph(flatbuffer).keeps_state
    assert np.abs(answers(flatbuffer, probe()) - expected).max() / np.ptp(expected) < BOUND[variant]


def test_an_unrolled_rnns_weights_stand_in_the_file_once():
    """A copy of the cell a step, but not of its kernels."""
    sizes = []
    for steps in (8, 24):
        keras.utils.set_random_seed(1)
        model = build("rnn", (steps, 10), 4, units=(64,), dropout=0.0)
        copy, _ = prepare(model, "fused")
        sizes.append(len(export.to_flatbuffer(copy, "float32", None)))
    kernels = 4 * (10 * 64 + 64 * 64)
    assert kernels < sizes[0]
    assert sizes[1] - sizes[0] < kernels


def test_pooling_over_all_frames_is_an_operator_that_delegates_know():
    graph = read_graph(exported(seasoned("res_cnn1d"), "int8")[0])
    assert graph.counts["MAX_POOL_2D"] == 1
    assert graph.counts["MEAN"] == 1


def test_attention_is_made_of_operators_that_delegates_know():
    graph = read_graph(exported(seasoned("cnn2d"), "int8")[0])
    assert graph.counts["SOFTMAX"] == 1
    # Over frequency, and weighted over time.
    assert graph.counts["MEAN"] == 2
    assert not {"AVERAGE_POOL_2D", "BATCH_MATMUL", "SUM", "TRANSPOSE"} & graph.counts.keys()


def test_centred_features_and_weighed_channels_are_kept_in_int8():
    series = ({"channels": 8, "kernel": 3, "squeeze": 2},)
    model = seasoned("cnn2d", centred=True, series=series)
    flatbuffer, _ = exported(model, "int8")
    expected = export.network_logits(model, probe())
    error = np.abs(answers(flatbuffer, probe()) - expected).max() / np.ptp(expected)
    assert error < BOUND["int8"]
    graph = read_graph(flatbuffer)
    assert graph.inner_floats == ()
    assert graph.counts["LOGISTIC"] == graph.counts["SUB"] == 1


def test_a_tdnns_deviation_is_made_of_operators_that_old_interpreters_have_in_int8():
    graph = read_graph(exported(seasoned("tdnn"), "int8")[0])
    assert graph.counts["RSQRT"] == 1
    # Its dilations are the convolution's own, not gaps filled around it.
    assert "SPACE_TO_BATCH_ND" not in graph.counts
