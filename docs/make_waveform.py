"""Compares files from samples to probabilities with the numpy path; writes docs/waveform/log.txt:

    python docs/make_waveform.py MANIFEST [MODEL.tflite...] [--clips 500]
        [--tflite-runtime-python PYTHON] [--mediapipe-python PYTHON] [--node-modules FOLDER]

Without MODEL the default model is taken. For each, the front end is put into the graph, and real
recordings are answered by that file and by ``Classifier``'s own steps: features in numpy, the
model file's graph, temperature and softmax. Exit code 1 if one class differs, or a probability
by more than 0.01, in ai-edge-litert; the front ends of all recipes are compared, too. TensorFlow,
tflite-runtime 2.14, MediaPipe's AudioClassifier (pip install mediapipe) and LiteRT.js (npm install
@litertjs/core) then answer the first --others clips; LiteRT.js runs the model file itself, too. At
last all is timed: the machine should be idle.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # numpy reads them once, when it is imported

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ser_edge_convert.front_end_graph import add_front_end
from ser_edge_convert.graph import read_graph
from ser_edge_convert.graph_builder import GraphBuilder
from ser_edge_convert.tflite_metadata import with_metadata
from ser_edge_convert.waveform_in import TOLERANCE, WaveformModel, embed_front_end, filled
from ser_edge_runtime import Classifier, load_audio
from ser_edge_runtime.classifier import softmax
from ser_edge_runtime.front_end import FrontEnd, Normaliser
from ser_edge_runtime.interpreter import Interpreter
from ser_edge_runtime.model_file import ModelFile, default_model_path, read_model_file
from ser_edge_runtime.resampling import resample
from ser_edge_train.manifest import Manifest
from ser_edge_train.recipes import load_recipe, recipe_names
from tests.system.three_interpreters import answers_of, last_error

FOLDER = Path(__file__).with_name("waveform")
LOG = FOLDER / "log.txt"
ROUNDS = 200

Rows = np.ndarray


class Log:
    """What is printed, kept to be written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failed = False

    def say(self, line: str = "") -> None:
        self.lines.append(line)
        print(line, flush=True)

    def compare(self, what: str, found: Rows, wanted: Rows, *, hold: bool = False) -> None:
        same = int((found.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        difference = np.abs(found - wanted).max(axis=1)
        self.say(
            f"  {what}: same class on {same} of {len(wanted)} clips, largest difference of a "
            f"probability {difference.max():.6f} "
            f"({int((difference > 1e-5).sum())} clips above 0.00001)"
        )
        for row in np.flatnonzero(found.argmax(axis=1) != wanted.argmax(axis=1)):
            first, second = np.sort(wanted[row])[[-1, -2]]
            self.say(
                f"    the other class on clip {row}: its two best are {first - second:.6f} apart"
            )
        if hold and (same < len(wanted) or not difference.max() <= TOLERANCE):
            self.failed = True
            self.say(f"  FAILED: every class and {TOLERANCE} are asked for")


def recordings(manifest: Manifest, rate: int, longest: int, count: int) -> list[Rows]:
    """Clips from all over the manifest that fit into the input, at the model's rate."""
    fit = [clip for clip in manifest.usable if clip.seconds * rate <= longest - 1]
    chosen = [fit[number * len(fit) // count] for number in range(min(count, len(fit)))]
    return [resample(*load_audio(manifest.path_of(clip)), rate) for clip in chosen]


def numpy_path(model: ModelFile, clips: list[Rows]) -> Rows:
    classifier = Classifier(model)
    return np.array([classifier.probabilities(classifier.front_end(clip)) for clip in clips])


def examine(path: Path, manifest: Manifest, options: argparse.Namespace, log: Log) -> None:
    model = read_model_file(path)
    made = embed_front_end(model)
    metadata, counts = model.metadata, read_graph(made.data).counts
    log.say(
        f"{metadata.name} ({metadata.variant} for {metadata.target}, {len(model.flatbuffer)} bytes)"
    )
    log.say(
        f"  from samples: {made.samples} at {made.sample_rate} Hz, {len(made.data)} bytes, "
        f"{sum(counts.values())} operators of {len(counts)} kinds, all builtin"
    )
    clips = recordings(manifest, made.sample_rate, made.samples, options.clips)
    wanted = numpy_path(model, clips)
    interpreter = Interpreter(made.data)
    found = np.array([interpreter.invoke(filled(clip, made.samples)[0]) for clip in clips])
    log.compare("ai-edge-litert", found, wanted, hold=True)
    few, expected = clips[: options.others], wanted[: options.others]
    few_rows = np.concatenate([filled(clip, made.samples) for clip in few])
    pythons = {"tensorflow": sys.executable}
    if options.tflite_runtime_python:
        pythons["tflite-runtime"] = options.tflite_runtime_python
    for backend, python in pythons.items():
        try:
            rows = answers_of(made.data, few_rows, {backend: python})[backend]
        except SystemExit as fault:
            log.say(f"  {backend}: does not load it ({last_error(str(fault))})")
        else:
            log.compare(backend, rows[:-1], expected)
    with tempfile.TemporaryDirectory() as folder:
        if options.mediapipe_python:
            said, rows = in_mediapipe(Path(folder), options.mediapipe_python, made, model, few)
            log.compare(f"MediaPipe's AudioClassifier ({said})", rows, expected)
        if options.node_modules:
            said, rows = in_litertjs(Path(folder), options.node_modules, made.data, few_rows)
            log.compare(f"LiteRT.js ({said})", rows, expected)
            classifier = Classifier(model)
            normaliser: Normaliser = metadata.normaliser
            features = np.stack([normaliser(classifier.front_end(clip)) for clip in few])
            said, logits = in_litertjs(
                Path(folder), options.node_modules, model.flatbuffer, features
            )
            rows = softmax(logits, metadata.temperature)
            log.compare("the model file itself in LiteRT.js, on numpy's features", rows, expected)
    for line in timed(model, made, clips[0]):
        log.say(line)
    log.say()


def in_mediapipe(
    folder: Path, python: str, made: WaveformModel, model: ModelFile, clips: list[Rows]
) -> tuple[str, Rows]:
    (folder / "wave.tflite").write_bytes(made.data)
    named = {f"clip_{number}": clip for number, clip in enumerate(clips)}
    np.savez(folder / "samples.npz", sample_rate=made.sample_rate, **named)
    files = [str(folder / name) for name in ("wave.tflite", "samples.npz", "answers.json")]
    said = _call([python, str(FOLDER / "mediapipe_audio.py"), *files])
    answers = json.loads((folder / "answers.json").read_text())
    labels = model.metadata.labels
    return said, np.array([[answer[label] for label in labels] for answer in answers])


def in_litertjs(folder: Path, modules: str, graph: bytes, rows: Rows) -> tuple[str, Rows]:
    (folder / "graph.tflite").write_bytes(graph)
    (folder / "rows.f32").write_bytes(rows.astype("<f4").tobytes())
    files = [str(folder / name) for name in ("graph.tflite", "rows.f32", "answers.f32")]
    said = _call(["node", str(FOLDER / "litertjs.mjs"), modules, *files])
    answers = np.frombuffer((folder / "answers.f32").read_bytes(), "<f4")
    return said, answers.reshape(len(rows), -1)


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def timed(model: ModelFile, made: WaveformModel, clip: Rows) -> list[str]:
    """Milliseconds of each, in turn, on one thread: the least and the median of many."""
    classifier, interpreter = Classifier(model), Interpreter(made.data)
    row, features = filled(clip, made.samples)[0], classifier.front_end(clip)
    sides: dict[str, Callable[[], object]] = {
        "the file from samples": lambda: interpreter.invoke(row),
        "features in numpy": lambda: classifier.front_end(clip),
        "the model file's graph": lambda: classifier.probabilities(features),
    }
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            spent[name].append(1000 * (time.perf_counter() - start))
    return [
        f"  {name}: least {min(times):.2f} ms, median {statistics.median(times):.2f} ms "
        f"of {ROUNDS}, clip of {len(clip) / made.sample_rate:.1f} s"
        for name, times in spent.items()
    ]


def front_ends(manifest: Manifest, count: int, log: Log) -> None:
    """The features of every recipe, in the graph and in numpy, before the normaliser."""
    log.say(
        f"features of the recipes' front ends on {count} clips, largest difference in shares of"
    )
    log.say("a feature's range:")
    recipes: dict[str, list[str]] = {}
    for name in recipe_names():
        recipes.setdefault(load_recipe(name).spec.digest, []).append(name)
    for names in recipes.values():
        spec = load_recipe(names[0]).spec
        length = round((2 * (spec.clip_seconds or 3.0) + spec.offset_seconds) * spec.sample_rate)
        builder = GraphBuilder()
        fed = builder.input("samples", (1, length))
        value = add_front_end(builder, fed, spec, Normaliser.identity(spec.output_shape[-1]))
        model = builder.finish(value, "features", "samples")
        interpreter, front_end = Interpreter(with_metadata(model, b"none")), FrontEnd(spec)
        clips = recordings(manifest, spec.sample_rate, length, count)
        kinds = ", ".join(dict.fromkeys(feature.kind for feature in spec.features))
        log.say(f"  {', '.join(names)} ({kinds}; {spec.layout})")
        wanted = [front_end(clip).reshape(-1, spec.feature_count) for clip in clips]
        spread = np.ptp(np.concatenate(wanted), axis=0)
        for silent_end, which in ((False, "end in a sample"), (True, "end in zeros of their own")):
            share, count_of_kind = np.zeros(spec.feature_count), 0
            for clip, features in zip(clips, wanted, strict=True):
                if (clip[-1] == 0) == silent_end:
                    found = interpreter.invoke(filled(clip, length)[0]).reshape(features.shape)
                    share = np.maximum(share, np.abs(found - features).max(axis=0) / spread)
                    count_of_kind += 1
            if count_of_kind:
                worst = int(share.argmax())
                log.say(
                    f"    {count_of_kind} that {which}: {share[worst]:.1e} ({spec.names[worst]})"
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest")
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--others", type=int, default=100)
    parser.add_argument("--tflite-runtime-python")
    parser.add_argument("--mediapipe-python")
    parser.add_argument("--node-modules")
    options = parser.parse_args()
    manifest, log = Manifest.read(options.manifest), Log()
    for path in options.models or [default_model_path()]:
        examine(path, manifest, options, log)
    front_ends(manifest, options.others, log)
    LOG.write_text("\n".join(log.lines).rstrip() + "\n", encoding="utf-8")
    return int(log.failed)


if __name__ == "__main__":
    sys.exit(main())
