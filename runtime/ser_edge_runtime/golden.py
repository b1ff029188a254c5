"""Golden vectors: a clip whose features and probabilities are known, carried by every model file.

``golden.npz`` is what numpy calls an npz, so ``numpy.load`` opens it. It is read
here by its one possible form instead: no pickle, no shape or length is believed
before it is checked, and what is read must give the same bytes when written.

Most frames of a short clip are padding, equal rows: since format 2 each different row of the
features is stored once, in the order in which it first stands, and ``rows`` says which one
stands in each frame. Features without frames are stored as they are, and ``rows`` is empty.
Format 1 has no ``rows`` and all frames.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime import stored_zip
from ser_edge_runtime.metadata import LARGEST_INPUT
from ser_edge_runtime.records import record

if TYPE_CHECKING:
    from ser_edge_runtime.classifier import Classifier
    from ser_edge_runtime.model_file import ModelFile

Array = npt.NDArray[np.float32]

# Features may differ by this share of each feature's range between platforms
# (order of summation, FFT, logarithm); the parity bound of the front end.
FEATURE_TOLERANCE = 1e-4

_FULL_SCALE = 32768
_ENTRIES: dict[str, np.dtype[Any]] = {
    "samples": np.dtype("<i2"),
    "sample_rate": np.dtype("<i4"),
    "features": np.dtype("<f4"),
    "probabilities": np.dtype("<f4"),
    "tolerance": np.dtype("<f8"),
    "rows": np.dtype("<i4"),
}
_FORMAT_1 = tuple(_ENTRIES)[:-1]
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<[if][248])', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,9},? ?){0,8})\), \} *\n",
    re.DOTALL,
)


class BadGolden(Exception):
    """The bytes are no golden vectors; the text says why."""


@record(eq=False)
class Golden:
    """A synthetic clip and what a model made of it when it was packed.

    Attributes:
        samples: float32 (n,), multiples of 1/32768: they are stored as 16-bit integers.
        sample_rate: Hz.
        features: float32 of the front end's shape, before the normaliser.
        probabilities: float32 (classes,), after temperature and softmax.
        tolerance: How far another interpreter's probabilities may be away.
    """

    samples: Array
    sample_rate: int
    features: Array
    probabilities: Array
    tolerance: float

    def to_bytes(self) -> bytes:
        """The npz; equal vectors give equal bytes.

        Raises:
            ValueError: The samples are not those of a 16-bit recording.
        """
        scaled = np.asarray(self.samples, np.float64) * _FULL_SCALE
        samples = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
        if not np.array_equal(samples, scaled):
            raise ValueError("golden samples must be multiples of 1/32768 within full scale")
        features, rows = _once_each(self.features)
        values: dict[str, Any] = {
            "samples": samples,
            "sample_rate": self.sample_rate,
            "features": features,
            "probabilities": self.probabilities,
            "tolerance": self.tolerance,
            "rows": rows,
        }
        return stored_zip.build(
            {f"{name}.npy": _npy(np.asarray(values[name], _ENTRIES[name])) for name in _ENTRIES}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Reads what :meth:`to_bytes` wrote, or wrote in format 1.

        Raises:
            BadGolden: It is something else.
        """
        try:
            start, members = stored_zip.parse(
                data, most_members=8, largest_zip=len(data), largest_member=len(data)
            )
        except stored_zip.BadZip as fault:
            raise BadGolden(f"not a plain npz ({fault})") from None
        names = tuple(name.removesuffix(".npy") for name in members)
        if start != 0 or names not in (tuple(_ENTRIES), _FORMAT_1):
            raise BadGolden("it holds other arrays than the format's")
        values = {name: _array(members[f"{name}.npy"], name) for name in names}
        if [values[name].ndim for name in ("samples", "sample_rate", "probabilities", "tolerance")]\
                != [1, 0, 1, 0]:  # fmt: skip
            raise BadGolden("its arrays have other shapes than the format's")
        golden = cls(
            samples=np.asarray(values["samples"] / np.float32(_FULL_SCALE), np.float32),
            sample_rate=int(values["sample_rate"]),
            features=_in_frames(values["features"], values.get("rows")).astype(np.float32),
            probabilities=values["probabilities"].astype(np.float32),
            tolerance=float(values["tolerance"]),
        )
        floats = (golden.features, golden.probabilities, golden.tolerance)
        if not all(np.isfinite(value).all() for value in floats):
            raise BadGolden("it holds what is no number")
        if golden.sample_rate < 1 or golden.tolerance <= 0 or not len(golden.samples):
            raise BadGolden("no samples, or a sample rate or tolerance that is not above 0")
        return golden


