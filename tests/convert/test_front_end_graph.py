"""The front end in a graph gives the features of the numpy code, whatever the recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge_convert.front_end_graph import add_front_end, log10
from ser_edge_convert.graph import read_graph
from ser_edge_convert.graph_builder import GraphBuilder
from ser_edge_convert.tflite_metadata import with_metadata
from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEnd,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Normaliser,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.interpreter import Interpreter
from tests.signals import noise, voice

ROOM = 12_000
EVERYTHING = (
    Zcr(), Rms(), Mfcc(count=13, bands=40), Delta("mfcc"), Delta("mfcc", order=2, width=11),
    Chroma(), SpectralContrast(), LogMel(bands=40, top_db=None),
)  # fmt: skip
# In decibels. The numpy code transforms in float64, the graph float32's windowed samples: what
# that rounds away of a frame is seen in the valleys of its spectrum, at about half of this.
BOUND = 1e-2


def graph_of(spec, room=ROOM, normaliser=None) -> bytes:
    builder = GraphBuilder()
    samples = builder.input("samples", (1, room))
    fitted = normaliser or Normaliser.identity(spec.output_shape[-1])
    features = add_front_end(builder, samples, spec, fitted)
    assert features.shape == (1, *spec.output_shape)
    return with_metadata(builder.finish(features, "features", "samples"), b"text")


class Pair:
    """A front end in a graph and the same in numpy."""

    def __init__(self, spec, room=ROOM):
        self.room = room
        self.numpy = FrontEnd(spec)
        self.graph = Interpreter(graph_of(spec, room))

    def difference(self, samples) -> float:
        """Largest difference of any feature."""
        return float(np.abs(self.numpy(samples) - self.of_graph(samples)).max())

    def of_graph(self, samples):
        row = np.zeros(self.room, np.float32)
        row[: len(samples)] = samples
        return self.graph.invoke(row)


def recording(samples, quiet_start=0, quiet_end=0, level=1.0):
    """Something voice-like with ends that a trim of 40 dB cuts off; no zero at its end."""
    clip = level * voice()[:samples] + noise(samples, level=1e-4)
    clip[:quiet_start] *= np.float32(1e-3)
    clip[samples - quiet_end :] *= np.float32(1e-3)
    clip[-1] = clip[-1] or np.float32(1e-4)
    return clip.astype(np.float32)


SPECS = {
    "everything": FrontEndSpec(
        features=EVERYTHING, trim_db=40.0, level=0.1, clip_seconds=0.4, offset_seconds=0.05
    ),
    "start": FrontEndSpec(features=EVERYTHING, clip_seconds=0.3, cut="start", centred=False),
    "mean": FrontEndSpec(
        features=EVERYTHING, clip_seconds=None, layout="mean", trim_db=30.0, level=0.05,
        sample_rate=22050, fft_length=1024, window_length=1024, hop_length=256,
    ),
    "flat": FrontEndSpec(
        features=(LogMel(bands=20), Delta("log_mel", width=3)), clip_seconds=0.3, layout="flat",
        fft_length=400, window_length=320, window="hamming", level=0.2,
    ),
    "default": FrontEndSpec(
        features=(LogMel(bands=32, fmin=50.0, fmax=8000.0),), window_length=512, hop_length=256,
        trim_db=40.0, clip_seconds=0.5,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=SPECS)
def pair(request):
    return Pair(SPECS[request.param])


@pytest.mark.parametrize("samples", [ROOM, ROOM - 1, 7000, 2600, 1027, 9, 1])
def test_recordings_of_any_length_give_the_same_features(pair, samples):
    assert pair.difference(recording(samples)) < BOUND
    quiet = recording(samples, quiet_start=samples // 3, quiet_end=samples // 5)
    assert pair.difference(quiet) < BOUND


def test_silence_gives_the_features_of_silence(pair):
    # All of the input is taken for filling up then: how long the silence was does not matter.
    found = pair.of_graph(np.zeros(ROOM, np.float32))
    np.testing.assert_allclose(found, pair.numpy(np.zeros(ROOM, np.float32)), atol=BOUND)
    np.testing.assert_allclose(found, pair.numpy(np.zeros(700, np.float32)), atol=BOUND)


def test_full_scale_and_hardly_anything_are_computed_alike(pair):
    loud = np.where(recording(6000) > 0, 1, -1).astype(np.float32)
    assert pair.difference(loud) < BOUND
    assert pair.difference(recording(6000, level=1e-3)) < BOUND


def test_the_graph_tells_recordings_apart(pair):
    one, other = (pair.of_graph(recording(9000, quiet_start=start)) for start in (0, 4500))
    assert np.abs(one - other).max() > 1


@settings(max_examples=20)
@given(
    st.integers(1, ROOM),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
    st.floats(1e-3, 1.0),
    st.sampled_from(["everything", "mean", "default"]),
)
def test_whatever_is_quiet_is_trimmed_alike(samples, start, end, level, name):
    clip = recording(samples, int(start * samples), int(end * samples), level)
    assert _shared(name).difference(clip) < BOUND


_pairs: dict[str, Pair] = {}


def _shared(name) -> Pair:
    if name not in _pairs:
        _pairs[name] = Pair(SPECS[name])
    return _pairs[name]


@pytest.mark.parametrize("feature", EVERYTHING, ids=lambda feature: feature.kind)
def test_each_feature_stands_alone(feature):
    before = () if not isinstance(feature, Delta) else (Mfcc(count=13, bands=40),)
    spec = FrontEndSpec(features=(*before, feature), clip_seconds=0.3)
    assert Pair(spec).difference(recording(9000)) < BOUND


@pytest.mark.parametrize("hop", [100, 160, 255, 256, 512])
@pytest.mark.parametrize("centred", [True, False])
def test_frames_lie_where_they_should_for_any_hop(hop, centred):
    spec = FrontEndSpec(
        features=(Rms(), Zcr()), hop_length=hop, clip_seconds=0.5, centred=centred, cut="start"
    )
    pair = Pair(spec)
    for samples in (ROOM, ROOM - hop, 5 * hop, 5 * hop + 1, 5 * hop - 1, spec.fft_length):
        assert pair.difference(recording(samples)) < 1e-6


@pytest.mark.parametrize("samples", [1, 400, 900, 1300, 2900, 9000])
def test_deltas_of_short_recordings_use_the_window_that_fits(samples):
    features = (LogMel(bands=8), Delta("log_mel", width=9), Delta("log_mel", order=2, width=11))
    spec = FrontEndSpec(features=features, clip_seconds=None, layout="mean", hop_length=256)
    pair = Pair(spec)
    clip = recording(samples)
    assert pair.difference(clip) < BOUND
    assert spec.frame_count(samples) < 11 or np.abs(pair.of_graph(clip)[8:]).max() > 1e-3


def test_the_level_is_that_of_what_trimming_leaves():
    """A trim of 3 dB cuts off ends that are loud enough to change the level."""
    spec = FrontEndSpec(features=(Rms(), LogMel(bands=8)), trim_db=3.0, level=0.1, clip_seconds=0.5)
    clip = noise(ROOM, level=0.05)
    clip[: ROOM // 3] *= np.float32(0.6)
    clip[-ROOM // 4 :] *= np.float32(0.5)
    pair = Pair(spec)
    assert pair.difference(clip) < BOUND
    assert np.abs(pair.of_graph(clip)[:, 0] - pair.of_graph(2 * clip)[:, 0]).max() < 1e-5


def test_an_offset_beyond_the_recording_leaves_silence():
    spec = FrontEndSpec(features=(LogMel(bands=8),), clip_seconds=0.2, offset_seconds=0.5)
    pair = Pair(spec)
    found = pair.of_graph(recording(4000))
    np.testing.assert_allclose(found, -100, atol=1e-3)
    assert pair.difference(recording(4000)) < BOUND


def test_zeros_at_the_end_count_as_filling_up():
    """With trimming they make no difference at all to a recording that has them itself."""
    pair = _shared("default")
    clip = recording(7000)
    silent_end = np.concatenate([clip, np.zeros(2000, np.float32)])
    np.testing.assert_array_equal(pair.of_graph(clip), pair.of_graph(silent_end))
    quiet_end = recording(7000, quiet_end=1500)
    assert pair.difference(np.concatenate([quiet_end, np.zeros(2000, np.float32)])) < BOUND


def test_zeros_inside_are_samples():
    clip = recording(8000)
    clip[3000:5000] = 0
    clip[:500] = 0
    for name in SPECS:
        assert _shared(name).difference(clip) < BOUND


def test_the_features_are_normalised_as_the_normaliser_does():
    spec = SPECS["default"]
    generator = np.random.default_rng(4)
    normaliser = Normaliser(
        generator.normal(-40, 5, 32).astype(np.float32),
        generator.uniform(3, 20, 32).astype(np.float32),
    )
    row = recording(ROOM)
    found = Interpreter(graph_of(spec, normaliser=normaliser)).invoke(row)
    np.testing.assert_allclose(found, normaliser(FrontEnd(spec)(row)), atol=BOUND)


def test_logarithms_are_rounded_to_the_nearest():
    """Bits that differ take an int8 network's input over to the next step, so few may.

    Of numpy's own in float32 half are the nearest with AVX-512, nearly all without.
    """
    values = np.concatenate([np.geomspace(1e-10, 1e6, 4000), 2.0 ** np.arange(-33, 20), [1.0]])
    values = values.astype(np.float32)

    def computed(make):
        builder = GraphBuilder()
        fed = builder.input("fed", (1, len(values)))
        made = make(builder, fed)
        return Interpreter(with_metadata(builder.finish(made, "made", "fed"), b"")).invoke(values)

    expected = np.log10(values.astype(np.float64)).astype(np.float32)
    assert np.mean(computed(log10) == expected) > 0.8
    plain = computed(lambda to, fed: to.multiply(to.unary("LOG", fed), 1 / np.log(10)))
    assert np.mean(plain == expected) < 0.7, "then log10 might be done without"
    np.testing.assert_allclose(computed(log10), expected, rtol=3e-7, atol=1e-7)


def test_a_power_of_two_is_transformed_and_all_else_multiplied():
    transformed = read_graph(graph_of(SPECS["default"]))
    multiplied = read_graph(graph_of(SPECS["flat"]))
    assert transformed.counts["RFFT2D"] == 1
    assert transformed.counts["FULLY_CONNECTED"] == 1
    assert "RFFT2D" not in multiplied.counts
    assert multiplied.counts["FULLY_CONNECTED"] == 3


def test_only_frames_that_are_looked_at_are_transformed():
    graph = read_graph(graph_of(SPECS["default"]))
    (spectrum,) = (graph.tensors[op.outputs[0]] for op in graph.operators if op.name == "RFFT2D")
    assert spectrum.shape == (SPECS["default"].clip_frames, 1, 257)
    assert SPECS["default"].frame_count(ROOM) > SPECS["default"].clip_frames


def test_a_spectrum_that_nobody_asks_for_is_not_computed():
    spec = FrontEndSpec(features=(Rms(), Zcr()), clip_seconds=0.3)
    assert "RFFT2D" not in read_graph(graph_of(spec)).counts


@pytest.mark.parametrize("name", SPECS)
def test_every_operator_is_builtin_and_every_shape_known(name):
    graph = read_graph(graph_of(SPECS[name]))
    assert "CUSTOM" not in graph.counts
    assert all(size > 0 for tensor in graph.tensors for size in tensor.shape)
    assert not graph.keeps_state
    assert graph.subgraphs == 1


def test_the_same_spec_gives_the_same_bytes():
    assert graph_of(SPECS["everything"]) == graph_of(SPECS["everything"])
