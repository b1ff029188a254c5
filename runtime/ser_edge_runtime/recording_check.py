"""Why a model may be wrong on a recording: its faults in plain words, and what to do.

>>> from ser_edge_runtime.recording_check import check_recording
>>> for check in check_recording("clip.wav", classifier):    # doctest: +SKIP
...     print(check.status, check.name, check.detail)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_edge_runtime.audio import AudioFile
from ser_edge_runtime.recording_measures import LONGEST, RATE, Measures, Samples, measure
from ser_edge_runtime.records import record

if TYPE_CHECKING:
    from ser_edge_runtime.classifier import Classifier

OK: Final = "ok"
NOTE: Final = "note"
FAILED: Final = "FAILED"

# Limits lie at the edge of what docs/fit_speed.py found in recordings of the corpora that nobody
# had spoiled; docs/doctor.md has what is found, and what is found wrongly, with them.
SHORTEST: Final = 0.5
"""Seconds: less holds hardly a syllable."""
SILENT: Final = -70.0
"""Level in dB below which there is nothing to hear."""
QUIET: Final = -57.0
"""Level in dB below which the quietest corpus has no clip."""
CLIPPED: Final = 0.002
"""Share of samples in flat tops."""
NARROW: Final = 5500.0
"""Bandwidth in Hz below which a model of 16 kHz misses what it was trained with."""
NOISY: Final = 3.0
"""Signal above steady noise, in dB, below which the noise is what is heard."""
SOME_NOISE: Final = 8.0
"""Below it the noise is worth knowing of."""
CLEAN: Final = 90.0
"""Above it the number says nothing: 16 bits reach no further."""
MUSICAL: Final = 0.3
"""Share of held partials."""
SLOWEST: Final = 0.5
FASTEST: Final = 2.0
"""Speeds that a voice does not have."""
DEAD_CHANNEL: Final = 40.0
"""Decibels by which a channel lies below the loudest."""
FAR: Final = 1.6
"""Distance from the training data, in standard deviations."""


@record()
class Check:
    """One thing that was looked at.

    Attributes:
        name: The thing.
        status: "ok", "note" (worth knowing) or "FAILED".
        value: What was measured, in the unit that ``detail`` names; None for no number.
        detail: What was found, and what to do about it.
    """

    name: str
    status: str
    value: float | None
    detail: str


def check_recording(path: str | PathLike[str], classifier: Classifier) -> list[Check]:
    """Looks at a recording as a model will.

    Looked at are its first two minutes. A silent or very short recording has no further
    checks: nothing can be said of it.

    Args:
        path: The recording.
        classifier: The model; its normaliser knows the training data.

    Raises:
        FileError: The file cannot be read as audio; the subclass says why.
    """
    with AudioFile(path) as sound:
        rate, kept, count = sound.sample_rate, list[Samples](), 0
        # Read to its end: whether it is whole shows there.
        for portion in sound:
            if count < LONGEST * rate:
                kept.append(portion)
            count += len(portion)
    samples = np.concatenate(kept)[: round(LONGEST * rate)]
    found = replace(measure(samples, rate), seconds=count / rate)
    return list(_checks(found, channel_levels(fspath(path)), samples, classifier))


def _checks(
    found: Measures, channels: list[float], samples: Samples, classifier: Classifier
) -> Iterator[Check]:
    yield check_length(found)
    yield check_channels(channels)
    yield check_level(found)
    if found.seconds < SHORTEST or found.level < SILENT:
        return
    yield (clipping := check_clipping(found))
    yield check_bandwidth(found)
    yield (hum := check_hum(found))
    # One fault must not be taken for another: hum holds its tones as music does, held tones
    # and clipping fill the spectrum as noise does, noise makes a voice bright as a high
    # speed does, and a voice that is played too slowly glides slowly.
    music, noise, speed = check_music(found), check_noise(found), check_speed(found)
    slow = found.voice and found.speed < SLOWEST
    if hum.status == OK and not (slow and noise.status == OK):
        yield music
    if music.status != FAILED and clipping.status == OK:
        yield noise
    if music.status != FAILED and noise.status != FAILED:
        yield speed
    yield check_distance(distance(samples, found.sample_rate, classifier))


def check_length(found: Measures) -> Check:
    """Is there enough to judge by?"""
    words = f"{found.seconds:.2f} s at {found.sample_rate} Hz"
    if found.seconds < SHORTEST:
        return Check(
            "length", FAILED, found.seconds,
            f"too short: {words}; record a sentence, of two to four seconds",
        )  # fmt: skip
    return Check("length", OK, found.seconds, words)


def check_channels(levels: list[float]) -> Check:
    """Does a channel lack sound? The mean of all is what is classified."""
    if len(levels) < 2:
        return Check("channels", OK, 1.0, "one channel")
    loudest = max(levels)
    dead = [str(n) for n, level in enumerate(levels, 1) if loudest - level > DEAD_CHANNEL]
    count = float(len(levels))
    if dead and loudest > SILENT:
        return Check(
            "channels", FAILED, count,
            f"channel {' and '.join(dead)} of {len(levels)} is dead, and the mean of all is what "
            "is classified; check the cable, or keep the living channel alone",
        )  # fmt: skip
    return Check("channels", OK, count, f"{len(levels)} channels, all with sound")


def check_level(found: Measures) -> Check:
    """Is it loud enough?"""
    words = f"speech at {found.level:.0f} dB of full scale, peak at {_decibels(found.peak):.0f} dB"
    if found.level < SILENT:
        return Check(
            "level", FAILED, found.level,
            f"silence: {words}; check that the microphone is on and chosen",
        )  # fmt: skip
    if found.level < QUIET:
        return Check(
            "level", FAILED, found.level,
            f"too quiet: {words}; go nearer to the microphone or turn its gain up, "
            "for loudness is a cue to the model",
        )  # fmt: skip
    return Check("level", OK, found.level, words)


def check_clipping(found: Measures) -> Check:
    """Was it too loud for the recorder?"""
    share = f"{100 * found.clipped:.2g} % of the samples lie in flat tops"
    if found.clipped >= CLIPPED:
        return Check(
            "clipping", FAILED, found.clipped,
            f"clipped: {share}; turn the gain down and record again, it cannot be mended",
        )  # fmt: skip
    return Check("clipping", OK, found.clipped, share if found.clipped else "none")


def check_speed(found: Measures) -> Check:
    """Does the header tell the rate at which it was recorded?"""
    speed = found.speed
    if not found.voice:
        return Check("sample rate", OK, None, "no voice to tell it by")
    if SLOWEST <= speed <= FASTEST:
        return Check("sample rate", OK, speed, f"a voice at {found.pitch:.0f} Hz, at its speed")
    how = "fast" if speed > 1 else "slow"
    times = speed if speed > 1 else 1 / speed
    return Check(
        "sample rate", FAILED, speed,
        f"it sounds about {times:.1f} times too {how} (pitch {found.pitch:.0f} Hz): the header's "
        f"{found.sample_rate} Hz is probably not the rate it was recorded at; ask the recorder, "
        "and write the header anew",
    )  # fmt: skip


def check_bandwidth(found: Measures) -> Check:
    """Are the high frequencies there?"""
    words = f"sound up to {found.bandwidth:.0f} Hz"
    if found.bandwidth < NARROW:
        return Check(
            "bandwidth", FAILED, found.bandwidth,
            f"narrow band: {words} alone, as over a telephone or from {2 * found.bandwidth:.0f} Hz;"
            f" record at {RATE} Hz, or train with a band limit (docs/augmentation.md)",
        )  # fmt: skip
    return Check("bandwidth", OK, found.bandwidth, words)


def check_hum(found: Measures) -> Check:
    """Does the mains hum in it?"""
    if found.hum:
        return Check(
            "hum", FAILED, found.hum,
            f"mains hum of {found.hum:.0f} Hz and its multiples; "
            "check grounding and cables, or filter it out",
        )  # fmt: skip
    return Check("hum", OK, 0.0, "none")


def check_noise(found: Measures) -> Check:
    """Does speech stand out of steady noise?"""
    # Speech that a computer made stands hundreds of decibels above nothing.
    much = f"{found.snr:.0f} dB" if found.snr <= CLEAN else f"more than {CLEAN:.0f} dB"
    words = f"signal {much} above steady noise"
    if found.snr < NOISY:
        return Check(
            "noise", FAILED, found.snr,
            f"noise: {words}; go nearer to the microphone, or away from the noise",
        )  # fmt: skip
    if found.snr < SOME_NOISE:
        return Check("noise", NOTE, found.snr, f"some noise: {words}; a nearer microphone helps")
    return Check("noise", OK, found.snr, words)


def check_music(found: Measures) -> Check:
    """Is it music? Told by tones that are held; a voice glides, and so does a singer's."""
    words = f"{100 * found.held:.0f} % of the strong tones are held for 160 ms"
    if found.held >= MUSICAL:
        return Check(
            "music", FAILED, found.held,
            f"music, or tones: {words}; the model knows speech alone and answers all the same",
        )  # fmt: skip
    return Check("music", OK, found.held, words)


