from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ser_edge_runtime
from ser_edge_runtime import Classifier, SpeechGate, StreamingClassifier
from ser_edge_runtime.errors import SampleRateChanged, SampleRateError, WindowError
from ser_edge_runtime.front_end import FrontEndSpec, LogMel, Zcr
from ser_edge_runtime.model_file import read_model_file
from ser_edge_runtime.windows import Windows
from tests.signals import noise, voice

V1 = Path(__file__).resolve().parent.parent / "data" / "format_v1.tflite"
RATE = 8000
OPEN = SpeechGate(level_db=-120, margin_db=0, share=1e-6)


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(V1)


def spoken(seconds, rate=RATE):
    """Speech-like sound with silences in it, none of it twice."""
    samples = voice(seconds, rate) + noise(round(seconds * rate), seed=3, level=0.0003)
    time = np.arange(len(samples)) / rate
    return np.where(np.sin(1.7 * time) > -0.4, samples, 0.0002 * samples).astype(np.float32)


def pushed(stream, samples, rate, sizes):
    """The results of a stream that gets portions of these sizes, over and over."""
    results, at, turn = [], 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        results += stream.push(samples[at : at + size], rate)
        assert len(stream.latencies) <= len(results)
        at, turn = at + size, turn + 1
    return results + stream.flush()


def test_three_lines_to_a_stream():
    stream = ser_edge_runtime.StreamingClassifier.load(V1, segment=0.5, step=0.25)
    results = stream.push(spoken(2.0), RATE)
    assert results
    assert all(isinstance(result, ser_edge_runtime.Result) for result in results)


@settings(max_examples=25)
@given(
    seconds=st.floats(0.001, 3.0, allow_subnormal=False),
    segment=st.floats(0.03, 1.0, allow_subnormal=False),
    step=st.floats(0.02, 1.2, allow_subnormal=False),
    rate=st.sampled_from([8000, 8000, 11025, 16000, 44100]),
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=6),
    gate=st.sampled_from([None, SpeechGate(), SpeechGate(memory_seconds=0.5, margin_db=3)]),
)
@example(seconds=1.0, segment=0.19, step=0.25, rate=8000, sizes=[1], gate=None)
@example(seconds=1.0, segment=0.19, step=0.25, rate=44100, sizes=[160], gate=SpeechGate())
@example(seconds=0.19, segment=0.19, step=0.05, rate=8000, sizes=[4096], gate=None)
def test_any_portions_give_the_windows_of_the_whole_bit_for_bit(
    classifier, seconds, segment, step, rate, sizes, gate
):
    samples = spoken(seconds, rate)[: max(1, round(seconds * rate))]
    if not len(samples):
        samples = np.ones(1, np.float32)
    stream = StreamingClassifier(classifier, segment=segment, step=step, gate=gate)
    expected = classifier.windows(samples, rate, segment, step, gate)
    assert pushed(stream, samples, rate, sizes) == expected
    assert stream.cut - stream.silent == len(expected)
    assert stream.cut == len(classifier.windows(samples, rate, segment, step, None))


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("length", "hop"), [(256, 80), (256, 256), (64, 64)])
def test_portions_do_not_show_whatever_the_frames(centred, length, hop):
    """Hops longer than half a frame leave samples behind a window's last frame."""
    model = read_model_file(V1)
    spec = FrontEndSpec(
        sample_rate=8000, fft_length=length, window_length=length, hop_length=hop,
        centred=centred, features=(LogMel(bands=3), Zcr()), clip_seconds=None, layout="mean",
    )  # fmt: skip
    metadata = replace(model.metadata, front_end=spec)
    classifier = Classifier(replace(model, metadata=metadata))
    # The toy graph wants 20 frames; what matters here are the features that it would get.
    seen = []
    classifier.probabilities = lambda features: (
        seen.append(features.copy()) or np.full(3, 1 / 3, np.float32)
    )
    samples = spoken(1.7)
    expected = classifier.windows(samples, RATE, 0.333, 0.1, None)
    whole, seen = seen, []
    found = pushed(
        StreamingClassifier(classifier, segment=0.333, step=0.1, gate=None), samples, RATE, [37]
    )
    assert found == expected
    np.testing.assert_array_equal(seen, whole)
    assert max(result.end for result in found) <= len(samples) / RATE


