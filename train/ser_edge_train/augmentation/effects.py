"""What is done to waveforms: one function an effect, by the name of its table in a recipe.

Each takes float32 samples (n,) at a rate in Hz, the recipe's table and a generator, and
returns new float32 samples. All that is random comes from that generator. Pitch, stretch,
shift, speed, gain and band limit are audiomentations'; each is asked for one drawn value,
with equal ends of its range.

Traps, measured with audiomentations 0.43.1:

- It draws from the global generators of Python and of numpy. They are seeded around each
  call and given back as they were (:func:`_library`); a lock keeps threads apart.
- Its time stretch (python-stretch, Signalsmith) seeds itself from the operating system and
  uses that beyond twice the length: below a rate of 0.5 no seed makes two runs equal. The
  recipe's bounds keep to rates from 0.5 to 2.
- Its noise at an SNR is so on average: 10 ms are off by up to 1 dB. Its background noise
  searches a folder in the file system's order. Its impulse responses come from files and
  scale every clip to one peak. Its MP3 needs further packages. Those four are made here.
"""

from __future__ import annotations

import io
import math
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import MissingExtra
from ser_edge_runtime.resampling import resample
from ser_edge_train.errors import MissingCodec

if TYPE_CHECKING:
    from ser_edge_train.recipes.augmentation import (
        BandLimit,
        Codec,
        Gain,
        Noise,
        Pitch,
        Reverb,
        Shift,
        Speed,
        Stretch,
    )

Samples = npt.NDArray[np.float32]