def check_distance(far: float) -> Check:
    """Is it like what the model was trained on?"""
    words = f"features lie {far:.1f} standard deviations from the mean of the training data"
    if far > FAR:
        return Check(
            "distance", NOTE, far,
            f"{words}: unlike the recordings that the model knows, so trust its answer less",
        )  # fmt: skip
    return Check("distance", OK, far, words)


def distance(samples: Samples, sample_rate: int, classifier: Classifier) -> float:
    """Root mean square, over the features, of a recording's normalised mean."""
    total, count = 0.0, 0
    normaliser = classifier.model_file.metadata.normaliser
    for segment in classifier.segments(samples, sample_rate):
        features = classifier.front_end.clip(segment.frames)
        rows = np.reshape(features, (-1, len(normaliser.mean)))
        # What fills a short clip up is no sound.
        rows = rows[np.any(rows != 0, axis=1)]
        if len(rows):
            total = total + normaliser(rows).sum(axis=0, dtype=np.float64)
            count += len(rows)
    return float(np.sqrt(np.square(total / count).mean())) if count else 0.0


def channel_levels(path: str) -> list[float]:
    """Level of each channel in dB, of the first two minutes; empty if there is no telling."""
    if not Path(path).is_file():
        # A pipe has been read to its end, and who opens it again waits for ever.
        return []
    try:
        import soundfile

        with soundfile.SoundFile(path) as sound:
            if sound.channels == 1:
                return []
            samples = sound.read(round(LONGEST * sound.samplerate), "float32", always_2d=True)
    except (ImportError, OSError, RuntimeError):
        # Read without it, or not a kind it knows: the mean of the channels is all there is.
        return []
    powers = np.square(samples).mean(axis=0, dtype=np.float64)
    return [float(level) for level in 10 * np.log10(powers + 1e-12)]


def _decibels(amplitude: float) -> float:
    return float(20 * np.log10(amplitude + 1e-6))
