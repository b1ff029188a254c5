from __future__ import annotations

import wave
from dataclasses import FrozenInstanceError, asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ser_edge_runtime
from ser_edge_runtime.backends import available_backends
from ser_edge_runtime.classifier import Classifier, Result
from ser_edge_runtime.errors import (
    FileError,
    SampleRateError,
    SpecTensorMismatch,
    UnknownInterpreter,
    UnreadableModel,
    WindowError,
)
from ser_edge_runtime.front_end import FrontEndSpec, Normaliser
from ser_edge_runtime.metadata import TensorInfo
from ser_edge_runtime.model_file import (
    build_model_file,
    default_model_path,
    parse_model_file,
    read_model_file,
)
from ser_edge_runtime.resampling import resample

DATA = Path(__file__).resolve().parent.parent / "data"
V1 = DATA / "format_v1.tflite"
RATE, HOP = 8000, 80


def speech(seconds, rate=RATE, seed=0):
    """Noise that swells and fades: not speech, but never twice the same frame."""
    count = round(seconds * rate)
    time = np.arange(count) / rate
    noise = np.random.default_rng(seed).standard_normal(count)
    return (0.2 * noise * (0.1 + np.sin(2.5 * time) ** 2)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return read_model_file(V1)


@pytest.fixture(scope="module")
def classifier(model):
    return Classifier(model)


def with_graph(model, toy, **change):
    """The toy's model file around another of the toy graphs."""
    graph = (DATA / f"{toy}.tflite").read_bytes()
    return replace(model, flatbuffer=graph, metadata=replace(model.metadata, **change))


def test_three_lines_to_a_result():
    result = ser_edge_runtime.Classifier.load(V1).classify(speech(0.19), RATE)
    assert isinstance(result, ser_edge_runtime.Result)
    assert result.label in ("calm", "loud", "élevé")


def test_a_result_says_what_the_graph_says(classifier, model):
    samples = speech(0.19)
    features = classifier.front_end(samples)
    normalised = (features - model.metadata.normaliser.mean) / model.metadata.normaliser.scale
    rng = [np.random.default_rng(seed) for seed in (1, 2)]
    kernel = rng[0].standard_normal((3, 4)).astype(np.float32)
    logits = normalised.mean(axis=0) @ kernel.T + rng[1].standard_normal(3).astype(np.float32)
    powers = np.exp(logits / 1.25)
    result = classifier.classify(samples, RATE)
    assert list(result.scores) == ["calm", "loud", "élevé"]
    np.testing.assert_allclose(list(result.scores.values()), powers / powers.sum(), atol=1e-6)
    assert result.label == max(result.scores, key=result.scores.get)
    assert result.score == result.scores[result.label] == max(result.scores.values())
    assert (result.seconds, result.start, result.end) == (0.19, 0.0, 0.19)


def test_a_result_is_plain_values_and_does_not_change(classifier):
    result = classifier.classify(speech(0.3), RATE)
    assert list(asdict(result)) == ["label", "score", "scores", "seconds", "start", "end"]
    assert all(type(score) is float for score in result.scores.values())
    assert type(result.label) is str
    with pytest.raises(FrozenInstanceError):
        result.label = "calm"


def test_of_equal_classes_the_first_wins(classifier):
    result = classifier._result(np.array([0.2, 0.4, 0.4], np.float32), 1.0, 0.0, 1.0)
    assert result == Result("loud", result.score, result.scores, seconds=1.0, start=0.0, end=1.0)


def test_the_temperature_divides_the_logits(model):
    samples = speech(0.19)
    cold = Classifier(replace(model, metadata=replace(model.metadata, temperature=0.5)))
    hot = Classifier(replace(model, metadata=replace(model.metadata, temperature=50.0)))
    features = cold.front_end(samples)
    np.testing.assert_array_equal(cold.logits(features), hot.logits(features))
    assert cold.classify(samples, RATE).score > hot.classify(samples, RATE).score
    assert hot.classify(samples, RATE).score < 0.36


def test_every_clip_begins_with_fresh_state(model):
    stateful = Classifier(with_graph(model, "toy_stateful"))
    first, other = speech(0.19, seed=1), speech(0.19, seed=2)
    before = stateful.classify(first, RATE)
    stateful.classify(other, RATE)
    assert stateful.classify(first, RATE) == before
    # The graph does keep state, so without the reset this test would see it.
    features = stateful._normaliser(stateful.front_end(first))
    stateful._interpreter.reset()
    runs = [stateful._interpreter.invoke(features) for _ in range(2)]
    assert not np.array_equal(*runs)


def test_every_segment_begins_with_fresh_state(model):
    samples = speech(0.8)
    stateful = Classifier(with_graph(model, "toy_stateful"))
    frames = stateful.front_end.frames(samples)
    for window in stateful.windows(samples, RATE, 0.19, 0.2):
        first = round(window.start * RATE / HOP)
        fresh = Classifier(with_graph(model, "toy_stateful"))
        expected = fresh.probabilities(fresh.front_end.clip(frames[first : first + 20]))
        assert list(window.scores.values()) == expected.tolist()


def test_quantised_graphs_are_fed_quanta(model):
    tensors = {
        "input": TensorInfo((1, 20, 4), "int8", 1 / 32, 3),
        "output": TensorInfo((1, 3), "int8", 1 / 8, -5),
    }
    int8 = Classifier(with_graph(model, "toy_int8", **tensors))
    exact = Classifier(model)
    features = exact.front_end(speech(0.19))
    np.testing.assert_allclose(int8.logits(features), exact.logits(features), atol=0.3)


@pytest.mark.parametrize(
    "change",
    [
        {"input": TensorInfo((1, 20, 4), "int8", 1 / 32, 3)},
        {"output": TensorInfo((1, 3), "int8", 1 / 8, -5)},
        {"input": TensorInfo((1, 19, 4), "float32")},
        {"output": TensorInfo((1, 4), "float32")},
    ],
)
def test_metadata_that_promise_other_tensors_are_refused(model, change):
    with pytest.raises(SpecTensorMismatch, match="the graph has 1x"):
        Classifier(replace(model, metadata=replace(model.metadata, **change)))


def test_a_quantum_that_differs_is_refused(model):
    tensors = {
        "input": TensorInfo((1, 20, 4), "int8", 1 / 32, 3),
        "output": TensorInfo((1, 3), "int8", 1 / 16, -5),
    }
    with pytest.raises(SpecTensorMismatch, match=r"output 1x3 int8 \(0\.0625, -5\)"):
        Classifier(with_graph(model, "toy_int8", **tensors))


@pytest.mark.parametrize("rate", [4000, 16000, 22050, 48000])
def test_other_sample_rates_are_converted(classifier, rate):
    samples = speech(0.5, rate)
    converted = classifier.classify(samples, rate)
    direct = classifier.classify(resample(samples, rate, RATE), RATE)
    assert converted.scores == direct.scores
    assert converted.seconds == 0.5


def test_up_to_twice_its_length_a_recording_is_one_clip(classifier):
    samples = speech(0.38)
    expected = classifier.probabilities(classifier.front_end(samples))
    result = classifier.classify(samples, RATE)
    np.testing.assert_array_equal(list(result.scores.values()), expected.tolist())


def test_a_longer_one_is_the_mean_of_overlapping_segments(classifier):
    samples = speech(1.0)
    frames = classifier.front_end.frames(samples)
    # 0.19 s are 20 frames, half of 0.19 s are 9.5 steps of 80 samples: to the nearest even.
    starts = list(range(0, len(frames) - 19, 10))
    starts += [len(frames) - 20] if starts[-1] != len(frames) - 20 else []
    rows = [
        classifier.probabilities(classifier.front_end.clip(frames[start : start + 20]))
        for start in starts
    ]
    result = classifier.classify(samples, RATE)
    np.testing.assert_allclose(list(result.scores.values()), np.mean(rows, axis=0), atol=1e-7)
    assert sum(result.scores.values()) == pytest.approx(1.0, abs=1e-6)
    assert (result.seconds, result.start, result.end) == (1.0, 0.0, 1.0)


def test_what_the_clip_stage_skips_comes_on_top_of_a_segment(model):
    spec = replace(model.metadata.front_end, offset_seconds=0.1)
    skipping = Classifier(replace(model, metadata=replace(model.metadata, front_end=spec)))
    lengths = []
    clip = skipping.front_end.clip
    skipping.front_end.clip = lambda frames: lengths.append(len(frames)) or clip(frames)
    skipping.classify(speech(2.0), RATE)
    assert set(lengths) == {spec.frame_count(round(0.29 * RATE))}


def test_a_model_that_keeps_the_length_takes_any_recording_whole(model):
    spec = replace(model.metadata.front_end, layout="mean", clip_seconds=None)
    whole = with_graph(model, "toy_float", front_end=spec)
    classifier = Classifier(whole)
    seen = []
    classifier.probabilities = lambda features: seen.append(features) or np.full(3, 1 / 3)
    classifier.classify(speech(5.0), RATE)
    assert [features.shape for features in seen] == [(4,)]


def test_windows_begin_every_step_and_the_last_ends_with_the_recording(classifier):
    windows = classifier.windows(speech(1.0), RATE, 0.19, 0.25)
    assert [round(w.start, 9) for w in windows] == [0.0, 0.25, 0.5, 0.75, 0.81]
    assert [round(w.end, 9) for w in windows] == [0.19, 0.44, 0.69, 0.94, 1.0]
    assert [w.seconds for w in windows[:-1]] == [0.19] * 4
    assert windows[-1].seconds == windows[-1].end - windows[-1].start


def test_windows_that_fit_need_no_other_at_the_end(classifier):
    # The frame centred on the recording's very end belongs to the last window.
    windows = classifier.windows(speech(0.99), RATE, 0.19, 0.2)
    assert [(round(w.start, 9), round(w.end, 9)) for w in windows] == [
        (0.0, 0.19), (0.2, 0.39), (0.4, 0.59), (0.6, 0.79), (0.8, 0.99),
    ]  # fmt: skip


def test_a_recording_shorter_than_a_window_is_one_window(classifier):
    (window,) = classifier.windows(speech(0.1), RATE, 0.5, 0.25)
    assert (window.start, window.end, window.seconds) == (0.0, 0.1, 0.1)
    assert window.scores == classifier.classify(speech(0.1), RATE).scores


def test_a_window_is_cut_from_the_same_frames_as_the_whole(classifier):
    samples = speech(1.0)
    frames = classifier.front_end.frames(samples)
    for window in classifier.windows(samples, RATE, 0.19, 0.25)[:-1]:
        first = round(window.start * RATE / HOP)
        expected = classifier.probabilities(classifier.front_end.clip(frames[first : first + 20]))
        assert list(window.scores.values()) == expected.tolist()


def test_windows_of_another_rate_have_the_same_times(classifier):
    at_rate = classifier.windows(speech(1.0), RATE, 0.19, 0.25)
    at_other = classifier.windows(speech(1.0, 44100), 44100, 0.19, 0.25)
    assert [(w.start, w.end) for w in at_rate] == [(w.start, w.end) for w in at_other]


@given(
    seconds=st.floats(0.001, 2.0, allow_subnormal=False),
    segment=st.floats(0.02, 1.0, allow_subnormal=False),
    step=st.floats(0.02, 1.0, allow_subnormal=False),
)
def test_windows_cover_the_recording(classifier, seconds, segment, step):
    samples = speech(max(seconds, 1 / RATE))
    windows = classifier.windows(samples, RATE, segment, step)
    assert windows[0].start == 0.0
    # What is left of a last hop may lie behind a whole window.
    assert len(samples) / RATE - HOP / RATE < windows[-1].end <= len(samples) / RATE
    for window in windows:
        assert 0 <= window.start < window.end <= len(samples) / RATE
    if step <= segment:
        for before, after in pairwise(windows):
            assert after.start <= before.end + HOP / RATE


@pytest.mark.parametrize(
    ("segment", "step"),
    [(0, 1), (1, 0), (-1, 1), (1, -1), (float("nan"), 1), (1, float("inf")), (1, 0.001)],
)
def test_windows_that_cannot_be_cut_are_a_wrong_option(classifier, segment, step):
    with pytest.raises(WindowError) as caught:
        classifier.windows(speech(1.0), RATE, segment, step)
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, ValueError)


