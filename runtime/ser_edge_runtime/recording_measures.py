"""What can be measured of a recording without knowing what was said.

All of it is numpy on the first two minutes. Levels are in dB of full scale (a sine of full
scale has -3): 10 log10 of the mean square.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.framing import frames_of
from ser_edge_runtime.records import record
from ser_edge_runtime.resampling import resample

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]

LONGEST: Final = 120.0
"""Seconds from the beginning that are looked at."""
RATE: Final = 16_000
MAINS: Final = (50.0, 60.0)
_FRAME, _HOP = 512, 256
_LONG_FRAME = 1024
_HELD = 10
_SILENT = 1e-12
_BAND = 500


@record()
class Measures:
    """What was measured.

    Attributes:
        seconds: Length of the whole recording.
        sample_rate: Its rate by the header, in Hz.
        peak: Largest sample, 1 is full scale.
        level: Of its louder parts, dB: 95th percentile over frames of 32 ms.
        clipped: Share of the samples in flat tops: three and more in a row within 1.5 % of
            the largest, where that is near full scale or the tops are many.
        snr: Signal above steady noise, dB.
        bandwidth: The frequency in Hz above which nothing is left but a floor.
        hum: Mains frequency whose harmonics stand out, in Hz; 0 if none does.
        held: Share of the strong partials that keep their frequency for 160 ms: music does,
            a voice glides.
        pitch: Median pitch of the voiced frames, in Hz; 0 if there are too few.
        voice: What :func:`speed` looks at.
    """

    seconds: float
    sample_rate: int
    peak: float
    level: float
    clipped: float
    snr: float
    bandwidth: float
    hum: float
    held: float
    pitch: float
    voice: tuple[float, ...]

    @property
    def speed(self) -> float:
        """How many times faster than speech it sounds, by :data:`SPEED`; 1 is as it should be."""
        if not self.voice:
            return 1.0
        octaves = sum(w * v for w, v in zip(SPEED.weights, self.voice, strict=True))
        return float(2.0 ** (octaves + SPEED.constant))


class Speed(NamedTuple):
    """A linear estimate of the speed in octaves: :attr:`Measures.voice` times ``weights``."""

    weights: tuple[float, ...]
    constant: float


# Ridge regression on recordings of the corpora played at 1/3 to 3 times their speed, by
# docs/fit_speed.py with 120 recordings, which prints these numbers and how often the speed is told.
SPEED: Final = Speed((0.0641, 1.0503, -0.4332, 0.5905, -0.1009, -0.4274, -0.0841), -5.7828)


def measure(samples: Samples, sample_rate: int) -> Measures:
    """Measures a recording.

    Args:
        samples: float32 (n,), n from 1 on, full scale = 1; one channel.
        sample_rate: Theirs, in Hz, as the header says.
    """
    seconds = len(samples) / sample_rate
    values = np.asarray(samples[: round(LONGEST * sample_rate)], np.float32)
    usual = values if sample_rate == RATE else resample(values, sample_rate, RATE)
    frames = _frames(usual, _FRAME)
    powers = np.square(frames).mean(axis=1, dtype=np.float64)
    levels = 10 * np.log10(powers + _SILENT)
    level = float(np.quantile(levels, 0.95))
    spectra = _spectra(frames)
    active = levels > level - 20
    average = spectra[active].mean(axis=0)
    top = min(RATE, sample_rate) / 2
    pitch, voiced = _pitch(usual)
    return Measures(
        seconds=seconds,
        sample_rate=sample_rate,
        peak=float(np.abs(values).max()),
        level=level,
        clipped=_clipped(values),
        snr=_snr(spectra, top),
        bandwidth=_bandwidth(average, top),
        hum=_hum(values, sample_rate),
        held=_held(usual),
        pitch=pitch,
        voice=_voice(pitch, voiced, average, powers, levels[active]),
    )


def _frames(samples: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Frames (n, length), one every 16 ms; at least one."""
    padded = np.pad(samples, (0, max(0, length - len(samples))))
    # Not sliding_window_view: on 32-bit machines it refuses two minutes, a window a sample.
    return frames_of(padded, length, _HOP)


def _spectra(frames: npt.NDArray[np.float32]) -> Floats:
    """Power spectra (n, bins) of Hann-windowed frames."""
    window = np.hanning(frames.shape[1]).astype(np.float32)
    return np.asarray(np.square(np.abs(np.fft.rfft(frames * window, axis=1))), np.float64)


