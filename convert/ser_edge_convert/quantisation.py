"""Quantises with ranges that were measured on the network as it is.

Between the float graph and the quantised one, TensorFlow Lite's converter runs
the graph on the calibration clips. Two things go wrong there with a fused LSTM
(tensorflow 2.21.0), neither of which it warns of: its cell state is clipped at 10
(:mod:`ser_edge_convert.cell_clip`), and it is carried from one clip into the
next, so that a long memory is measured on a sequence that nobody speaks. The
converter has no public place to step in; that the private ones used here are
still on its way is checked, and their absence is an error. So is a layer that was to
stay in floating point and did not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.lite.python import convert as steps
from tensorflow.lite.python import lite
from tensorflow.lite.python.optimize import calibrator

from ser_edge_convert.cell_clip import WIDEST_INT8, set_cell_clip
from ser_edge_convert.graph import read_graph
from ser_edge_convert.layers import MOVES

Samples = Callable[[], Iterable[list[Any]]]
Nodes = Callable[[bytes], Iterable[str]]


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


def convert_calibrated(converter: Any, nodes: Nodes | None = None) -> bytes:
    """Converts with calibration.

    Args:
        converter: A ``tf.lite.TFLiteConverter`` with its representative dataset set.
        nodes: Names, for the calibrated graph, the tensors whose operators stay in
            floating point; None for none.

    Raises:
        RuntimeError: The converter measured ranges in another way than this module knows,
            or quantised what was to stay in floating point.
    """
    quantise = converter._quantize

    def widened(flatbuffer: bytes, *arguments: Any, **options: Any) -> Any:
        return quantise(set_cell_clip(flatbuffer, WIDEST_INT8), *arguments, **options)

    kept: list[str] = []
    inner = lite._mlir_quantize

    def sparing(calibrated: bytes, *arguments: Any, **options: Any) -> bytes:
        if nodes is not None:
            kept.extend(nodes(calibrated))
        return bytes(inner(calibrated, *arguments, denylisted_nodes=kept, **options))

    converter._quantize = widened
    before = _ForgettingCalibrator.runs
    with (
        _replaced(calibrator, "Calibrator", _ForgettingCalibrator),
        _replaced(lite, "_mlir_quantize", sparing if nodes is not None else inner),
    ):
        flatbuffer = bytes(converter.convert())
    if _ForgettingCalibrator.runs == before:
        raise RuntimeError("this release of TensorFlow calibrates in a way that is not known here")
    if nodes is not None:
        _check_float(flatbuffer, kept)
    return flatbuffer


def calibrate(converter: Any) -> bytes:
    """The graph in floating point, each of its tensors with the range that the clips gave it.

    Args:
        converter: A ``tf.lite.TFLiteConverter`` with its representative dataset set.

    Raises:
        RuntimeError: As :func:`convert_calibrated`.
    """
    converter._experimental_calibrate_only = True
    return convert_calibrated(converter)


def quantise(calibrated: bytes, nodes: Collection[str]) -> bytes:
    """A calibrated graph in int8, float32 at both ends; takes a fraction of a second.

    Args:
        calibrated: As :func:`calibrate` gives it.
        nodes: Names of tensors whose operators stay in floating point.

    Raises:
        RuntimeError: One of them did not.
    """
    flatbuffer = bytes(steps.mlir_quantize(calibrated, denylisted_nodes=list(nodes)))
    _check_float(flatbuffer, nodes)
    return flatbuffer


def _check_float(flatbuffer: bytes, nodes: Collection[str]) -> None:
    graph = read_graph(flatbuffer)
    made = [
        graph.tensors[index]
        for operator in graph.operators
        if operator.name not in MOVES  # they may change places with a QUANTIZE
        for index in operator.outputs
    ]
    quantised = sorted({t.name for t in made if t.dtype == "int8"} & set(nodes))
    if quantised:
        raise RuntimeError(f"the converter quantised {quantised[0]}, which was to stay float")


@contextmanager
def _replaced(module: Any, name: str, by: Any) -> Iterator[None]:
    usual = getattr(module, name)
    setattr(module, name, by)
    try:
        yield
    finally:
        setattr(module, name, usual)
