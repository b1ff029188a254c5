"""A run directory as a training leaves it, from made-up answers: what the report is tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ser_edge_runtime.front_end import Normaliser
from ser_edge_train.manifest import CORPUS_LABELS, Clip, Manifest
from ser_edge_train.partitions import Partition
from ser_edge_train.predictions import Predictions, softmax
from ser_edge_train.recipes import load_recipe, recipe_from_dict
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.run_directory import RunDirectory

SPEAKERS = {
    "ravdess": [f"{number:02d}" for number in range(1, 25)],
    "crema-d": [str(number) for number in range(1001, 1031)],
    "savee": ["DC", "JE", "JK", "KL"],
    "tess": ["OAF", "YAF"],
}
# How hard a class is to hear, and what it is taken for.
HARD = {"fear": ("sad", 1.3), "disgust": ("angry", 1.1), "sad": ("neutral", 0.9),
        "happy": ("surprise", 0.8), "neutral": ("calm", 0.9), "calm": ("neutral", 1.2)}  # fmt: skip


def sample_manifest(takes: int = 2) -> Manifest:
    """Clips of four corpora: every speaker says every class ``takes`` times."""
    clips = []
    for corpus, speakers in SPEAKERS.items():
        for place, speaker in enumerate(speakers):
            sex = "male" if corpus == "savee" or (corpus != "tess" and place % 3 == 0) else "female"
            for emotion in CORPUS_LABELS[corpus]:
                for take in range(takes):
                    stem = f"{speaker}_{emotion}_{take}"
                    digest = f"{hash_of(corpus + stem):064x}"
                    clips.append(
                        Clip(
                            corpus,
                            stem,
                            f"{corpus}/{stem}.wav",
                            speaker,
                            sex,
                            emotion,
                            "",
                            "",
                            str(take),
                            2.0,
                            digest,
                            "",
                        )
                    )
    return Manifest(Path("recordings"), tuple(clips))


def hash_of(text: str) -> int:
    value = 0
    for character in text:
        value = (value * 131 + ord(character)) % 2**255
    return value


def sample_partition(manifest: Manifest) -> Partition:
    """Every fourth speaker is tested, every fifth of the rest validates."""

    def part_of(clip: Clip) -> str:
        place = SPEAKERS[clip.corpus].index(clip.speaker)
        if place % 4 == 1:
            return "test"
        return "validation" if place % 5 == 0 and clip.corpus != "tess" else "train"

    return Partition.of(manifest.clips, part_of)


def sample_answers(recipe: Recipe, clips: list[Clip], seed: int = 3) -> np.ndarray:
    """Probabilities that are right about two times in three, with plausible mistakes."""
    rng = np.random.default_rng(seed)
    labels = list(recipe.labels)
    gift = {clip.speaker_key: 0.0 for clip in clips}
    for key in sorted(gift):
        gift[key] = rng.normal(0, 0.5)
    logits = rng.normal(0, 1, (len(clips), len(labels)))
    for row, clip in zip(logits, clips, strict=True):
        label = recipe.merge.get(clip.emotion, clip.emotion)
        row[labels.index(label)] += 2.3 + gift[clip.speaker_key] + 1.0 * (clip.corpus == "tess")
        other, pull = HARD.get(clip.emotion, ("", 0.0))
        if other in labels:
            row[labels.index(other)] += pull + 0.4
    return softmax(logits, 0.8)


def sample_history(epochs: int = 40) -> str:
    rng = np.random.default_rng(5)
    lines = ["epoch,loss,uar,val_loss,val_uar,learning_rate"]
    for epoch in range(1, epochs + 1):
        left = np.exp(-epoch / 11)
        loss = 0.72 + 1.25 * left + 0.012 * rng.normal()
        val_loss = 1.02 + 0.95 * np.exp(-epoch / 7) + 0.03 * rng.normal() + 0.002 * epoch
        uar = 0.78 - 0.6 * left + 0.006 * rng.normal()
        val_uar = 0.635 - 0.45 * np.exp(-epoch / 8) + 0.014 * rng.normal()
        lines.append(f"{epoch},{loss!r},{uar!r},{val_loss!r},{val_uar!r},0.003")
    return "\n".join(line.replace("np.float64(", "").replace(")", "") for line in lines) + "\n"


def make_run(
    folder: Path, parts: tuple[str, ...] = ("validation", "test"), takes: int = 2, **changes: object
) -> RunDirectory:
    """A finished run in ``folder``, ready to be reported.

    Args:
        folder: A folder that is not there yet.
        parts: Which parts were scored.
        takes: Clips of each speaker and class.
        **changes: Fields of the recipe that differ from ``default``.
    """
    values = load_recipe("default").model_dump(mode="json", exclude_none=True)
    recipe = recipe_from_dict({**values, "seed": 1, "teacher": None, **changes}, "sample")
    run = RunDirectory(folder)
    run.create(recipe)
    manifest = sample_manifest(takes)
    partition = sample_partition(manifest)
    manifest.write(run.manifest)
    partition.write(run.partition)
    run.front_end.write_text(recipe.spec.to_json())
    run.normaliser.write_text(Normaliser.identity(recipe.spec.feature_count).to_json())
    run.model.write_bytes(b"weights")
    run.history.write_text(sample_history())
    scored = {row_key: part for part in parts for row_key in partition.part(part)}
    clips = [clip for clip in manifest.clips if clip.key in scored]
    Predictions.of_clips(
        clips,
        [scored[clip.key] for clip in clips],
        recipe.labels,
        sample_answers(recipe, clips),
        recipe.merge,
    ).write(run.predictions)
    return run
