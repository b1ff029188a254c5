"""Delegates, with one of our own that is compiled here; with every interpreter installed."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime import Classifier, StreamingClassifier
from ser_edge_runtime.backends import available_backends
from ser_edge_runtime.delegates import (
    NONE,
    XNNPACK,
    Delegate,
    Delegated,
    as_delegate,
    hear,
    say,
    taken_operators,
)
from ser_edge_runtime.errors import DelegateFailed, InvokeFailed
from ser_edge_runtime.interpreter import Interpreter

from ..toy_delegate import compile_delegate
from .machines import XNNPACK_BUILT_IN

DATA = Path(__file__).resolve().parent.parent / "data"
# TensorFlow's interpreter is ai-edge-litert's, and half a minute to import.
USABLE = [n for n, _, fault in available_backends() if fault is None and n != "tensorflow"]
GRAPH = (DATA / "toy_float.tflite").read_bytes()
FEATURES = np.random.default_rng(5).standard_normal((20, 4)).astype(np.float32)


@pytest.fixture(params=USABLE)
def backend(request):
    return request.param


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_delegate(tmp_path_factory.mktemp("delegate"))


@pytest.fixture
def expected(backend):
    return Interpreter(GRAPH, backend=backend, delegate=NONE).invoke(FEATURES)


def create(backend, library, fallback=False, **options):
    delegate = Delegate(library, tuple(options.items()), fallback)
    return Interpreter(GRAPH, backend=backend, delegate=delegate)


def fault_of(backend, library, **options):
    with pytest.raises(DelegateFailed) as caught:
        create(backend, library, **options)
    assert caught.value.library == library
    text = str(caught.value)
    assert text.startswith(f"{library}: ")
    assert text.isprintable()
    return text


def test_a_delegate_that_is_present_computes_the_logits(backend, library, expected):
    for delegate in (library, Delegate(library)):
        interpreter = Interpreter(GRAPH, backend=backend, delegate=delegate)
        assert interpreter.delegated == Delegated(library, 2, 2)
        np.testing.assert_allclose(interpreter.invoke(FEATURES), expected, atol=1e-6)


def test_its_options_reach_it_and_it_is_the_one_that_computes(backend, library, expected):
    doubled = create(backend, library, scale="2", take="all").invoke(FEATURES)
    np.testing.assert_allclose(doubled, 2 * expected, atol=1e-6)


def test_a_delegate_that_is_missing_or_no_library(backend, tmp_path, capfd):
    text = tmp_path / "text.so"
    text.write_text("not a library")
    for path in (tmp_path / "none.so", text, tmp_path):
        assert "cannot be loaded as a delegate" in fault_of(backend, str(path))
    assert "Traceback" not in capfd.readouterr().err


def test_a_library_that_is_no_delegate(backend, tmp_path):
    half = compile_delegate(tmp_path, "-DHALF")
    assert "tflite_plugin_destroy_delegate" in fault_of(backend, half)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fail": "create"}, "cannot be loaded as a delegate .*no accelerator here"),
        ({"colour": "red"}, "cannot be loaded as a delegate .*unknown option colour"),
        ({"fail": "prepare"}, "does not take the graph .*the accelerator knows no such graph"),
        ({"fail": "kernel"}, "does not take the graph .*the accelerator is out of memory"),
        ({"take": "mean"}, "takes 1 of the graph's 2 operators"),
        ({"take": "none"}, "takes 0 of the graph's 2 operators"),
    ],
    ids=["at load", "option", "at prepare", "kernel at prepare", "partial", "nothing"],
)
def test_one_that_fails_ends_it_unless_it_may_fall_back(
    backend, library, expected, caplog, options, words
):
    text = fault_of(backend, library, **options)
    assert text.endswith(" with --delegate-fallback")
    assert not caplog.records
    interpreter = create(backend, library, fallback=True, **options)
    np.testing.assert_allclose(interpreter.invoke(FEATURES), expected, atol=1e-6)
    (line,) = caplog.messages
    for said in (text, line):
        assert re.search(words, said), said
    assert re.search("; the CPU runs the (model|others)$", line)


def test_a_fallback_says_what_runs_where(backend, library):
    partial = create(backend, library, fallback=True, take="mean").delegated
    assert partial == Delegated(library, 1, 2)
    assert partial.words == f"{library}: runs 1 of 2 operators"
    failed = create(backend, library, fallback=True, fail="create").delegated
    assert (failed.taken, failed.operators) == (0, 2)
    assert "no accelerator here" in failed.fault
    assert failed.words.startswith(f"{library}: not used (")


def test_nothing_is_said_of_one_that_runs_all(backend, library, caplog, capfd):
    create(backend, library, fallback=True).invoke(FEATURES)
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_one_that_fails_while_running_is_one_line(backend, library):
    interpreter = create(backend, library, fallback=True, fail="invoke")
    with pytest.raises(InvokeFailed, match="the accelerator was unplugged") as caught:
        interpreter.invoke(FEATURES)
    assert str(caught.value).isprintable()


def test_xnnpack_is_on_unless_it_is_left_out(backend, expected):
    usual, named, plain = (
        Interpreter(GRAPH, backend=backend, delegate=choice) for choice in (None, XNNPACK, NONE)
    )
    # tflite-runtime 2.14 gives it the one, the others both.
    assert usual.delegated == named.delegated
    assert usual.delegated.library == XNNPACK
    assert XNNPACK_BUILT_IN <= usual.delegated.taken <= usual.delegated.operators == 2
    assert plain.delegated == Delegated(NONE, 0, 2)
    assert plain.delegated.words == "none: plain kernels run all 2 operators"
    np.testing.assert_allclose(usual.invoke(FEATURES), expected, atol=1e-6)


def test_classifiers_and_streams_hand_it_on(library):
    model = DATA / "format_v1.tflite"
    delegate = Delegate(library, (("take", "mean"),), True)
    for classifier in (
        Classifier.load(model, delegate=delegate),
        StreamingClassifier.load(model, delegate=delegate).classifier,
    ):
        assert classifier.delegated.library == library
        assert classifier.delegated.taken == 1


def test_a_choice_is_a_library_or_a_delegate_or_xnnpack():
    assert as_delegate(None) == Delegate(XNNPACK)
    assert as_delegate("libedgetpu.so.1") == Delegate("libedgetpu.so.1")
    chosen = Delegate("x.so", (("device", "usb:0"),), True)
    assert as_delegate(chosen) is chosen
    assert pickle.loads(pickle.dumps(chosen)) == chosen
    assert [Delegate(name).external for name in ("x.so", "./none", XNNPACK, NONE)] == [
        True, True, False, False,
    ]  # fmt: skip


def operation(name, inputs, outputs):
    return {"op_name": name, "inputs": np.array(inputs), "outputs": np.array(outputs)}


CHAIN = [operation("A", [0, 9], [1]), operation("B", [1, -1], [2]), operation("C", [2], [3])]


@pytest.mark.parametrize(
    ("groups", "taken"),
    [
        ([], 0),
        ([operation("DELEGATE", [0, 9], [3])], 3),
        ([operation("DELEGATE", [1], [2])], 1),
        ([operation("DELEGATE", [0, 9], [2])], 2),
        ([operation("DELEGATE", [0, 9], [1]), operation("DELEGATE", [2], [3])], 2),
        ([operation("DELEGATE", [0, 9], [1, 2])], 2),
    ],
)
def test_operators_taken_are_those_between_a_groups_ends(groups, taken):
    assert taken_operators(CHAIN + groups) == (taken, 3)


def test_a_fork_that_a_group_rejoins_is_counted_once():
    graph = [
        operation("A", [0], [1]),
        operation("B", [1], [2]),
        operation("C", [1], [3]),
        operation("D", [2, 3], [4]),
    ]
    assert taken_operators([*graph, operation("DELEGATE", [0], [4])]) == (4, 4)


def test_each_line_is_heard_once(capsys):
    logger = logging.getLogger("ser_edge_runtime.delegates")
    before = logger.handlers[:]
    try:
        hear("ser-edge: ")
        for line in ("x.so: 100 % of it fails", "x.so: 100 % of it fails", "y.so: fails"):
            say(line)
    finally:
        logger.handlers[:] = before
    assert capsys.readouterr().err.splitlines() == [
        "ser-edge: x.so: 100 % of it fails", "ser-edge: y.so: fails",
    ]  # fmt: skip