def _clipped(samples: Samples) -> float:
    peak = np.abs(samples).max()
    if peak < 1e-3:
        return 0.0
    near = (np.abs(samples) >= 0.985 * peak).astype(np.int8)
    edges = np.flatnonzero(np.diff(near, prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    flat = lengths[lengths >= 3]
    return float(flat.sum() / len(samples)) if len(flat) >= 5 else 0.0


def _snr(spectra: Floats, top: float) -> float:
    """Power above that of steady noise, which is what stays in a bin nearly all the time.

    The power of noise in a bin is exponentially distributed: its 10th percentile lies at
    -ln 0.9 of its mean (Martin, 2001, corrects his minima by the same thought).
    """
    bins = np.fft.rfftfreq(_FRAME, 1 / RATE)
    used = (bins >= 150) & (bins <= 0.95 * top)
    part = spectra[:, used]
    noise = (np.quantile(part, 0.1, axis=0) / -np.log(0.9)).sum()
    total = part.mean(axis=0).sum()
    return float(10 * np.log10(max(total - noise, 1e-3 * total, 1e-30) / max(noise, 1e-20)))


def _bandwidth(average: Floats, top: float) -> float:
    """Where the spectrum falls off a cliff that nothing stands behind; else its end."""
    bins = np.fft.rfftfreq(_FRAME, 1 / RATE)
    edges = np.arange(0, RATE // 2, _BAND)
    bands = np.array(
        [average[(bins >= low) & (bins < low + _BAND)].mean() + 1e-16 for low in edges]
    )
    levels = 10 * np.log10(bands)
    for place in range(4, len(levels) - 2):
        below, above = levels[place - 2 : place].min(), levels[place + 1 :].max()
        if below - above > CLIFF:
            return float(edges[place])
    return top


CLIFF: Final = 26.0
"""Decibels from the last two bands of 500 Hz to the loudest behind them."""


def _hum(samples: Samples, sample_rate: int) -> float:
    """The mains frequency of which three of the first six harmonics are sharp lines."""
    if len(samples) < sample_rate:
        return 0.0
    size = 1 << (max(len(samples), 4 * sample_rate) - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size)))
    width = sample_rate / size

    def span(low: float, high: float) -> Floats:
        return np.asarray(power[round(low / width) : round(high / width) + 1], np.float64)

    found = {}
    for mains in MAINS:
        lines = []
        for tone in mains * np.arange(1, 7):
            beside = np.concatenate([span(tone - 12, tone - 4), span(tone + 4, tone + 12)])
            line = span(tone - 1, tone + 1).max()
            lines.append(10 * np.log10((line + 1e-20) / (np.median(beside) + 1e-20)))
        found[mains] = sorted(lines)[-3]
    mains = max(found, key=lambda name: found[name])
    return mains if found[mains] >= HUM_LINE else 0.0


HUM_LINE: Final = 12.5
"""Decibels by which a line of hum stands above the median beside it."""


def _held(samples: npt.NDArray[np.float32]) -> float:
    spectra = np.sqrt(_spectra(_frames(samples, _LONG_FRAME)))
    middle = spectra[:, 1:-1]
    loudest = spectra.max(axis=1, keepdims=True)
    strong = (middle > spectra[:, :-2]) & (middle >= spectra[:, 2:])
    strong &= (middle > 0.1 * loudest) & (loudest > 0.03 * spectra.max())
    strong[:, :5] = False  # below 90 Hz it is hum
    # Runs of frames with a peak in one bin: lengths from where runs begin and end.
    marks = np.diff(strong.astype(np.int8).T, prepend=0, append=0, axis=1).ravel()
    lengths = np.flatnonzero(marks < 0) - np.flatnonzero(marks > 0)
    return float(lengths[lengths >= _HELD].sum() / max(1, lengths.sum()))


def _pitch(samples: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Median pitch of the louder frames, by autocorrelation (Boersma, 1993), and their share."""
    length = 640
    frames = _frames(samples, length)
    powers = np.square(frames).mean(axis=1)
    frames = frames[powers >= np.quantile(powers, 0.6)]
    frames = frames[:: max(1, len(frames) // 150)]
    if not len(frames):
        return 0.0, 0.0
    frames = frames - frames.mean(axis=1, keepdims=True)
    window = np.hanning(length)
    size = 2048
    spectra = np.square(np.abs(np.fft.rfft(frames * window, size)))
    own = np.fft.irfft(np.square(np.abs(np.fft.rfft(window, size))))
    lags = np.fft.irfft(spectra)[:, : RATE // 50]
    scaled = lags / np.maximum(lags[:, :1], 1e-20) / (own[: RATE // 50] / own[0])
    shortest = RATE // 1000
    usable = scaled[:, shortest:]
    best = usable.max(axis=1)
    # The peak at the shortest lag that is nearly as good: a multiple of the period is as good.
    first = (usable > 0.9 * best[:, None]).argmax(axis=1)[:, None] + shortest
    places = np.arange(shortest, shortest + usable.shape[1])
    near = (places >= first) & (places <= 1.2 * first)
    lag = np.where(near, usable, -np.inf).argmax(axis=1) + shortest
    voiced = best > 0.5
    if voiced.sum() < 5:
        return 0.0, float(voiced.mean())
    return float(np.median(RATE / lag[voiced])), float(voiced.mean())


def _voice(
    pitch: float, voiced: float, average: Floats, powers: Floats, active: Floats
) -> tuple[float, ...]:
    """Pitch, brightness and tempo: what grows with the speed at which a voice is played."""
    if not pitch or len(powers) < 16:
        return ()
    bins = np.fft.rfftfreq(_FRAME, 1 / RATE)
    share = average / average.sum()
    centre = float((share * bins).sum())
    end = float(bins[np.searchsorted(np.cumsum(share), 0.95)])
    envelope = np.sqrt(powers)
    size = 1 << (max(len(envelope), 4096) - 1).bit_length()
    changes = np.square(
        np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)), size))
    )
    rates = np.fft.rfftfreq(size, _HOP / RATE)
    used = (rates > 0.5) & (rates < 20)
    total = changes[used].sum()
    if total <= 0 or centre <= 0 or end <= 0:
        return ()
    tempo = float((changes[used] * rates[used]).sum() / total)
    syllables = float(changes[(rates >= 2) & (rates < 8)].sum() / total)
    return (
        float(np.log2(pitch)),
        float(np.log2(centre)),
        float(np.log2(end)),
        float(np.log2(tempo)),
        float(np.std(active)),
        voiced,
        float(np.log(max(syllables, 1e-6))),
    )