TELEPHONE_RATE: Final = 8000
# libsndfile's name of the container and of the coding, and the rates that the coding knows.
_OPUS_RATES: Final = (8000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES: Final = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_CODECS: Final = {
    "opus": ("OGG", "OPUS", _OPUS_RATES),
    "vorbis": ("OGG", "VORBIS", _MP3_RATES),
    "mp3": ("MP3", "MPEG_LAYER_III", _MP3_RATES),
    "mulaw": ("WAV", "ULAW", (TELEPHONE_RATE,)),
    "gsm": ("WAV", "GSM610", (TELEPHONE_RATE,)),
}
_COMPRESSIBLE: Final = ("opus", "vorbis", "mp3")

_global_generators = threading.Lock()


def speed(samples: Samples, rate: int, how: Speed, rng: np.random.Generator) -> Samples:
    """The library's Resample, played at the old rate."""
    # Whole rates only: at 16 kHz the factor is met within 0.006 %.
    other = max(1, round(rate / _drawn(how.factor, rng)))
    return _library("Resample", samples, rate, rng, min_sample_rate=other, max_sample_rate=other)


def pitch(samples: Samples, rate: int, how: Pitch, rng: np.random.Generator) -> Samples:
    """The library's PitchShift (Signalsmith's)."""
    steps = _drawn(how.semitones, rng)
    return _library("PitchShift", samples, rate, rng, min_semitones=steps, max_semitones=steps)


def stretch(samples: Samples, rate: int, how: Stretch, rng: np.random.Generator) -> Samples:
    """The library's TimeStretch (Signalsmith's), its length changed."""
    to = _drawn(how.rate, rng)
    kept = {"min_rate": to, "max_rate": to, "leave_length_unchanged": False}
    return _library("TimeStretch", samples, rate, rng, **kept)


def shift(samples: Samples, rate: int, how: Shift, rng: np.random.Generator) -> Samples:
    """The library's Shift around the ends, without a fade: the samples are only reordered."""
    by = _drawn(how.share, rng)
    kept = {"min_shift": by, "max_shift": by, "rollover": True, "fade_duration": 0.0}
    return _library("Shift", samples, rate, rng, **kept)


def gain(samples: Samples, rate: int, how: Gain, rng: np.random.Generator) -> Samples:
    """The library's Gain."""
    db = _drawn(how.db, rng)
    return _library("Gain", samples, rate, rng, min_gain_db=db, max_gain_db=db)


def band_limit(samples: Samples, rate: int, how: BandLimit, rng: np.random.Generator) -> Samples:
    """The library's BandPassFilter (Butterworth's); without an upper edge its HighPassFilter.

    An upper edge beside half the sample rate is no edge, and no filter that can be computed.
    """
    low, high = _drawn(how.low_hz, rng), _drawn(how.high_hz, rng)
    slope = {"min_rolloff": how.slope_db, "max_rolloff": how.slope_db}
    if high >= 0.49 * rate:
        edge = {"min_cutoff_freq": low, "max_cutoff_freq": low}
        return _library("HighPassFilter", samples, rate, rng, **edge, **slope)
    middle, width = (low + high) / 2, 2 * (high - low) / (high + low)
    band = {
        "min_center_freq": middle,
        "max_center_freq": middle,
        "min_bandwidth_fraction": width,
        "max_bandwidth_fraction": width,
    }
    return _library("BandPassFilter", samples, rate, rng, **band, **slope)


def noise(samples: Samples, rate: int, how: Noise, rng: np.random.Generator) -> Samples:
    """White, Gaussian; its power is measured, so that the SNR is met however short the clip."""
    return add_at_snr(samples, rng.standard_normal(len(samples)), _drawn(how.snr_db, rng))


def add_at_snr(samples: Samples, disturbance: npt.NDArray[Any], snr_db: float) -> Samples:
    """``samples`` with ``disturbance`` (n,) scaled to ``snr_db`` below them.

    Both powers are means over the whole clip. Where either is silent nothing is added:
    there is no ratio to silence.
    """
    clean, added = samples.astype(np.float64), disturbance.astype(np.float64)
    power = np.mean(clean**2)
    unscaled = np.mean(added**2)
    if not power or not unscaled:
        return samples.copy()
    scale = math.sqrt(power / unscaled) * 10 ** (-snr_db / 20)
    return (clean + scale * added).astype(np.float32)


def reverb(samples: Samples, rate: int, how: Reverb, rng: np.random.Generator) -> Samples:
    """A room as Gaussian noise under an exponential (Moorer 1979) behind the direct sound.

    The direct sound stays where it was and the clip keeps its length and its level:
    what of the reverberation would come behind its end is cut off.
    """
    seconds, direct_db = _drawn(how.rt60_seconds, rng), _drawn(how.direct_db, rng)
    length = max(1, min(round(seconds * rate), len(samples)))
    decay = 10 ** (-3 * np.arange(1, length + 1) / (seconds * rate))
    tail = rng.standard_normal(length) * decay
    tail *= 10 ** (-direct_db / 20) / max(float(np.linalg.norm(tail)), 1e-12)
    response = np.concatenate([[1.0], tail])
    clean = samples.astype(np.float64)
    points = 1 << (len(clean) + len(response) - 2).bit_length()
    spectrum = np.fft.rfft(clean, points) * np.fft.rfft(response, points)
    wet = np.fft.irfft(spectrum, points)[: len(clean)]
    before, after = np.linalg.norm(clean), np.linalg.norm(wet)
    return (wet * (before / after if after else 0.0)).astype(np.float32)


def codec(samples: Samples, rate: int, how: Codec, rng: np.random.Generator) -> Samples:
    """There and back through one of libsndfile's codings, in memory; the length stays.

    Raises:
        MissingCodec: This libsndfile lacks it.
    """
    import soundfile

    name = how.names[int(rng.integers(len(how.names)))]
    compression = _drawn(how.compression, rng)
    container, coding, rates = _CODECS[name]
    coded_rate = next((each for each in rates if each >= rate), rates[-1])
    # A coder clips at full scale.
    peak = max(1.0, float(np.abs(samples).max()))
    plain = resample(samples / np.float32(peak), rate, coded_rate)
    options = {"compression_level": compression} if name in _COMPRESSIBLE else {}
    stream = io.BytesIO()
    try:
        soundfile.write(stream, np.clip(plain, -1, 1), coded_rate, coding, None, container,
                        **options)  # fmt: skip
        stream.seek(0)
        coded, _ = soundfile.read(stream, dtype="float32")
    except (soundfile.LibsndfileError, ValueError):
        raise MissingCodec(name, soundfile.__libsndfile_version__) from None
    back = resample(coded, coded_rate, rate) * np.float32(peak)
    # GSM fills its last block, and two resamplings round up.
    result = np.zeros_like(samples)
    kept = min(len(result), len(back))
    result[:kept] = back[:kept]
    return result


Apply = Callable[[Samples, int, Any, np.random.Generator], Samples]
APPLY: Final[dict[str, Apply]] = {
    "speed": speed,
    "pitch": pitch,
    "stretch": stretch,
    "shift": shift,
    "reverb": reverb,
    "noise": noise,
    "band_limit": band_limit,
    "gain": gain,
    "codec": codec,
}
"""The effects that need nothing but the clip; recorded noise needs its recordings too."""


def _drawn(ends: tuple[float, float], rng: np.random.Generator) -> float:
    return float(rng.uniform(*ends))


def _library(
    transform: str, samples: Samples, rate: int, rng: np.random.Generator, **parameters: Any
) -> Samples:
    """One of audiomentations' transforms, whatever it draws decided by ``rng``."""
    try:
        import audiomentations
    except ModuleNotFoundError:  # itself, or one of those that it needs
        raise MissingExtra("waveform augmentation", "train") from None
    change = getattr(audiomentations, transform)(p=1.0, **parameters)
    seed = int(rng.integers(2**32))
    with _global_generators:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what the library uses
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - as above
            changed = change(samples.copy(), sample_rate=rate)
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002 - as above
    # Twice the speed of one sample is none.
    return np.asarray(changed, dtype=np.float32) if len(changed) else samples.copy()
