"""What a trained model scores on validation clips, under each condition of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.front_end import FrontEnd, FrontEndSpec
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.evaluation import allowed_classes, score
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.predictions import Predictions, softmax
from ser_edge_train.recipes.augmentation import Waveform
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.studies.study import Condition

ALL: Final = "all"
"""The group of all clips, beside those of the corpora."""

MEASURES: Final = ("uar", "accuracy", "macro_f1")

# Not a recipe's: every run hears the same noise, and no training heard it.
NOISE_SEED: Final = 2**32 - 1

Progress = Callable[[int, int], None]
Scores = dict[str, dict[str, dict[str, Any]]]
"""By condition, then by group ("all", corpora): clips, speakers, classes and measures."""


@dataclass(frozen=True)
class Trained:
    """A model that can be asked.

    Attributes:
        labels: Its classes.
        spec: Its front end.
        merge: Emotions that count as one of its classes.
        heard: Classes that its training had; None: all of them.
        probabilities: From features (n, *shape), before the normaliser, to (n, classes).
    """

    labels: tuple[str, ...]
    spec: FrontEndSpec
    merge: Mapping[str, str]
    heard: frozenset[str] | None
    probabilities: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def of_run(run: RunDirectory, manifest: Manifest) -> Trained:
    """The network of a run, as it was trained.

    Args:
        run: A finished run.
        manifest: Says which classes the corpora have that it was trained on.

    Raises:
        SerEdgeError: One of its files is missing or damaged.
    """
    recipe = run.read_recipe()
    text = run.normaliser.read_text(encoding="utf-8")
    normaliser = Normaliser.from_json(text)

    def probabilities(features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        from ser_edge_train import fitting

        return softmax(fitting.predict(run.model, features, normaliser))

    has = allowed_classes(manifest, recipe.labels, recipe.merge)
    corpora = recipe.corpora or manifest.corpora
    heard = frozenset(label for name in corpora for label in has.get(name, ()))
    return Trained(recipe.labels, recipe.spec, recipe.merge, heard, probabilities)


def of_model_file(path: Path) -> Trained:
    """A model file in this machine's interpreter.

    Raises:
        SerEdgeError: It cannot be read or run.
    """
    classifier = Classifier.load(path)

    def probabilities(features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.stack([classifier.probabilities(each) for each in features])

    labels = classifier.labels
    return Trained(labels, classifier.front_end.spec, merges_of(labels), None, probabilities)


def merges_of(labels: Sequence[str]) -> dict[str, str]:
    """What counts as another class for a model file, which has no recipe: calm, as neutral."""
    calm = "calm" not in labels and "neutral" in labels
    return {"calm": "neutral"} if calm else {}


class Scorer:
    """Scores models on the same clips.

    A clip is one segment, as in training; longer ones are cut by the front end.

    Args:
        manifest: The recordings.
        clips: The validation clips.
        conditions: How they are changed.
        store_root: The feature store's folder; noisy clips are kept there, too.
        scratch: A folder for what is needed while scoring; made when it is.
        processes: Worker processes of the front end; None takes as many as cores.
        progress: Called with (clips done, clips in all) of each condition.
    """

    def __init__(
        self,
        manifest: Manifest,
        clips: Sequence[Clip],
        conditions: Sequence[Condition],
        *,
        store_root: Path,
        scratch: Path,
        processes: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._manifest = manifest
        self._clips = clips
        self._conditions = conditions
        self._store_root = store_root
        self._scratch = scratch
        self._processes = processes
        self._progress = progress

    def scores(self, trained: Trained) -> Scores:
        """The scores of a model under every condition.

        Raises:
            SerEdgeError: A recording cannot be read; names it.
        """
        return {each.name: self._score(trained, each) for each in self._conditions}

    def _score(self, trained: Trained, condition: Condition) -> dict[str, dict[str, Any]]:
        allowed: dict[str, tuple[str, ...]] = dict(
            allowed_classes(self._manifest, trained.labels, trained.merge)
        )
        clips: Sequence[Clip] = self._clips
        if condition.corpus:
            shared = tuple(
                label
                for label in allowed.get(condition.corpus, ())
                if trained.heard is None or label in trained.heard
            )
            allowed = {condition.corpus: shared}
            clips = [clip for clip in clips if clip.corpus == condition.corpus]
        clips = [
            clip
            for clip in clips
            if trained.merge.get(clip.emotion, clip.emotion) in allowed.get(clip.corpus, ())
        ]
        if not clips or any(len(allowed[clip.corpus]) < 2 for clip in clips):
            # Nobody of the corpus validates, or there is nothing to tell apart.
            return {}
        features = self._features(trained.spec, condition, clips)
        answers = Predictions.of_clips(
            clips,
            ["validation"] * len(clips),
            trained.labels,
            trained.probabilities(features),
            trained.merge,
        )
        found = score(answers, allowed)
        groups = {ALL: found["overall"]}
        if len(found["corpora"]) > 1:
            groups |= found["corpora"]
        return {name: _figures(group) for name, group in groups.items()}

    def _features(
        self, spec: FrontEndSpec, condition: Condition, clips: Sequence[Clip]
    ) -> npt.NDArray[Any]:
        """Features of the changed clips, in a file of the scratch folder."""
        noise = noise_table(condition)
        path = self._scratch / "features.npy"
        store = FeatureStore(self._store_root, spec, noise, NOISE_SEED)
        asked = [(clip, 0 if noise is None else 1) for clip in clips]
        store.fill(self._manifest, asked, self._processes, self._progress)
        if condition.seconds is None:
            return store.matrix(asked, path, self._processes)
        self._scratch.mkdir(parents=True, exist_ok=True)
        shape = (len(clips), *spec.output_shape)
        cut = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        front_end = FrontEnd(spec)
        most = max(1, spec.frame_count(round(condition.seconds * spec.sample_rate)))
        for row, clip in enumerate(clips):
            cut[row] = front_end.clip(middle(store.frames(clip), most))
        return cut


def noise_table(condition: Condition) -> Waveform | None:
    """The effect that adds a condition's noise, as a recipe has it; None without noise."""
    if condition.snr_db is None:
        return None
    noise: dict[str, Any] = {"snr_db": (condition.snr_db, condition.snr_db)}
    if condition.recordings:
        table = {"recorded_noise": {**noise, "folder": condition.recordings}}
    else:
        table = {"noise": noise}
    return Waveform.model_validate({"copies": 1, **table})


def middle(frames: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """The middle ``most`` of some frames; all where there are no more."""
    start = max(0, (len(frames) - most) // 2)
    return frames[start : start + most]


def _figures(group: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: group[name] for name in ("clips", "speakers")}
    classes = len(group["confusion"]["labels"])
    return {**counts, "classes": classes, **{name: group[name] for name in MEASURES}}
