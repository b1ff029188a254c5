"""The front end: from samples to features, the same numpy code in training and on the device."""

from ser_edge_runtime.front_end.clip import FrontEnd
from ser_edge_runtime.front_end.features import FrameStage
from ser_edge_runtime.front_end.kinds import (
    Chroma,
    Delta,
    LogMel,
    Mfcc,
    Rms,
    SpectralContrast,
    Zcr,
)
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_runtime.front_end.spec import FrontEndSpec

__all__ = [
    "Chroma",
    "Delta",
    "FrameStage",
    "FrontEnd",
    "FrontEndSpec",
    "LogMel",
    "Mfcc",
    "Normaliser",
    "Rms",
    "SpectralContrast",
    "Zcr",
]
