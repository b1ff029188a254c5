"""Parity with librosa 0.11, the oracle of the front end, on real recordings and odd signals."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ser_edge_runtime.front_end import (
    Chroma,
    Delta,
    FrontEnd,
    FrontEndSpec,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)

from ...signals import noise, voice

RATE = 16000
CLIPS = 200
BOUND = 1e-4  # of a feature's range over the clips


@dataclass(frozen=True)
class Setting:
    """One resolution at which all features are compared."""

    fft: int
    hop: int
    bands: int

    @functools.cached_property
    def front_end(self) -> FrontEnd:
        features = (
            LogMel(bands=self.bands),
            Mfcc(bands=self.bands, count=40),
            Delta(),
            Delta(order=2),
            Zcr(),
            Rms(),
            Chroma(),
            SpectralContrast(),
        )
        return FrontEnd(
            FrontEndSpec(
                sample_rate=RATE,
                fft_length=self.fft,
                window_length=self.fft,
                hop_length=self.hop,
                features=features,
                clip_seconds=None,
            )
        )

    def librosa(self, samples: np.ndarray) -> np.ndarray:
        """The same columns by librosa, (frames, features)."""
        import librosa

        spectral = {"y": samples, "sr": RATE, "n_fft": self.fft, "hop_length": self.hop}
        framed = {"frame_length": self.fft, "hop_length": self.hop}
        mel = librosa.feature.melspectrogram(**spectral, n_mels=self.bands)
        mfcc = librosa.feature.mfcc(**spectral, n_mels=self.bands, n_mfcc=40)
        rows = [librosa.power_to_db(mel, top_db=80.0), mfcc]
        for order in (1, 2):
            # librosa refuses fewer than 9 frames; our rule for those has its own test.
            whole = mfcc.shape[1] >= 9
            rows.append(librosa.feature.delta(mfcc, order=order) if whole else mfcc * np.nan)
        rows += [
            librosa.feature.zero_crossing_rate(samples, **framed),
            librosa.feature.rms(y=samples, **framed),
            librosa.feature.chroma_stft(**spectral, tuning=0),
            librosa.feature.spectral_contrast(**spectral),
        ]
        return np.concatenate(rows).T


SETTINGS = [Setting(512, 160, 64), Setting(2048, 512, 128)]


@dataclass
class Spread:
    """Range of each column by the oracle, and the largest difference from it."""

    low: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    high: np.ndarray = field(default_factory=lambda: np.array(-np.inf))
    worst: np.ndarray = field(default_factory=lambda: np.array(0.0))

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        assert ours.shape == theirs.shape
        self.low = np.minimum(self.low, theirs.min(axis=0))
        self.high = np.maximum(self.high, theirs.max(axis=0))
        self.worst = np.maximum(self.worst, np.abs(ours - theirs).max(axis=0))

    @property
    def shares(self) -> np.ndarray:
        return self.worst / (self.high - self.low)


@pytest.fixture(scope="module")
def clips(corpora: Path) -> list[np.ndarray]:
    """200 utterances drawn from all four corpora, none of them digital silence."""
    from ser_edge_runtime.audio import load_audio
    from ser_edge_runtime.resampling import resample

    paths = sorted(
        path
        for corpus in ("ravdess", "crema-d", "tess", "savee")
        for path in (corpora / corpus).rglob("*")
        if path.suffix in {".flac", ".opus"} and path.stem != "1076_MTI_SAD_XX"
    )
    drawn = random.Random(20).sample(paths, CLIPS)
    return [resample(*load_audio(path), RATE) for path in drawn]


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda s: f"{s.fft}-{s.hop}-{s.bands}")
def setting(request: pytest.FixtureRequest) -> Setting:
    return request.param  # type: ignore[no-any-return]  # pytest types it as Any


@pytest.fixture(scope="module")
def spread(setting: Setting, clips: list[np.ndarray]) -> Spread:
    result = Spread()
    for samples in clips:
        result.add(setting.front_end(samples), setting.librosa(samples))
    return result


def test_every_column_on_real_clips(setting: Setting, spread: Spread) -> None:
    shares = dict(zip(setting.front_end.names, spread.shares, strict=True))
    for kind in ("log_mel", "mfcc", "delta_mfcc", "delta2_mfcc", "zcr", "rms", "chroma",
                 "spectral_contrast"):  # fmt: skip
        worst = max(share for name, share in shares.items() if name.startswith(kind))
        print(f"{setting.fft}/{setting.hop} {kind}: {worst:.1e} of its range")
    assert max(shares.values()) <= BOUND


ODD_SIGNALS = {
    "silence": np.zeros(RATE, np.float32),
    "clipping": np.clip(voice(1.5) * 20, -1, 1),
    "constant": np.full(RATE, 0.25, np.float32),
    "constant under speech": voice(1.0) * np.float32(0.5) + np.float32(0.25),
    "10 ms": voice(0.01),
    "60 s": np.concatenate([voice(3.0), noise(RATE * 54, level=0.01), voice(3.0)]),
    "one sample": np.ones(1, np.float32),
    "square wave": np.sign(np.sin(np.arange(RATE) / 9)).astype(np.float32),
}


# librosa 0.11.0 (librosa.core.spectrum) remarks on the clips shorter than a frame; they are meant.
@pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal:UserWarning")
@pytest.mark.parametrize("name", ODD_SIGNALS)
def test_odd_signals(setting: Setting, spread: Spread, name: str) -> None:
    samples = ODD_SIGNALS[name]
    ours, theirs = setting.front_end(samples), setting.librosa(samples)
    assert ours.shape == theirs.shape
    assert np.isfinite(ours).all()
    known = np.isfinite(theirs)
    assert known.all() or len(ours) < 9
    differences = np.where(known, np.abs(ours - theirs), 0).max(axis=0) / (spread.high - spread.low)
    assert differences.max() <= BOUND, setting.front_end.names[int(differences.argmax())]


@pytest.mark.parametrize(
    "options",
    [
        {"htk": True},
        {"norm": "none"},
        {"fmin": 60.0, "fmax": 7600.0},
        {"bands": 128, "htk": True, "norm": "none"},
    ],
)
def test_mel_filters(options: dict[str, object]) -> None:
    import librosa

    from ser_edge_runtime.front_end.kinds import MelScale
    from ser_edge_runtime.front_end.spectrum import mel_filters

    named = {"bands": "n_mels", "fmin": "fmin", "fmax": "fmax", "htk": "htk"}
    theirs = {named[name]: value for name, value in options.items() if name in named}
    theirs["norm"] = None if options.get("norm") == "none" else "slaney"
    theirs.setdefault("n_mels", 64)
    scale = MelScale(**options)  # type: ignore[arg-type]  # a test's table
    expected = librosa.filters.mel(sr=22050, n_fft=1024, **theirs)
    np.testing.assert_allclose(mel_filters(scale, 22050, 1024).T, expected, atol=1e-7)


@pytest.mark.parametrize(("bins", "tuning"), [(12, 0.0), (24, 0.0), (12, 0.3), (36, -0.25)])
def test_chroma_filters(bins: int, tuning: float) -> None:
    import librosa

    from ser_edge_runtime.front_end.spectrum import chroma_filters

    ours = chroma_filters(Chroma(bins=bins, tuning=tuning), 22050, 2048)
    theirs = librosa.filters.chroma(sr=22050, n_fft=2048, n_chroma=bins, tuning=tuning)
    np.testing.assert_allclose(ours.T, theirs, atol=1e-6)


@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_windows(window: str) -> None:
    from scipy.signal import get_window

    from ser_edge_runtime.front_end import spectrum

    np.testing.assert_allclose(
        spectrum.window(window, 400, 512)[56:456], get_window(window, 400), atol=1e-12
    )
    assert not spectrum.window(window, 400, 512)[:56].any()


@pytest.mark.parametrize("frames", [9, 10, 11, 40])
@pytest.mark.parametrize("order", [1, 2])
def test_deltas(frames: int, order: int) -> None:
    import librosa

    from ser_edge_runtime.front_end.clip import delta

    values = noise(frames * 5).reshape(frames, 5)
    np.testing.assert_allclose(
        delta(values, 9, order), librosa.feature.delta(values.T, order=order).T, atol=1e-6
    )


def test_other_rates_and_uncentred_frames() -> None:
    import librosa

    samples = voice(1.0, 22050)
    spec = FrontEndSpec(
        sample_rate=22050, fft_length=1024, window_length=800, hop_length=300, window="hamming",
        centred=False, features=(Mfcc(count=20, top_db=None),), clip_seconds=None,
    )  # fmt: skip
    theirs = librosa.feature.melspectrogram(
        y=samples, sr=22050, n_fft=1024, win_length=800, hop_length=300, window="hamming",
        center=False, n_mels=128,
    )  # fmt: skip
    theirs = librosa.feature.mfcc(S=librosa.power_to_db(theirs, top_db=None), n_mfcc=20).T
    ours = FrontEnd(spec)(samples)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_librosas_features_give_the_same_answer_through_the_model(clips: list[np.ndarray]) -> None:
    import librosa

    from ser_edge_runtime.classifier import Classifier

    classifier = Classifier.load()
    spec = classifier.front_end.spec
    (feature,) = spec.features
    assert isinstance(feature, LogMel)
    framed = {"hop_length": spec.hop_length, "center": spec.centred}
    flips = 0
    for samples in clips:
        power = librosa.feature.melspectrogram(
            y=samples, sr=spec.sample_rate, n_fft=spec.fft_length, win_length=spec.window_length,
            n_mels=feature.bands, fmin=feature.fmin, fmax=feature.fmax, **framed,
        )  # fmt: skip
        rms = librosa.feature.rms(y=samples, frame_length=spec.fft_length, **framed)
        theirs = np.concatenate([rms**2, power]).T.astype(np.float32)
        ours = classifier.front_end.frames(samples)
        assert theirs.shape == ours.shape
        answers = [
            int(np.argmax(classifier.logits(classifier.front_end.clip(raw))))
            for raw in (ours, theirs)
        ]
        flips += answers[0] != answers[1]
    assert flips == 0