def test_results_come_as_soon_as_their_last_frame(classifier):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25, gate=None)
    portion = RATE // 50
    samples = spoken(3.0)
    late = [
        (at + portion) / RATE - result.end
        for at in range(0, len(samples), portion)
        for result in stream.push(samples[at : at + portion], RATE)
    ]
    assert len(late) == 10
    # A centred frame of 256 samples reaches 16 ms beyond its middle; a portion is 20 ms.
    assert 0 <= min(late) <= max(late) <= 0.037


def test_each_result_has_its_latency(classifier):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25, gate=None)
    assert stream.push(spoken(0.3), RATE) == []
    assert stream.latencies == ()
    (first,) = stream.push(spoken(0.3), RATE)
    ((audio, compute),) = stream.latencies
    assert audio == pytest.approx(0.6 - first.end)
    assert compute > 0
    assert len(stream.push(spoken(1.0), RATE)) == len(stream.latencies) == 4
    assert len(stream.flush()) == len(stream.latencies) == 1
    assert stream.latencies[0].audio_seconds == 0


def test_silence_has_no_result_and_is_counted(classifier):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.5)
    # The last window's last frame reaches 16 ms beyond its end.
    assert stream.push(np.zeros(4 * RATE + 128, np.float32), RATE) == []
    assert (stream.cut, stream.silent) == (8, 8)
    assert stream.latencies == ()
    results = stream.push(spoken(1.0), RATE)
    assert results[0].start >= 3.5
    assert stream.seconds == 5.016


def test_the_rate_must_not_change_in_mid_stream(classifier):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25)
    before = stream.push(spoken(0.6), RATE)
    with pytest.raises(SampleRateChanged, match=r"began at 8000 Hz .* 16000 Hz.*flush"):
        stream.push(spoken(0.6, 16000), 16000)
    # What was refused has left no trace.
    rest = stream.push(spoken(1.2)[round(0.6 * RATE) :], RATE)
    assert before + rest + stream.flush() == classifier.windows(spoken(1.2), RATE, 0.5, 0.25)
    assert isinstance(SampleRateChanged(1, 2), ValueError)


def test_after_a_flush_another_stream_begins_at_any_rate(classifier):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25)
    for rate in (8000, 44100, 8000):
        assert pushed(stream, spoken(1.0, rate), rate, [999]) == classifier.windows(
            spoken(1.0, rate), rate, 0.5, 0.25
        )
    assert stream.flush() == []
    assert stream.seconds == 0.0


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 3)), np.float32(0.5), [0.0, float("nan")], [float("inf")]]
)
def test_what_is_no_row_of_numbers_is_refused_and_changes_nothing(classifier, samples):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25)
    stream.push(spoken(0.505), RATE)
    with pytest.raises(ValueError, match="samples must be"):
        stream.push(samples, RATE)
    assert stream.seconds == 0.505
    rest = stream.push(spoken(1.0)[4040:], RATE) + stream.flush()
    assert rest == classifier.windows(spoken(1.0), RATE, 0.5, 0.25)[-len(rest) :]


@pytest.mark.parametrize("rate", [0, -8000, 8000.5, True, None])
def test_rates_that_no_recording_has_are_refused(classifier, rate):
    with pytest.raises(SampleRateError):
        StreamingClassifier(classifier).push(spoken(0.1), rate)


def test_an_empty_push_is_no_end(classifier):
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25)
    assert stream.push([], RATE) == []
    results = stream.push(spoken(1.0), RATE) + stream.push([], RATE) + stream.flush()
    assert results == classifier.windows(spoken(1.0), RATE, 0.5, 0.25)


def test_an_empty_stream_has_no_result(classifier):
    stream = StreamingClassifier(classifier)
    assert stream.flush() == []
    stream.push([], RATE)
    assert stream.flush() == []


@pytest.mark.parametrize(("segment", "step"), [(0, 1), (1, 0), (-1, 1), (1, float("nan"))])
def test_windows_that_cannot_be_cut_are_refused_at_once(classifier, segment, step):
    with pytest.raises(WindowError):
        StreamingClassifier(classifier, segment=segment, step=step)


def test_the_windows_are_as_long_as_the_models_clips(classifier):
    stream = StreamingClassifier(classifier)
    assert (stream.segment, stream.step) == (0.19, 1.0)
    assert "0.19 s every 1.0 s" in repr(stream)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("offset", [0.0, 0.1, 0.105, 0.113, 0.6])
