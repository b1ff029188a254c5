"""Whole files held to whole tables: what is mapped, what falls back, what runs nowhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge_convert.errors import ConversionFailed, ConversionRefused
from ser_edge_convert.graph import Graph, read_graph
from ser_edge_convert.lint import Status, lint, linting
from ser_edge_convert.lint.compilers import Compilation
from ser_edge_convert.lint.reading import read_flatbuffer
from ser_edge_convert.lint.tables import TARGETS
from ser_edge_runtime.errors import NotAModel, UnreadableModel, ZipNotCanonical
from ser_edge_runtime.model_file import default_model_path, read_model_file
from tests.convert.lint.graphs import numbers, one, tensor, weights

DATA = Path(__file__).resolve().parents[2] / "data"
DEFAULT = read_model_file(default_model_path()).flatbuffer
# In int8, so that every target has a say.
SHIPPED = default_model_path().with_name("small.tflite")
SMALL = read_model_file(SHIPPED).flatbuffer
FLOAT = tensor(dtype="float32", scales=(), zero_points=())


def toy(name: str) -> bytes:
    return (DATA / f"{name}.tflite").read_bytes()


@pytest.fixture
def lint_graphs(monkeypatch):
    """Lints graphs that no file holds."""

    def run(target: str, *graphs: Graph):
        monkeypatch.setattr(linting, "read_graphs", lambda flatbuffer: graphs)
        return linting.lint(b"", target)

    return run


def joined(*graphs: Graph) -> Graph:
    """The operators of several graphs of one operator, one after another."""
    tensors, operators = [], []
    for graph in graphs:
        shift = len(tensors)
        tensors += graph.tensors
        for operator in graph.operators:
            inputs = tuple(i + shift if i >= 0 else i for i in operator.inputs)
            outputs = tuple(i + shift for i in operator.outputs)
            operators.append(replace(operator, inputs=inputs, outputs=outputs))
    return Graph(tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,), 1)


@pytest.mark.parametrize("target", TARGETS)
def test_the_smallest_model_runs_everywhere(target):
    report = lint(SMALL, target)
    assert report.runs, report.verdict
    assert report.verdict.startswith(f"runs on {target}")
    assert sum(report.counts.values()) == len(report.findings)
    assert [finding.position for finding in report.findings] == list(range(len(report.findings)))


@pytest.mark.parametrize("target", ["cpu", "web", "gpu"])
def test_the_default_model_runs_where_there_is_a_processor(target):
    report = lint(DEFAULT, target)
    assert report.runs, report.verdict
    assert report.counts["mapped"] == len(report.findings)


@pytest.mark.parametrize("target", ["micro", "ethos-u", "edgetpu"])
def test_where_it_does_not_run_it_is_said_why(target):
    report = lint(DEFAULT, target)
    assert not report.runs
    if target == "micro":
        missing = {f.operator for f in report.findings if f.status is Status.MISSING}
        assert missing == {"CONV_2D", "FULLY_CONNECTED"}
        assert "has int8 weights under float32 activations" in report.findings[2].reasons
    else:
        assert "not quantised: all activations are float32" in report.verdict
        assert report.verdict.endswith("convert with --variant int8-io")


def in_floats(graph: Graph) -> list[int]:
    """Places of the operators that take or give floats."""
    return [
        place
        for place, operator in enumerate(graph.operators)
        for tensors in [[i for i in (*operator.inputs, *operator.outputs) if i >= 0]]
        if any(graph.tensors[i].dtype == "float32" for i in tensors)
    ]


def test_what_the_smallest_model_has_in_floats_stays_on_the_processor():
    floats = in_floats(read_graph(SMALL))
    assert 2 < len(floats) < len(read_graph(SMALL).operators) - 2
    left = [f for f in lint(SMALL, "ethos-u").findings if f.status is not Status.MAPPED]
    assert [f.position for f in left] == floats
    assert left[0].operator == "QUANTIZE"
    assert all(f.status is Status.CPU for f in left)
    assert "works on float32" in left[0].reasons[0]


def test_the_share_before_the_first_unsupported_passes_over_the_conversion_at_the_input():
    report = lint(SMALL, "edgetpu")
    ends, first, *_ = in_floats(read_graph(SMALL))
    assert ends == 0
    assert report.share == (first - 1) / len(report.findings)
    left = [f.position for f in report.findings if f.status is not Status.MAPPED]
    assert left == [0, *range(first, len(report.findings))]
    assert f"{100 * report.share:.0f} % before the first" in report.verdict
    assert lint(SMALL, "ethos-u").share is None, "it takes operators in any place"
    assert lint(toy("toy_int8"), "edgetpu").share is not None


def test_all_behind_the_first_unsupported_falls_back_on_an_edge_tpu(lint_graphs):
    graph = joined(
        one("CONV_2D", tensor(), weights(), dilation_w_factor=1, dilation_h_factor=1),
        one("UNPACK", tensor()),
        one("TANH", tensor()),
        one("ADD", tensor(), tensor()),
    )
    report = lint_graphs("edgetpu", graph)
    statuses = [finding.status.value for finding in report.findings]
    assert statuses == ["mapped", "cpu", "cpu", "cpu"]
    assert report.findings[2].reasons == ("stands after UNPACK (1), which is not mapped",)
    assert report.share == 1 / 4
    assert report.runs
    # Ethos-U takes up again behind it.
    again = lint_graphs("ethos-u", joined(graph, one("COS", FLOAT, output=FLOAT)))
    assert [f.status.value for f in again.findings] == ["mapped"] * 4 + ["cpu"]


def test_a_float_model_is_none_for_an_edge_tpu():
    report = lint(toy("toy_float"), "edgetpu")
    assert not report.runs
    assert "not quantised" in report.verdict
    assert "--variant int8-io" in report.verdict
    assert report.counts["mapped"] == 0
    assert report.counts["cpu"] == len(report.findings), "it would all run beside it"


def test_what_tflite_micro_has_no_kernel_for_runs_nowhere(lint_graphs):
    report = lint_graphs("micro", one("RFFT2D", FLOAT, output=FLOAT))
    assert not report.runs
    assert report.verdict == "does not run on micro: no kernel for RFFT2D as used here"
    beside = lint_graphs("ethos-u", joined(one("TANH", tensor()), one("RFFT2D", FLOAT)))
    assert beside.findings[1].status is Status.MISSING
    assert "micro: not in the target's table" in beside.findings[1].reasons
    assert not beside.runs


def test_float16_and_dynamic_range_have_no_kernels_on_micro(lint_graphs):
    half = tensor(dtype="float16", constant=True, scales=())
    unpacking = lint_graphs("micro", one("DEQUANTIZE", half, output=FLOAT))
    assert "input 0 is float16" in unpacking.findings[0].reasons[0]
    hybrid = lint_graphs("micro", one("FULLY_CONNECTED", FLOAT, weights(), output=FLOAT))
    assert "int8 weights under float32" in hybrid.findings[0].reasons[0]


def test_a_weight_that_is_unpacked_first_counts_as_stored(lint_graphs):
    half = tensor(dtype="float16", constant=True, scales=())
    unpacking = one("DEQUANTIZE", half, output=FLOAT)
    convolution = one("CONV_2D", FLOAT, FLOAT, FLOAT, output=FLOAT)
    graph = joined(unpacking, convolution)
    # The second and third input of the convolution are what was unpacked.
    last = graph.operators[1]
    graph = replace(graph, operators=(graph.operators[0], replace(last, inputs=(2, 1, 1))))
    assert lint_graphs("gpu", graph).counts["mapped"] == 2


def test_a_custom_operator_runs_where_it_is_known(lint_graphs):
    assert not lint(toy("toy_unknown_op"), "cpu").runs
    assert "FromNowhere" in lint(toy("toy_unknown_op"), "cpu").verdict
    assert lint_graphs("micro", one("CUSTOM", tensor(), custom="ethos-u")).runs


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (one("TANH", tensor()), "int8 at its ends (t), only float32, int32"),
        (one("TANH", FLOAT, tensor(variable=True), output=FLOAT), "keeps a state (t)"),
        (
            one("TANH", replace(FLOAT, shape=(-1, 8)), output=FLOAT),
            "a dynamic shape (t): convert with a batch of one",
        ),
    ],
)
def test_a_browser_refuses_whole_files(lint_graphs, graph, words):
    report = lint_graphs("web", graph)
    assert report.counts["missing"] == 0
    assert not report.runs
    assert words in report.verdict
    assert report.verdict.startswith("does not run on web: ")


def test_the_bodies_of_loops_are_looked_at_too(lint_graphs):
    main, body = one("WHILE", FLOAT, output=FLOAT, subgraphs=2), one("RFFT2D", FLOAT, output=FLOAT)
    report = lint_graphs("micro", main, body)
    assert [(f.graph, f.operator) for f in report.findings] == [(0, "WHILE"), (1, "RFFT2D")]
    assert not report.runs


def test_no_accelerator_runs_the_body_of_a_loop(lint_graphs):
    main, body = one("WHILE", tensor(), subgraphs=2), one("TANH", tensor(), subgraphs=2)
    for target in ("edgetpu", "ethos-u", "gpu"):
        report = lint_graphs(target, joined(one("TANH", tensor()), main), body)
        assert [f.status.value for f in report.findings] == ["mapped", "cpu", "cpu"]
        assert report.findings[2].reasons
    assert lint_graphs("micro", main, body).counts["mapped"] == 2


def test_the_release_that_a_file_needs_is_told(lint_graphs):
    (note,) = lint(SMALL, "cpu").notes
    assert "tflite-runtime" not in note
    graph = one("FULLY_CONNECTED", FLOAT, weights(), output=FLOAT, version=12)
    (note,) = lint_graphs("cpu", graph).notes
    assert "TensorFlow Lite 2.17.0 or later (FULLY_CONNECTED version 12)" in note
    assert "not tflite-runtime 2.14.0" in note


def test_a_version_from_the_future_is_no_kernel(lint_graphs):
    report = lint_graphs("cpu", one("FULLY_CONNECTED", FLOAT, output=FLOAT, version=99))
    assert not report.runs
    assert "version 99 is unknown" in report.findings[0].reasons[0]


def test_a_pool_of_a_whole_clip_maps_on_ethos_u(lint_graphs):
    pool = {"stride_w": 47, "stride_h": 1, "filter_width": 47, "filter_height": 1}
    assert lint_graphs("ethos-u", one("MAX_POOL_2D", tensor(), padding="VALID", **pool)).runs
    assert not lint_graphs("ethos-u", one("MAX_POOL_2D", tensor(), padding="SAME", **pool)).runs


def test_means_over_a_constant_axis_alone(lint_graphs):
    assert lint_graphs("edgetpu", one("MEAN", tensor((1, 5, 8)), numbers(1))).runs
    assert not lint_graphs("edgetpu", one("MEAN", tensor((1, 5, 8)), numbers(0))).runs


def test_the_compiler_has_the_last_word():
    report = lint(SMALL, "ethos-u")
    takes = replace(report, compilation=Compilation("vela 5.2.0", True, {"sram_kib": 58.8}))
    assert takes.runs
    assert takes.verdict.endswith("; vela 5.2.0 takes it")
    refuses = replace(report, compilation=Compilation("vela 5.2.0", False, {}, (), "too large"))
    assert not refuses.runs
    assert refuses.verdict == "does not run on ethos-u: vela 5.2.0 refuses it: too large"
    other = replace(lint(toy("toy_float"), "ethos-u"), compilation=takes.compilation)
    assert other.runs
    assert "though its table has it otherwise: not quantised" in other.verdict


def test_a_report_is_json():
    report = lint(SMALL, "edgetpu")
    read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert read["report_version"] == 1
    assert read["runs"] is True
    assert read["operators"] == report.counts
    assert read["findings"][0]["status"] == "cpu"
    assert read["compiler"] is None
    assert read["source"].startswith("https://coral.ai/")


def test_unknown_targets_and_other_bytes_are_refused():
    with pytest.raises(ConversionRefused, match="no target 'moon'"):
        lint(SMALL, "moon")
    with pytest.raises(ConversionFailed, match="not a TensorFlow Lite file"):
        lint(b"nothing", "cpu")


@pytest.mark.parametrize("length", [8, 40, 1000, len(SMALL) - 3000])
def test_a_file_cut_short_is_one_line(length):
    with pytest.raises(ConversionFailed, match="damaged or cut short") as caught:
        lint(SMALL[:length], "cpu")
    assert "\n" not in str(caught.value)


def test_any_tflite_can_be_read(tmp_path):
    assert read_flatbuffer(SHIPPED) == (SMALL, "micro")
    assert read_flatbuffer(DATA / "toy_int8.tflite") == (toy("toy_int8"), "")
    with pytest.raises(UnreadableModel):
        read_flatbuffer(tmp_path / "none.tflite")
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(NotAModel):
        read_flatbuffer(tmp_path / "text")
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(SHIPPED.read_bytes() + b"\0")
    with pytest.raises(ZipNotCanonical):
        read_flatbuffer(changed)