@record()
class GoldenReport:
    """How far this machine is from the one that packed the model.

    Attributes:
        feature_difference: Largest difference, as a share of its feature's range.
        probability_difference: Largest difference of a probability, from the clip on.
        tolerance: What ``probability_difference`` may be.
        same_label: Whether the most probable class is the same.
    """

    feature_difference: float
    probability_difference: float
    tolerance: float
    same_label: bool

    @property
    def passed(self) -> bool:
        """Whether features and probabilities are within their tolerances."""
        return (
            self.feature_difference <= FEATURE_TOLERANCE
            and self.probability_difference <= self.tolerance
        )


def verify_golden(model_file: ModelFile, classifier: Classifier) -> GoldenReport:
    """Runs a model's golden clip through the front end and the interpreter of this machine.

    Args:
        model_file: Whose golden vectors.
        classifier: What runs them; made from the same file.

    Raises:
        GoldenInvalid: The golden vectors cannot be read.
        InvokeFailed: The interpreter stopped.
    """
    golden = model_file.golden
    features = classifier.front_end(golden.samples)
    probabilities = classifier.probabilities(features)
    difference = np.abs(features - golden.features)
    if golden.features.ndim == 2:
        spread = np.ptp(golden.features, axis=0)
    else:
        # One row only: no feature has a range of its own, so its size stands for it.
        spread = np.abs(golden.features)
    return GoldenReport(
        feature_difference=float((difference / np.maximum(spread, 1.0)).max()),
        probability_difference=float(np.abs(probabilities - golden.probabilities).max()),
        tolerance=golden.tolerance,
        same_label=int(probabilities.argmax()) == int(golden.probabilities.argmax()),
    )


def _once_each(features: Array) -> tuple[Array, npt.NDArray[np.int32]]:
    """The different rows of features in the order in which they first stand, and where each is."""
    if features.ndim != 2:
        return features, np.empty(0, np.int32)
    places: dict[bytes, int] = {}
    rows = [places.setdefault(row.tobytes(), len(places)) for row in features]
    firsts = [rows.index(place) for place in range(len(places))]
    return features[firsts], np.array(rows, np.int32)


def _in_frames(features: Array, rows: npt.NDArray[np.int32] | None) -> Array:
    """Features of all frames, from what :func:`_once_each` gave; without ``rows`` they are that."""
    if rows is None:
        return features
    if rows.ndim != 1:
        raise BadGolden("its arrays have other shapes than the format's")
    whole = features
    if features.ndim == 2:
        # Before they are laid out: a few bytes of rows may stand for any number of values.
        if len(rows) * features.shape[1] > LARGEST_INPUT:
            raise BadGolden("its frames hold more values than a model may take")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(features):
            raise BadGolden("a frame's row is none of the rows")
        whole = features[rows]
    kept, places = _once_each(whole)
    if kept.tobytes() != features.tobytes() or not np.array_equal(places, rows):
        raise BadGolden("its rows are not written in the one way there is")
    return whole


def _npy(array: npt.NDArray[Any]) -> bytes:
    """Version 1.0 of numpy's format (NEP 1), written out: no release of numpy changes it."""
    axes = ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "")
    header = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': ({axes}), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    return magic + header.encode("ascii") + array.tobytes()


def _array(data: bytes, name: str) -> npt.NDArray[Any]:
    header = _HEADER.match(data)
    if header is None or header[1].decode() != _ENTRIES[name].str:
        raise BadGolden(f"{name} is no array of {_ENTRIES[name].name}")
    content = data[header.end() :]
    try:
        shape = tuple(int(axis) for axis in header[2].decode().split(",") if axis.strip())
        if math.prod(shape) * _ENTRIES[name].itemsize != len(content):
            raise BadGolden(f"{name} is not as long as it says")
        array: npt.NDArray[Any] = np.frombuffer(content, _ENTRIES[name]).reshape(shape)
    except ValueError:
        # Axes that are no numbers, or more than numpy takes where another axis is 0.
        raise BadGolden(f"{name} has no shape that an array can have") from None
    if _npy(array) != data:
        raise BadGolden(f"{name} is not written in the one way there is")
    return array
