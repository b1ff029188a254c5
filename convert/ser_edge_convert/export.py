"""The child process of a conversion: ``python -m ser_edge_convert.export FOLDER``.

It alone loads TensorFlow, whose calibrator can end in a segmentation fault; the
parent (:mod:`ser_edge_convert.child`) turns that into one clear error. The folder
is both its desk and its letter box; see :class:`ser_edge_convert.child.Desk`.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ser_edge_convert.cell_clip import NO_CLIP, WIDEST_INT8, cell_clips, set_cell_clip
from ser_edge_convert.child import FAILED, Desk
from ser_edge_convert.fused_lstm import prepare
from ser_edge_convert.quantisation import convert_calibrated
from ser_edge_runtime.files import write_atomically, write_text_atomically

PREDICT_BATCH = 64


class _Unfit(Exception):
    """The network is not of a kind that can be converted; the text is for the user."""


def load_network(path: str) -> Any:
    """Loads a network without its training objective, and checks that it is one we convert.

    Raises:
        _Unfit: It is not: more than one input, no fixed shape, no plain logits.
    """
    try:
        model = keras.saving.load_model(path, compile=False)
    except (TypeError, ValueError) as fault:
        raise _Unfit(
            f"Keras cannot load it ({_first_line(fault)}); only layers that Keras brings "
            "itself are converted"
        ) from fault
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise _Unfit("it has more than one input or output; one of each is needed")
    if any(size is None for size in model.inputs[0].shape[1:]):
        raise _Unfit("its input has no fixed shape; set clip_seconds in the front end")
    if len(model.outputs[0].shape) != 2:
        raise _Unfit("its output is not one row of logits")
    activation = getattr(model.layers[-1], "activation", None)
    if isinstance(model.layers[-1], keras.layers.Softmax) or (
        activation is keras.activations.softmax
    ):
        raise _Unfit("it ends in a softmax; end it in logits, the runtime applies the softmax")
    return model


def network_logits(model: Any, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The network's own logits: features (n, ...) to float32 (n, classes)."""
    if not len(features):
        return np.zeros((0, model.outputs[0].shape[-1]), np.float32)
    return np.concatenate(
        [
            np.asarray(model.predict_on_batch(features[start : start + PREDICT_BATCH]))
            for start in range(0, len(features), PREDICT_BATCH)
        ]
    ).astype(np.float32)


def to_flatbuffer(model: Any, variant: str, calibration: npt.NDArray[np.float32] | None) -> bytes:
    """Converts a network of batch size 1.

    Args:
        model: As :func:`ser_edge_convert.fused_lstm.prepare` gives it.
        variant: A name of :data:`ser_edge_convert.variants.VARIANTS`.
        calibration: Normalised features (n, ...), for variants that are calibrated.
    """
    # from_keras_model, no other way: from_concrete_functions([f], model) loses
    # the weights without a word (tensorflow 2.21.0, keras 3.15.1).
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    calibrated = variant in ("int8", "int8-io", "int16x8")
    if calibrated:
        if calibration is None:
            raise ValueError(f"{variant} needs clips to calibrate on")
        converter.representative_dataset = _one_by_one(calibration)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            if variant == "int16x8"
            else tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
    if variant == "int8-io":
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    if calibrated:
        return _checked(convert_calibrated(converter), WIDEST_INT8)
    return _checked(set_cell_clip(bytes(converter.convert()), NO_CLIP), NO_CLIP)


def _checked(flatbuffer: bytes, limit: float) -> bytes:
    found = cell_clips(flatbuffer)
    if any(clip != limit for clip in found):
        raise RuntimeError(f"the LSTM's cell state is clipped at {found}: not the network's own")
    return flatbuffer


def run(desk: Desk) -> None:
    """Does the job that lies on the desk and leaves its results there."""
    job = desk.read_job()
    model = load_network(job.model)
    calibration = np.load(desk.calibration, mmap_mode="r") if job.calibrated else None
    probe = np.load(desk.probe, mmap_mode="r")
    if tuple(probe.shape[1:]) != tuple(model.inputs[0].shape[1:]):
        raise _Unfit(
            f"its input is {tuple(model.inputs[0].shape[1:])}, but the front end gives "
            f"{tuple(probe.shape[1:])}"
        )
    buffer = io.BytesIO()
    np.save(buffer, network_logits(model, probe))
    write_atomically(desk.logits, buffer.getvalue())
    copy, forms = prepare(model, job.lstm)
    write_atomically(desk.flatbuffer, to_flatbuffer(copy, job.variant, calibration))
    facts = {
        "recurrent": forms,
        "parameters": int(model.count_params()),
        "versions": {
            "keras": keras.__version__,
            "numpy": np.__version__,
            "tensorflow": tf.__version__,
        },
    }
    write_text_atomically(desk.facts, json.dumps(facts, sort_keys=True))


def main(arguments: list[str]) -> int:
    """Runs the job in the folder named; a fault becomes one line in the folder."""
    desk = Desk(Path(arguments[0]))
    try:
        run(desk)
    except _Unfit as fault:
        desk.write_failure(str(fault), unfit=True)
        return FAILED
    except Exception as fault:
        # Not one kind of error but whatever TensorFlow raises; the log keeps its traceback.
        traceback.print_exc()
        desk.write_failure(f"{type(fault).__name__}: {_first_line(fault)}", unfit=False)
        return FAILED
    return 0


def _one_by_one(features: npt.NDArray[np.float32]) -> Callable[[], Iterator[list[Any]]]:
    def samples() -> Iterator[list[Any]]:
        for row in features:
            yield [np.asarray(row, dtype=np.float32)[np.newaxis]]

    return samples


def _first_line(fault: BaseException) -> str:
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
