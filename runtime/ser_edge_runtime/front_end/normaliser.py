"""Mean and scale of each feature, fitted on training utterances."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import SpecError
from ser_edge_runtime.records import record

Array = npt.NDArray[np.float32]


@record(eq=False)
class Normaliser:
    """Subtracts a mean from each feature and divides it by a scale.

    It is apart from the front-end spec because it is fitted: folds, seeds and
    enrolment change it and touch no stored feature. Threads may share it.

    Attributes:
        mean: float32 (features,), in the features' own units.
        scale: float32 (features,), positive; a feature that never varies has 1.

    Raises:
        SpecError: The two differ in length, or hold what is no positive scale or no number.
    """

    mean: Array
    scale: Array

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            try:
                values = np.array(getattr(self, name), dtype=np.float32)
            except (TypeError, ValueError):
                raise SpecError("normaliser: mean and scale must be lists of numbers") from None
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape or not self.mean.size:
            raise SpecError("normaliser: mean and scale must be lists of one length")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all()):
            raise SpecError("normaliser: mean and scale must be finite numbers")
        if not (self.scale > 0).all():
            raise SpecError("normaliser: every scale must be above 0")

    @classmethod
    def identity(cls, features: int) -> Normaliser:
        """A normaliser that changes nothing."""
        return cls(np.zeros(features, np.float32), np.ones(features, np.float32))

    @classmethod
    def fit(cls, batches: Iterable[npt.NDArray[Any]]) -> Normaliser:
        """Fits mean and standard deviation over everything but the last axis.

        Batches are merged by Chan, Golub and LeVeque's formula (1979), in
        float64, so that memory does not grow with their number.

        Args:
            batches: Arrays (..., features).

        Raises:
            SpecError: There was no value at all.
        """
        count, mean, moment = 0, np.zeros(0), np.zeros(0)
        for batch in batches:
            rows = np.asarray(batch, dtype=np.float64).reshape(-1, np.shape(batch)[-1])
            if not len(rows):
                continue
            batch_mean = rows.mean(axis=0)
            batch_moment = np.square(rows - batch_mean).sum(axis=0)
            if count == 0:
                count, mean, moment = len(rows), batch_mean, batch_moment
                continue
            total = count + len(rows)
            shift = batch_mean - mean
            mean = mean + shift * (len(rows) / total)
            moment = moment + batch_moment + np.square(shift) * (count * len(rows) / total)
            count = total
        if count == 0:
            raise SpecError("normaliser: no feature to fit it on; is the training part empty?")
        scale = np.sqrt(moment / count)
        # A constant feature carries nothing; dividing by its rounding noise would invent something.
        scale[scale <= 1e-6 * np.maximum(1.0, np.abs(mean))] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def __call__(self, features: Array) -> Array:
        """Normalises ``features`` (..., features); returns float32 of the same shape."""
        return np.asarray((features - self.mean) / self.scale, dtype=np.float32)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Normaliser)
            and np.array_equal(self.mean, other.mean)
            and np.array_equal(self.scale, other.scale)
        )

    def __hash__(self) -> int:
        return hash((self.mean.tobytes(), self.scale.tobytes()))

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists, exact: a float32 survives the way through JSON."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    def to_json(self) -> str:
        """The canonical JSON of :meth:`to_dict`."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, values: Any) -> Normaliser:
        """Reads what :meth:`to_dict` gave.

        Raises:
            SpecError: It is something else.
        """
        if not isinstance(values, dict) or set(values) != {"mean", "scale"}:
            raise SpecError("normaliser: a table with mean and scale is expected")
        return cls(_row(values["mean"]), _row(values["scale"]))

    @classmethod
    def from_json(cls, text: str) -> Normaliser:
        """Reads what :meth:`to_json` wrote.

        Raises:
            SpecError: The text is not JSON or something else.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as fault:
            raise SpecError(f"normaliser: not JSON ({fault})") from None
        return cls.from_dict(values)


# float32's. Not from numpy.finfo: loading tflite-runtime 2.14 on arm64 makes the processor flush
# subnormals to zero, of which finfo then warns.
_LARGEST = (2 - 2**-23) * 2.0**127


def _row(values: Any) -> Array:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise SpecError("normaliser: mean and scale must be lists of numbers")
    if not all(abs(value) <= _LARGEST for value in values):
        raise SpecError("normaliser: mean and scale must be finite numbers")
    return np.array(values, np.float32)
