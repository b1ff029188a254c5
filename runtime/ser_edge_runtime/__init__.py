"""Speech emotion recognition on small devices: numpy and a TFLite interpreter, nothing else.

    >>> from ser_edge_runtime import Classifier
    >>> Classifier.load().classify_file("clip.wav").label      # doctest: +SKIP
    'angry'

Names are loaded when they are first used, so that importing the package costs
no more than what is used of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_edge_runtime.audio import load_audio
    from ser_edge_runtime.classifier import Classifier, Result
    from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec, Normaliser
    from ser_edge_runtime.smoothing import Smoothing
    from ser_edge_runtime.speech_gate import SpeechGate
    from ser_edge_runtime.stream import StreamingClassifier
    from ser_edge_runtime.voice import Voice
    from ser_edge_runtime.voices import Voices

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "FrontEnd",
    "FrontEndSpec",
    "Normaliser",
    "Result",
    "Smoothing",
    "SpeechGate",
    "StreamingClassifier",
    "Voice",
    "Voices",
    "__version__",
    "load_audio",
]

_HOMES = {
    "load_audio": "audio",
    "Classifier": "classifier",
    "Result": "classifier",
    "FrontEnd": "front_end",
    "FrontEndSpec": "front_end",
    "Normaliser": "front_end",
    "Smoothing": "smoothing",
    "SpeechGate": "speech_gate",
    "StreamingClassifier": "stream",
    "Voice": "voice",
    "Voices": "voices",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
