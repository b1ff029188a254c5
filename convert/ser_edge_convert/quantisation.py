"""Quantises with ranges that were measured on the network as it is.

Between the float graph and the quantised one, TensorFlow Lite's converter runs
the graph on the calibration clips. Two things go wrong there with a fused LSTM
(tensorflow 2.21.0), neither of which it warns of: its cell state is clipped at 10
(:mod:`ser_edge_convert.cell_clip`), and it is carried from one clip into the
next, so that a long memory is measured on a sequence that nobody speaks. The
converter has no public place to step in; that the private ones used here are
still on its way is checked, and their absence is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.lite.python.optimize import calibrator

from ser_edge_convert.cell_clip import WIDEST_INT8, set_cell_clip

Samples = Callable[[], Iterable[list[Any]]]


class _ForgettingCalibrator(calibrator.Calibrator):  # type: ignore[misc]  # untyped base
    """A calibrator that runs every clip from a zero state.

    Attributes:
        runs: Clips run by all calibrators so far.
    """

    runs = 0

    def _feed_tensors(self, dataset_gen: Samples, resize_input: bool) -> None:
        def forgetting() -> Iterator[list[Any]]:
            for number, sample in enumerate(dataset_gen()):
                if number:  # before the first, the base class does it
                    self._calibrator.Prepare([list(values.shape) for values in sample])
                _ForgettingCalibrator.runs += 1
                yield sample

        super()._feed_tensors(forgetting, resize_input)


def convert_calibrated(converter: Any) -> bytes:
    """Converts with calibration.

    Args:
        converter: A ``tf.lite.TFLiteConverter`` with its representative dataset set.

    Raises:
        RuntimeError: The converter measured ranges in another way than this module knows.
    """
    quantise = converter._quantize

    def widened(flatbuffer: bytes, *arguments: Any, **options: Any) -> Any:
        return quantise(set_cell_clip(flatbuffer, WIDEST_INT8), *arguments, **options)

    converter._quantize = widened
    before = _ForgettingCalibrator.runs
    with _calibrating_by(_ForgettingCalibrator):
        flatbuffer = bytes(converter.convert())
    if _ForgettingCalibrator.runs == before:
        raise RuntimeError("this release of TensorFlow calibrates in a way that is not known here")
    return flatbuffer


@contextmanager
def _calibrating_by(kind: type[Any]) -> Iterator[None]:
    usual = calibrator.Calibrator
    calibrator.Calibrator = kind
    try:
        yield
    finally:
        calibrator.Calibrator = usual