def test_a_window_fills_a_clip_whose_beginning_is_skipped(offset, centred):
    model = read_model_file(V1)
    spec = replace(model.metadata.front_end, offset_seconds=offset, centred=centred)
    # The toy graph wants 20 frames; a front end that does not centre makes 16 of 0.19 s.
    spec = spec if centred else replace(spec, clip_seconds=0.222)
    classifier = Classifier(replace(model, metadata=replace(model.metadata, front_end=spec)))
    stream = StreamingClassifier(classifier, gate=None)
    assert stream.segment == pytest.approx(spec.clip_seconds + offset, abs=0.0051)
    windows = list(Windows(spec, RATE, stream.segment, 0.5, None).push(spoken(3.0)))
    assert len(windows) >= 5
    for window in windows:
        sources = classifier.front_end.sources(window.frames)
        # No row is silence that was filled up, and none is left over.
        assert sources.tolist() == list(range(len(window.frames)))[-20:]
    clip = spoken(3.0)[: round(stream.segment * RATE)]
    (result,) = stream.push(clip, RATE) + stream.flush()
    assert result == classifier.classify(clip, RATE)


def test_without_a_clip_length_the_offset_comes_on_top_of_three_seconds():
    model = read_model_file(V1)
    spec = replace(model.metadata.front_end, offset_seconds=0.6, clip_seconds=None, layout="mean")
    classifier = Classifier(replace(model, metadata=replace(model.metadata, front_end=spec)))
    assert StreamingClassifier(classifier).segment == 3.6


def test_the_callers_samples_may_be_overwritten(classifier):
    samples, kept = spoken(1.5), spoken(1.5)
    stream = StreamingClassifier(classifier, segment=0.5, step=0.25)
    results, portion = [], np.empty(100, np.float32)
    for at in range(0, len(samples), 100):
        portion[:] = samples[at : at + 100]
        results += stream.push(portion, RATE)
        portion[:] = 9.0
    assert results + stream.flush() == classifier.windows(kept, RATE, 0.5, 0.25)


def test_two_streams_may_take_turns_with_one_classifier(classifier):
    first = StreamingClassifier(classifier, segment=0.5, step=0.25)
    second = StreamingClassifier(classifier, segment=0.3, step=0.1, gate=None)
    one, two = [], []
    for at in range(0, 2 * RATE, 500):
        one += first.push(spoken(2.0)[at : at + 500], RATE)
        two += second.push(spoken(2.0)[::-1][at : at + 500], RATE)
    assert one + first.flush() == classifier.windows(spoken(2.0), RATE, 0.5, 0.25)
    assert two + second.flush() == classifier.windows(spoken(2.0)[::-1], RATE, 0.3, 0.1, None)


@pytest.mark.parametrize(("size", "seconds"), [(50, 4.0), (8000, 40.0), (400_000, 50.0)])
def test_memory_does_not_grow_with_the_stream(classifier, size, seconds):
    """Small portions, usual ones, and one that is longer than all that may be held."""
    classifier.probabilities = lambda features: np.full(3, 1 / 3, np.float32)
    stream = StreamingClassifier(classifier, segment=0.5, step=1.5)
    samples = spoken(seconds)
    held = []
    tracemalloc.start()
    try:
        for _ in range(5):
            for at in range(0, len(samples), size):
                stream.push(samples[at : at + size], RATE)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        del classifier.probabilities
    assert max(held[1:]) - held[0] < 300_000
    assert held[-1] < 2_000_000


def test_the_gate_sees_what_came_before_the_window(classifier):
    """A steady tone after a pause is louder than the floor; after a while it is the floor."""
    quiet = np.full(3 * RATE, 0.002, np.float32) * np.sign(noise(3 * RATE))
    tone = 0.2 * np.sin(np.arange(8 * RATE) * 0.4).astype(np.float32)
    samples = np.concatenate([quiet, tone])
    gate = SpeechGate(memory_seconds=3.0)
    results = classifier.windows(samples, RATE, 0.5, 0.5, gate)
    # Before 2 s were heard there is no floor; from 5.5 s on all that is remembered is tone.
    assert [result.start for result in results if result.end > 2] == [3.0, 3.5, 4.0, 4.5, 5.0]
    assert StreamingClassifier(classifier).gate == SpeechGate()
    assert len(classifier.windows(samples, RATE, 0.5, 0.5, OPEN)) == 22
