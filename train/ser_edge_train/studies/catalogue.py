"""Which studies there are."""

from __future__ import annotations

from typing import Final

from ser_edge_train.studies.augmentations import augmentation_variants
from ser_edge_train.studies.conditions import (
    corpus_conditions,
    corpus_variants,
    length_conditions,
    noise_conditions,
    noise_variants,
    own_conditions,
)
from ser_edge_train.studies.front_ends import context_variants, feature_variants
from ser_edge_train.studies.study import Axis, Study, the_recipe

STUDIES: Final = {
    study.name: study
    for study in (
        Study(
            "augmentation",
            "What is each augmentation worth?",
            "Trains without any, with each alone, with all of them and as the recipe says; when "
            "named, with all but one (--variants 'without-*').",
            augmentation_variants,
            baseline="none",
        ),
        Study(
            "features",
            "Which features does the network need?",
            "Trains on MFCCs, with slopes, with curvatures, on log-mel bands, on all of them, and "
            "on the recipe's own features.",
            feature_variants,
            baseline="recipe",
        ),
        Study(
            "context",
            "How much speech does the network need?",
            "Trains and scores on clips of 0.5, 1, 1.5, 2 and 3 seconds, and of the recipe's own "
            "length.",
            context_variants,
            axis=Axis("clip length in training and validation, s", "variants"),
            baseline="3s",
        ),
        Study(
            "clip-length",
            "What does a finished model lose on shorter clips?",
            "Scores the recipe, or a finished model (--model), on the middle 3 to 0.5 seconds of "
            "each clip.",
            the_recipe,
            length_conditions,
            Axis("length that is left of each clip, s", "conditions"),
            baseline="whole",
            takes_model=True,
        ),
        Study(
            "noise",
            "What does a model lose in noise?",
            "Scores the recipe, the recipe trained with noise, or a finished model (--model) on "
            "clips with noise from 30 to 0 dB below the speech.",
            noise_variants,
            noise_conditions,
            Axis("signal-to-noise ratio, dB", "conditions"),
            baseline="clean",
            takes_model=True,
        ),
        Study(
            "corpora",
            "How far does a corpus carry to others?",
            "Trains on each corpus alone and on all, and scores each on the validation speakers "
            "of every corpus, over the classes that both have.",
            corpus_variants,
            corpus_conditions,
            one_partition=True,
        ),
        Study(
            "own",
            "Which of my own ideas helps?",
            "Trains the recipe as it is and with the changes of each trial of a file (--trials); "
            "scores them in recorded noise too if there is some (--noise).",
            the_recipe,
            own_conditions,
            baseline="recipe",
            strict=True,
        ),
    )
}
"""By name, in the order in which they are listed."""
