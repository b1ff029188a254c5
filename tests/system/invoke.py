"""Runs a graph on clips in whatever Python it is started with: numpy and an interpreter, no more.

python invoke.py ai-edge-litert|tflite-runtime|tensorflow NETWORK.tflite FEATURES.npy ANSWERS.npy

Every clip is answered from a fresh state, and the first one once more at the end:
ANSWERS has one row more than FEATURES.
"""

import sys

import numpy as np


def interpreter_class(backend):
    if backend == "ai-edge-litert":
        from ai_edge_litert.interpreter import Interpreter
    elif backend == "tflite-runtime":
        from tflite_runtime.interpreter import Interpreter
    else:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter  # noqa: N806
    return Interpreter


def quantised(values, details):
    if np.dtype(details["dtype"]).kind == "f":
        return values.astype(np.float32)
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    whole = np.rint(values / np.float32(scale)) + zero
    return np.clip(whole, limits.min, limits.max).astype(details["dtype"])


def real(values, details):
    if np.dtype(details["dtype"]).kind == "f":
        return values.astype(np.float32)
    scale, zero = details["quantization"]
    return (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def main(backend, network, features, answers):
    interpreter = interpreter_class(backend)(model_path=network, num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    clips = np.load(features)
    rows = []
    for index in [*range(len(clips)), 0]:
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], quantised(clips[index : index + 1], source))
        interpreter.invoke()
        rows.append(real(interpreter.get_tensor(sink["index"])[0], sink))
    np.save(answers, np.array(rows, np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])