def test_a_window_shorter_than_an_uncentred_frame_is_a_wrong_option(model):
    spec = replace(model.metadata.front_end, centred=False, clip_seconds=0.222)
    classifier = Classifier(replace(model, metadata=replace(model.metadata, front_end=spec)))
    assert spec.output_shape == (20, 4)
    with pytest.raises(WindowError, match="too short"):
        classifier.windows(speech(1.0), RATE, 0.02, 0.02)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros((2, 100), np.float32),
        np.float32(0.5),
        np.array([0.0, np.nan]),
        np.array([0.0, np.inf]),
    ],
)
def test_samples_that_are_none_are_a_mistake_of_the_caller(classifier, samples):
    with pytest.raises(ValueError, match="samples must be"):
        classifier.classify(samples, RATE)
    with pytest.raises(ValueError, match="samples must be"):
        classifier.windows(samples, RATE, 1, 1)


@pytest.mark.parametrize("rate", [0, -8000, 999, 1_000_000, 22050.5])
def test_sample_rates_that_no_recording_has_are_refused(classifier, rate):
    with pytest.raises(SampleRateError):
        classifier.classify(speech(0.3), rate)


def test_one_sample_and_silence_and_clipping_give_a_result(classifier):
    for samples in (np.ones(1), np.zeros(4000), np.sign(speech(0.5)), np.ones(9000)):
        result = classifier.classify(samples, RATE)
        assert np.isfinite(list(result.scores.values())).all()


