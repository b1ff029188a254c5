"""A stream whose model is replaced while it goes on: nothing is lost, nothing heard twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.errors import SerEdgeError, WindowError
from ser_edge_runtime.following import FollowingStream
from ser_edge_runtime.model_file import (
    build_model_file,
    default_model_path,
    parse_model_file,
)
from ser_edge_runtime.service.served_model import ServedModel
from ser_edge_runtime.slots import Slots, self_test_with
from ser_edge_runtime.stream import StreamingClassifier
from tests.runtime.slots.models import broken_model, model

RATE = 8000
TEST = self_test_with()


def with_temperature(temperature: float, release: int) -> bytes:
    """Other probabilities from the same graph and front end, and the golden ones for them."""
    made = parse_model_file(model(release, temperature=temperature), "made")
    classifier = Classifier(made)
    probabilities = classifier.probabilities(classifier.front_end(made.golden.samples))
    golden = replace(made.golden, probabilities=probabilities)
    return build_model_file(made.flatbuffer, made.metadata, golden)


ONE, TWO = model(1), with_temperature(20.0, 2)
SOUND = np.random.default_rng(3).normal(0, 0.1, 6 * RATE).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    Slots.at(tmp_path).install(ONE, None, TEST)
    return tmp_path


@pytest.fixture
def news():
    return []


@pytest.fixture
def stream(folder, news):
    served = ServedModel(folder)
    served.on_change = news.append

    def make(classifier):
        return StreamingClassifier(classifier, segment=1.0, step=0.5, gate=None)

    return FollowingStream(served, make)


def windows(path, sound):
    return Classifier.load(path).windows(sound, RATE, 1.0, 0.5, None)


def test_without_a_change_it_is_the_stream(stream, folder):
    results = stream.push(SOUND[:20_001], RATE)
    assert stream.seconds == pytest.approx(20_001 / RATE)
    results += stream.push(SOUND[20_001:], RATE) + stream.flush()
    assert results == windows(folder, SOUND)
    assert (stream.cut, stream.silent) == (len(results), 0)


def test_a_model_with_the_same_front_end_goes_on_in_the_same_windows(stream, folder, tmp_path):
    before = windows(folder, SOUND)
    results = stream.push(SOUND[: 3 * RATE], RATE)
    taken = len(results)
    Slots.at(folder).install(TWO, None, TEST)
    after = windows(folder, SOUND)
    results += stream.push(SOUND[3 * RATE :], RATE)
    assert len(stream.latencies) == len(results) - taken
    results += stream.flush()
    assert results == before[:taken] + after[taken:]
    assert before[taken].scores != after[taken].scores


def test_a_model_with_another_front_end_begins_where_the_other_ended(stream, folder):
    before = windows(folder, SOUND[: 3 * RATE])
    results = stream.push(SOUND[: 3 * RATE], RATE)
    Slots.at(folder).install(default_model_path().read_bytes(), None, TEST, allow_downgrade=True)
    pushed = stream.push(SOUND[3 * RATE :], RATE)
    assert len(stream.latencies) == len(pushed)
    results += pushed + stream.flush()
    after = windows(folder, SOUND[3 * RATE :])
    assert [r.scores for r in results] == [r.scores for r in before + after]
    assert [(r.start, r.end) for r in results[len(before) :]] == [
        (r.start + 3.0, r.end + 3.0) for r in after
    ]
    assert stream.classifier.labels == Classifier.load().labels
    assert stream.cut == len(results)


def test_rollback_is_followed_too(stream, folder):
    slots = Slots.at(folder)
    slots.install(TWO, None, TEST)
    taken = len(stream.push(SOUND[: 3 * RATE], RATE))
    slots.rollback(TEST)
    results = stream.push(SOUND[3 * RATE :], RATE)
    assert results == windows(folder, SOUND)[taken : taken + len(results)]
    assert results


def test_a_model_that_fails_leaves_the_one_in_use(stream, folder, news):
    stream.push(SOUND[:RATE], RATE)
    before = stream.classifier
    Slots.at(folder).install(broken_model(3), None, None)
    stream.push(SOUND[RATE:], RATE)
    assert stream.classifier is before
    assert all(not isinstance(item, SerEdgeError) for item in news)
    assert Slots.at(folder).state().failed != ""


def test_a_model_that_cannot_hear_such_windows_is_said_and_not_used(folder, news):
    served = ServedModel(folder)
    served.on_change = news.append
    made = []

    def make(classifier):
        if made:
            raise WindowError("windows are too short for it")
        made.append(classifier)
        return StreamingClassifier(classifier, segment=1.0, step=0.5, gate=None)

    stream = FollowingStream(served, make)
    Slots.at(folder).install(default_model_path().read_bytes(), None, TEST, allow_downgrade=True)
    for _ in range(2):
        stream.push(SOUND[:RATE], RATE)
    assert stream.classifier is made[0]
    assert [str(item) for item in news if isinstance(item, WindowError)] == [
        "windows are too short for it"
    ]
