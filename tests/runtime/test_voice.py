"""A voice: enrolled, kept as text, read back strictly, and heard by a classifier."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ser_edge_runtime
from ser_edge_runtime import Classifier, Result, StreamingClassifier
from ser_edge_runtime.classifier import softmax
from ser_edge_runtime.enrolment import FEWEST, lean
from ser_edge_runtime.model_file import read_model_file
from ser_edge_runtime.voice import (
    LEAST,
    MOST_CLIPS,
    OtherModel,
    TooFewClips,
    TooManyClips,
    Voice,
    VoiceFileError,
    VoiceNameError,
    model_digest,
)
from tests.signals import voice as talk

V1 = Path(__file__).resolve().parent.parent / "data" / "format_v1.tflite"
LABELS = ("angry", "neutral", "sad")
CLIPS = FEWEST + 2


@pytest.fixture(scope="module")
def model():
    return read_model_file(V1)


@pytest.fixture(scope="module")
def classifier(model):
    return Classifier(model)


def results(labels, count=CLIPS, seed=0, spread=3.0):
    logits = spread * np.random.default_rng(seed).standard_normal((count, len(labels)))
    for row in softmax(logits.astype(np.float32)):
        scores = dict(zip(labels, row.tolist(), strict=True))
        yield Result(labels[int(row.argmax())], float(row.max()), scores, 1.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def anna(model):
    return Voice.enrolled("anna", model.metadata, results(model.metadata.labels))


def changed(voice, **values):
    return json.dumps({**json.loads(voice.to_json()), **values}).encode()


def test_it_holds_the_answers_and_their_model(anna, model):
    assert (anna.name, anna.clips, anna.model) == ("anna", CLIPS, model_digest(model.metadata))
    expected = [list(r.scores.values()) for r in results(model.metadata.labels)]
    assert np.exp(anna.answers) == pytest.approx(np.array(expected), abs=1e-6)
    assert sum(anna.heard.values()) == CLIPS
    assert list(anna.heard) == list(model.metadata.labels)
    assert np.array_equal(anna.lean, lean(anna.answers))
    with pytest.raises(ValueError):
        anna.answers[0] = 0


def test_the_way_to_text_and_back_loses_nothing(anna):
    again = Voice.from_json(anna.to_json().encode(), "anna.voice.json")
    assert again.to_json() == anna.to_json()
    assert again.digest == anna.digest != replace(anna, name="eva").digest
    assert np.array_equal(again.answers, anna.answers)
    # Archives carry voices to other processes.
    assert pickle.loads(pickle.dumps(anna)).to_json() == anna.to_json()


def test_a_class_that_is_impossible_stays_a_finite_logarithm(model):
    labels = model.metadata.labels
    sure = dict.fromkeys(labels, 0.0) | {labels[0]: 1.0}
    further = [*results(labels), Result(labels[0], 1.0, sure, 1.0, 0.0, 1.0)]
    voice = Voice.enrolled("anna", model.metadata, further)
    assert voice.answers.min() == LEAST
    assert np.isfinite(voice.lean).all()
    assert Voice.from_json(voice.to_json().encode(), "f").digest == voice.digest


def test_a_clip_counts_once_however_often_it_is_given(anna, model):
    labels = model.metadata.labels
    twice = [*results(labels), *results(labels)]
    assert Voice.enrolled("anna", model.metadata, twice).to_json() == anna.to_json()
    assert Voice.enrolled("anna", model.metadata, twice, anna).to_json() == anna.to_json()


def test_clips_are_added_behind_those_before(anna, model):
    labels = model.metadata.labels
    more = Voice.enrolled("anna", model.metadata, results(labels, 1, seed=7), anna)
    assert more.clips == CLIPS + 1
    assert np.array_equal(more.answers[:CLIPS], anna.answers)


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_too_few_clips_are_refused(model, count):
    with pytest.raises(
        TooFewClips, match=f"anna: {count} clips? (is|are) too few.*{FEWEST} or more"
    ):
        Voice.enrolled("anna", model.metadata, results(model.metadata.labels, count))


def test_the_fewest_clips_are_enough(model):
    voice = Voice.enrolled("a", model.metadata, results(model.metadata.labels, FEWEST))
    assert voice.clips == FEWEST


def test_results_and_voices_of_another_model_are_refused(anna, model):
    with pytest.raises(ValueError, match="has the classes angry"):
        Voice.enrolled("anna", model.metadata, results(LABELS))
    other = replace(model.metadata, temperature=model.metadata.temperature * 2)
    with pytest.raises(ValueError, match="another model"):
        Voice.enrolled("anna", other, [], anna)


@pytest.mark.parametrize("name", ["anna", "Jos\u00e9", "Jose\u0301", "a-1_b", "\u660e", "7"])
def test_names(anna, name):
    assert replace(anna, name=name).name in (name, "Jos\u00e9")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "-a", "_a", "a b", "a\n", "a.json", "a" * 41, "a\0"]
)
def test_what_is_no_name(anna, name):
    with pytest.raises(VoiceNameError, match="is no name of a voice") as fault:
        replace(anna, name=name)
    assert str(fault.value).count("\n") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../anna"},
        {"name": 3},
        {"model": None},
        {"labels": "angry"},
        {"labels": ["angry", 3]},
        {"labels": []},
        {"labels": list(LABELS) * 9},
        {"answers": []},
        {"answers": None},
        {"answers": [[]]},
        {"answers": [3]},
        {"answers": [["0"]]},
        {"answers": [[True]]},
        {"format": 2},
        {"format": "1"},
        {"format": True},
        {"sound": "anna.wav"},
    ],
    ids=str,
)
def test_a_file_that_is_no_voice(anna, change):
    with pytest.raises(VoiceFileError, match=r"^a\.voice\.json: .*; enrol the voice anew") as fault:
        Voice.from_json(changed(anna, **change), "a.voice.json")
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    "row",
    [[0.1, 0, 0], [-101.0, 0, -50], [1e999, 0, 0], [-1.0, -1.0, -0.1], [float("nan")] * 3, [0]],
    ids=str,
)
def test_answers_that_are_no_probabilities(row):
    text = {"format": 1, "name": "a", "model": "m", "labels": LABELS, "answers": [row]}
    with pytest.raises(VoiceFileError, match="not a voice"):
        Voice.from_json(json.dumps(text).encode(), "a")


@pytest.mark.parametrize("data", [b"", b"[1]", b"3", b"\xff", b"[" * 200_000, b"{}" + b" " * 2**20])
def test_bytes_that_are_no_voice(data):
    with pytest.raises(VoiceFileError):
        Voice.from_json(data, "a")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**30), st.binary(min_size=1, max_size=3))
def test_a_damaged_file_is_a_voice_or_one_line(at, put):
    data = (
        Voice("anna", "m", LABELS, np.log(np.full((10, 3), 1 / 3, np.float32))).to_json().encode()
    )
    at %= len(data)
    try:
        voice = Voice.from_json(data[:at] + put + data[at + len(put) :], "a")
    except VoiceFileError:
        return
    assert np.isfinite(voice.lean).all()


def test_more_clips_than_a_voice_may_have(model):
    with pytest.raises(TooManyClips, match=r"anna: 1001 clips are more .* at most 1000"):
        Voice.enrolled("anna", model.metadata, results(model.metadata.labels, MOST_CLIPS + 1))
    row = np.log(np.full((1, 3), 1 / 3, np.float32))
    assert Voice("a", "m", LABELS, np.tile(row, (MOST_CLIPS, 1))).clips == MOST_CLIPS
    with pytest.raises(ValueError, match="1001 clips"):
        Voice("a", "m", LABELS, np.tile(row, (MOST_CLIPS + 1, 1)))


def test_the_largest_voice_fits_into_a_file(model):
    labels = tuple(f"a rather long class {n}" for n in range(20))
    logs = np.log(softmax(np.random.default_rng(0).standard_normal((MOST_CLIPS, 20)) * 9))
    voice = Voice("a" * 40, "m", labels, logs)
    assert Voice.from_json(voice.to_json().encode(), "a").clips == MOST_CLIPS


def test_a_model_is_known_by_what_decides_its_answers(model):
    metadata = model.metadata
    digest = model_digest(metadata)
    assert digest == model_digest(replace(metadata, name="other", scores={}, licence="mine"))
    for change in ({"temperature": 3.0}, {"flatbuffer_sha256": "0" * 64}):
        assert digest != model_digest(replace(metadata, **change))


def test_a_classifier_adds_the_lean_to_the_logarithms(classifier, anna):
    samples = talk(0.19, 8000)  # one segment
    plain, adapted = (c.classify(samples, 8000) for c in (classifier, classifier.for_speaker(anna)))
    expected = np.log(list(plain.scores.values())) + anna.lean
    expected = softmax(expected.astype(np.float32))
    assert list(adapted.scores.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert adapted.scores != pytest.approx(plain.scores, abs=1e-3)
    # The classifier that it was made of answers as before.
    assert classifier.classify(samples, 8000) == plain


def test_windows_and_streams_know_the_voice(classifier, anna):
    samples, adapted = talk(3.0, 8000), classifier.for_speaker(anna)
    lengths = {"segment": 0.5, "step": 0.25}
    windows = adapted.windows(samples, 8000, **lengths)
    stream = StreamingClassifier(adapted, **lengths)
    assert stream.push(samples, 8000) + stream.flush() == windows
    assert windows != classifier.windows(samples, 8000, **lengths)


def test_another_models_voice_is_refused(classifier, anna):
    other = replace(anna, model="0" * 64)
    with pytest.raises(OtherModel, match=r"anna was enrolled with another model than .*format_v1"):
        classifier.for_speaker(other)


def test_the_public_names():
    assert ser_edge_runtime.Voice is Voice
    assert ser_edge_runtime.Voices.__name__ == "Voices"


def test_one_clip_is_one():
    assert str(TooFewClips("anna", 1)).startswith("anna: 1 clip is too few to enrol a voice; give")
    assert str(TooFewClips("anna", 2)).startswith("anna: 2 clips are too few")