def test_other_number_types_are_taken(classifier):
    samples = speech(0.3)
    expected = classifier.classify(samples, RATE)
    assert classifier.classify(samples.astype(np.float64), RATE) == expected
    assert classifier.classify(samples.tolist(), RATE) == expected


def test_the_callers_samples_stay_as_they_are(classifier):
    samples = speech(1.0)
    kept = samples.copy()
    samples.flags.writeable = False
    classifier.classify(samples, RATE)
    np.testing.assert_array_equal(samples, kept)


def test_classify_file_reads_recordings(classifier, tmp_path):
    samples = np.rint(speech(0.5) * 32767).astype(np.int16)
    path = tmp_path / "clip.wav"
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(RATE)
        stream.writeframes(samples.tobytes())
    result = classifier.classify_file(path)
    assert result == classifier.classify_file(str(path))
    assert result == classifier.classify(samples / np.float32(32768), RATE)


def test_classify_file_names_what_it_cannot_read(classifier, tmp_path):
    with pytest.raises(FileError, match=r"none\.wav"):
        classifier.classify_file(tmp_path / "none.wav")


def test_load_takes_a_path_or_the_default_model():
    assert Classifier.load(str(V1)).labels == ("calm", "loud", "élevé")
    if default_model_path().exists():
        assert len(Classifier.load().labels) >= 4
    else:
        with pytest.raises(UnreadableModel, match=r"default\.tflite"):
            Classifier.load()


def test_the_interpreter_may_be_named():
    name = next(name for name, _, fault in available_backends() if fault is None)
    named = Classifier.load(V1, interpreter=name, threads=2)
    assert named.backend == name
    assert name in repr(named)
    with pytest.raises(UnknownInterpreter):
        Classifier.load(V1, interpreter="onnx")


def test_a_file_of_an_earlier_format_built_again_classifies_alike(model, classifier):
    data = build_model_file(model.flatbuffer, model.metadata, model.golden)
    again = Classifier(parse_model_file(data, "again.tflite"))
    assert again.classify(speech(0.19), RATE) == classifier.classify(speech(0.19), RATE)


def test_features_of_another_front_end_are_a_mistake_of_the_caller(classifier):
    other = FrontEndSpec()
    with pytest.raises(ValueError):
        classifier.logits(np.zeros(other.output_shape, np.float32))


def test_normalising_is_part_of_the_logits(model):
    plain = Classifier(
        replace(model, metadata=replace(model.metadata, normaliser=Normaliser.identity(4)))
    )
    full = Classifier(model)
    features = full.front_end(speech(0.19))
    np.testing.assert_array_equal(
        plain.logits(model.metadata.normaliser(features)), full.logits(features)
    )
