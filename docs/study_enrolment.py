"""Studies whether a few unlabelled clips of a speaker adapt a model to that voice:

    python docs/study_enrolment.py RUNS...
    python docs/study_enrolment.py RUNS... --features --data MANIFEST --store FOLDER
    python docs/study_enrolment.py RUNS... --test
    python docs/study_enrolment.py

RUNS are the runs of a recipe's speaker folds. The first call compares methods on their validation
speakers, from predictions.csv alone; the second those that change what the network hears, which
needs the networks, the manifest and the store of features. The third looks at the test speakers
with the method that ser_edge_runtime.enrolment holds. Each puts its figures into
docs/enrolment.json, in the place of its earlier ones, and writes docs/enrolment.md; the fourth
writes only that. Half a minute of one core for the first, two for the second. Tests hold that the
page is what this script writes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# As the command line does, before numpy is loaded.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from enrolment_methods import CHOSEN, METHODS, Method, Voice
from enrolment_page import CHOOSING, DRAWS, SCENARIOS, page

from ser_edge_runtime.enrolment import lean, trust
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train import metrics
from ser_edge_train.predictions import Predictions
from ser_edge_train.run_directory import RunDirectory

FIGURES = Path(__file__).with_name("enrolment.json")
PAGE = Path(__file__).with_name("enrolment.md")
QUIET = ("neutral", "calm")
FEATURE_DRAWS = {"ravdess": 3, "crema-d": 1}


def voices(run: RunDirectory, part: str, corpora: Sequence[str]) -> list[Voice]:
    table = Predictions.read(run.predictions).of_part(part)
    fold = int(run.read_recipe().protocol.fold)
    logs = np.log(np.maximum(table.probabilities, 1e-12))
    logs -= logs.mean(1, keepdims=True)
    found = []
    for corpus, speaker in sorted({row.speaker_key for row in table}):
        at = np.array([n for n, row in enumerate(table) if row.speaker_key == (corpus, speaker)])
        if corpus in corpora:
            found.append(Voice(fold, corpus, speaker, table.labels, at, logs[at], table.truth[at]))
    for voice in found:
        voice.others = [(v.corpus, v.logs, v.truth) for v in found if v is not voice]
    return found


def draw(voice: Voice, scenario: str, clips: int, number: int) -> np.ndarray | None:
    """Places of the clips that are enrolled; None if the speaker has too few."""
    generator = np.random.default_rng([voice.fold, *voice.speaker.encode(), clips, number])
    quiet = np.isin(voice.truth, [voice.labels.index(label) for label in QUIET])
    calm, lively = np.flatnonzero(quiet), np.flatnonzero(~quiet)
    if scenario == "any":
        kinds, counts = [np.arange(len(voice.truth))], [clips]
    elif scenario == "quiet":
        kinds, counts = [calm], [min(clips, len(calm) - 2)]
    elif scenario == "quiet, repeated":
        return generator.choice(calm[: len(calm) - 2], clips)
    else:
        share = round(clips * (0.5 if scenario == "half quiet" else 0.7))
        kinds, counts = [calm, lively], [share, clips - share]
    if any(count < 1 or len(kind) <= count for kind, count in zip(kinds, counts, strict=True)):
        return None
    return np.concatenate(
        [generator.choice(k, n, replace=False) for k, n in zip(kinds, counts, strict=True)]
    )


@dataclass
class Tally:
    """Confusions before and after, a matrix a speaker, and what else is counted."""

    before: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    after: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    open: np.ndarray | int = 0
    sure: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    warned: list[bool] = field(default_factory=list)

    def add(self, voice: Voice, rest: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        key, truth = (voice.corpus, voice.speaker), voice.truth[rest]
        sure: list[tuple[np.ndarray, np.ndarray]] = []
        masked = [np.where(voice.allowed, logs, -np.inf) for logs in (before, after)]
        for table, logs in zip((self.before, self.after), masked, strict=True):
            table[key] = table.get(key, 0) + _confusion(truth, logs)
            shares = np.exp(logs - logs.max(1, keepdims=True))
            sure.append((shares.max(1) / shares.sum(1), logs.argmax(1) == truth))
        self.open = self.open + np.array([_confusion(truth, before), _confusion(truth, after)])
        self.sure.append((*sure[0], *sure[1]))

    def figures(self) -> dict[str, Any]:
        keys = sorted(self.before)
        before = np.array([self.before[key] for key in keys])
        after = np.array([self.after[key] for key in keys])
        low_high = metrics.paired_bootstrap_interval(after, before)
        gains = [metrics.uar(a) - metrics.uar(b) for a, b in zip(after, before, strict=True)]
        sure = list(map(np.concatenate, zip(*self.sure, strict=True)))
        return {
            "speakers": len(keys),
            "before": round(float(metrics.uar(before.sum(0))), 4),
            "after": round(float(metrics.uar(after.sum(0))), 4),
            "interval": None if low_high is None else [round(end, 4) for end in low_high],
            "accuracy": round(
                float(metrics.accuracy(after.sum(0)) - metrics.accuracy(before.sum(0))), 4
            ),
            "open": round(float(np.diff(metrics.uar(self.open))[0]), 4),
            "worse": round(float(np.mean(np.array(gains) < 0)), 4),
            "calibration": [
                round(metrics.expected_calibration_error(*pair), 4) for pair in (sure[:2], sure[2:])
            ],
            "confidence": round(float((sure[2] - sure[3]).mean()), 4),
            "warned": round(float(np.mean(self.warned)), 4) if self.warned else None,
        }


def _confusion(truth: np.ndarray, logs: np.ndarray) -> np.ndarray:
    classes = logs.shape[1]
    return np.bincount(truth * classes + logs.argmax(1), minlength=classes**2).reshape(classes, -1)


def study(
    runs: Sequence[RunDirectory], part: str, corpora: Sequence[str], methods: dict[str, Method]
) -> Iterator[dict[str, Any]]:
    every = [voice for run in runs for voice in voices(run, part, corpora)]
    for corpus in corpora:
        for scenario, clips in SCENARIOS:
            tallies = {name: Tally() for name in methods}
            for voice in (v for v in every if v.corpus == corpus):
                for number in range(DRAWS):
                    drawn = draw(voice, scenario, clips, number)
                    if drawn is None:
                        continue
                    rest = np.setdiff1d(np.arange(len(voice.truth)), drawn)
                    before = voice.logs[rest]
                    for name, method in methods.items():
                        after = before + method(voice.logs[drawn], voice)
                        tallies[name].add(voice, rest, before, after)
                        tallies[name].warned.append(trust(voice.logs[drawn]) < 1)
            for name, tally in tallies.items():
                if tally.before:
                    yield {
                        "part": part,
                        "corpus": corpus,
                        "scenario": scenario,
                        "clips": clips,
                        "method": name,
                        **tally.figures(),
                    }


def feature_study(
    runs: Sequence[RunDirectory], data: Path, store: Path
) -> Iterator[dict[str, Any]]:
    """The methods that change what the network hears: its outputs are computed anew."""
    from ser_edge_runtime.front_end import FrontEndSpec
    from ser_edge_train.feature_store import FeatureStore
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.networks.files import load_network

    manifest = Manifest.read(data)
    tallies: dict[tuple[str, int, str], Tally] = {}
    for run in runs:
        table = Predictions.read(run.predictions).of_part("validation")
        frames = FeatureStore(store, FrontEndSpec.from_json(run.front_end.read_text("utf-8")))
        usual = Normaliser.from_json(run.normaliser.read_text("utf-8"))
        network = load_network(run.model)
        for voice in voices(run, "validation", CHOOSING):
            clips_of = [manifest.by_key[table.rows[n].key] for n in voice.rows]
            features = np.stack([frames.features(clip) for clip in clips_of])
            plain = _logits(network, usual(features))
            temperature = float(np.ptp(plain, axis=1).sum() / np.ptp(voice.logs, axis=1).sum())
            for clips in (3, 10, 30):
                for number in range(FEATURE_DRAWS[voice.corpus]):
                    drawn = draw(voice, "any", clips, number)
                    assert drawn is not None  # every speaker has 60
                    rest = np.setdiff1d(np.arange(len(voice.truth)), drawn)
                    for kind, moved in _moved(usual, Normaliser.fit([features[drawn]]), clips):
                        logs = _logits(network, moved(features)) / temperature
                        for name, offset in (
                            (f"(b) {kind} of the features", 0.0),
                            (f"(c) {kind} of the features, and " + CHOSEN, lean(logs[drawn])),
                        ):
                            tally = tallies.setdefault((name, clips, voice.corpus), Tally())
                            tally.add(voice, rest, voice.logs[rest], logs[rest] + offset)
    for (name, clips, corpus), tally in tallies.items():
        yield {
            "part": "features",
            "corpus": corpus,
            "scenario": "any",
            "clips": clips,
            "method": name,
            **tally.figures(),
        }


def _moved(usual: Normaliser, own: Normaliser, clips: int) -> Iterator[tuple[str, Normaliser]]:
    """The normaliser taken to the speaker's, half of the way at 5 clips."""
    weight = clips / (clips + 5)
    shift = weight * (own.mean - usual.mean)
    yield "mean", type(usual)(usual.mean + shift, usual.scale)
    yield (
        "mean and scale",
        type(usual)(usual.mean + shift, usual.scale * (own.scale / usual.scale) ** weight),
    )
    yield "level", type(usual)(usual.mean + shift.mean(), usual.scale)


def _logits(network: Any, inputs: np.ndarray) -> np.ndarray:
    return np.asarray(network.predict_on_batch(inputs), np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--test", action="store_true")
    given = parser.parse_args()
    figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else []
    runs = [RunDirectory.open(path) for path in given.runs]
    if not runs:
        new = []
    elif given.test:
        chosen = {CHOSEN: lambda e, _: lean(e)}
        new = list(study(runs, "test", (*CHOOSING, "savee", "tess"), chosen))
    elif given.features:
        new = list(feature_study(runs, given.data, given.store))
    else:
        new = list(study(runs, "validation", CHOOSING, METHODS))
    parts = {row["part"] for row in new}
    figures = [row for row in figures if row["part"] not in parts] + new
    lines = ",\n ".join(json.dumps(row) for row in figures)
    write_text_atomically(FIGURES, f"[{lines}]\n")
    write_text_atomically(PAGE, page(figures))
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
