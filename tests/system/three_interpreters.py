"""One model file in three interpreters: the same class on every clip, and no state left over.

    python -m tests.system.three_interpreters MODEL.tflite MANIFEST.csv --clips 200 \
        --tflite-runtime-python PYTHON

PYTHON is that of an environment with tflite-runtime 2.14 and numpy below 2; the
variable SER_EDGE_TFLITE_RUNTIME_PYTHON names it too. Prints the counts; exits 1
if an answer differs by more than a near tie.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge_convert.comparison import Agreement, agreement, gaps
from ser_edge_convert.graph import read_graph
from ser_edge_runtime import Classifier, load_audio
from ser_edge_runtime.resampling import resample
from ser_edge_train.manifest import Manifest

VARIABLE = "SER_EDGE_TFLITE_RUNTIME_PYTHON"
REFERENCE = "ai-edge-litert"
INVOKE = Path(__file__).with_name("invoke.py")

Logits = npt.NDArray[np.float32]


def answers_of(
    flatbuffer: bytes, features: Logits, pythons: Mapping[str, str]
) -> dict[str, Logits]:
    """Logits by interpreter, (clips + 1, classes); the last row is the first clip again.

    Args:
        flatbuffer: A graph.
        features: Normalised features (clips, ...).
        pythons: For each interpreter the Python that has it.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        network, clips = Path(folder, "network.tflite"), Path(folder, "features.npy")
        network.write_bytes(flatbuffer)
        np.save(clips, features)
        for backend, python in pythons.items():
            out = Path(folder, f"{backend}.npy")
            call = [python, str(INVOKE), backend, str(network), str(clips), str(out)]
            done = subprocess.run(call, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(
                    f"{backend} ({python}) ended with {done.returncode}:\n{done.stderr}"
                )
            found[backend] = np.load(out)
    return found


def compare(flatbuffer: bytes, answers: Mapping[str, Logits]) -> dict[str, Agreement]:
    """Each interpreter's answers against those of ai-edge-litert, the repeated clip left out."""
    quantum = read_graph(flatbuffer).output_quantum
    reference = answers[REFERENCE][:-1]
    return {
        backend: agreement(reference, rows[:-1], quantum)
        for backend, rows in answers.items()
        if backend != REFERENCE
    }


def widest_in_quanta(answers: Mapping[str, Logits]) -> dict[str, float]:
    """How far apart two classes are at most where an interpreter names another than ai-edge-litert.

    In quanta of an output of 8 bits that just holds ai-edge-litert's answers: the measure for
    files whose output is a float and has no quantum of its own.
    """
    reference = answers[REFERENCE][:-1]
    quantum = (reference.max() - reference.min()) / 255
    return {
        backend: float(gaps(reference, rows[:-1]).max() / quantum)
        for backend, rows in answers.items()
        if backend != REFERENCE
    }


def forgets(rows: Logits) -> bool:
    """Whether the first clip got the same answer before and after all others, bit for bit."""
    return bool(np.array_equal(rows[0], rows[-1]))


def last_error(output: str) -> str:
    """What a child's traceback ends with: the error itself, one line."""
    lines = [line.strip() for line in output.splitlines() if "Error: " in line]
    return lines[-1] if lines else " ".join(output.split())[:300]


def features_of(classifier: Classifier, manifest: Manifest, clips: int) -> Logits:
    """Normalised features of clips spread evenly over the manifest's usable ones."""
    usable = manifest.usable
    chosen = [usable[index * len(usable) // clips] for index in range(min(clips, len(usable)))]
    metadata = classifier.model_file.metadata
    rows = []
    for clip in chosen:
        samples, rate = load_audio(manifest.path_of(clip))
        samples = resample(samples, rate, metadata.front_end.sample_rate)
        rows.append(metadata.normaliser(classifier.front_end(samples)))
    return np.stack(rows)


def main(arguments: list[str] | None = None) -> int:
    """Prints the counts; 1 if any answer differs by more than a near tie."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--tflite-runtime-python", default=os.environ.get(VARIABLE))
    options = parser.parse_args(arguments)
    if not options.tflite_runtime_python:
        parser.error(f"name the Python with tflite-runtime by option or in ${VARIABLE}")
    classifier = Classifier.load(options.model)
    features = features_of(classifier, Manifest.read(options.manifest), options.clips)
    flatbuffer = classifier.model_file.flatbuffer
    pythons = {
        REFERENCE: sys.executable,
        "tensorflow": sys.executable,
        "tflite-runtime": options.tflite_runtime_python,
    }
    answers = answers_of(flatbuffer, features, pythons)
    print(f"{options.model}: {read_graph(flatbuffer).counts}")
    wrong = 0
    for backend, found in compare(flatbuffer, answers).items():
        different = found.clips - found.same - found.near_ties
        wrong += different
        print(
            f"{backend} against {REFERENCE}: {found.clips} clips, {found.same} same class, "
            f"{found.near_ties} within two quanta, {different} different; "
            f"largest difference of a probability {found.max_difference:.5f}"
        )
    for backend, rows in answers.items():
        same = forgets(rows)
        wrong += not same
        verdict = "the same" if same else "ANOTHER"
        print(f"{backend}: the first clip's answer after all others is {verdict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
