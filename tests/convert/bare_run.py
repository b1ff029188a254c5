"""A toy run and a stand-in for the converter, both without Keras: a mean over time, then weights.

The stand-in's file computes what its "network" does, or does whatever its lines say. It is
for tests of what happens around a conversion; test_conversion.py runs the real converter.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ser_edge_convert.inputs import RunInputs
from ser_edge_train.run_directory import RunDirectory
from tests.convert import toy_run

TOYS = Path(__file__).resolve().parent.parent / "data" / "make_toy_models.py"
CONVERTER = """
import json, os, pathlib, shutil, signal, sys
import numpy as np
source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[-1])
job = json.loads((folder / "job.json").read_text())
probe = np.load(folder / "probe.npy")
logits = probe.mean(axis=1) @ np.load(source / "kernel.npy")
facts = {"recurrent": {}, "parameters": 40, "versions": {"tensorflow": "none"}}
"""
FINISH = """
shutil.copy(source / "network.tflite", folder)
np.save(folder / "logits.npy", logits.astype(np.float32))
(folder / "facts.json").write_text(json.dumps(facts))
"""


def make(folder: Path) -> RunDirectory:
    """The run, and in ``folder`` what the stand-in needs."""
    run = toy_run.make_run(folder, trained=False)
    inputs = RunInputs.read(run)
    clips = inputs.partition.clips(inputs.manifest, "train")
    features = np.stack([toy_run.features_of(inputs.manifest, clip) for clip in clips])
    means = inputs.normaliser(features).mean(axis=1).astype(np.float64)
    ridge = means.T @ means + 1e-2 * np.eye(means.shape[1])
    wanted = 8.0 * np.eye(len(toy_run.LABELS))[inputs.classes(clips)] - 2.0
    kernel = np.linalg.solve(ridge, means.T @ wanted).astype(np.float32)
    np.save(folder / "kernel.npy", kernel)
    (folder / "network.tflite").write_bytes(graph(kernel))
    return run


def graph(kernel: np.ndarray, *, softmax: bool = False) -> bytes:
    """Mean over time, then ``kernel`` (features, classes), as TFLite in floats."""
    toys = {"__file__": str(TOYS), "__name__": "made"}
    exec(TOYS.read_text(), toys)
    made = toys["Graph"]()
    columns, classes = kernel.shape
    fed = made.tensor("features", [1, *toy_run.SPEC.output_shape])
    mean = toys["mean_over_time"](made, fed, "mean")
    weights = made.tensor("kernel", [classes, columns], values=kernel.T)
    bias = made.tensor("bias", [classes], values=np.zeros(classes))
    logits = made.tensor("logits", [1, classes])
    dense = schema.FullyConnectedOptionsT()
    made.operator(schema.BuiltinOperator.FULLY_CONNECTED, [mean, weights, bias], [logits], dense)
    if softmax:
        probabilities = made.tensor("probabilities", [1, classes])
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        made.operator(schema.BuiltinOperator.SOFTMAX, [logits], [probabilities], options)
        logits = probabilities
    return made.bytes([fed], [logits])


def command(folder: Path, *lines: str) -> list[str]:
    """The stand-in; ``lines`` run before it leaves its results, and may change them."""
    return [sys.executable, "-c", "\n".join([CONVERTER, *lines, FINISH]), str(folder)]
