"""How well a speaker embedding tells apart speakers that it has never heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.errors import MissingExtra, SerEdgeError
from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.feature_store import FeatureStore
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.plan import strangers
from ser_edge_train.progress import Progress, Silence
from ser_edge_train.run_directory import RunDirectory, RunError

Scores = npt.NDArray[np.float64]


class NoTrials(SerEdgeError):
    """Too few unheard speakers to compare."""


@dataclass(frozen=True)
class Trials:
    """Pairs of utterances and what was found of them.

    Attributes:
        same: Pairs of one speaker.
        different: Pairs of two.
        error_rate: The equal-error rate, as a share.
    """

    same: int
    different: int
    error_rate: float

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"same": self.same, "different": self.different, "error_rate": self.error_rate}


@dataclass(frozen=True)
class Verification:
    """What a speaker embedding is worth on speakers it has never heard.

    Attributes:
        clips: Their utterances.
        speakers: How many they are.
        overall: All pairs within a corpus: across corpora, a microphone tells.
        same_sex: Those of them whose speakers are of one sex, the harder ones; None
            where there are none.
        corpora: All pairs, by corpus.
    """

    clips: int
    speakers: int
    overall: Trials
    same_sex: Trials | None
    corpora: Mapping[str, Trials]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "clips": self.clips,
            "speakers": self.speakers,
            "overall": self.overall.to_dict(),
            "same_sex": None if self.same_sex is None else self.same_sex.to_dict(),
            "corpora": {name: trials.to_dict() for name, trials in self.corpora.items()},
        }


def equal_error_rate(same: Scores, different: Scores) -> float:
    """The rate at which a threshold rejects as many same pairs as it accepts different ones.

    Between two thresholds the rates are joined by a straight line.

    Args:
        same: Similarities of pairs of one speaker, at least one.
        different: Those of pairs of two speakers, at least one.

    Returns:
        0 (all same pairs above all others) to 1.

    Raises:
        ValueError: One of the two is empty.
    """
    if not len(same) or not len(different):
        raise ValueError("pairs of one speaker and of two are needed")
    thresholds = np.unique(np.concatenate([same, different]))
    # Accepted is what lies at or above a threshold; beyond the last one nothing is.
    rejected = np.append(np.searchsorted(np.sort(same), thresholds, "left") / len(same), 1.0)
    accepted = 1 - np.searchsorted(np.sort(different), thresholds, "left") / len(different)
    accepted = np.append(accepted, 0.0)
    gap = rejected - accepted
    place = int(np.argmax(gap >= 0))
    if place == 0:
        return float(rejected[0])
    share = -gap[place - 1] / (gap[place] - gap[place - 1])
    return float(rejected[place - 1] + share * (rejected[place] - rejected[place - 1]))


def compare(clips: Sequence[Clip], embeddings: npt.NDArray[Any]) -> Verification:
    """Compares all pairs of utterances within each corpus by the cosine of their embeddings.

    Args:
        clips: Utterances of known speakers.
        embeddings: Of each, (clips, width).

    Raises:
        NoTrials: No corpus has two of them by one speaker and one by another.
    """
    corpora: dict[str, Trials] = {}
    found = []
    for corpus in sorted({clip.corpus for clip in clips}):
        places = [place for place, clip in enumerate(clips) if clip.corpus == corpus]
        pairs = _pairs([clips[place] for place in places], embeddings[places])
        trials = _trials(pairs.scores, pairs.same)
        found.append(pairs)
        if trials is not None:
            corpora[corpus] = trials
    scores = np.concatenate([np.zeros(0), *(pairs.scores for pairs in found)])
    same, one_sex = (
        np.concatenate([np.zeros(0, bool), *(getattr(pairs, name) for pairs in found)])
        for name in ("same", "one_sex")
    )
    overall = _trials(scores, same)
    if overall is None:
        raise NoTrials(
            f"{len(clips)} clips of {len({clip.speaker_key for clip in clips})} unheard speakers "
            "are too few to compare; train with a protocol that keeps back two speakers of a corpus"
        )
    return Verification(
        len(clips),
        len({clip.speaker_key for clip in clips}),
        overall,
        _trials(scores[one_sex], same[one_sex]),
        corpora,
    )


def verify(
    run: RunDirectory,
    *,
    store_root: str | PathLike[str],
    manifest: Manifest | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Compares utterances of speakers that the run's protocol keeps for validation.

    Its test speakers are not looked at.

    Args:
        run: A finished run of ``target = "speaker"``.
        store_root: The feature store's folder.
        manifest: Where the recordings lie now; None takes the run's own.
        processes: Worker processes of the front end; None takes as many as cores.
        progress: Told what happens.

    Raises:
        RunError: The run is of another kind or not finished.
        NoTrials: The protocol keeps back too few speakers.
        MissingExtra: Keras is not installed.
        SerEdgeError: A recording cannot be read; says which.
    """
    recipe = run.read_recipe()
    if recipe.target != "speaker":
        raise RunError(
            run.path, "is no speaker embedding", "name a run of a recipe with target = 'speaker'"
        )
    if not run.model.is_file():
        raise RunError(run.path, "holds no trained model (no model.keras)", "finish it: --resume")
    tell = progress or Silence()
    known = Manifest.read(run.manifest) if manifest is None else manifest
    clips = strangers(recipe, known)
    store = FeatureStore(Path(store_root), recipe.spec)
    store.fill(known, clips, processes, lambda done, of: tell.step("frames", done, of))
    try:
        features = store.matrix(clips, run.scratch / "strangers.npy", processes)
        normaliser = Normaliser.from_json(run.normaliser.read_text(encoding="utf-8"))
        return compare(clips, _embed(run, features, normaliser))
    finally:
        run.clear_scratch()


def _embed(run: RunDirectory, features: npt.NDArray[Any], normaliser: Normaliser) -> Any:
    try:
        from ser_edge_train.networks import speaker_branch
    except ModuleNotFoundError as fault:
        if fault.name is not None and fault.name.split(".")[0] in ("keras", "tensorflow"):
            raise MissingExtra("speaker verification", "train") from None
        raise
    return speaker_branch.embeddings(run.model, features, normaliser)


@dataclass(frozen=True)
class _Pairs:
    """Every pair of utterances, each once: cosine, whether of one speaker, of one known sex."""

    scores: Scores
    same: npt.NDArray[np.bool_]
    one_sex: npt.NDArray[np.bool_]


def _pairs(clips: Sequence[Clip], embeddings: npt.NDArray[Any]) -> _Pairs:
    length = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    unit = embeddings / np.maximum(length, 1e-12)
    one, other = np.triu_indices(len(clips), k=1)
    speakers = np.unique([clip.speaker for clip in clips], return_inverse=True)[1]
    sexes = np.unique([clip.sex for clip in clips], return_inverse=True)[1]
    known = np.array([bool(clip.sex) for clip in clips], dtype=bool)
    alike = (sexes[one] == sexes[other]) & known[one]
    return _Pairs((unit @ unit.T)[one, other], speakers[one] == speakers[other], alike)


def _trials(scores: Scores, same: npt.NDArray[np.bool_]) -> Trials | None:
    if not same.any() or same.all():
        return None
    rate = equal_error_rate(scores[same], scores[~same])
    return Trials(int(same.sum()), int((~same).sum()), rate)
