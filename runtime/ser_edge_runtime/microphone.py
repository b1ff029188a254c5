"""Sound from a microphone, through PortAudio as the package sounddevice brings it."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import MissingExtra, NoMicrophone

Array = npt.NDArray[np.float32]

PORTION_SECONDS = 0.1
"""Sound that a portion holds."""

WAITING_PORTIONS = 50
"""Portions that may wait for whoever takes them; what comes then is lost, and counted."""

_LOOK_EVERY = 0.5


class InputDevice(NamedTuple):
    """A device that sound can be recorded from.

    Attributes:
        number: By which it may be chosen too.
        name: Its name; a part of it is enough to choose it.
        channels: How many it has.
        sample_rate: Its own rate, in Hz.
        default: Whether it is taken if none is named.
    """

    number: int
    name: str
    channels: int
    sample_rate: int
    default: bool


def input_devices() -> list[InputDevice]:
    """All devices that sound can be recorded from.

    Raises:
        MissingExtra: sounddevice is not installed.
        NoMicrophone: PortAudio is not installed.
    """
    library = _library()
    chosen = library.default.device[0]
    return [
        InputDevice(
            index,
            str(device["name"]),
            int(device["max_input_channels"]),
            round(device["default_samplerate"]),
            index == chosen,
        )
        for index, device in enumerate(library.query_devices())
        if device["max_input_channels"] > 0
    ]


class Microphone:
    """Records from a device while it is open; use ``with`` and iterate inside.

    Iterating blocks until sound comes and ends when the device does. One thread.

    Args:
        device: A number or a part of a name; None takes the system's default.
        sample_rate: In Hz; None takes the device's own.

    Attributes:
        name: The device's.
        sample_rate: As it is recorded, in Hz.
        overruns: How often sound was lost: in the device, whose buffer nobody
            emptied, or here, because nobody took the portions.

    Raises:
        MissingExtra: sounddevice is not installed.
        NoMicrophone: PortAudio is not installed, or there is no such device, or
            it does not record at that rate.
    """

    def __init__(self, device: int | str | None = None, sample_rate: int | None = None) -> None:
        self._library = _library()
        self._portions: Queue[Array] = Queue(WAITING_PORTIONS)
        self._lost_in_device = 0
        self._lost_here = 0
        try:
            found = self._library.query_devices(device, "input")
            self.name = str(found["name"])
            self.sample_rate = sample_rate or round(found["default_samplerate"])
            self._stream = self._library.InputStream(
                device=device,
                channels=1,
                samplerate=self.sample_rate,
                blocksize=round(PORTION_SECONDS * self.sample_rate),
                dtype="float32",
                callback=self._take,
            )
        except (ValueError, self._library.PortAudioError) as fault:
            words = " ".join(str(fault).split()).rstrip(".")
            what = "the default microphone" if device is None else f"the microphone {device!r}"
            raise NoMicrophone(f"{what} cannot be opened ({words})") from None

    @property
    def overruns(self) -> int:
        """See the class."""
        return self._lost_in_device + self._lost_here

    def __enter__(self) -> Microphone:
        try:
            self._stream.start()
        except self._library.PortAudioError as fault:
            self._stream.close()
            raise NoMicrophone(f"{self.name} does not record ({fault})") from None
        return self

    def __exit__(self, *fault: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Array]:
        """Portions of a tenth of a second, float32 (k,).

        Raises:
            NoMicrophone: The device is gone.
        """
        while True:
            try:
                yield self._portions.get(timeout=_LOOK_EVERY)
            except Empty:
                if not self._stream.active:
                    fault = f"{self.name} has stopped recording"
                    raise NoMicrophone(fault, "plug it in again") from None

    def _take(self, block: npt.NDArray[Any], frames: int, time: Any, status: Any) -> None:
        # PortAudio's thread: whatever takes long here loses sound.
        self._lost_in_device += bool(status.input_overflow)
        try:
            # A copy: PortAudio fills the same memory again.
            self._portions.put_nowait(block[:, 0].copy())
        except Full:
            self._lost_here += 1


def _library() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MissingExtra("the microphone", "mic") from None
    except OSError:
        raise NoMicrophone(
            "sounddevice finds no PortAudio library", "on Debian run: apt install libportaudio2"
        ) from None
    return sounddevice
