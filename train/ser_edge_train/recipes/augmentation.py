"""The table ``[augmentation]`` of a recipe: what is done to training utterances, and how much."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from ser_edge_runtime.front_end.spec import FrontEndSpec
from ser_edge_train.recipes.table import Range, Table, within

Probability = Annotated[float, Field(gt=0, le=1)]
Talkers = Annotated[int, Field(ge=1, le=100)]
CodecName = Literal["opus", "vorbis", "mp3", "mulaw", "gsm"]


class SpecAugment(Table):
    """Stretches of time and of frequency set to the mean (Park et al. 2019, arXiv:1904.08779).

    Attributes:
        time_masks: Stretches of time hidden in each utterance.
        time_width: The most frames that each hides.
        frequency_masks: Ranges of features hidden in each utterance.
        frequency_width: The most features that each hides.
    """

    time_masks: Annotated[int, Field(ge=0, le=100)] = 0
    time_width: Annotated[int, Field(ge=0, le=100_000)] = 0
    frequency_masks: Annotated[int, Field(ge=0, le=100)] = 0
    frequency_width: Annotated[int, Field(ge=0, le=100_000)] = 0


class Mixup(Table):
    """Utterances blended in pairs, features and labels alike (Zhang et al. 2018, arXiv:1710.09412).

    Attributes:
        alpha: Both parameters of the Beta distribution of the blend.
        probability: Share of utterances that are blended.
    """

    alpha: Annotated[float, Field(gt=0, le=100)]
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0


class Effect(Table):
    """One change of a waveform.

    Attributes:
        probability: Share of the copies that it is done to.
    """

    probability: Probability = 1.0


class Speed(Effect):
    """Played faster or slower: length, pitch and formants change together.

    Attributes:
        factor: Of the speed: 1.1 makes a clip shorter by a factor of 1.1 and higher by it.
    """

    factor: Annotated[Range, AfterValidator(within(0.5, 2))] = (0.9, 1.1)


class Pitch(Effect):
    """Higher or lower at the same length.

    Attributes:
        semitones: Twelve are an octave; negative ones go down.
    """

    semitones: Annotated[Range, AfterValidator(within(-12, 12, " semitones"))] = (-2.0, 2.0)


class Stretch(Effect):
    """Shorter or longer at the same pitch.

    Attributes:
        rate: Of the speech: 1.25 makes a clip shorter by a factor of 1.25.
    """

    rate: Annotated[Range, AfterValidator(within(0.5, 2))] = (0.85, 1.2)


class Shift(Effect):
    """Moved in time around the ends: what leaves one end enters the other.

    Attributes:
        share: Of the clip's length; negative ones move it towards its beginning.
    """

    share: Annotated[Range, AfterValidator(within(-1, 1))] = (-0.25, 0.25)


class Reverb(Effect):
    """A room: convolution with noise that decays exponentially, behind the direct sound.

    Attributes:
        rt60_seconds: Time in which the reverberation falls by 60 dB.
        direct_db: Energy of the direct sound over that of the reverberation, in dB.
    """

    rt60_seconds: Annotated[Range, AfterValidator(within(0.01, 5, " s"))] = (0.15, 0.6)
    direct_db: Annotated[Range, AfterValidator(within(-20, 40, " dB"))] = (0.0, 12.0)


class Noise(Effect):
    """White noise.

    Attributes:
        snr_db: Mean power of the clip over that of the noise, in dB.
    """

    snr_db: Annotated[Range, AfterValidator(within(-40, 80, " dB"))] = (10.0, 30.0)


class RecordedNoise(Noise):
    """Noise that was recorded: a stretch of one of the recordings in a folder.

    Attributes:
        folder: Of recordings, searched with all below it; from the current folder
            unless it is absolute.
    """

    folder: Annotated[str, Field(min_length=1, max_length=4096)]


class BandLimit(Effect):
    """What a small loudspeaker, a telephone or a cheap microphone leaves of the band.

    Attributes:
        low_hz: Lower edge (-3 dB).
        high_hz: Upper edge (-3 dB); one at half the sample rate or above has no effect.
        slope_db: Fall beyond the edges in dB an octave, a multiple of 6.
    """

    low_hz: Annotated[Range, AfterValidator(within(1, 4000, " Hz"))] = (50.0, 300.0)
    high_hz: Annotated[Range, AfterValidator(within(100, 192_000, " Hz"))] = (3400.0, 7500.0)
    slope_db: Annotated[int, Field(ge=6, le=48, multiple_of=6)] = 24

    @model_validator(mode="after")
    def _a_band_is_left(self) -> Self:
        if self.low_hz[1] >= self.high_hz[0]:
            raise ValueError(f"low_hz reaches {self.low_hz[1]:g}, high_hz {self.high_hz[0]:g} Hz")
        return self


class Gain(Effect):
    """Louder or softer.

    Attributes:
        db: Decibels; where a clip would pass full scale, only as many as it takes to reach it.
    """

    db: Annotated[Range, AfterValidator(within(-60, 60, " dB"))] = (-6.0, 6.0)


class Codec(Effect):
    """Encoded and decoded, as on the way through a telephone or a messenger.

    Attributes:
        names: What is chosen from: "opus", "vorbis" and "mp3" at about the front
            end's rate, "mulaw" and "gsm" (06.10) at 8 kHz.
        compression: Of the first three, from 0, the best sound, to 0.99. At 16 kHz in one
            channel Opus has about 256 - 250 * compression kbit/s.
    """

    names: Annotated[tuple[CodecName, ...], Field(strict=False, min_length=1)] = ("opus", "mp3")
    compression: Annotated[Range, AfterValidator(within(0, 0.99))] = (0.8, 0.98)

    @field_validator("names")
    @classmethod
    def _once(cls, names: tuple[CodecName, ...]) -> tuple[CodecName, ...]:
        if len(set(names)) != len(names):
            raise ValueError("one stands twice")
        return names


POWERS: Final = frozenset({"log_mel", "mfcc", "rms", "delta"})
"""Features whose raw frames are powers, which add as sounds do, and what is computed of them."""

EFFECTS: Final = (
    "speed", "pitch", "stretch", "shift", "reverb", "noise", "recorded_noise", "band_limit",
    "gain", "codec",
)  # fmt: skip
"""Effects in the order in which they are done: the speaker, the room, the microphone, the line."""


class Waveform(Table):
    """Copies of the training recordings, each changed at random and kept in the feature store.

    Copy 0 is the recording itself. Which effects change copy k of a clip, and how
    much, follows from the clip's audio, this table, the recipe's seed and k alone. A
    copy that the probabilities leave as it was gets one effect, each equally likely.

    Attributes:
        copies: Changed copies of each training clip.
        use: "all": every epoch sees recordings and copies, ``copies`` + 1 times as many
            utterances; "one": every epoch draws one of them for each clip.
    """

    copies: Annotated[int, Field(ge=1, le=1000)]
    use: Literal["all", "one"] = "all"
    speed: Speed | None = None
    pitch: Pitch | None = None
    stretch: Stretch | None = None
    shift: Shift | None = None
    reverb: Reverb | None = None
    noise: Noise | None = None
    recorded_noise: RecordedNoise | None = None
    band_limit: BandLimit | None = None
    gain: Gain | None = None
    codec: Codec | None = None

    @model_validator(mode="after")
    def _something_is_done(self) -> Self:
        if not self.effects:
            raise ValueError(f"names no effect; choose from {', '.join(EFFECTS)}")
        return self

    @property
    def effects(self) -> dict[str, Effect]:
        """The effects asked for, by name, in the order in which they are done."""
        chosen = {name: getattr(self, name) for name in EFFECTS}
        return {name: effect for name, effect in chosen.items() if effect is not None}

    def canonical_json(self, recordings: str | None = None) -> str:
        """What decides the content of a copy: without ``copies`` and ``use``.

        Args:
            recordings: Stands for the folder of recorded noise: what is in it
                counts, not where it lies.
        """
        values: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        del values["copies"], values["use"]
        if recordings is not None:
            values["recorded_noise"]["folder"] = recordings
        return json.dumps(values, sort_keys=True, separators=(",", ":"))


class Voices(Table):
    """Other training speakers who talk behind an utterance, in some of its copies.

    Attributes:
        probability: Share of the copies of ``waveform`` that it is done to.
        number: How many talk at once, evenly between the two.
        snr_db: Mean power of the copy over that of all who talk behind it, in dB.
    """

    probability: Probability = 1.0
    number: Annotated[tuple[Talkers, Talkers], Field(strict=False)] = (1, 6)
    snr_db: Annotated[Range, AfterValidator(within(-40, 80, " dB"))] = (5.0, 20.0)

    @field_validator("number")
    @classmethod
    def _rising(cls, number: tuple[int, int]) -> tuple[int, int]:
        if number[0] > number[1]:
            raise ValueError(f"the first of {list(number)} must not be the larger")
        return number


class Augmentation(Table):
    """What is done to training utterances; validation and test are never touched.

    All but the copies of ``waveform``, and the ``voices`` behind them, is done anew in every
    epoch.

    Attributes:
        waveform: See :class:`Waveform`; left out: only the recordings.
        voices: See :class:`Voices`; left out: nobody.
        gain_db: The most decibels by which an utterance's features are made those of a
            louder or softer recording; left out: none.
        time_shift: The most frames by which an utterance is moved, around the ends.
        spec_augment: See :class:`SpecAugment`; left out: none.
        mixup: See :class:`Mixup`; left out: none.
    """

    waveform: Waveform | None = None
    voices: Voices | None = None
    gain_db: Annotated[float, Field(gt=0, le=60)] | None = None
    time_shift: Annotated[int, Field(ge=0, le=100_000)] = 0
    spec_augment: SpecAugment | None = None
    mixup: Mixup | None = None

    @model_validator(mode="after")
    def _voices_have_copies(self) -> Self:
        if self.voices is not None and self.waveform is None:
            raise ValueError("voices: they talk behind copies; name a table waveform too")
        return self

    def check(self, spec: FrontEndSpec) -> None:
        """Makes sure that it can be done to the features of a front end.

        Raises:
            ValueError: It cannot; names the field.
        """
        masks, shape = self.spec_augment, spec.output_shape
        if self.gain_db is not None and spec.level is not None:
            raise ValueError(
                "augmentation.gain_db: front_end.level takes every difference of level away"
            )
        band = None if self.waveform is None else self.waveform.band_limit
        if band is not None and band.low_hz[1] > 0.4 * spec.sample_rate:
            raise ValueError(
                "augmentation.waveform.band_limit.low_hz: at most "
                f"{0.4 * spec.sample_rate:g}, two fifths of front_end.sample_rate"
            )
        others = sorted({each.kind for each in spec.features} - POWERS)
        if self.voices is not None and others:
            raise ValueError(
                f"augmentation.voices: of {others[0]} two sounds do not make the sum; leave it out"
            )
        if len(shape) == 1 and (masks is not None or self.time_shift):
            raise ValueError(
                "augmentation: spec_augment and time_shift need front_end.layout = 'sequence'"
            )
        if masks is not None and masks.time_width > shape[0]:
            raise ValueError(
                f"augmentation.spec_augment.time_width: at most the {shape[0]} frames of an input"
            )
        if masks is not None and masks.frequency_width > shape[1]:
            raise ValueError(
                f"augmentation.spec_augment.frequency_width: at most the {shape[1]} features"
            )
