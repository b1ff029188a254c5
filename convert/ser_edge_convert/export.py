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
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_convert.cell_clip import NO_CLIP, WIDEST_INT8, cell_clips, set_cell_clip
from ser_edge_convert.child import FAILED, Desk, Job
from ser_edge_convert.fused_lstm import prepare
from ser_edge_convert.graph import read_graph
from ser_edge_convert.layers import layers_of, nodes_of
from ser_edge_convert.loading import Unfit, first_line, read_network
from ser_edge_convert.quantisation import convert_calibrated
from ser_edge_convert.saved_model import SavedNetwork
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.files import write_atomically, write_text_atomically
from ser_edge_train.frameworks import keras, tf

PREDICT_BATCH = 64


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


def to_flatbuffer(
    model: Any,
    variant: str,
    calibration: npt.NDArray[np.float32] | None,
    float_layers: Collection[str] = (),
) -> bytes:
    """Converts a network of batch size 1.

    Args:
        model: As :func:`ser_edge_convert.fused_lstm.prepare` gives it.
        variant: A name of :data:`ser_edge_convert.variants.VARIANTS`.
        calibration: Normalised features (n, ...), for variants that are calibrated.
        float_layers: Names of layers that an int8 variant leaves in floating point.

    Raises:
        ValueError: Features are missing, or the variant or the network has no such layers.
    """
    converter = make_converter(model, variant, calibration)
    if not VARIANTS[variant].calibrated:
        if float_layers:
            raise ValueError(f"{variant} has no layers to leave in floating point")
        return _checked(set_cell_clip(bytes(converter.convert()), NO_CLIP), NO_CLIP)
    if not float_layers:
        return _checked(convert_calibrated(converter), WIDEST_INT8)
    if variant == "int16x8":
        raise ValueError("int16x8 quantises all layers or none")
    kinds = layer_kinds(model)

    def nodes(calibrated: bytes) -> list[str]:
        graph = read_graph(calibrated)
        return nodes_of(graph, layers_of(graph, kinds), float_layers)

    return _checked(convert_calibrated(converter, nodes), WIDEST_INT8)


def make_converter(model: Any, variant: str, calibration: npt.NDArray[np.float32] | None) -> Any:
    """The converter of a network of batch size 1, set up for a variant.

    Raises:
        ValueError: The variant is calibrated, and there is nothing to calibrate on.
    """
    # Of a Keras model no other way: from_concrete_functions([f], model) loses
    # the weights without a word (tensorflow 2.21.0, keras 3.15.1).
    if isinstance(model, SavedNetwork):
        # Here it has no weights to lose: they are constants.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([model.function])
    else:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "dynamic":
        # A scale for each channel of a dense layer makes FULLY_CONNECTED version 12
        # (tensorflow 2.21.0); tflite-runtime 2.14 refuses the file, it knows version 9.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if VARIANTS[variant].calibrated:
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
    return converter


def layer_kinds(model: Any) -> dict[str, str]:
    """Class of each layer by name, those of nested models too, in the network's order.

    Empty for a SavedModel, which has no layers to name.
    """
    if isinstance(model, SavedNetwork):
        return {}
    kinds: dict[str, str] = {}
    for layer in model.layers:
        inner = layer_kinds(layer) if isinstance(layer, keras.Model) else {}
        kinds |= {layer.name: type(layer).__name__} | inner
    return kinds


def _checked(flatbuffer: bytes, limit: float) -> bytes:
    found = cell_clips(flatbuffer)
    if any(clip != limit for clip in found):
        raise RuntimeError(f"the LSTM's cell state is clipped at {found}: not the network's own")
    return flatbuffer


def ask(desk: Desk, job: Job) -> tuple[Any, bool]:
    """Loads the network and leaves its logits of the probe on the desk.

    Returns:
        As :func:`ser_edge_convert.loading.read_network`.

    Raises:
        Unfit: The network is not of a kind that is converted, or not for these features.
    """
    model, softmax = read_network(job.model)
    probe = np.load(desk.probe, mmap_mode="r")
    if tuple(probe.shape[1:]) != tuple(model.inputs[0].shape[1:]):
        raise Unfit(
            f"its input is {tuple(model.inputs[0].shape[1:])}, but the front end gives "
            f"{tuple(probe.shape[1:])}"
        )
    logits = network_logits(model, probe)
    if len(logits) > 1 and (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1, atol=1e-4):
        raise Unfit("its outputs are probabilities; end it in logits, or in one softmax layer")
    buffer = io.BytesIO()
    np.save(buffer, logits)
    write_atomically(desk.logits, buffer.getvalue())
    return model, softmax


def run(desk: Desk) -> None:
    """Does the job that lies on the desk and leaves its results there."""
    job = desk.read_job()
    model, softmax = ask(desk, job)
    calibration = np.load(desk.calibration, mmap_mode="r") if job.calibrated else None
    copy, forms = one_clip_at_a_time(model, job)
    write_atomically(
        desk.flatbuffer, to_flatbuffer(copy, job.variant, calibration, job.float_layers)
    )
    facts = {
        "recurrent": forms,
        "softmax": "taken off" if softmax else "none",
        "parameters": int(model.count_params()),
        "versions": {
            "keras": keras.__version__,
            "numpy": np.__version__,
            "tensorflow": tf.__version__,
        },
    }
    write_text_atomically(desk.facts, json.dumps(facts, sort_keys=True))


def one_clip_at_a_time(model: Any, job: Job) -> tuple[Any, dict[str, str]]:
    """The network with batch size 1, and the form of each of its recurrent layers."""
    return (model, {}) if isinstance(model, SavedNetwork) else prepare(model, job.lstm)


def guarded(desk: Desk, work: Callable[[Desk], None]) -> int:
    """Does work at a desk; a fault becomes one line in its folder. Returns the exit code."""
    try:
        work(desk)
    except Unfit as fault:
        desk.write_failure(str(fault), unfit=True)
        return FAILED
    except Exception as fault:
        # Not one kind of error but whatever TensorFlow raises; the log keeps its traceback.
        traceback.print_exc()
        desk.write_failure(f"{type(fault).__name__}: {first_line(fault)}", unfit=False)
        return FAILED
    return 0


def main(arguments: list[str]) -> int:
    """Runs the job in the folder named."""
    return guarded(Desk(Path(arguments[0])), run)


def _one_by_one(features: npt.NDArray[np.float32]) -> Callable[[], Iterator[list[Any]]]:
    def samples() -> Iterator[list[Any]]:
        for row in features:
            yield [np.asarray(row, dtype=np.float32)[np.newaxis]]

    return samples


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
