"""An int8 LSTM network from the real converter in ai-edge-litert, TensorFlow, tflite-runtime."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra convert")

from ser_edge_convert.child import Desk, Job, run_child
from ser_edge_convert.graph import read_graph
from tests.convert import networks
from tests.system.three_interpreters import (
    REFERENCE,
    answers_of,
    compare,
    forgets,
    last_error,
    widest_in_quanta,
)

CLIPS = 60
VARIANTS = ("int8", "int8-io")


@pytest.fixture(scope="module", params=VARIANTS)
def flatbuffer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    desk = Desk(folder)
    path = networks.save(networks.cnn_lstm(), folder / "model.keras")
    np.save(desk.calibration, networks.features(40, seed=7))
    np.save(desk.probe, networks.features(1))
    job = Job(str(path), request.param, "fused", True)
    return run_child(desk, job, folder / "log.txt").flatbuffer


@pytest.fixture(scope="module")
def features():
    return networks.features(CLIPS, seed=11)


def check(flatbuffer, features, backend, python):
    answers = answers_of(flatbuffer, features, {REFERENCE: sys.executable, backend: python})
    assert set(answers) == {REFERENCE, backend}
    found = compare(flatbuffer, answers)[backend]
    assert found.clips == CLIPS
    assert found.same + found.near_ties == CLIPS, found
    assert found.same > 0.9 * CLIPS, "near ties are to be the exception"
    assert all(forgets(rows) for rows in answers.values())
    assert len(np.unique(answers[backend].argmax(axis=1))) > 1, "one class for all shows nothing"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("a Error: b\n  File x\nValueError: no such op\n\n", "ValueError: no such op"),
        ("Traceback\n  x\nValueError: a b\nRegistration failed.\n", "ValueError: a b"),
        ("  RuntimeError: two\n  Error: three ", "Error: three"),
        ("killed,\n\tnobody  knows why", "killed, nobody knows why"),
        ("x" * 400, "x" * 300),
        ("", ""),
    ],
)
def test_of_a_traceback_the_error_itself_is_told(output, expected):
    assert last_error(output) == expected


def test_the_graph_is_the_one_that_was_meant(flatbuffer):
    graph = read_graph(flatbuffer)
    assert graph.counts["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 2
    assert graph.keeps_state
    assert graph.output_quantum > 0


def test_tensorflow_answers_the_same(flatbuffer, features):
    check(flatbuffer, features, "tensorflow", sys.executable)


def test_tflite_runtime_answers_the_same(flatbuffer, features, tflite_runtime):
    check(flatbuffer, features, "tflite-runtime", tflite_runtime)


def test_other_answers_would_be_counted(flatbuffer, features):
    answers = answers_of(flatbuffer, features[:10], {REFERENCE: sys.executable})
    answers["other"] = np.roll(answers[REFERENCE], 1, axis=1)
    found = compare(flatbuffer, answers)["other"]
    assert found.same + found.near_ties < 10
    answers[REFERENCE][-1] += 1
    assert not forgets(answers[REFERENCE])


def test_the_widest_difference_is_told_in_quanta_of_eight_bits():
    reference = np.array([[25.5, 0, 0], [3.0, 2.5, 0], [0, 1.0, 0.8], [9, 9, 9]], np.float32)
    other = np.array([[20.0, 0, 0], [2.0, 2.1, 0], [0, 0.9, 1.2], [0, 0, 0]], np.float32)
    found = widest_in_quanta({REFERENCE: reference, "other": other, "same": reference})
    assert found == {"other": pytest.approx(2.0, rel=1e-5), "same": 0.0}
