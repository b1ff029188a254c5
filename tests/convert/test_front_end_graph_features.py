"""Every parameter that a feature has is in the graph too; and real recordings come out alike."""

from __future__ import annotations

import numpy as np
import pytest

from ser_edge_convert import front_end_graph
from ser_edge_convert.waveform_in import embed_front_end, filled
from ser_edge_runtime.audio import load_audio
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.front_end.clip import delta
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import default_model_path, read_model_file
from ser_edge_runtime.resampling import resample
from tests.convert.test_front_end_graph import BOUND, ROOM, Pair, recording
from tests.signals import noise


@pytest.mark.parametrize(
    "feature",
    [
        LogMel(bands=12, fmin=300.0, fmax=3000.0),
        LogMel(bands=12, htk=True),
        LogMel(bands=12, norm="none"),
        LogMel(bands=12, top_db=15.0),
        Mfcc(bands=20, count=20, top_db=None),
        Mfcc(bands=20, count=1, htk=True, norm="none"),
        Chroma(bins=24),
        Chroma(bins=12, tuning=-0.3),
        SpectralContrast(bands=4, fmin=250.0),
        SpectralContrast(quantile=0.3, top_db=20.0),
    ],
    ids=repr,
)
def test_parameters_of_features_count(feature):
    usual = type(feature)() if not isinstance(feature, LogMel) else LogMel(bands=12)
    pair = Pair(FrontEndSpec(features=(feature,), clip_seconds=0.3))
    clip = recording(9000)
    assert pair.difference(clip) < BOUND
    other = Pair(FrontEndSpec(features=(usual,), clip_seconds=0.3)).of_graph(clip)
    found = pair.of_graph(clip)
    assert found.shape != other.shape or np.abs(found - other).max() > 10 * BOUND


@pytest.mark.parametrize(
    "change",
    [
        {"window": "hamming"},
        {"window": "rectangular"},
        {"window_length": 200},
        {"fft_length": 480},
        {"fft_length": 1024, "window_length": 1000},
        {"sample_rate": 8000},
        {"hop_length": 333},
        {"cut": "start"},
        {"layout": "mean"},
        {"offset_seconds": 0.1},
        {"trim_db": 6.0},
        {"level": 0.3},
    ],
    ids=repr,
)
def test_every_field_of_a_front_end_counts(change):
    usual = {"features": (LogMel(bands=10), Rms(), Zcr()), "clip_seconds": 0.25}
    pair, plain = Pair(FrontEndSpec(**(usual | change))), Pair(FrontEndSpec(**usual))
    clip = recording(9000, quiet_start=2000, level=0.5) + noise(9000, level=0.003)
    assert pair.difference(clip) < BOUND
    found, other = pair.of_graph(clip), plain.of_graph(clip)
    assert found.shape != other.shape or np.abs(found - other).max() > 0.01


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("half", [1, 2, 4, 5])
def test_weights_of_deltas_are_those_of_the_clip_stage(order, half):
    ramp = np.arange(2 * half + 1, dtype=np.float32)[:, np.newaxis] ** order
    weights = front_end_graph._slope(half, 5, order)
    assert not weights[: 5 - half].any()
    assert not weights[6 + half :].any()
    found = weights[5 - half : 6 + half] @ ramp
    np.testing.assert_allclose(found, delta(ramp, 2 * half + 1, order)[half], rtol=1e-5)


def test_a_window_too_short_for_a_fit_has_no_weights():
    assert not front_end_graph._slope(0, 4, 1).any()
    assert not front_end_graph._slope(0, 4, 2).any()


def test_deltas_follow_the_feature_that_they_name():
    features = (LogMel(bands=6), Mfcc(bands=10, count=5), Delta("log_mel"), Delta("mfcc", order=2))
    pair = Pair(FrontEndSpec(features=features, clip_seconds=0.3))
    assert pair.of_graph(recording(ROOM)).shape[1] == 6 + 5 + 6 + 5
    assert pair.difference(recording(ROOM)) < BOUND


def test_real_recordings_of_all_corpora_are_classified_alike(corpora):
    """A handful; docs/make_waveform.py compares hundreds."""
    model = read_model_file(default_model_path())
    made, classifier = embed_front_end(model), Classifier(model)
    interpreter = Interpreter(made.data)
    compared = 0
    for folder in sorted(path for path in corpora.iterdir() if path.is_dir()):
        recordings = sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac", ".ogg"))
        for path in recordings[:: max(1, len(recordings) // 4)][:4]:
            samples = resample(*load_audio(path), made.sample_rate)[: made.samples]
            wanted = classifier.probabilities(classifier.front_end(samples))
            found = interpreter.invoke(filled(samples, made.samples)[0])
            assert found.argmax() == wanted.argmax(), path
            np.testing.assert_allclose(found, wanted, atol=0.03, err_msg=str(path))
            compared += 1
    assert compared >= 12
